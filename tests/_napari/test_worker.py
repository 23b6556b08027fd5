import threading
from threading import Event
from time import sleep

import numpy as np
import pytest

from fakes import Batching
from napari_fastsam import Instances, ModelSpec, Request, run
from napari_fastsam._napari.worker import Job, KeptModel, Worker


class Recorder:
    """A job that yields numbers, each after it is let go, and writes down what is called."""

    def __init__(self, count=3, error=None):
        self.count, self.error = count, error
        self.gate, self.begun = Event(), Event()
        self.received, self.endings = [], []
        self.job = Job(self.work, self.received.append, lambda *ending: self.endings.append(ending))

    def work(self, cancelled):
        self.begun.set()
        assert self.gate.wait(60)
        for n in range(self.count):
            if cancelled():
                return
            yield n
        if self.error:
            raise self.error


@pytest.fixture
def worker(qtbot):
    worker = Worker()
    yield worker
    worker.close()
    qtbot.waitUntil(lambda: not worker.busy)


def test_results_come_in_order_and_then_the_end(worker, qtbot):
    first = Recorder()
    first.gate.set()
    worker.submit(first.job)
    qtbot.waitUntil(lambda: not worker.busy)
    assert first.received == [0, 1, 2]
    assert first.endings == [("done", None)]


def test_the_newest_job_wins(worker, qtbot):
    first, second, third = Recorder(), Recorder(), Recorder()
    worker.submit(first.job)
    qtbot.waitUntil(first.begun.is_set)
    worker.submit(second.job)
    worker.submit(third.job)
    for recorder in (first, second, third):
        recorder.gate.set()
    qtbot.waitUntil(lambda: not worker.busy)
    assert (first.received, second.received, third.received) == ([], [], [0, 1, 2])
    assert first.endings == second.endings == [("cancelled", None)]
    assert not second.begun.is_set()


def test_what_comes_after_cancel_is_dropped(worker, qtbot):
    first = Recorder()
    worker.submit(first.job)
    qtbot.waitUntil(first.begun.is_set)
    worker.cancel()
    first.gate.set()
    qtbot.waitUntil(lambda: not worker.busy)
    assert first.received == []
    assert first.endings == [("cancelled", None)]


@pytest.mark.parametrize("error", [ValueError("wrong"), RuntimeError("out of memory")])
def test_an_error_in_the_thread_ends_the_job_and_not_the_worker(error, worker, qtbot):
    first, second = Recorder(error=error), Recorder()
    first.gate.set()
    second.gate.set()
    worker.submit(first.job)
    qtbot.waitUntil(lambda: not worker.busy)
    assert first.received == [0, 1, 2]
    assert first.endings == [("failed", error)]
    worker.submit(second.job)
    qtbot.waitUntil(lambda: not worker.busy)
    assert second.endings == [("done", None)]


def test_an_error_in_receiving_ends_the_job(worker, qtbot):
    def refuse(_):
        raise ValueError("no room")

    first = Recorder()
    first.job.received = refuse
    first.gate.set()
    worker.submit(first.job)
    qtbot.waitUntil(lambda: not worker.busy)
    [(ending, error)] = first.endings
    assert (ending, str(error)) == ("failed", "no room")


def test_a_closed_worker_calls_nobody(worker, qtbot):
    first = Recorder()
    worker.submit(first.job)
    qtbot.waitUntil(first.begun.is_set)
    worker.close()
    first.gate.set()
    qtbot.waitUntil(lambda: not worker.busy)
    assert (first.received, first.endings) == ([], [])


def test_a_closed_worker_takes_no_job(worker):
    late = Recorder()
    worker.close()
    worker.submit(late.job)
    assert not worker.busy
    assert not late.begun.is_set()


def test_the_job_that_waits_goes_on_while_the_end_of_another_is_told(worker, qtbot):
    first, second = Recorder(), Recorder()
    busy = []
    first.job.ended = lambda *_: busy.append(worker.busy)
    worker.submit(first.job)
    qtbot.waitUntil(first.begun.is_set)
    worker.submit(second.job)
    first.gate.set()
    second.gate.set()
    qtbot.waitUntil(lambda: not worker.busy)
    assert busy == [True]
    assert second.endings == [("done", None)]


def test_a_job_submitted_at_the_end_of_another_replaces_the_one_that_waits(worker, qtbot):
    first, second, third = Recorder(), Recorder(), Recorder()
    first.job.ended = lambda *_: worker.submit(third.job)
    worker.submit(first.job)
    qtbot.waitUntil(first.begun.is_set)
    worker.submit(second.job)
    for recorder in (first, second, third):
        recorder.gate.set()
    qtbot.waitUntil(lambda: not worker.busy)
    assert second.endings == [("cancelled", None)]
    assert not second.begun.is_set()
    assert third.endings == [("done", None)]


def test_a_model_is_built_once_where_it_is_first_used(monkeypatch, blobs, plane):
    built = []

    def build(model):
        if model is not blobs:
            built.append(model)
        return blobs

    monkeypatch.setattr("napari_fastsam._napari.worker.build", build)
    kept = KeptModel(ModelSpec(model="starter"))
    assert (built, kept.description) == ([], "starter")
    image = plane[..., None].repeat(3, axis=2)
    assert isinstance(kept.segment(image), Instances)
    kept.segment(image)
    assert built == [ModelSpec(model="starter")]
    assert kept.spec == ModelSpec(model="starter")
    assert kept.take_seconds() > 0
    assert kept.take_seconds() == 0


def test_a_kept_model_has_planes_looked_at_ahead_if_what_it_keeps_does(plane, blobs):
    stack = np.stack([plane] * 4)
    expected = list(run(Request(data=stack), blobs))
    assert KeptModel(blobs).batch_size == 0
    model = Batching(2)
    kept = KeptModel(model)
    for result, other in zip(run(Request(data=stack), kept), expected, strict=True):
        np.testing.assert_array_equal(result.labels, other.labels)
        assert kept.take_seconds() > 0
    assert model.calls == 4
    assert model.callers
    assert threading.get_ident() not in model.callers


def test_an_error_in_what_is_told_of_the_end_does_not_stop_the_next_job(worker, qtbot):
    first, second = Recorder(), Recorder()

    def fail(*ending):
        raise ValueError("nobody listens")

    first.job.ended = fail
    worker.submit(first.job)
    qtbot.waitUntil(first.begun.is_set)
    worker.submit(second.job)
    second.gate.set()
    with qtbot.captureExceptions() as errors:
        first.gate.set()
        qtbot.waitUntil(lambda: not worker.busy)
    assert second.endings == [("done", None)]
    assert [str(error) for _, error, _ in errors] == ["nobody listens"]


def test_a_job_runs_no_further_ahead_than_the_main_thread_receives(worker, qtbot):
    made, enough = [], Event()

    def work(cancelled):
        for n in range(10):
            made.append(n)
            if len(made) == 3:
                enough.set()
            yield n

    received = []
    worker.submit(Job(work, received.append, lambda *_: None))
    assert enough.wait(60)
    sleep(0.2)  # more than it takes to go on, were there room
    assert (made, received) == ([0, 1, 2], [])
    qtbot.waitUntil(lambda: not worker.busy)
    assert received == list(range(10))


def test_a_job_that_waits_for_room_can_be_cancelled(worker, qtbot):
    made, enough, endings = [], Event(), []

    def work(cancelled):
        for n in range(10):
            made.append(n)
            if len(made) == 3:
                enough.set()
            yield n

    worker.submit(Job(work, lambda _: None, lambda *ending: endings.append(ending)))
    assert enough.wait(60)
    worker.cancel()
    qtbot.waitUntil(lambda: not worker.busy)
    assert made == [0, 1, 2]
    assert endings == [("cancelled", None)]


@pytest.mark.parametrize(
    ("description", "where"),
    [
        ("starter · CPU · fp32 · 768 px", "CPU"),
        ("starter · CPU · OpenVINO · fp32 · 768 px", "CPU · OpenVINO"),
        ("starter · CPU · OpenVINO · int8 · 768 px", "CPU · OpenVINO · int8"),
        ("starter · NVIDIA H100 · fp16 · compiled · 768 px", "NVIDIA H100 · compiled"),
        ("mine", ""),
    ],
)
def test_a_model_tells_its_device_and_runtime(blobs, description, where):
    blobs.description = description
    assert KeptModel(blobs).where == where
