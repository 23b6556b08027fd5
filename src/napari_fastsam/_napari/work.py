"""A Labels layer that is worked on: its `Labelling`, what a person paints, and its provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fastsam._napari.canvas import LayerCanvas
from napari_fastsam._napari.counting import LargestLabel
from napari_fastsam._napari.finds import Finds, Told, table_of
from napari_fastsam._napari.keys import bound
from napari_fastsam._napari.lineages import Lineages
from napari_fastsam._napari.worker import Job, Worker
from napari_fastsam.labelling import Labelling
from napari_fastsam.origins import provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.layers import Labels

    from napari_fastsam._napari.features import Table
    from napari_fastsam.closer import Seen
    from napari_fastsam.history import History, Step
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes
    from napari_fastsam.prompts import Prompts

PROVENANCE = "napari-fastsam"
"""Where a layer's metadata say how its labels came about."""

UNDO, REDO = "Control-Z", "Control-Shift-Z"


class Work:
    """A Labels layer and all that is done to it, by prompts and by hand.

    Parameters
    ----------
    labels
        The layer; see `check_labels`.
    axes
        How the image falls into planes.
    candidates
        Called with a plane and prompts; returns the candidates to choose from.
    in_view
        Says whether a plane is on the screen.
    changed
        Called after each step, and after each that is undone or redone.
    undo, redo
        Called for the layer's keys for that.
    """

    def __init__(
        self,
        labels: Labels,
        axes: PlaneAxes,
        candidates: Callable[[Index, Prompts], Seen],
        *,
        in_view: Callable[[Index], bool],
        changed: Callable[[], None],
        undo: Callable[[], None],
        redo: Callable[[], None],
    ) -> None:
        self.labels = labels
        self._changed, self._in_view, self._candidates = changed, in_view, candidates
        self._counter = Worker()
        self._largest = self._count()
        self.labelling = Labelling(self._canvas(axes), candidates, first=self._largest.next_label)
        self.sources: list[dict[str, Any]] = []
        self.lineages, self.finds = Lineages(labels), Finds(labels)
        self.told_of: object = None  # what the last source was read from
        labels.events.paint.connect(self._painted)
        labels.events.data.connect(self._replaced)
        self._keys = bound(labels, {UNDO: undo, REDO: redo})

    @property
    def canvas(self) -> LayerCanvas:
        """The planes that are shown."""
        canvas = self.labelling.canvas
        assert isinstance(canvas, LayerCanvas)
        return canvas

    def lie(self, axes: PlaneAxes) -> None:
        """Go on with planes along these axes, as the viewer shows them."""
        if axes.axes.replace("C", "") != self.canvas.axes.axes:
            self.labelling.canvas = self._canvas(axes)

    def frame(self, axes: PlaneAxes) -> int:
        """Return which of the labelling's canvases has planes along these axes."""
        shown = self.canvas
        self.lie(axes)
        frame = self.labelling.frame
        self.labelling.canvas = shown
        return frame

    def source(self, source: dict[str, Any]) -> None:
        """Say for the record what the next steps choose from."""
        if source not in self.sources:
            self.sources.append(source)
        number = self.sources.index(source)
        self.labelling.context = {"source": number} if number else {}

    def about_to_number(self) -> None:
        """Leave the label that a person is about to paint with to them."""
        if self.canvas.brush:
            self.labelling.skip(self.canvas.brush)

    def note(self) -> None:
        """Write down in the layer's metadata and features what was done, after each step."""
        self.labels.metadata[PROVENANCE] = provenance(self.labelling, self.sources)
        self.lineages.show(self.history)
        self.finds.show(self.history)

    def linked(self, table: Table, step: Step | None = None) -> None:
        """Tell of objects that a step has linked, the last one if none is named."""
        step = self.history.last if step is None else step
        if step is not None:
            self.lineages.tell(step, table)
            self.lineages.show(self.history)

    def found(self, told: Mapping[int, Told], step: Step | None = None) -> None:
        """Tell how labels answered a search that a step took, the last one if none is named."""
        step = self.history.last if step is None else step
        if step is not None and told:
            self.finds.tell(step, table_of(told))
            self.finds.show(self.history)

    @property
    def record(self) -> dict[str, Any]:
        """What was done, as it is written down; empty while nothing was."""
        record: dict[str, Any] = self.labels.metadata.get(PROVENANCE, {})
        return record if record.get("steps") else {}

    @property
    def history(self) -> History:
        """The steps that can be undone."""
        return self.labelling.history

    def close(self) -> None:
        """Let go of the layer: its keys undo as napari does."""
        self.labels.events.paint.disconnect(self._painted)
        self.labels.events.data.disconnect(self._replaced)
        self._counter.close()
        self._keys()

    @property
    def next_label(self) -> int | None:
        """The number that the next object gets, None as long as the labels are still read."""
        return self.labelling.next_label if self._largest.known else None

    @property
    def counting(self) -> bool:
        """Whether the labels are read."""
        return self._counter.busy

    def _count(self) -> LargestLabel:
        """Return the largest label, which is found out beside the main thread if it takes long."""
        largest = LargestLabel(self.labels.data)
        if not largest.known:
            # What cannot be read is told when a number is needed.
            done = self._changed
            self._counter.submit(Job(largest.reading, lambda _: None, lambda *_: done()))
        return largest

    def _canvas(self, axes: PlaneAxes) -> LayerCanvas:
        """Return the layer as planes along these axes."""
        letters = axes.axes

        def in_view(index: Index) -> bool:
            shown = self.canvas.axes.axes
            return shown != letters.replace("C", "") or self._in_view(index)

        return LayerCanvas(self.labels, axes, in_view=in_view)

    def _painted(self, event: Any) -> None:
        """Make a step of what a person has painted."""
        canvases = self.labelling.canvases
        if not any(isinstance(canvas, LayerCanvas) and canvas.writing for canvas in canvases):
            self.labelling.painted(self.canvas.strokes(event.value))
            self.note()  # also where other labels are worked on by now
            self._changed()

    def _replaced(self, _: Any) -> None:
        """Start again from other labels, with another `Labelling`: numbers mean other objects."""
        old = self.labelling
        self.labels.metadata.pop(PROVENANCE, None)
        for features in (self.lineages, self.finds):
            features.forget()
            features.show(old.history)
        if self.labels.data.ndim == len(self.canvas.axes.axes):  # others are refused, see above
            canvases = [self._canvas(canvas.axes) for canvas in old.canvases]
            self._largest = self._count()
            self.labelling = Labelling(
                canvases[0], self._candidates, first=self._largest.next_label
            )
            for canvas in (*canvases[1:], canvases[old.frame]):
                self.labelling.canvas = canvas
            self.labelling.context = old.context
        self._changed()
