"""Which candidates of overlapping tiles are one object.

Two tiles see the same pixels where they overlap, so an object looks the same there in both: two
candidates *agree* if their masks, cropped to the overlap, do, as a whole or in a connected piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances

MARGIN = 2
"""A mask that ends this near in pixels to a tile's inner edge is taken to be cut by it."""

AGREEMENT = 0.5
"""IoU inside the overlap from which two candidates are one object."""


class Window(NamedTuple):
    """Part of a plane in pixels, half-open."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """What indexes it in the plane."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def meet(self, other: Window) -> Window | None:
        """Return what two windows share, None if that is nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(top, left, bottom, right) if top < bottom and left < right else None


class Seam(NamedTuple):
    """Two candidates that agree, and how many pixels both have."""

    first: int
    second: int
    shared: int


def cut_sides(
    bboxes: NDArray[np.int32], frames: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return (N, 4): whether a box reaches its frame's top, left, bottom, right inside the plane.

    The plane's own border cuts nothing.
    """
    room = (bboxes - frames) * (1, 1, -1, -1)
    return np.asarray((room < MARGIN) & (frames != (0, 0, *shape)))


def agreeing(one: Instances, other: Instances, band: Window) -> Iterator[Seam]:
    """Yield the candidates of two tiles, by their numbers, that agree in the band both see."""
    rows, cols = (np.flatnonzero(_meets(found.bboxes, band)) for found in (one, other))
    if not len(rows) or not len(cols):
        return
    one, other = one[rows], other[cols]
    shared = other.overlaps(one)
    in_band = [found.overlaps([band])[0] for found in (one, other)]
    union = in_band[0][:, None] + in_band[1][None] - shared
    agree = shared >= AGREEMENT * np.maximum(union, 1)
    for a, b in zip(*np.nonzero(shared), strict=True):
        if agree[a, b] or _agree_in_part(one, a, other, b, band):
            yield Seam(int(rows[a]), int(cols[b]), int(shared[a, b]))


def _meets(bboxes: NDArray[np.int32], band: Window) -> NDArray[np.bool_]:
    """Return which boxes reach into a window."""
    return np.asarray((bboxes[:, :2] < band[2:]).all(1) & (bboxes[:, 2:] > band[:2]).all(1))


def _agree_in_part(one: Instances, a: int, other: Instances, b: int, band: Window) -> bool:
    """Return whether a connected piece of one mask in the band is one of the other.

    A ring seen by two tiles may be one piece in the first and two in the second.
    """
    from scipy.ndimage import label

    boxes = np.stack([one.bboxes[a], other.bboxes[b]])
    low = np.maximum(boxes[:, :2].min(0), band[:2])
    high = np.minimum(boxes[:, 2:].max(0), band[2:])
    frame = Window(*map(int, (*low, *high)))
    mine, its = crop(one, a, frame), crop(other, b, frame)
    (pieces, count), (others, other_count) = label(mine), label(its)
    if count == other_count == 1:
        return False  # and the masks as wholes do not agree
    both = mine & its
    pairs = pieces[both].astype(np.int64) * (other_count + 1) + others[both]
    names, shared = np.unique(pairs, return_counts=True)
    areas, other_areas = np.bincount(pieces.ravel()), np.bincount(others.ravel())
    p, q = np.divmod(names, other_count + 1)
    return bool((shared >= AGREEMENT * (areas[p] + other_areas[q] - shared)).any())


def crop(found: Instances, n: int, window: Window) -> NDArray[np.bool_]:
    """Return the mask of one object in a window that it reaches into."""
    canvas = np.zeros((window.bottom - window.top, window.right - window.left), bool)
    top, left, bottom, right = (found.bboxes[n] - np.tile(window[:2], 2)).tolist()
    inside = found.mask(n)[max(-top, 0) : len(canvas) - top, max(-left, 0) : canvas.shape[1] - left]
    canvas[max(top, 0) : bottom, max(left, 0) : right] = inside
    return canvas
