"""How a plane is made smaller, and how outlines found on the small one become smooth again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS = 256  # of an enlarged mask are made at once


def shrunk(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return an (H, W, C) image made of the means of its blocks of `factor` x `factor` pixels.

    Row of blocks by row of blocks, so the memory is that of the result.
    """
    height, width = image.shape[:2]
    small = Shrinking((height, width), image.shape[2], factor)
    for top in range(0, height, factor):
        small.add(top, 0, image[top : top + factor])
    return (small.means() + 0.5).astype(np.uint8)


class Shrinking:
    """The means of a plane's blocks of `factor` x `factor` pixels, added up part by part.

    Pixels that are not finite do not count; where there are no others, the mean is NaN.
    """

    def __init__(self, shape: tuple[int, int], channels: int, factor: int) -> None:
        self.factor = factor
        height, width = (-(-side // factor) for side in shape)
        self._sums = np.zeros((height, width, channels))
        self._counts = np.zeros((height, width, channels), np.uint32)

    def add(self, top: int, left: int, part: NDArray[np.generic]) -> None:
        """Add the pixels (h, w, C) of a part that begins at a row and a column of the plane."""
        height, width = part.shape[:2]
        rows = np.s_[top // self.factor : (top + height - 1) // self.factor + 1]
        cols = np.s_[left // self.factor : (left + width - 1) // self.factor + 1]
        counted: NDArray[np.generic] = np.ones((height, width, 1), np.uint8)
        if part.dtype.kind == "f":
            counted = np.isfinite(part)
            part = np.where(counted, part, 0)
        self._counts[rows, cols] += self._block_sums(top, left, counted).astype(np.uint32)
        self._sums[rows, cols] += self._block_sums(top, left, part)

    def _block_sums(self, top: int, left: int, part: NDArray[np.generic]) -> NDArray[np.floating]:
        """Return the sums of the blocks that a part reaches into, of its pixels (h, w, C)."""
        lines = _sums_along(part, top, self.factor)
        return _sums_along(lines.swapaxes(0, 1), left, self.factor).swapaxes(0, 1)

    def means(self) -> NDArray[np.float64]:
        """Return (h, w, C)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self._sums / self._counts)


def _sums_along(part: NDArray[np.generic], start: int, factor: int) -> NDArray[np.floating]:
    """Return the sums of `factor` lines each, where the first line is line `start` of the plane."""
    count = (start + len(part) - 1) // factor - start // factor + 1
    exact = np.float32 if part.dtype.itemsize == 1 and factor <= 256 else np.float64
    sums = np.zeros((count, *part.shape[1:]), np.result_type(exact, part.dtype))
    for at in range(factor):
        first = (at - start) % factor
        lines = part[first::factor]
        block = (start + first) // factor - start // factor
        sums[block : block + len(lines)] += lines
    return sums


def enlarged(found: Instances, shape: tuple[int, int]) -> Instances:
    """Return objects of a small plane on one of `shape` (H, W), with smooth outlines.

    The outline runs where the mask, interpolated linearly between pixel centres, is a half.
    """
    if found.shape == shape:
        return found
    ratio = np.tile(np.array(shape) / found.shape, 2)
    masks, boxes, rows = [], [], []
    for n, bbox in enumerate(found.bboxes):
        # The plane ends at its border: "edge" padding keeps objects that leave it whole.
        top, left, bottom, right = (int(side) for side in bbox)
        mask = np.pad(found.mask(n), 1)
        for side, at in ((0, top == 0), (-1, bottom == found.shape[0])):
            if at:
                mask[side] = mask[(1, -2)[side]]
        for side, at in ((0, left == 0), (-1, right == found.shape[1])):
            if at:
                mask[:, side] = mask[:, (1, -2)[side]]
        low = np.floor(bbox * ratio)[:2].astype(int)
        high = np.minimum(np.ceil(bbox * ratio)[2:].astype(int), shape)
        lines, columns = (
            (np.arange(low[axis], high[axis]) + 0.5) / ratio[axis] + 0.5 - (top, left)[axis]
            for axis in (0, 1)
        )
        large = np.empty((len(lines), len(columns)), bool)
        for start in range(0, len(lines), _ROWS):
            piece = _between(mask.astype(np.float32), lines[start : start + _ROWS])
            np.greater_equal(_between(piece.T, columns).T, 0.5, out=large[start : start + _ROWS])
        if large.any():
            masks.append(large)
            boxes.append((*low, *high))
            rows.append(n)
    return Instances.from_masks(shape, masks, boxes, found.scores[rows]).classed_as(found, rows)


def _between(values: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the rows of (h, w) at fractional positions (R,), linear between the two nearest."""
    first = np.clip(np.floor(at).astype(np.intp), 0, len(values) - 2)
    share = np.clip(at - first, 0, 1).astype(np.float32)[:, None]
    return values[first] * (1 - share) + values[first + 1] * share
