"""What of a plane is shown to CLIP: squares around objects, and which of it they cover.

A square is ``(top, left, side)`` in pixels of the plane. It may reach beyond the plane, whose
border is then continued, so that nothing of an object is cut off and nothing is stretched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from napari_fastsam._resampling import Shrinking

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_fastsam.instances import Instances
    from napari_fastsam.segmenter import Shown

LEAST_SIDE = 16
"""No square is smaller than this many pixels: there would be nothing but blur to see."""

_MOST_PIXELS = 1 << 20  # of a plane that are read at once
_REDUCED = 2  # squares that are this many times larger than shown are shrunk by their means first


def squares(bboxes: ArrayLike, factor: float, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return squares (N, 3) of `factor` times the longer side of each box (N, 4).

    Around the middle of the box, moved inside a plane of `shape` (H, W) where it fits there.
    """
    boxes = np.asarray(bboxes, np.int64).reshape(-1, 4)
    longest = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=1)
    side = np.maximum(np.ceil(longest * factor), LEAST_SIDE).astype(np.int64)
    corner = (boxes[:, :2] + boxes[:, 2:] - side[:, None]) // 2
    room = np.array(shape) - side[:, None]
    inside = np.clip(corner, 0, np.maximum(room, 0))
    # Wider than the plane, it has the plane in its middle, so that all of the box stays within.
    corner = np.where(room < 0, room // 2, inside)
    return np.concatenate([corner, side[:, None]], axis=1)


def picture(image: Shown, square: NDArray[np.int64], size: int) -> torch.Tensor:
    """Return a square of a plane (H, W, 3) as a picture (3, size, size), uint8."""
    top, left, side = (int(n) for n in square)
    height, width = image.shape[:2]
    rows = (max(top, 0), min(top + side, height))
    cols = (max(left, 0), min(left + side, width))
    factor = max(side // (_REDUCED * size), 1)
    if factor == 1:
        part = np.asarray(image[rows[0] : rows[1], cols[0] : cols[1]])
    else:
        part = _means(image, rows, cols, factor)
    before = [(rows[0] - top) // factor, (cols[0] - left) // factor]
    after = [-(-side // factor) - b - n for b, n in zip(before, part.shape[:2], strict=True)]
    if any(before) or any(n > 0 for n in after):
        margins = [(b, max(a, 0)) for b, a in zip(before, after, strict=True)]
        part = np.pad(part, [*margins, (0, 0)], mode="edge")
    pixels = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None]
    if pixels.shape[2:] != (size, size):
        pixels = functional.interpolate(
            pixels, (size, size), mode="bicubic", align_corners=False, antialias=True
        )
    return pixels[0]


def shares(
    candidates: Instances, index: int, square: NDArray[np.int64], grid: int
) -> NDArray[np.float32]:
    """Return which share (grid, grid) of each cell of a square an object covers."""
    mask = candidates.mask(index)
    top, left = candidates.bboxes[index, :2] - square[:2]
    step = max(int(max(mask.shape)) // 1024, 1)
    thin: NDArray[Any] = mask.astype(np.float32)
    for axis in (0, 1) if step > 1 else ():  # blocks of a large mask by their share
        thin = np.add.reduceat(thin, np.arange(0, thin.shape[axis], step), axis) / np.float32(step)
    rows = _overlaps(int(top), thin.shape[0], step, int(square[2]), grid)
    cols = _overlaps(int(left), thin.shape[1], step, int(square[2]), grid)
    return np.asarray(rows @ thin @ cols.T / (square[2] / grid) ** 2, np.float32)


def box_shares(
    bbox: NDArray[np.int64], square: NDArray[np.int64], grid: int
) -> NDArray[np.float32]:
    """Return which share (grid, grid) of each cell of a square a box (4,) covers."""
    low, high = bbox[:2] - square[:2], bbox[2:] - square[:2]
    edges = np.arange(grid + 1) * square[2] / grid
    lines = [
        np.maximum(np.minimum(edges[1:], high[axis]) - np.maximum(edges[:-1], low[axis]), 0)
        for axis in (0, 1)
    ]
    covered = np.outer(*lines) / (square[2] / grid) ** 2
    return np.asarray(covered, np.float32)


def _overlaps(start: int, count: int, step: int, side: int, cells: int) -> NDArray[np.float32]:
    """Return by how many pixels (cells, count) lines of `step` pixels from `start` on lie in cells.

    The cells divide `side` pixels evenly.
    """
    low = start + np.arange(count) * step
    edges = np.arange(cells + 1) * side / cells
    shared = np.minimum(edges[1:, None], low + step) - np.maximum(edges[:-1, None], low)
    return np.asarray(np.maximum(shared, 0), np.float32)


def _means(
    image: Shown, rows: tuple[int, int], cols: tuple[int, int], factor: int
) -> NDArray[np.uint8]:
    """Return the means of blocks of a part of a plane, which is read some rows at a time."""
    height, width = rows[1] - rows[0], cols[1] - cols[0]
    small = Shrinking((height, width), 3, factor)
    lines = max(_MOST_PIXELS // width, 1)
    for start in range(0, height, lines):
        end = min(start + lines, height)
        small.add(start, 0, image[rows[0] + start : rows[0] + end, cols[0] : cols[1]])
    return (small.means() + 0.5).astype(np.uint8)
