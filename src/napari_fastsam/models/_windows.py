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

SPREAD = (2.5, 5.0)
"""A window is so many times longer than an object that it is for: at least, and at most."""
REACH = 1.5
"""As many times longer than an object are its surroundings, which lie in the window too."""

MOST = 64
"""A window is for at most this many objects, so that memory is bounded."""


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
    bboxes: NDArray[np.int32], shape: tuple[int, int], *, spread: tuple[float, float] = SPREAD
) -> list[Window]:
    """Return windows in which all objects lie with their surroundings, each in one of them.

    Parameters
    ----------
    bboxes
        (N, 4) boxes of objects on a plane of `shape` (H, W).
    spread
        How many times longer than an object its window is, at least and at most. Windows are at
        least `LEAST_SIDE` times the latter and no longer than the plane.

    Notes
    -----
    Windows have as few sizes as possible, as an interval of sizes suits each object. Those of one
    size are laid along strips of the plane as high as a window, from the topmost object that is
    left, and in a strip from the leftmost, as in shelf packing.
    """
    boxes = surroundings(bboxes, shape)
    longest = np.maximum((bboxes[:, 2:] - bboxes[:, :2]).max(1, initial=1), LEAST_SIDE)
    least, most = (np.minimum(np.ceil(longest * times), max(shape)) for times in spread)
    todo = np.argsort(most, kind="stable")
    found = []
    while len(todo):
        side = int(most[todo[0]])
        suits = least[todo] <= side
        rows, todo = todo[suits], todo[~suits]
        for inside in _parts(rows, boxes, side):
            low, high = boxes[inside, :2].min(0), boxes[inside, 2:].max(0)
            # As large as it need be: what is in it is then shown larger.
            tight = int(max(*(high - low), least[inside].max()))
            corner = (low + high - tight) // 2
            room = np.array(shape) - tight
            # Beyond a plane that is narrower than the window, there is as much on either side.
            corner = np.where(room < 0, room // 2, np.clip(corner, 0, np.maximum(room, 0)))
            found.append(Window(np.array([*corner, tight]), inside))
    return found


def _parts(
    rows: NDArray[np.intp], boxes: NDArray[np.int64], side: int
) -> Iterator[NDArray[np.intp]]:
    """Yield which objects lie in a window of `side` together, not too many at once."""
    for members in _groups(boxes[rows], side):
        for start in range(0, len(members), MOST):
            yield rows[members[start : start + MOST]]


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
