"""Decides which pixels of each box belong to its object, and computes nothing outside the boxes.

The mask of a box is where its logit, the sum of the prototypes weighed by the box's coefficients,
is above 0 once scaled up to the image's pixels. Scaling up is bilinear, so along each axis every
pixel is a mean of a few neighbouring prototype rows: a box needs only its own window of them.
Time and memory thus follow the boxes' areas, never their number times the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_fastsam.models.letterbox import Letterbox

CELL = 4
"""Network pixels along a prototype's side."""
BLOCK = 256
"""Image pixels along the side of the largest piece that is scaled up at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Upscaling:
    """How prototype rows (or columns) mix into those of the image: bilinear, pad removed.

    Parameters
    ----------
    weights
        (pixels, cells): share of each prototype row in each image row.
    first
        (pixels,) the first prototype row that an image row needs; it never decreases.
    stop
        (pixels,) one past the last.
    """

    weights: NDArray[np.float32]
    first: NDArray[np.intp]
    stop: NDArray[np.intp]

    @classmethod
    def along(cls, axis: int, letterbox: Letterbox) -> Upscaling:
        """Return the upscaling along rows (axis 0) or columns (axis 1) of a letterbox.

        Notes
        -----
        The pad need not be whole prototype cells, so prototypes are first scaled up as far as it
        takes to cut it off exactly. What interpolation does to unit vectors is its matrix.
        """
        cells = letterbox.frame[axis] // CELL
        finer = CELL // gcd(CELL, *letterbox.offset, *letterbox.content)
        start = letterbox.offset[axis] * finer // CELL
        length = letterbox.content[axis] * finer // CELL
        units = torch.eye(cells)[None]
        if finer > 1:
            units = torch.nn.functional.interpolate(units, scale_factor=finer, mode="linear")
        units = units[..., start : start + length]
        pixels = letterbox.image[axis]
        weights = torch.nn.functional.interpolate(units, pixels, mode="linear")[0].T
        used = weights.numpy() > 0
        stop = cells - used[:, ::-1].argmax(1)
        return cls(np.ascontiguousarray(weights.numpy()), used.argmax(1), stop)

    def window(self, start: int, stop: int) -> slice:
        """Return the prototype rows that the image rows from `start` to `stop` need."""
        return slice(int(self.first[start]), int(self.stop[stop - 1]))


def decode(
    prototypes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    bboxes: NDArray[np.int32],
    letterbox: Letterbox,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which objects have a pixel at all, and the masks of those, cropped to their boxes.

    Parameters
    ----------
    prototypes
        (32, h / 4, w / 4) for a frame of (h, w).
    coefficients
        (N, 32).
    bboxes
        (N, 4) half-open ``(min_row, min_col, max_row, max_col)`` in image pixels, inside the
        image; one may be empty.
    letterbox
        How the image lies in the frame.

    Returns
    -------
    found : (N,) bool
        Whether the object has at least one pixel.
    buffer : (M,) bool
        The masks of the objects found, each in C order, one after the other.
    """
    rows, cols = (Upscaling.along(axis, letterbox) for axis in (0, 1))
    cells = np.ascontiguousarray(prototypes.transpose(1, 2, 0))
    heights, widths = (bboxes[:, 2:].astype(np.int64) - bboxes[:, :2]).T
    areas = np.maximum(heights, 0) * np.maximum(widths, 0)
    buffer = np.zeros(int(areas.sum()), bool)
    found = np.zeros(len(bboxes), bool)
    used = 0
    for n in np.flatnonzero(areas):
        mask = buffer[used : used + areas[n]].reshape(heights[n], widths[n])
        found[n] = _fill(mask, cells, coefficients[n], bboxes[n], rows, cols)
        if found[n]:  # else its zeros make room for the next
            used += int(areas[n])
    return found, buffer[:used]


def _fill(
    mask: NDArray[np.bool_],
    cells: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    bbox: NDArray[np.int32],
    rows: Upscaling,
    cols: Upscaling,
) -> bool:
    """Write one mask, of zeros, and say whether it has a pixel."""
    top, left, bottom, right = (int(n) for n in bbox)
    v, u = rows.window(top, bottom), cols.window(left, right)
    logits = cells[v, u] @ coefficients
    if not (logits > 0).any():
        return False
    for r in pieces(top, bottom, BLOCK):
        band = rows.window(r.start, r.stop)
        strip = logits[band.start - v.start : band.stop - v.start]
        for c in pieces(left, right, BLOCK):
            span = cols.window(c.start, c.stop)
            piece = strip[:, span.start - u.start : span.stop - u.start]
            target = mask[r.start - top : r.stop - top, c.start - left : c.stop - left]
            # A mean of logits of one sign has that sign: no need to look closer.
            if (positive := piece > 0).all():
                target[...] = True
            elif positive.any():
                scaled = rows.weights[r, band] @ piece @ cols.weights[c, span].T
                np.greater(scaled, 0, out=target)
    return bool(mask.any())


def pieces(start: int, stop: int, most: int) -> Iterator[slice]:
    """Split a range into pieces of at most `most`."""
    return (slice(n, min(n + most, stop)) for n in range(start, stop, most))
