"""Which pixels a drawn outline covers: boxes, and masks cropped to their boxes.

Outlines are vertices (V, 2) in plane coordinates, ``(row, column)``, pixel centres on integers; a
pixel is covered if its centre is.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Crop = tuple[NDArray[np.bool_], tuple[int, int, int, int]]

STRAIGHT = 0.01
"""A rectangle is a box if its sides leave the pixel axes by no more than this, in pixels."""


def box_of(outline: NDArray[np.float64], shape: tuple[int, int]) -> tuple[float, ...] | None:
    """Return the half-open box of an upright rectangle (4, 2), clipped to the plane (H, W).

    None if a side is not parallel to a pixel axis. A box covers the pixels whose centres it holds.
    """
    sides = np.abs(outline - np.roll(outline, 1, axis=0))
    if (sides.min(axis=1) > STRAIGHT).any():
        return None
    low = np.clip(outline.min(0) + 0.5, 0, shape)
    high = np.clip(outline.max(0) + 0.5, 0, shape)
    return (*low.tolist(), *high.tolist())


def polygon_mask(outline: NDArray[np.float64], shape: tuple[int, int]) -> Crop | None:
    """Return the pixels of a plane (H, W) whose centres lie in a polygon (V, 2), cropped."""
    from skimage.measure import grid_points_in_poly

    low, high = _reach(outline, shape)
    if (high <= low).any():
        return None
    return _tight(grid_points_in_poly(tuple(high - low), outline - low), low)


def ellipse_mask(outline: NDArray[np.float64], shape: tuple[int, int]) -> Crop | None:
    """Return the pixels in the ellipse that touches the sides of a parallelogram (4, 2), cropped.

    So an ellipse stays exact through rotation, shear and any other affine transform.
    """
    centre = outline.mean(0)
    radii = np.stack([outline[1] - outline[0], outline[2] - outline[1]], axis=1) / 2
    low, high = _reach(outline, shape)
    if abs(np.linalg.det(radii)) < 1e-9 or (high <= low).any():
        return None
    # Each row of pixels is covered between the two columns where the distance in radii is 1.
    by_row, by_column = np.linalg.inv(radii).T
    rows, columns = (np.arange(low[n], high[n]) - centre[n] for n in (0, 1))
    curve = by_column @ by_column
    slope = rows * (by_row @ by_column) / curve
    root = slope**2 - (rows**2 * (by_row @ by_row) - 1) / curve
    half = np.sqrt(np.maximum(root, 0)) + 1e-9  # what rounding errors leave
    inside = (columns >= (-slope - half)[:, None]) & (columns <= (half - slope)[:, None])
    return _tight(inside & (root >= -1e-9)[:, None], low)


def stroke_mask(path: NDArray[np.float64], shape: tuple[int, int]) -> Crop | None:
    """Return the pixels of a plane (H, W) that a path (V, 2) runs through, cropped."""
    from skimage.draw import line

    nodes = np.floor(path + 0.5).astype(int)
    parts = [line(*start, *stop) for start, stop in pairwise(nodes)]
    rows = np.concatenate([part[0] for part in parts])
    columns = np.concatenate([part[1] for part in parts])
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return _crop(rows[inside], columns[inside])


def _reach(
    outline: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first pixel and one past the last pixel that an outline can cover."""
    low = np.clip(np.floor(outline.min(0)), 0, shape)
    high = np.clip(np.ceil(outline.max(0)) + 1, 0, shape)
    return low.astype(np.int64), high.astype(np.int64)


def _tight(mask: NDArray[np.bool_], low: NDArray[np.int64]) -> Crop | None:
    """Return a mask that begins at pixel `low`, cropped to what it covers; None without pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    box = (int(low[0] + top), int(low[1] + left), int(low[0] + bottom), int(low[1] + right))
    return mask[top:bottom, left:right], box


def _crop(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Crop | None:
    """Return pixels as a mask of the size of their box, and the box; None without pixels."""
    if not len(rows):
        return None
    top, left = int(rows.min()), int(columns.min())
    box = (top, left, int(rows.max()) + 1, int(columns.max()) + 1)
    mask = np.zeros((box[2] - top, box[3] - left), bool)
    mask[rows - top, columns - left] = True
    return mask, box
