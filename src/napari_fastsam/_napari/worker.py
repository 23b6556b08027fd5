"""What runs beside the main thread, one job at a time: the newest wins, and any can be cancelled.

Results are handed to the main thread as they come; only there may layers and widgets be touched.
"""

from __future__ import annotations

import atexit
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event, Lock, Semaphore
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from napari.qt.threading import create_worker
from qtpy.QtCore import QThreadPool, QTimer

from napari_fastsam.pipeline import build
from napari_fastsam.segmenter import BatchSegmenter, ModelSpec, ScaledSegmenter, batch_size
from napari_fastsam.sources import model_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam.given import FromLabels
    from napari_fastsam.instances import Instances
    from napari_fastsam.planes import PlaneAxes
    from napari_fastsam.segmenter import Segmenter

Ending = Literal["done", "cancelled", "failed"]

_PRECISIONS = ("fp16", "fp32")  # what a device computes in by itself is for the tooltip
_AHEAD = 2  # results that a job may have ready before the main thread has received them
_LAST_WAIT = 60_000  # milliseconds for the network to come back when the process ends
_PATIENCE = 0.05  # seconds between looks at whether a job that waits for room was cancelled


class KeptModel:
    """A segmenter that is built by the thread that first needs it, and kept for the next plane.

    Parameters
    ----------
    model
        What to build, or a segmenter that is there already.

    Attributes
    ----------
    seconds
        How long the network ran for the plane that it looked at last, 0 before.
    """

    def __init__(self, model: ModelSpec | Segmenter) -> None:
        self.spec: Any = getattr(model, "spec", model)
        self._model = model
        self.seconds = 0.0
        self._seconds = 0.0
        self._lock = Lock()

    @property
    def description(self) -> str:
        """What runs where, in a few words; the model's name until it is built."""
        name = getattr(self.spec, "model", type(self._model).__name__)
        return str(getattr(self._model, "description", name))

    @property
    def where(self) -> str:
        """Device and runtime, as ``"CPU · OpenVINO"``; nothing until the model is built."""
        parts = str(getattr(self._model, "description", "")).split(" · ")[1:-1]
        return " · ".join(part for part in parts if part not in _PRECISIONS)

    @property
    def image_size(self) -> int | None:
        """At which size the network sees an image, if it can say; the model is built to know."""
        with self._lock:
            self._model = segmenter = build(self._model)
        return getattr(segmenter, "image_size", None)

    def segment(
        self, image: NDArray[np.generic], *, shape: tuple[int, int] | None = None
    ) -> Instances:
        """Return the candidates of an image, as `Segmenter` and `ScaledSegmenter` say."""
        with self._lock:
            self._model = segmenter = build(self._model)
            if isinstance(self.spec, ModelSpec):
                model_hash(self.spec)  # read here once, so that it is at hand for the record
            started = perf_counter()
            if shape is not None and isinstance(segmenter, ScaledSegmenter):
                candidates = segmenter.segment(image, shape=shape)
            else:
                candidates = segmenter.segment(image)
            self._seconds += perf_counter() - started
        return candidates

    @property
    def batch_size(self) -> int:
        """As `BatchSegmenter` says; the model is built to know."""
        with self._lock:
            self._model = segmenter = build(self._model)
        return batch_size(segmenter)

    def segment_many(
        self, images: Iterable[NDArray[np.generic]], *, shape: tuple[int, int] | None = None
    ) -> Generator[Instances, None, None]:
        """Yield the candidates of images, as `BatchSegmenter` says."""
        with self._lock:
            self._model = segmenter = build(self._model)
            if isinstance(self.spec, ModelSpec):
                model_hash(self.spec)
        assert isinstance(segmenter, BatchSegmenter)
        started = perf_counter()
        with closing(segmenter.segment_many(images, shape=shape)) as found:
            for candidates in found:
                ended = perf_counter()
                self._seconds, started = self._seconds + ended - started, ended
                yield candidates

    def take_seconds(self) -> float:
        """Return how long the network has run since this was last asked, 0 if it did not."""
        seconds, self._seconds = self._seconds, 0.0
        self.seconds = seconds or self.seconds
        return seconds


class KeptLabels(KeptModel):
    """Objects of a Labels layer in a model's place; see `Given`."""

    def __init__(self, labels: FromLabels) -> None:
        super().__init__(labels)
        self._labels = labels

    def plane(self, axes: PlaneAxes, index: tuple[int, ...]) -> Instances:
        """Return the objects of a plane."""
        return self._labels.plane(axes, index)


@dataclass(slots=True, eq=False)
class Job:
    """Something to do in the worker thread.

    Parameters
    ----------
    work
        Called there with a function that says whether to stop; its results are received one by one.
    received
        Called in the main thread with each result. Not called any more once the job is cancelled.
        What it returns, if anything, is gone through bit by bit while the event loop has nothing
        else to do; the next result is received after that.
    ended
        Called in the main thread, last, with how it ended and with the error, if any.
    doing, progress
        What is being done, in a word, and how much of how much, (0, 0) while nobody knows; set by
        either thread.
    before
        How much of it was done before this job.
    unit
        What is counted.
    """

    work: Callable[[Callable[[], bool]], Iterator[Any]]
    received: Callable[[Any], Iterator[None] | None]
    ended: Callable[[Ending, Exception | None], None]
    doing: str = "Waiting"
    progress: tuple[int, int] = (0, 0)
    before: int = 0
    unit: str = "plane"
    cancelled: Event = field(default_factory=Event)
    error: Exception | None = None
    room: Semaphore = field(default_factory=lambda: Semaphore(_AHEAD))
    started: float = field(default_factory=perf_counter)

    @property
    def seconds(self) -> float:
        """Time since the job was made, in seconds."""
        return perf_counter() - self.started


class Worker:
    """One thread at most, and one job that waits for it: submitting another replaces that one."""

    def __init__(self) -> None:
        self._running: Job | None = None
        self._next: Job | None = None
        self._closed = False
        self._received: list[tuple[Job, Any]] = []
        self._bits: Iterator[None] | None = None
        self._timer = QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._bit)

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._running is not None or self._next is not None

    def submit(self, job: Job) -> None:
        """Run a job as soon as the thread is free; jobs submitted earlier are cancelled."""
        self.cancel()
        if self._closed:
            return
        if self._running is None:
            self._start(job)
        else:
            self._next = job

    def cancel(self) -> None:
        """Stop after the plane that is being worked on; what has been received stays."""
        if self._next is not None:
            dropped, self._next = self._next, None
            dropped.cancelled.set()
            if not self._closed:
                dropped.ended("cancelled", None)
        if self._running is not None:
            self._running.cancelled.set()

    def close(self) -> None:
        """Cancel, and call nothing of a job any more: who would receive it is going away."""
        self._closed = True
        self.cancel()

    def _start(self, job: Job) -> None:
        self._running = job
        _unfinished.add(job)
        # Errors come as results, since the thread pool takes a RuntimeError for a deleted worker.
        worker = create_worker(_results, job, _start_thread=False, _ignore_errors=True)
        worker.yielded.connect(lambda result: self._receive(job, result))
        worker.finished.connect(lambda: self._receive(job, _End()))
        worker.aborted.connect(job.cancelled.set)
        worker.start()

    def finish_receiving(self) -> None:
        """Go through what was received, without giving way to the event loop."""
        while self._received:
            self._go_on()

    def _receive(self, job: Job, result: Any) -> None:
        """Take a result in line."""
        self._received.append((job, result))
        self._timer.start()

    def _go_on(self) -> None:
        """Go one bit further with the first result in line."""
        job, result = self._received[0]
        try:
            if self._bits is None and not (job.cancelled.is_set() or self._closed):
                if isinstance(result, _Failure):
                    raise result.error
                if not isinstance(result, _End):
                    self._bits = job.received(result)
            if self._bits is not None:
                next(self._bits)
                return
        except StopIteration:
            pass
        except Exception as error:  # handed on to `ended`, which shows it
            job.error = error
            job.cancelled.set()
        self._bits = None
        del self._received[0]
        job.room.release()
        if isinstance(result, _End):
            self._finish(job)

    def _bit(self) -> None:
        """Use a moment of the event loop."""
        if self._received:
            self._go_on()
        if not self._received:
            self._timer.stop()

    def _finish(self, job: Job) -> None:
        """Tell how a job ended, then start the one that waits, unless it was replaced then."""
        self._running = None
        try:
            if not self._closed:
                ending: Ending = "cancelled" if job.cancelled.is_set() else "done"
                job.ended("failed" if job.error is not None else ending, job.error)
        finally:
            job.work = job.received = job.ended = _nothing  # Qt may keep the job for long
            following = self._next
            if following is not None and self._running is None:
                self._next = None
                self._start(following)


def _nothing(*_: Any) -> Any:
    """Stand for the functions of a job that has ended, and for all that they hold."""


class _End:
    """The end of a job, in line behind its results."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error in the worker thread, on its way to the main thread."""

    error: Exception


def _results(job: Job) -> Generator[Any, None, None]:
    """Yield the results of a job, and the error that ends it."""
    try:
        for result in job.work(job.cancelled.is_set):
            while not job.cancelled.is_set() and not job.room.acquire(timeout=_PATIENCE):
                pass
            if job.cancelled.is_set():
                return
            yield result
    except Exception as error:  # raised again in the main thread
        yield _Failure(error)
    finally:
        _unfinished.discard(job)


_unfinished: set[Job] = set()  # of all workers, for the end of the process


@atexit.register
def _let_finish() -> None:
    """Cancel what still runs, and wait for it: Qt must not be gone when a thread comes back."""
    for job in list(_unfinished):
        job.cancelled.set()
    pool = QThreadPool.globalInstance()
    if pool is not None:
        pool.waitForDone(_LAST_WAIT)
