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
    pieces = [_Pieces(found, band) for found in (one, other)]
    for a, b in zip(*np.nonzero(shared), strict=True):
        if agree[a, b] or _agree_in_part(pieces[0][a], pieces[1][b]):
            yield Seam(int(rows[a]), int(cols[b]), int(shared[a, b]))


def _meets(bboxes: NDArray[np.int32], band: Window) -> NDArray[np.bool_]:
    """Return which boxes reach into a window."""
    return np.asarray((bboxes[:, :2] < band[2:]).all(1) & (bboxes[:, 2:] > band[:2]).all(1))


class _Part(NamedTuple):
    """What a band shows of an object: where, its connected pieces by number, and their areas."""

    window: Window
    labels: NDArray[np.int32]
    areas: NDArray[np.intp]


class _Pieces(dict[int, _Part]):
    """The connected pieces of objects in a band, found when they are asked for."""

    def __init__(self, found: Instances, band: Window) -> None:
        self._found, self._band = found, band

    def __missing__(self, n: int) -> _Part:
        from scipy.ndimage import label

        inside = self._band.meet(Window(*self._found.bboxes[n].tolist()))
        assert inside is not None
        labels, _ = label(crop(self._found, n, inside))
        self[n] = part = _Part(inside, labels, np.bincount(labels.ravel()))
        return part


def _agree_in_part(one: _Part, other: _Part) -> bool:
    """Return whether a connected piece of one object in a band is one of the other.

    A ring seen by two tiles may be one piece in the first and two in the second.
    """
    if len(one.areas) == len(other.areas) == 2:
        return False  # one piece each, and the masks as wholes do not agree
    inside = one.window.meet(other.window)
    assert inside is not None
    mine, its = (
        part.labels[
            inside.top - part.window.top : inside.bottom - part.window.top,
            inside.left - part.window.left : inside.right - part.window.left,
        ]
        for part in (one, other)
    )
    pairs = np.bincount(
        (mine * len(other.areas) + its).ravel(), minlength=len(one.areas) * len(other.areas)
    )
    shared = pairs.reshape(len(one.areas), -1)[1:, 1:]
    union = one.areas[1:, None] + other.areas[None, 1:] - shared
    return bool((shared >= AGREEMENT * union).any())


def crop(found: Instances, n: int, window: Window) -> NDArray[np.bool_]:
    """Return the mask of one object in a window that it reaches into."""
    canvas = np.zeros((window.bottom - window.top, window.right - window.left), bool)
    top, left, bottom, right = (found.bboxes[n] - np.tile(window[:2], 2)).tolist()
    inside = found.mask(n)[max(-top, 0) : len(canvas) - top, max(-left, 0) : canvas.shape[1] - left]
    canvas[max(top, 0) : bottom, max(left, 0) : right] = inside
    return canvas
