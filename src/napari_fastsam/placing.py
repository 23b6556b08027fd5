"""How objects get onto a plane of labels that holds others already: arrays in, arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fastsam.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.history import Taken
    from napari_fastsam.instances import Instances

Existing = Literal["keep", "overwrite", "clear"]
"""What becomes of objects that are there already: they stay on top, they give way where new objects
lie, or they leave the plane."""

LEAST_FREE = 0.5
"""An object of which a smaller share is free of kept objects counts as labelled already."""


def fit(
    labels: NDArray[Any],
    found: Sequence[Instances | None],
    existing: Existing,
    corner: tuple[int, int] = (0, 0),
) -> list[NDArray[np.bool_] | None]:
    """Return which pixels of its box each object gets in a window, None where its place is taken.

    Parameters
    ----------
    labels
        (h, w) the window.
    found
        Single objects, whose boxes lie in the window; None stays None.
    existing
        ``"keep"`` gives an object what is free: of labels that are there, and of smaller objects
        of `found`. Otherwise it gets all its pixels.
    corner
        First row and column of the window.
    """
    pixels: list[NDArray[np.bool_] | None] = [None] * len(found)
    free = labels == 0
    for n, one in sorted(
        ((n, one) for n, one in enumerate(found) if one is not None),
        key=lambda item: int(item[1].areas[0]),
    ):
        mask = one.mask(0)
        if existing != "keep":
            pixels[n] = mask
            continue
        part = _part(free, one, corner)
        mine = mask & part
        if np.count_nonzero(mine) >= LEAST_FREE * one.areas[0]:
            pixels[n] = mine
            part &= ~mine
    return pixels


def paint(
    labels: NDArray[Any],
    found: Instances,
    pixels: NDArray[np.bool_],
    label: int,
    corner: tuple[int, int] = (0, 0),
) -> Runs | None:
    """Write a label into an object's pixels, and return what it covers, None for nothing."""
    part = _part(labels, found, corner)
    covered = np.where(pixels, part, 0)
    part[pixels] = label
    return Runs.of(covered) if covered.any() else None


def take_out(
    labels: NDArray[Any],
    taken: Taken,
    label: int,
    gone: frozenset[int],
    corner: tuple[int, int] = (0, 0),
) -> None:
    """Take an object out of a window of labels, and put back what it covered.

    Covered labels that are `gone` meanwhile do not come back, and pixels that have another label
    now stay.
    """
    part = _part(labels, taken.mask, corner)
    own = taken.mask.mask(0) & (part == label)
    beneath = np.zeros_like(part) if taken.beneath is None else taken.beneath.array()
    if gone and beneath.any():
        beneath[np.isin(beneath, list(gone))] = 0
    part[own] = beneath[own]


def plan_plane(
    before: NDArray[Any],
    found: NDArray[Any],
    existing: Existing,
    reserve: Callable[[int], int],
    numbers: dict[int, int] | None = None,
) -> tuple[NDArray[Any], int, int]:
    """Return a plane's labels (H, W) with found objects on it, how many came and how many did not.

    Parameters
    ----------
    before
        (H, W) the labels that are there.
    found
        (H, W) labels of their own count.
    existing
        What becomes of what is there.
    reserve
        Called with how many numbers are needed; returns the first of them.
    numbers
        Numbers given to labels of `found` on earlier planes; new ones are added.
    """
    numbers = {} if numbers is None else numbers
    areas = np.bincount(found.ravel(), minlength=1)
    wanted = areas > 0
    wanted[0] = False
    total = int(np.count_nonzero(wanted))
    if existing == "keep":
        free = np.bincount(found[before == 0], minlength=len(areas))
        wanted &= free >= LEAST_FREE * areas
    picked = np.flatnonzero(wanted)
    fresh = [int(label) for label in picked if int(label) not in numbers]
    if fresh:
        first = reserve(len(fresh))
        numbers.update(zip(fresh, range(first, first + len(fresh)), strict=True))
    lookup = np.zeros(len(areas), before.dtype)
    lookup[picked] = [numbers[int(label)] for label in picked]
    painted = lookup[found]
    if existing == "clear":
        after = painted
    elif existing == "keep":
        after = np.where(before == 0, painted, before)
    else:
        after = np.where(painted > 0, painted, before)
    return after, len(picked), total - len(picked)


def _part(labels: NDArray[Any], found: Instances, corner: tuple[int, int]) -> NDArray[Any]:
    """Return the view of a window that an object's box covers."""
    top, left, bottom, right = found.bboxes[0] - np.tile(corner, 2)
    return labels[top:bottom, left:right]
