"""Runs over planes without a dock: written as they come, stopped, gone on with, counted."""

import numpy as np
import pytest
from napari.layers import Labels

from napari_fastsam import PlaneAxes
from napari_fastsam._napari.runs import Run, Runs
from napari_fastsam._napari.work import Work
from napari_fastsam._napari.worker import KeptModel
from napari_fastsam.cleanup import Cleanup
from napari_fastsam.pipeline import CandidateCache, Request

PLANES = 6


@pytest.fixture
def images(plane):
    return np.stack([plane] * PLANES)


@pytest.fixture
def axes(images):
    return PlaneAxes("ZYX", images.shape)


@pytest.fixture
def work(images, axes, qapp):
    work = Work(
        Labels(np.zeros(images.shape, np.uint32)),
        axes,
        lambda index, prompts: None,
        in_view=lambda _: False,
        changed=lambda: None,
        undo=lambda: None,
        redo=lambda: None,
    )
    yield work
    work.close()


class Told:
    """What runs tell: planes as they are found, and how each run ended."""

    def __init__(self):
        self.planes, self.endings, self.gone = [], [], False

    def found(self, run, found):
        self.planes.append(found.index[0])

    def ended(self, run, ending, error):
        self.endings.append((ending, error))


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def runs(told, qtbot):
    runs = Runs(CandidateCache(), gone=lambda _: told.gone, found=told.found, ended=told.ended)
    runs.settle = lambda: qtbot.waitUntil(lambda: not runs.worker.busy, timeout=60_000)
    yield runs
    runs.worker.close()
    runs.settle()


@pytest.fixture
def make(images, axes, blobs, work):
    """Make a run; labels are there from the start, or made once there is something to write."""

    def run(*, link=True, later=False, **options):
        run = Run(
            asked=Request(data=images, axes=axes, link=link, key="images", **options),
            model=KeptModel(blobs),
            cleanup=Cleanup(),
            existing="keep",
            axes=axes,
            layers=(),
            make=lambda: work,
        )
        if not later:
            run.write_to(work)
        return run

    return run


def objects(work):
    return [len(np.unique(plane)) - 1 for plane in work.labels.data]


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(("link", "new"), [(True, 3), (False, 3 * PLANES)])
def test_all_planes_are_written_as_one_step(runs, make, work, told, link, new, later):
    run = make(link=link, later=later)
    job = runs.start(run)
    runs.settle()
    assert told.planes == list(range(PLANES))
    assert told.endings == [("done", None)]
    assert objects(work) == [3] * PLANES
    assert (run.tally.planes, run.tally.new, run.left) == (PLANES, new, 0)
    assert job.progress == (PLANES, PLANES)
    assert len(work.history) == 1
    assert (run.lineage is not None) == link


def test_labels_are_made_only_for_objects(runs, make, work, told):
    def never():
        raise AssertionError("there is nothing to write")

    run = make(later=True, min_area=10_000)
    run.make = never
    runs.start(run)
    runs.settle()
    assert told.endings == [("done", None)]
    assert (run.work, run.tally.planes, run.tally.new) == (None, PLANES, 0)


def stopped(runs, run, told, gate, blobs, qtbot, after):
    """Begin a run, and cancel it while the network looks at a plane."""
    gate.at = blobs.calls + after
    runs.start(run)
    qtbot.waitUntil(lambda: len(told.planes) == after)
    runs.worker.cancel()
    gate.set()
    runs.settle()


@pytest.mark.parametrize("link", [True, False])
def test_going_on_does_the_rest_alone(runs, make, work, told, gate, blobs, qtbot, link):
    run = make(link=link)
    stopped(runs, run, told, gate, blobs, qtbot, 2)
    assert told.endings == [("cancelled", None)]
    done = run.tally.planes
    assert objects(work) == [3] * done + [0] * (PLANES - done)
    assert run.left == PLANES - done
    if link:
        assert set(run.lineage["last"].tolist()) == {done - 1}, "what is written, and no more"
    looked = run.looked
    job = runs.start(run)
    assert job.before == looked >= done
    runs.settle()
    assert blobs.calls == PLANES
    assert objects(work) == [3] * PLANES
    assert len(np.unique(work.labels.data)) - 1 == (3 if link else 3 * PLANES)
    assert len(work.history) == 1
    if link:
        assert run.lineage["planes"].tolist() == [PLANES] * 3


def test_layers_that_are_gone_stop_a_run(runs, make, work, told, gate, blobs, qtbot):
    run = make()
    gate.at = 1
    runs.start(run)
    qtbot.waitUntil(lambda: told.planes == [0])
    told.gone = True
    gate.set()
    runs.settle()
    assert told.endings == [("cancelled", None)]
    assert objects(work) == [3] + [0] * (PLANES - 1)


def test_a_plane_that_fails_keeps_those_before(runs, make, work, told, blobs, monkeypatch):
    segment = blobs.segment

    def fail(image):
        if blobs.calls == 3:
            raise OSError("a broken chunk")
        return segment(image)

    monkeypatch.setattr(blobs, "segment", fail)
    run = make()
    runs.start(run)
    runs.settle()
    [(ending, error)] = told.endings
    assert ending == "failed"
    assert "broken chunk" in str(error)
    assert objects(work) == [3, 3, 3, 0, 0, 0]


@pytest.mark.parametrize("link", [True, False])
def test_a_brush_with_an_objects_number_renumbers_nobody(
    runs, make, work, told, gate, blobs, qtbot, link
):
    run = make(link=link)
    gate.at = 1
    runs.start(run)
    qtbot.waitUntil(lambda: told.planes == [0])
    work.labels.selected_label, work.labels.mode = 2, "paint"
    gate.set()
    runs.settle()
    assert objects(work) == [3] * PLANES
    planes = [set(np.unique(plane).tolist()) - {0} for plane in work.labels.data]
    assert planes == (
        [{1, 2, 3}] * PLANES if link else [{3 * n + 1, 3 * n + 2, 3 * n + 3} for n in range(PLANES)]
    )


def test_a_number_that_was_drawn_with_while_a_run_was_stopped_stays_the_persons(
    runs, make, work, told, gate, blobs, qtbot
):
    run = make(link=False)
    stopped(runs, run, told, gate, blobs, qtbot, 2)
    drawn = int(work.labels.data.max()) + 1
    work.labels.data_setitem((np.array([0]), np.array([0]), np.array([0])), drawn)
    runs.start(run)
    runs.settle()
    assert objects(work)[1:] == [3] * (PLANES - 1)
    assert np.count_nonzero(work.labels.data == drawn) == 1


def test_a_run_ends_when_the_labels_get_other_data(runs, make, work, told, gate, blobs, qtbot):
    run = make()
    gate.at = 2
    runs.start(run)
    qtbot.waitUntil(lambda: len(told.planes) >= 1)
    other = np.zeros_like(work.labels.data)
    other[0, :3, :3] = 1
    work.labels.data = other
    gate.set()
    runs.settle()
    assert told.endings[-1][0] == "cancelled"
    assert np.unique(work.labels.data[1:]).tolist() == [0]


def test_the_newest_run_wins(runs, make, work, told, gate, blobs, qtbot):
    gate.at = 0
    first, second = make(), make(link=False)
    runs.start(first)
    qtbot.waitUntil(lambda: runs.worker.busy)
    runs.start(second)
    gate.set()
    runs.settle()
    assert [ending for ending, _ in told.endings] == ["cancelled", "done"]
    assert (first.tally.planes, second.tally.planes) == (0, PLANES)
