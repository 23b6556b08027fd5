"""What one dock widget owns besides its controls: a worker, a model, candidates, and runs.

It knows layers and threads, and no controls: what it has to say goes to callbacks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_fastsam._napari.labels import LabelWriter, labels_like
from napari_fastsam._napari.layers import count_unanswered, writer_for
from napari_fastsam._napari.words import Tally
from napari_fastsam._napari.worker import Job, KeptModel, Worker
from napari_fastsam.models.registry import fetch
from napari_fastsam.pipeline import CandidateCache, PlaneResult, Request, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from napari_fastsam._napari.labels import Existing
    from napari_fastsam._napari.worker import Ending
    from napari_fastsam.planes import Display, PlaneAxes
    from napari_fastsam.segmenter import ModelSpec, Segmenter


@dataclass(slots=True, eq=False, kw_only=True)
class Run:
    """A request on its way: where it came from, where its results go, and what came of it.

    Parameters
    ----------
    image, labels
        Layers; ``None`` for a new Labels layer as soon as there is something to write.
    existing
        What becomes of objects that are in `labels` already.
    request, model
        What is asked, and who answers.
    download
        The name of a model to fetch first.
    tally
        What has been done so far.
    """

    image: Image
    labels: Labels | None
    existing: Existing
    request: Request
    model: KeptModel
    download: str = ""
    tally: Tally = field(default_factory=Tally)
    writer: LabelWriter | None = None


class Session:
    """Runs requests beside the main thread and writes what they find into layers.

    Parameters
    ----------
    viewer
        Whose layers are read and written.
    model
        A segmenter to use in place of those that can be chosen.
    found
        Called after each plane with the run, its result, and the seconds that the network took.
    ended
        Called after each run with how it ended and the error, if any.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        model: Segmenter | None,
        *,
        found: Callable[[Run, PlaneResult, float], None],
        ended: Callable[[Run, Ending, Exception | None], None],
    ) -> None:
        self.worker = Worker()
        self.cache = CandidateCache()
        self._viewer = viewer
        self._given = None if model is None else KeptModel(model)
        self._kept: KeptModel | None = None
        self._versions: WeakKeyDictionary[Layer, object] = WeakKeyDictionary()
        self._found, self._ended = found, ended

    def model(self, spec: ModelSpec) -> KeptModel:
        """Return the model of a spec: the same one as long as the spec stays the same."""
        if self._given is not None:
            return self._given
        if self._kept is None or self._kept.spec != spec:
            self._kept = KeptModel(spec)
        return self._kept

    def key(self, image: Image, axes: PlaneAxes, display: Display) -> tuple[Any, ...]:
        """Return what names an image's candidates in the cache: new data is another image."""
        if image not in self._versions:
            self._versions[image] = object()
            image.events.data.connect(self._data_changed)
        return self._versions[image], axes.axes, display

    def start(self, asked: Run) -> Job:
        """Run a request as soon as the worker is free; what runs or waits is cancelled."""
        job = Job(
            lambda cancelled: _work(asked, self.cache, job, cancelled),
            lambda came: self._receive(asked, job, *came),
            lambda ending, error: self._end(asked, ending, error),
        )
        self.worker.submit(job)
        return job

    def is_gone(self, asked: Run) -> bool:
        """Whether a layer of a run has left the viewer."""
        present = list(self._viewer.layers)
        return asked.image not in present or asked.labels not in (None, *present)

    def _receive(self, asked: Run, job: Job, result: PlaneResult, seconds: float) -> None:
        """Write what was found on a plane, unless its layers have left."""
        if self.is_gone(asked):
            job.cancelled.set()
            return
        if asked.writer is None and (asked.labels is not None or result.labels.any()):
            if asked.labels is None:
                asked.labels = self._add_labels(asked)
            asked.writer = writer_for(asked.labels, asked.request, asked.existing)
        if asked.writer is not None:
            written = asked.writer.write(result)
            asked.tally.new += written.new
            asked.tally.taken += written.taken
        asked.tally.planes += 1
        asked.tally.unanswered += count_unanswered(result)
        self._found(asked, result, seconds)

    def _add_labels(self, asked: Run) -> Labels:
        """Put a new Labels layer just above the image; the selected layer stays selected."""
        labels = labels_like(asked.image, asked.request.layout)
        layers = self._viewer.layers
        active = layers.selection.active
        layers.insert(list(layers).index(asked.image) + 1, labels)
        if active is not None:
            layers.selection.active = active
        return labels

    def _end(self, asked: Run, ending: Ending, error: Exception | None) -> None:
        if asked.writer is not None:
            asked.writer.close()
        self._ended(asked, ending, error)

    def _data_changed(self, event: Any) -> None:
        self._versions[event.source] = object()


def _work(
    asked: Run, cache: CandidateCache, job: Job, cancelled: Callable[[], bool]
) -> Iterator[tuple[PlaneResult, float]]:
    """Yield the planes of a run with the network's time for each: in the worker thread."""

    def came(done: int, total: int) -> None:
        job.progress = (done, total)
        if cancelled():
            raise InterruptedError("The download was cancelled. Nothing of it was kept.")

    if asked.download:
        job.doing = f"Downloading {asked.download}"
        fetch(asked.download, progress=came)
    planes = len(asked.request.planes())
    job.doing, job.progress = "Segmenting", (0, planes if planes > 1 else 0)
    for result in run(asked.request, asked.model, cache=cache, cancelled=cancelled):
        yield result, asked.model.take_seconds()
        done, total = job.progress
        job.progress = (done + 1, total)
