"""Label arrays that planes are written into: NumPy and zarr, of any number of axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.planes import PlaneAxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fastsam.history import Window
    from napari_fastsam.pipeline import Index


class ArrayCanvas:
    """An array of labels, plane by plane.

    Parameters
    ----------
    array
        Integers of any number of axes: NumPy, zarr, or what is read and written like them.
    axes
        How it falls into planes; ``None`` steps through all but the last two axes.
    """

    def __init__(self, array: Any, axes: PlaneAxes | None = None) -> None:
        self.array = array
        self.axes = axes or PlaneAxes.guess(tuple(array.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the labels."""
        return np.dtype(self.array.dtype)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(H, W) of each plane."""
        return self.axes.plane_shape

    def read(self, index: Index, window: Window | None = None) -> NDArray[Any]:
        """Return a copy (h, w) of a window of a plane, or of all of it."""
        part: NDArray[Any] = np.array(self.array[window_key(self.axes, index, window)])
        return part if upright(self.axes) else np.ascontiguousarray(part.T)

    def write(self, index: Index, window: Window, values: NDArray[Any]) -> None:
        """Write values (h, w) into a window of a plane."""
        key = window_key(self.axes, index, window)
        self.array[key] = values if upright(self.axes) else values.T


def window_key(
    axes: PlaneAxes, index: Index, window: Window | None = None
) -> tuple[int | slice, ...]:
    """Return what indexes a window (rows, columns) of a plane in a label array."""
    places = dict(zip("YX", window or (slice(None), slice(None)), strict=True))
    steps = dict(zip(axes.steps, index, strict=True))
    return tuple(
        steps[n] if n in steps else places[letter]
        for n, letter in enumerate(axes.axes)
        if letter not in "CS"
    )


def upright(axes: PlaneAxes) -> bool:
    """Whether rows come before columns in the array."""
    return axes.axes.index("Y") < axes.axes.index("X")
