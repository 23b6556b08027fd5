"""A Labels layer as a canvas: windows are written and repainted, a person's strokes are read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.canvas import upright, window_key
from napari_fastsam.history import Edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_fastsam.history import Window
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes

FEW_PIXELS = 1 << 17
"""Up to so many pixels napari repaints only the part of the plane that changed."""

_PAINTING = {"paint", "fill", "polygon"}


class LayerCanvas:
    """A Labels layer, plane by plane.

    Parameters
    ----------
    labels
        The layer; see `check_labels`.
    axes
        How the image falls into planes.
    few_pixels
        See `FEW_PIXELS`; ``None`` makes each write a step of napari's own undo history.
    """

    def __init__(
        self,
        labels: Labels,
        axes: PlaneAxes,
        *,
        in_view: Callable[[Index], bool] = lambda _: True,
        few_pixels: int | None = FEW_PIXELS,
    ) -> None:
        self.labels = labels
        self.in_view = in_view
        self._few = few_pixels
        self.axes = replace(axes, axes=axes.axes.replace("C", ""), shape=tuple(labels.data.shape))
        self.writing = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the labels."""
        dtype: np.dtype[Any] = np.dtype(self.labels.data.dtype)
        return dtype

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(H, W) of each plane."""
        return self.axes.plane_shape

    @property
    def brush(self) -> int:
        """The label that a person is about to paint with; 0 if none."""
        return int(self.labels.selected_label) if self.labels.mode in _PAINTING else 0

    def read(self, index: Index, window: Window | None = None) -> NDArray[Any]:
        """Return a copy (h, w) of a window of a plane, or of all of it; from any thread."""
        part: NDArray[Any] = np.array(self.labels.data[window_key(self.axes, index, window)])
        return part if upright(self.axes) else np.ascontiguousarray(part.T)

    def write(self, index: Index, window: Window, values: NDArray[Any]) -> None:
        """Write values (h, w) into a window of a plane, and repaint what is in view.

        Notes
        -----
        napari's own editing repaints a small part of the plane in view quickly; beyond `FEW_PIXELS`
        it is quicker to write in place and to repaint the plane.
        """
        differs = self.read(index, window) != values
        count = np.count_nonzero(differs)
        if not count:
            return
        self.writing = True
        try:
            shown = self.in_view(index)
            if self._few is None or (shown and count <= self._few):
                rows, columns = np.nonzero(differs)
                where = (rows + window[0].start, columns + window[1].start)
                self.labels.data_setitem(self._indices(index, *where), values[rows, columns])
            else:
                key = window_key(self.axes, index, window)
                self.labels.data[key] = values if upright(self.axes) else values.T
                if shown:
                    self.labels.refresh(extent=False, thumbnail=False, highlight=False)
        finally:
            self.writing = False

    def _indices(
        self, index: Index, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.int32], ...]:
        """Return positions on a plane as an index into the layer's data."""
        steps = dict(zip(self.axes.steps, index, strict=True))
        places = {"Y": rows.astype(np.int32), "X": columns.astype(np.int32)}
        return tuple(
            places[letter] if letter in places else np.full(len(rows), steps[n], np.int32)
            for n, letter in enumerate(self.axes.axes)
        )

    def strokes(self, atoms: Sequence[Any]) -> list[Edit]:
        """Return what a person has painted, plane by plane, from the value of a ``paint`` event.

        Parameters
        ----------
        atoms
            The parts of the stroke in order, each ``(indices, old values, new value)`` or
            ``(slices, mask, old values, new value)``, as napari's undo history holds them.
        """
        boxes = np.array([_box(atom[0]) for atom in atoms])  # (K, 2, D)
        low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        # Outside a stroke of the brush napari tells of an edit before it is done.
        after = np.array(self.labels.data[region])
        for atom in atoms:
            _set(after, atom, low, atom[-1])
        before = after.copy()
        for atom in reversed(atoms):
            _set(before, atom, low, atom[-2])
        return list(self._edits(before, after, low))

    def _edits(
        self, before: NDArray[Any], after: NDArray[Any], low: NDArray[np.intp]
    ) -> Iterator[Edit]:
        """Yield what differs between two states of a box of the data, plane by plane."""
        steps = self.axes.steps
        row, column = self.axes.axes.index("Y"), self.axes.axes.index("X")
        for at in np.ndindex(*(before.shape[n] for n in steps)):
            key = tuple(
                at[steps.index(n)] if n in steps else slice(None) for n in range(before.ndim)
            )
            old, new = before[key], after[key]
            if (old == new).all():
                continue
            if not upright(self.axes):
                old, new = old.T, new.T
            index = tuple(int(low[n] + place) for n, place in zip(steps, at, strict=True))
            corner = (int(low[row]), int(low[column]))
            window = tuple(slice(c, c + s) for c, s in zip(corner, old.shape, strict=True))
            yield Edit.between(index, (window[0], window[1]), old, new)


def _box(where: Any) -> list[list[int]]:
    """Return the first and one past the last position of slices or of index arrays, per axis."""
    if isinstance(where[0], slice):
        return [[part.start for part in where], [part.stop for part in where]]
    return [[int(np.min(part)) for part in where], [int(np.max(part)) + 1 for part in where]]


def _set(region: NDArray[Any], atom: Any, low: NDArray[np.intp], values: Any) -> None:
    """Write values into one part of a stroke in a copy of the box of the data from `low` on."""
    where = atom[0]
    if not isinstance(where[0], slice):
        places = zip(where, low, strict=True)
        region[tuple(np.asarray(part) - first for part, first in places)] = values
        return
    inside = tuple(slice(s.start - a, s.stop - a) for s, a in zip(where, low, strict=True))
    mask = atom[1]
    region[inside][... if mask is None else mask] = values
