"""The outline of an object as pixels that are drawn on a plane and taken off again.

An outline runs along the object's outermost pixels, also where it touches the plane's edge, and
spreads from there to both sides, so that it stays visible when the plane is shown small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Box = tuple[int, int, int, int]
    Window = tuple[slice, slice]


@dataclass(slots=True, eq=False)
class Ring:
    """An outline and what lies below it.

    Parameters
    ----------
    mask, bbox, reach
        What it is the outline of; see `around`.
    window
        Where on the plane.
    pixels
        (h, w) bool: the outline, the size of the window.
    below
        (h, w): what the window shows without the outline, while that is drawn.
    """

    mask: NDArray[np.bool_]
    bbox: Box
    reach: int
    window: Window
    pixels: NDArray[np.bool_]
    below: NDArray[Any] | None = None

    @classmethod
    def around(
        cls, mask: NDArray[np.bool_], bbox: Box, shape: tuple[int, int], reach: int = 0
    ) -> Ring:
        """Return the outline of an object, `reach` pixels to either side.

        Parameters
        ----------
        mask
            (h, w), cropped to `bbox`.
        bbox
            Half-open ``(min_row, min_col, max_row, max_col)``, inside the plane.
        shape
            (H, W) of the plane, at the edges of which the outline is cut off.
        reach
            0 for an outline of one pixel, 1 for three, and so on.
        """
        spread = _spread(_edge(mask), reach)
        top, left = bbox[0] - reach, bbox[1] - reach
        rows = slice(max(top, 0), min(bbox[2] + reach, shape[0]))
        columns = slice(max(left, 0), min(bbox[3] + reach, shape[1]))
        inside = spread[rows.start - top : rows.stop - top, columns.start - left :]
        pixels = inside[:, : columns.stop - columns.start]
        return cls(mask.copy(), bbox, reach, (rows, columns), pixels)

    def is_around(self, mask: NDArray[np.bool_], bbox: Box, reach: int) -> bool:
        """Whether `around` would return the same outline."""
        same = self.bbox == bbox and self.reach == reach
        return same and np.array_equal(self.mask, mask)

    def draw(self, plane: NDArray[Any], value: int) -> None:
        """Write the outline into a plane (H, W), and keep what was there."""
        part = plane[self.window]
        self.below = part.copy()
        np.copyto(part, value, where=self.pixels, casting="unsafe")

    def erase(self, plane: NDArray[Any]) -> None:
        """Put back what was there."""
        if self.below is not None:
            plane[self.window] = self.below
            self.below = None


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (h, w): the pixels that have one of their four neighbours outside the object."""
    padded = np.pad(np.asarray(mask, bool), 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1]
    inner &= padded[1:-1, :-2]
    inner &= padded[1:-1, 2:]
    return np.asarray(padded[1:-1, 1:-1] > inner)


def _spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return (h + 2 reach, w + 2 reach): every pixel grown to a square, by doubling."""
    width = 2 * reach + 1
    for _ in range(2):  # down, then across
        grown, size = np.pad(mask, ((2 * reach, 2 * reach), (0, 0))), 1
        while size < width:
            step = min(size, width - size)
            grown = grown[step:] | grown[:-step]
            size += step
        mask = grown.T
    return mask
