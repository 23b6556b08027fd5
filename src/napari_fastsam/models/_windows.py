"""Which windows of a plane show all its objects: few of them, each object large enough in one.

A window is a square ``(top, left, side)`` in pixels of the plane, as in `_crops`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam.models._crops import LEAST_SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SPREAD = 3.0
"""A window is at least this many times longer than the objects that it is for."""
REACH = 1.5
"""As many times longer than an object are its surroundings, which lie in the window too."""

_STEPS = 2  # sizes of windows from one to twice that


class Window(NamedTuple):
    """A window, and the objects that it is for.

    Parameters
    ----------
    square
        (3,) integers: top, left and side.
    rows
        (K,) which objects.
    """

    square: NDArray[np.int64]
    rows: NDArray[np.intp]


def surroundings(
    bboxes: NDArray[np.int32], shape: tuple[int, int], reach: float = REACH
) -> NDArray[np.int64]:
    """Return boxes (N, 4) with a margin all around, inside a plane of `shape` (H, W)."""
    boxes = bboxes.astype(np.int64)
    longest = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=1)
    margin = np.ceil(longest * (reach - 1) / 2).astype(np.int64)[:, None]
    low = np.maximum(boxes[:, :2] - margin, 0)
    return np.concatenate([low, np.minimum(boxes[:, 2:] + margin, shape)], axis=1)


def cover(
    bboxes: NDArray[np.int32], shape: tuple[int, int], *, spread: float = SPREAD
) -> list[Window]:
    """Return windows in which all objects lie with their surroundings, each in one of them.

    Parameters
    ----------
    bboxes
        (N, 4) boxes of objects on a plane of `shape` (H, W).
    spread
        How many times longer than an object its window is at least; at most that times the square
        root of 2, but for very small objects and for those nearly as large as the plane.

    Notes
    -----
    Objects of about the same size share windows: strips of the plane as high as a window, from the
    topmost object that is left, are gone along from the left, as in shelf packing.
    """
    boxes = surroundings(bboxes, shape)
    longest = (bboxes[:, 2:] - bboxes[:, :2]).max(1, initial=1)
    wished = np.maximum(longest * spread, LEAST_SIDE * spread)
    level = np.ceil(np.log2(wished) * _STEPS - 1e-9)
    sides = np.minimum(np.ceil(2 ** (level / _STEPS)), max(shape)).astype(np.int64)
    # Surroundings of what fills the plane are the plane, which is then the window.
    found = []
    for side in np.unique(sides):
        rows = np.flatnonzero(sides == side)
        for members in _groups(boxes[rows], int(side)):
            low = boxes[rows[members], :2].min(0)
            high = boxes[rows[members], 2:].max(0)
            corner = (low + high - side) // 2
            room = np.array(shape) - side
            corner = np.where(room < 0, room // 2, np.clip(corner, 0, np.maximum(room, 0)))
            found.append(Window(np.array([*corner, side]), rows[members]))
    return found


def _groups(boxes: NDArray[np.int64], side: int) -> Iterator[NDArray[np.intp]]:
    """Yield which of the boxes (N, 4) lie in a window of `side` together."""
    left_over = np.argsort(boxes[:, 0], kind="stable")
    while len(left_over):
        bottom = boxes[left_over[0], 0] + side
        strip = left_over[boxes[left_over, 2] <= bottom]
        left_over = left_over[boxes[left_over, 2] > bottom]
        strip = strip[np.argsort(boxes[strip, 1], kind="stable")]
        while len(strip):
            right = boxes[strip[0], 1] + side
            inside = boxes[strip, 3] <= right
            yield strip[inside]
            strip = strip[~inside]
