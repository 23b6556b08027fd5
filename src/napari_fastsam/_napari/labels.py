"""How results get into a Labels layer: one undo step each, nothing of the user's lost.

The layer is read afresh before each write, since the user may have painted in between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.views import carry

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_fastsam._napari.grid import Grid, Placed
    from napari_fastsam.pipeline import PlaneResult
    from napari_fastsam.planes import PlaneAxes

Existing = Literal["keep", "overwrite", "clear"]
"""What becomes of objects that are there already: they stay on top, they give way where new objects
lie, or they leave the plane."""

LEAST_FREE = 0.5
"""An object of which a smaller share is free of kept objects counts as labelled already."""

_SAME_PLACE = 1e-3  # pixels that two grids may be apart and still be the same


class Written(NamedTuple):
    """How many objects were written, and how many had a place that was taken."""

    new: int
    taken: int


def labels_like(image: Image, axes: PlaneAxes, grid: Grid | Image | None = None) -> Labels:
    """Return an empty Labels layer, uint32, that lies on an image layer, with all its transform.

    Parameters
    ----------
    image
        The layer.
    axes
        How it falls into planes.
    grid
        Whose pixels the labels are in, if not those of `image`.
    """
    from napari.layers import Labels

    grid = image if grid is None else grid
    return Labels(
        np.zeros(axes.label_shape, np.uint32),
        name=f"{image.name} labels",
        scale=grid.scale,
        translate=grid.translate,
        rotate=grid.rotate,
        shear=grid.shear,
        affine=grid.affine,
        units=grid.units,
        axis_labels=grid.axis_labels,
    )


def check_labels(labels: Labels, image: Placed, axes: PlaneAxes) -> None:
    """Refuse a Labels layer that does not have the image's pixels, or cannot be edited.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    remedy = "choose a new layer as the output"
    fail_if(
        labels.multiscale or type(labels.data).__module__.split(".")[0] == "dask",
        "labels that can be edited, in a NumPy or zarr array",
        f"{labels.name!r}, a pyramid or a dask array",
        remedy,
    )
    shape = tuple(labels.data.shape)
    fail_if(
        shape != axes.label_shape,
        f"labels of the shape of {image.name!r}, {axes.label_shape}",
        f"{labels.name!r} of shape {shape}",
        remedy,
    )
    corners = np.stack([np.zeros(len(shape)), *np.diag(shape).astype(float)])
    apart = np.abs(carry(corners, labels, image) - corners).max()
    fail_if(
        apart > _SAME_PLACE,
        f"labels that lie on {image.name!r}",
        f"{labels.name!r}, whose scale, translation, units or affine differ from the image's "
        f"(up to {apart:.3g} pixels apart)",
        f"{remedy}, or copy the image's transform",
    )


class LabelWriter:
    """Writes the results of one run into one Labels layer, numbered after all that is there.

    Parameters
    ----------
    labels
        The layer; see `check_labels`.
    axes
        How the image falls into planes.
    existing
        What becomes of objects that are there already.
    each_plane
        Whether a label means another object on each plane (*everything*, not linked), or the same
        object on all of them.
    """

    def __init__(
        self, labels: Labels, axes: PlaneAxes, existing: Existing = "keep", *, each_plane: bool
    ) -> None:
        self.labels = labels
        self.existing = existing
        self._axes = replace(axes, axes=axes.axes.replace("C", ""), shape=tuple(labels.data.shape))
        self._each_plane = each_plane
        self._numbers: dict[int, int] = {}  # a label of the run -> the layer's
        self._next = _largest(labels.data) + 1
        labels.events.paint.connect(self._painted)

    def close(self) -> None:
        """Stop following what the user paints."""
        self.labels.events.paint.disconnect(self._painted)

    def write(self, result: PlaneResult) -> Written:
        """Write the objects of one plane as one undo step.

        Raises
        ------
        ValueError
            If the layer's dtype has no numbers left.
        """
        if self._each_plane:
            self._numbers.clear()
        before = self._axes.read(self.labels.data, result.index)
        window = _window(result.labels, whole=self.existing == "clear")
        old, new = before[window], result.labels[window]
        areas = np.bincount(new.ravel(), minlength=1)
        wanted = areas > 0
        wanted[0] = False
        total = int(np.count_nonzero(wanted))
        if self.existing == "keep":
            free = np.bincount(new[old == 0], minlength=len(areas))
            wanted &= free >= LEAST_FREE * areas
        painted = self._renumbered(np.flatnonzero(wanted), len(areas))[new]
        if self.existing == "keep":
            painted[old != 0] = 0
        after = painted if self.existing == "clear" else np.where(painted > 0, painted, old)
        rows, columns = np.nonzero(after != old)
        if len(rows):
            at = self._indices(result, rows + window[0].start, columns + window[1].start)
            self.labels.data_setitem(at, after[rows, columns])
        written = int(np.count_nonzero(wanted))
        return Written(written, total - written)

    def _renumbered(self, found: NDArray[np.intp], length: int) -> NDArray[Any]:
        """Return (length,): the layer's number of each label of the run, 0 for those not found."""
        dtype = np.dtype(self.labels.data.dtype)
        for label in map(int, found):
            if label not in self._numbers:
                self._numbers[label] = self._next
                self._next += 1
        fail_if(
            self._next - 1 > np.iinfo(dtype).max,
            f"labels up to {np.iinfo(dtype).max}, the largest of {dtype}",
            f"objects numbered up to {self._next - 1}",
            "choose a new layer as the output, or convert this one to more bits",
        )
        lookup = np.zeros(length, dtype)
        lookup[found] = [self._numbers[int(label)] for label in found]
        return lookup

    def _indices(
        self, result: PlaneResult, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], ...]:
        """Return plane positions as an index into the layer's data."""
        steps = dict(zip(self._axes.steps, result.index, strict=True))
        place = {self._axes.axes.index("Y"): rows, self._axes.axes.index("X"): columns}
        return tuple(
            place[n] if n in place else np.full(len(rows), steps[n])
            for n in range(len(self._axes.axes))
        )

    def _painted(self, event: Any) -> None:
        """Go on after the numbers that the user paints with meanwhile."""
        for *_, value in event.value:  # strokes carry a mask besides; the new value comes last
            self._next = max(self._next, int(np.max(value)) + 1)


def _largest(data: Any) -> int:
    """Return the largest label, reading no more than a part of a stored array at a time."""
    parts = [data] if isinstance(data, np.ndarray) or data.ndim < 3 else (d for d in data)
    return max((int(np.max(np.asarray(part), initial=0)) for part in parts), default=0)


def _window(labels: NDArray[Any], *, whole: bool) -> tuple[slice, slice]:
    """Return the box around all objects of an (H, W) label image, or all of it."""
    rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
    if whole or not len(rows):
        return slice(0, labels.shape[0] * whole), slice(0, labels.shape[1] * whole)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
