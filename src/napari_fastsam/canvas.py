"""Label arrays that planes are written into: NumPy and zarr, of any number of axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.planes import PlaneAxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fastsam.history import Window
    from napari_fastsam.pipeline import Index


class Canvas(Protocol):
    """Where labels are written, window by window."""

    @property
    def axes(self) -> PlaneAxes:
        """How the labels fall into planes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the labels."""
        ...

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(H, W) of each plane."""
        ...

    def read(self, index: Index, window: Window | None = None) -> NDArray[Any]:
        """Return a copy (h, w) of a window of a plane, or of all of it."""
        ...

    def write(self, index: Index, window: Window, values: NDArray[Any]) -> None:
        """Write values (h, w) into a window of a plane."""
        ...


class ArrayCanvas:
    """An array of labels, plane by plane.

    Parameters
    ----------
    array
        Integers of any number of axes: NumPy, zarr, or what is read and written like them.
    axes
        How it falls into planes; ``None`` steps through all but the last two axes.

    Raises
    ------
    ValueError
        If the array does not hold integers, or the axes are not its own.
    """

    def __init__(self, array: Any, axes: PlaneAxes | None = None) -> None:
        shape = tuple(array.shape)
        fail_if(
            np.dtype(array.dtype).kind not in "iu",
            "an array of integer labels",
            f"dtype {array.dtype}",
            "use np.uint32",
        )
        # A label array has no channels: a last axis of three is three columns.
        axes = axes or PlaneAxes("UVWTZYX"[-len(shape) :], shape)
        fail_if(
            axes.label_shape != shape,
            f"a label array of shape {axes.label_shape}",
            f"shape {shape}",
            "make one with np.zeros(axes.label_shape, np.uint32)",
        )
        self.array = array
        self.axes = axes

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the labels."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

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


def position(axes: PlaneAxes, plane: Index | int) -> Index:
    """Return the position of a plane on the stepped axes; for a single axis a number will do.

    Raises
    ------
    ValueError
        If there is no such plane.

    Examples
    --------
    >>> position(PlaneAxes("ZYX", (3, 4, 5)), 2)
    (2,)
    """
    sizes = tuple(axes.shape[n] for n in axes.steps)
    index = tuple(plane) if np.iterable(plane) else (plane,)
    fail_if(
        len(index) != len(sizes)
        or not all(isinstance(at, int | np.integer) for at in index)
        or not all(0 <= at < n for at, n in zip(index, sizes, strict=True)),
        f"a plane inside {sizes}, the sizes of the stepped axes",
        f"{plane!r}",
        f"pass a position of {len(sizes)} whole numbers, counted from 0"
        if sizes
        else "leave the plane out: there is only one",
    )
    return tuple(int(at) for at in index)


def window_key(
    axes: PlaneAxes, index: Index, window: Window | None = None
) -> tuple[int | slice, ...]:
    """Return what indexes a window (rows, columns) of a plane in a label array.

    Raises
    ------
    ValueError
        If there is no such plane.
    """
    index = position(axes, index)
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
