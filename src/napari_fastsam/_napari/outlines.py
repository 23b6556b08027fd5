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
    from skimage.draw import polygon

    return _crop(*polygon(outline[:, 0], outline[:, 1], shape))


def ellipse_mask(outline: NDArray[np.float64], shape: tuple[int, int]) -> Crop | None:
    """Return the pixels in the ellipse that touches the sides of a parallelogram (4, 2), cropped.

    So an ellipse stays exact through rotation, shear and any other affine transform.
    """
    centre = outline.mean(0)
    radii = np.stack([outline[1] - outline[0], outline[2] - outline[1]], axis=1) / 2
    if abs(np.linalg.det(radii)) < 1e-9:
        return None
    low = np.clip(np.floor(outline.min(0)), 0, shape).astype(int)
    high = np.clip(np.ceil(outline.max(0)) + 1, 0, shape).astype(int)
    grid = np.moveaxis(np.mgrid[low[0] : high[0], low[1] : high[1]], 0, -1)
    unit = (grid - centre) @ np.linalg.inv(radii).T
    rows, columns = np.nonzero((unit**2).sum(-1) <= 1)
    return _crop(rows + low[0], columns + low[1])


def stroke_mask(path: NDArray[np.float64], shape: tuple[int, int]) -> Crop | None:
    """Return the pixels of a plane (H, W) that a path (V, 2) runs through, cropped."""
    from skimage.draw import line

    nodes = np.floor(path + 0.5).astype(int)
    parts = [line(*start, *stop) for start, stop in pairwise(nodes)]
    rows = np.concatenate([part[0] for part in parts])
    columns = np.concatenate([part[1] for part in parts])
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return _crop(rows[inside], columns[inside])


def _crop(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Crop | None:
    """Return pixels as a mask of the size of their box, and the box; None without pixels."""
    if not len(rows):
        return None
    top, left = int(rows.min()), int(columns.min())
    box = (top, left, int(rows.max()) + 1, int(columns.max()) + 1)
    mask = np.zeros((box[2] - top, box[3] - left), bool)
    mask[rows - top, columns - left] = True
    return mask, box
