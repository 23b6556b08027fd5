"""A large plane as the network sees it, of which only what is asked for is read.

Every part is on the scale of the whole plane: where no contrast limits are given, they come from a
regular sample, which is read once, block by block, together with the picture of the whole.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if, message
from napari_fastsam._resampling import Shrinking
from napari_fastsam.planes import check_numbers, sample_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_fastsam.planes import Display, PlaneAxes

BLOCK = 1 << 22
"""About as many pixels are read at once when the whole plane is gone through."""


class Picture:
    """A plane of an array, shown part by part: it is indexed by rows and columns.

    Parameters
    ----------
    array
        Anything that is indexed like an array (NumPy, dask, zarr, a memory map).
    axes
        How it falls into planes.
    index
        The plane's position on the stepped axes.
    display
        How intensities become what the network sees.
    like
        The same plane at a lower resolution, which the scale is taken from.
    settled
        Whether `display` is what another picture of the plane has settled on.

    Raises
    ------
    ValueError
        If the plane has no pixels.

    Examples
    --------
    >>> from napari_fastsam.planes import Display, PlaneAxes
    >>> stack = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8)
    >>> picture = Picture(stack, PlaneAxes("ZYX", stack.shape), (1,), Display())
    >>> picture.shape, picture[2:5, 0:8].shape
    ((8, 8, 3), (3, 8, 3))
    """

    def __init__(
        self,
        array: Any,
        axes: PlaneAxes,
        index: tuple[int, ...],
        display: Display,
        *,
        like: Picture | None = None,
        settled: bool = False,
    ) -> None:
        check_numbers(array.dtype)
        self._array, self._axes, self._index, self._display = array, axes, index, display
        self._settled = display if settled else None
        self.like = like
        self.shape = (*axes.plane_shape, 3)
        fail_if(
            0 in self.shape, "at least one pixel", f"shape {axes.shape}", "pass planes with pixels"
        )

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Return a part of the plane, (h, w, 3) uint8."""
        return self.settled(self._read(*window))

    @property
    def settled(self) -> Display:
        """How every part is shown; without limits, the plane is gone through to find that out."""
        limits = self._display.contrast_limits
        if limits is not None and None not in limits:
            return self._display
        if self._settled is None and self.like is not None:
            self._settled = self.like.settled
        if self._settled is None:
            self._survey(None)
        assert self._settled is not None
        return self._settled

    def overview(self, factor: int) -> NDArray[np.uint8]:
        """Return the plane, (h, w, 3) uint8, with `factor` x `factor` pixels as their mean."""
        means = self._survey(factor)
        assert means is not None
        whole_8_bit = self.settled.contrast_limits is None  # and colour: taken as it is
        return self.settled((means + 0.5).astype(np.uint8) if whole_8_bit else means)

    def _survey(self, factor: int | None) -> NDArray[np.float64] | None:
        """Go through the plane once: settle how it is shown, and return the means of its blocks."""
        height, width = self.shape[:2]
        step = sample_step(self.shape)
        small, sample = None, None
        for rows, cols in self._blocks():
            part = self._read(rows, cols)
            colours = part if part.ndim == 3 else part[..., None]
            if factor is not None:
                small = small or Shrinking((height, width), colours.shape[2], factor)
                small.add(rows.start, cols.start, colours)
            if sample is None:
                size = (-(-height // step), -(-width // step), *part.shape[2:])
                sample = np.empty(size, part.dtype)
            first = [-side.start % step for side in (rows, cols)]
            picked = part[first[0] :: step, first[1] :: step]
            top, left = (
                (side.start + n) // step for side, n in zip((rows, cols), first, strict=False)
            )
            sample[top : top + picked.shape[0], left : left + picked.shape[1]] = picked
        assert sample is not None
        self._settled = self._settled or self._display.settled(sample)
        if small is None:
            return None
        means = small.means()
        return means if sample.ndim == 3 else means[..., 0]

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield the parts of the plane, along the chunks that it is stored in, if it says so."""
        sides = [self._axes.axes.index(letter) for letter in "YX"]
        chunks = getattr(self._array, "chunksize", getattr(self._array, "chunks", None))
        least = [1, 1]
        if isinstance(chunks, tuple) and len(chunks) == len(self._axes.shape):
            least = [chunks[n] if isinstance(chunks[n], int) else 1 for n in sides]
        height, width = self.shape[:2]
        wide = min(_rounded(BLOCK // max(least[0], 1), least[1]), width)
        high = min(_rounded(BLOCK // wide, least[0]), height)
        for top, left in product(range(0, height, high), range(0, width, wide)):
            yield slice(top, min(top + high, height)), slice(left, min(left + wide, width))

    def _read(self, rows: slice, cols: slice) -> NDArray[Any]:
        """Return a part of the plane as it is stored, or say which part cannot be read."""
        try:
            return self._axes.read(self._array, self._index, (rows, cols))
        except Exception as error:  # whatever the reader of the array raises
            plane = f" of plane {self._index}" if self._index else ""
            raise OSError(
                message(
                    f"pixels in rows {rows.start} to {rows.stop} and columns {cols.start} to "
                    f"{cols.stop}{plane}",
                    f"{type(error).__name__}: {error}",
                    "check the file or the computation behind the array, or leave this plane out",
                )
            ) from error


def _rounded(length: int, unit: int) -> int:
    """Return the largest multiple of a unit up to a length, one unit at least."""
    return max(length // unit, 1) * unit
