"""How objects get onto a plane of labels that holds others already: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.history import Taken, Window
    from napari_fastsam.instances import Instances

Existing = Literal["keep", "overwrite", "clear"]
"""What becomes of objects that are there already: they stay on top, they give way where new objects
lie, or they leave the plane. Where single objects come, not planes, nothing leaves the plane."""

LEAST_FREE = 0.5
"""An object of which a smaller share is free of kept objects counts as labelled already."""


class Placed(NamedTuple):
    """A plane's labels (H, W) with found objects on it.

    `numbers` are those of the objects that came, by their label among the found ones; `taken` tells
    how many did not come.
    """

    labels: NDArray[Any]
    numbers: dict[int, int]
    taken: int


def check_existing(existing: str) -> None:
    """Refuse what does not say what becomes of objects that are there: none may be lost by it."""
    fail_if(
        existing not in get_args(Existing),
        'existing="keep", "overwrite" or "clear"',
        repr(existing),
        "correct the word",
    )


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
        of `found`. Otherwise it gets all its pixels, but the same object only once.
    corner
        First row and column of the window.

    Raises
    ------
    ValueError
        If `existing` is none of the words for it.
    """
    check_existing(existing)
    pixels: list[NDArray[np.bool_] | None] = [None] * len(found)
    free = labels == 0
    met: set[tuple[bytes, bytes]] = set()
    for n, one in sorted(
        ((n, one) for n, one in enumerate(found) if one is not None),
        key=lambda item: int(item[1].areas[0]),
    ):
        mask = one.mask(0)
        if existing != "keep":
            name = (one.bboxes.tobytes(), one.buffer.tobytes())
            pixels[n] = None if name in met else mask
            met.add(name)
            continue
        there, here = _meet(free.shape, one, corner)
        part = free[there]
        mine = mask[here] & part
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
    part = labels[_meet(labels.shape, found, corner)[0]]
    covered = np.where(pixels, part, 0)
    part[pixels] = label
    return Runs.of(covered) if covered.any() else None


def take_out(
    labels: NDArray[Any], taken: Taken, label: int, corner: tuple[int, int] = (0, 0)
) -> None:
    """Take an object out of a window of labels, and put back what it covered.

    Pixels that have another label now stay, and so do those that it was not given.
    """
    there, here = _meet(labels.shape, taken.mask, corner)
    part = labels[there]
    pixels = taken.mask.mask(0) if taken.pixels is None else taken.pixels
    own = pixels[here] & (part == label)
    part[own] = 0 if taken.beneath is None else taken.beneath.array()[here][own]


def pull_out(upper: Taken, label: int, lower: Taken | None, *, whole: bool = False) -> Taken:
    """Return an object without another one beneath it: what that one covered takes its place.

    Parameters
    ----------
    upper
        The object on top.
    label, lower
        The one that is taken out.
    whole
        Whether other pixels of that label go as well: a person may have painted them.
    """
    if upper.beneath is None:
        return upper
    beneath = upper.beneath.array()
    if not (beneath == label).any():
        return upper
    if lower is not None:
        row, column = upper.mask.bboxes[0, :2].tolist()
        take_out(beneath, lower, label, (row, column))
    if whole:
        beneath[beneath == label] = 0
    return replace(upper, beneath=Runs.of(beneath) if beneath.any() else None)


def plan_plane(
    before: NDArray[Any],
    found: NDArray[Any],
    existing: Existing,
    reserve: Callable[[int], int] | None,
    numbers: dict[int, int] | None = None,
) -> Placed:
    """Return a plane's labels with found objects on it.

    Parameters
    ----------
    before
        (H, W) the labels that are there.
    found
        (H, W) labels of their own count.
    existing
        What becomes of what is there.
    reserve
        Called with how many numbers are needed; returns the first of them. None: exactly the labels
        in `numbers` come, whatever is free of them.
    numbers
        Numbers given to labels of `found` on earlier planes; new ones are added.

    Raises
    ------
    ValueError
        If the planes differ in shape, or `existing` is none of the words for it.
    """
    check_existing(existing)
    fail_if(
        found.shape != before.shape,
        f"objects on a plane of {before.shape}",
        f"some on one of {found.shape}",
        "pass what was found on an image of the labels' size",
    )
    numbers = {} if numbers is None else numbers
    areas = np.bincount(found.ravel(), minlength=1)
    wanted = areas > 0
    wanted[0] = False
    total = int(np.count_nonzero(wanted))
    if reserve is None:
        wanted &= np.isin(np.arange(len(areas)), list(numbers))
    elif existing == "keep":
        free = np.bincount(found[before == 0], minlength=len(areas))
        wanted &= free >= LEAST_FREE * areas
    picked = np.flatnonzero(wanted).tolist()
    fresh = [label for label in picked if label not in numbers]
    if fresh and reserve is not None:
        first = reserve(len(fresh))
        numbers.update(zip(fresh, range(first, first + len(fresh)), strict=True))
    lookup = np.zeros(len(areas), before.dtype)
    lookup[picked] = [numbers[label] for label in picked]
    painted = lookup[found]
    if existing == "clear":
        after = painted
    elif existing == "keep":
        after = np.where(before == 0, painted, before)
    else:
        after = np.where(painted > 0, painted, before)
    return Placed(after, {label: numbers[label] for label in picked}, total - len(picked))


def _meet(
    shape: tuple[int, ...], found: Instances, corner: tuple[int, int]
) -> tuple[Window, Window]:
    """Return where an object's box and a window meet: in the window, and in the box."""
    there, here = [], []
    for axis in (0, 1):
        start = int(found.bboxes[0, axis]) - corner[axis]
        stop = int(found.bboxes[0, axis + 2]) - corner[axis]
        low = min(max(start, 0), shape[axis])
        high = max(min(stop, shape[axis]), low)
        there.append(slice(low, high))
        here.append(slice(low - start, high - start))
    return (there[0], there[1]), (here[0], here[1])
