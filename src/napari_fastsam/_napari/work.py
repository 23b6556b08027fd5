"""A Labels layer that is worked on: its `Labelling`, what a person paints, and its provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fastsam._napari.canvas import LayerCanvas, largest_label
from napari_fastsam._napari.keys import bound
from napari_fastsam.labelling import Labelling
from napari_fastsam.replay import provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels

    from napari_fastsam.history import History, Step
    from napari_fastsam.instances import Instances
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
    changed
        Called after each step, and after each that is undone or redone.
    undo, redo
        Called for the layer's keys for that.
    """

    def __init__(
        self,
        labels: Labels,
        axes: PlaneAxes,
        candidates: Callable[[Index, Prompts], Instances],
        *,
        changed: Callable[[], None],
        undo: Callable[[], None],
        redo: Callable[[], None],
    ) -> None:
        self.labels = labels
        self.sources: list[dict[str, Any]] = []
        self._candidates, self._changed = candidates, changed
        self._done = self._make(axes)
        self._turned: Labelling | None = None
        labels.events.paint.connect(self._painted)
        labels.events.data.connect(self._replaced)
        self._keys = bound(labels, {UNDO: undo, REDO: redo})

    @property
    def labelling(self) -> Labelling:
        """What is done to the planes that are shown."""
        return self._done if self._turned is None else self._turned

    @property
    def canvas(self) -> LayerCanvas:
        """The planes that are shown."""
        canvas = self.labelling.canvas
        assert isinstance(canvas, LayerCanvas)
        return canvas

    def lie(self, axes: PlaneAxes) -> None:
        """Go on with planes along these axes, as the viewer shows them.

        What was done on planes along other axes can be undone until a step is done on these.
        """
        if _letters(axes) == _letters(self.canvas.axes):
            return
        done = self._done.canvas
        assert isinstance(done, LayerCanvas)
        self._turned = None if _letters(axes) == _letters(done.axes) else self._make(axes)

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
        """Write down in the layer's metadata what was done, after each step."""
        if self._turned is not None and len(self._turned.history):
            self._done, self._turned = self._turned, None
        self.labels.metadata[PROVENANCE] = provenance(self._done, self.sources)

    @property
    def record(self) -> dict[str, Any]:
        """What was done, as it is written down; empty while nothing was."""
        record: dict[str, Any] = self.labels.metadata.get(PROVENANCE, {})
        return record if record.get("steps") else {}

    @property
    def history(self) -> History:
        """The steps that can be undone, along whatever axes they were done."""
        return self._done.history

    def undo(self) -> Step | None:
        """Take the last step back."""
        step = self._done.undo()
        self.note()
        return step

    def redo(self) -> Step | None:
        """Do the step undone last again."""
        step = self._done.redo()
        self.note()
        return step

    def close(self) -> None:
        """Let go of the layer: its keys undo as napari does."""
        self.labels.events.paint.disconnect(self._painted)
        self.labels.events.data.disconnect(self._replaced)
        self._keys()

    def _make(self, axes: PlaneAxes) -> Labelling:
        """Return the labels as planes along these axes, with nothing done yet."""
        canvas = LayerCanvas(self.labels, axes)
        first = largest_label(self.labels.data) + 1
        return Labelling(canvas, self._candidates, first=first)

    def _painted(self, event: Any) -> None:
        """Make a step of what a person has painted."""
        if not self.canvas.writing:
            self.labelling.painted(self.canvas.strokes(event.value))
            self.note()
            self._changed()

    def _replaced(self, _: Any) -> None:
        """Start again from other labels."""
        self._done, self._turned = self._make(self.canvas.axes), None
        self.labels.metadata.pop(PROVENANCE, None)
        self._changed()


def _letters(axes: PlaneAxes) -> str:
    """Return the axes of labels."""
    return axes.axes.replace("C", "")
