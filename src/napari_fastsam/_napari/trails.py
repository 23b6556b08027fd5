"""Linked labels as a Tracks layer: read plane by plane, beside the main thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.worker import Job
from napari_fastsam.tracks import track_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Labels
    from napari.layers import Tracks as TracksLayer
    from numpy.typing import NDArray

    from napari_fastsam._napari.canvas import LayerCanvas
    from napari_fastsam._napari.features import Table
    from napari_fastsam._napari.work import Work
    from napari_fastsam._napari.worker import Ending, Worker
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes
    from napari_fastsam.tracks import Tracks


class Trails:
    """Shows where labelled objects go through the stack, as tracks.

    Parameters
    ----------
    viewer
        Where the Tracks layers are.
    worker
        Where labels are read.
    begun
        Called with the job that reads.
    ended
        Called with how many tracks are shown, how it ended, and the error, if any.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        worker: Worker,
        *,
        begun: Callable[[Job], None],
        ended: Callable[[int, Ending, Exception | None], None],
    ) -> None:
        self._viewer, self._worker = viewer, worker
        self._begun, self._ended = begun, ended
        self._layers: WeakKeyDictionary[Labels, ref[TracksLayer]] = WeakKeyDictionary()

    def show(self, work: Work, index: Index) -> None:
        """Show the tracks of the objects on the planes before and behind a plane.

        Raises
        ------
        ValueError
            If there is no stack, or tracks cannot follow it.
        """
        canvas = work.canvas
        axis = canvas.axes.along
        fail_if(axis is None, "a stack", "a single plane", "open the planes as one image")
        assert axis is not None
        before = range(canvas.axes.steps[axis])
        fail_if(
            any(n not in canvas.axes.steps for n in before),
            "planes along an axis before those in view, as a Tracks layer has them",
            "planes along a later one",
            "show the stack's own planes: press the button that changes the order of axes",
        )
        shown = [0]

        def received(tracks: Tracks) -> None:
            shown[0] = len(np.unique(tracks.data[:, 0]))
            self._put(work.labels, canvas.axes, index, axis, tracks)

        job = Job(
            lambda cancelled: _work(canvas, index, axis, work.lineages.table(), job, cancelled),
            received,
            lambda ending, error: self._ended(shown[0], ending, error),
            doing="Reading labels",
        )
        self._worker.submit(job)
        self._begun(job)

    def _put(
        self, labels: Labels, axes: PlaneAxes, index: Index, axis: int, tracks: Tracks
    ) -> None:
        """Show tracks in the layer that labels have for them; what is selected stays."""
        from napari.layers import Tracks as TracksLayer

        known = self._layers.get(labels)
        layer = None if known is None else known()
        data = _placed(tracks.data, axes, index, axis)
        layers = self._viewer.layers
        if not len(data):  # a Tracks layer cannot be emptied
            if layer is not None and layer in layers:
                layers.remove(layer)
            return
        if layer is not None and layer in layers:
            layer.data = data
            layer.properties = tracks.properties
            layer.graph = tracks.graph
            return
        layer = TracksLayer(
            data,
            graph=tracks.graph,
            properties=tracks.properties,
            name=f"{labels.name} tracks",
            scale=labels.scale,
            translate=labels.translate,
            rotate=labels.rotate,
            shear=labels.shear,
            affine=labels.affine,
            units=labels.units,
            axis_labels=labels.axis_labels,
        )
        selected, active = set(layers.selection), layers.selection.active
        layers.insert(list(layers).index(labels) + 1 if labels in layers else len(layers), layer)
        layers.selection = selected
        layers.selection.active = active
        self._layers[labels] = ref(layer)


def _work(
    canvas: LayerCanvas,
    index: Index,
    axis: int,
    lineage: Table,
    job: Job,
    cancelled: Callable[[], bool],
) -> Iterator[Tracks]:
    """Yield the tracks, unless that is cancelled: in the worker thread."""
    total = canvas.axes.shape[canvas.axes.steps[axis]]

    def planes() -> Iterator[NDArray[Any]]:
        for plane in range(total):
            if cancelled():
                return
            job.progress = (plane, total)
            yield canvas.read((*index[:axis], plane, *index[axis + 1 :]))

    tracks = track_data(planes(), lineage)
    if not cancelled():
        yield tracks


def _placed(
    rows: NDArray[np.float64], axes: PlaneAxes, index: Index, axis: int
) -> NDArray[np.float64]:
    """Return (N, 1 + D): tracks with a column for each axis of the labels."""
    columns = {axes.axes.index("Y"): rows[:, 2], axes.axes.index("X"): rows[:, 3]}
    for n, step in enumerate(axes.steps):
        columns[step] = rows[:, 1] if n == axis else np.full(len(rows), float(index[n]))
    return np.stack([rows[:, 0], *(columns[n] for n in range(len(axes.axes)))], 1)
