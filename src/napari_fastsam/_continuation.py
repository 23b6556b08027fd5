"""Which candidate of a plane goes on from an object of the plane before, if any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam.selection import everything

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances

NO_CANDIDATE = "no candidate"
TOO_DIFFERENT = "too different"
TOUCHES_OTHER = "touches other object"

MIN_FIT = 0.3
"""IoU below which a candidate is not taken for the object."""

_NEAR = 0.5  # what a candidate of the same size that does not overlap is worth at most
_SIZE_RATIO = 0.6  # how similar the sizes must be for that
_SWALLOWED = 0.5  # share of another object inside a candidate from which it is that object's too
_VICINITY = 5  # diameters around the object in which others say how all move
_CROWD = 5  # others that are enough for that
_SIZEABLE = 0.25  # of the candidate's area: smaller ones may be swallowed


Shift = tuple[float, float]
"""Rows and columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The object as it was seen last, and what else was there."""

    mask: Instances
    others: Instances
    velocity: Shift = (0.0, 0.0)

    @classmethod
    def at(cls, mask: Instances, candidates: Instances) -> Look:
        """Return the look at a plane with these candidates."""
        return cls(mask, _others(mask, candidates))

    def coming_from(self, mask: Instances, planes: float) -> Look:
        """Return the look with the motion from where the object was so many planes before."""
        row, col = (centroids(self.mask)[0] - centroids(mask)[0]) / planes
        return replace(self, velocity=(float(row), float(col)))

    def then(self, mask: Instances, candidates: Instances, planes: int) -> Look:
        """Return the next look, so many planes later."""
        moved = (centroids(mask)[0] - centroids(self.mask)[0]) / planes
        row, col = (moved + self.velocity) / 2
        return Look(mask, _others(mask, candidates), (float(row), float(col)))


class Continuation(NamedTuple):
    """The candidate that goes on from an object, or why there is none."""

    instance: Instances | None
    fit: float
    reason: str


def continuation(look: Look, candidates: Instances, missing: int) -> Continuation:
    """Return what goes on from a look, `missing` planes being left out between."""
    reach = _diameter(look.mask)
    rivals = _windowed(look.others, look.mask.bboxes[0], reach=_VICINITY * reach)
    around = _windowed(candidates, look.mask.bboxes[0], reach=_VICINITY * reach)
    shifts = [(0.0, 0.0), _scaled(look.velocity, missing + 1)]
    shifts.append(_common(rivals, around))
    mine = _windowed(candidates, look.mask.bboxes[0], reach=reach)
    if not len(mine):
        return Continuation(None, 0.0, NO_CANDIDATE)
    fit = fits(look.mask, mine, shifts)[0]
    rivals = _windowed(rivals, look.mask.bboxes[0], reach=2 * reach)
    theirs = fits(rivals, mine, shifts)
    apart = mine.overlaps(mine) == 0
    rank = fit * np.sqrt(mine.scores)
    reason = TOO_DIFFERENT if (fit > 0).any() else NO_CANDIDATE
    for n in np.argsort(-rank, kind="stable"):
        if fit[n] < MIN_FIT:
            continue
        if not _contested(n, fit, theirs, apart) and not _swallows(mine[[n]], rivals):
            return Continuation(mine[[n]], float(fit[n]), "")
        reason = TOUCHES_OTHER
    return Continuation(None, 0.0, reason)


def fits(before: Instances, now: Instances, shifts: Iterable[Shift]) -> NDArray[np.float64]:
    """Return (B, N): how well each object now goes on from each before, in [0, 1].

    The largest IoU that the masks have if those before are moved by one of the `shifts`; for masks
    of similar size also how near their centroids come.
    """
    if not len(before) or not len(now):
        return np.zeros((len(before), len(now)))
    sizes = np.minimum.outer(before.areas, now.areas) / np.maximum.outer(before.areas, now.areas)
    away = centroids(before)[:, None] - centroids(now)[None]
    reach = np.sqrt(before.areas * 4 / np.pi)[:, None]
    best = np.zeros(sizes.shape)
    for shift in {(round(row), round(col)) for row, col in shifts}:
        near = np.clip(1 - np.linalg.norm(away + shift, axis=2) / reach, 0, None)
        near = np.where(sizes >= _SIZE_RATIO, _NEAR * near * sizes, 0)
        best = np.maximum(best, np.maximum(_shifted_iou(before, now, shift), near))
    return best


def _shifted_iou(before: Instances, now: Instances, shift: tuple[int, int]) -> NDArray[np.float64]:
    """Return (B, N): the IoU of masks that went on moving by `shift`, beyond the plane too."""
    if shift == (0, 0):
        return now.iou(before)
    margin = max(map(abs, shift))
    shape = (before.shape[0] + 2 * margin, before.shape[1] + 2 * margin)
    moved = before.shift((margin + shift[0], margin + shift[1]), shape)
    return now.shift((margin, margin), shape).iou(moved)


def _common(before: Instances, now: Instances) -> Shift:
    """Return how objects moved on the whole: the median way to the nearest one of similar size."""
    if not len(before) or not len(now):
        return 0.0, 0.0
    ways = centroids(now)[None] - centroids(before)[:, None]
    sizes = np.minimum.outer(before.areas, now.areas) / np.maximum.outer(before.areas, now.areas)
    away = np.where(sizes >= _SIZE_RATIO, np.linalg.norm(ways, axis=2), np.inf)
    nearest = away.argmin(1)
    found = np.isfinite(away.min(1))
    if found.sum() < _CROWD:
        return 0.0, 0.0
    row, col = np.median(ways[np.arange(len(before)), nearest][found], axis=0)
    return float(row), float(col)


def _scaled(shift: Shift, planes: int) -> Shift:
    """Return a motion per plane over so many planes."""
    return shift[0] * planes, shift[1] * planes


def _contested(
    n: int, mine: NDArray[np.float64], theirs: NDArray[np.float64], apart: NDArray[np.bool_]
) -> bool:
    """Return whether the plane is explained better if a rival goes on as candidate n."""
    free = apart[n]
    my_gain = mine[n] - mine[free].max(initial=0.0)
    their_gain = theirs[:, n] - theirs[:, free].max(1, initial=0.0)
    return bool((their_gain > my_gain).any())


def _swallows(candidate: Instances, rivals: Instances) -> bool:
    """Return whether a candidate holds another object too, not much smaller than itself."""
    if not len(rivals):
        return False
    inside = candidate.overlaps(rivals)[:, 0] >= _SWALLOWED * rivals.areas
    return bool((inside & (rivals.areas >= _SIZEABLE * candidate.areas[0])).any())


def _others(mask: Instances, candidates: Instances) -> Instances:
    """Return the objects of a plane that are not, and do not hold, the one of `mask`."""
    whole = everything(candidates)
    shared = whole.overlaps(mask)[0]
    return whole[(shared < 0.5 * whole.areas) & (shared < 0.5 * mask.areas[0])]


def _windowed(objects: Instances, bbox: NDArray[np.int32], reach: float) -> Instances:
    """Return the objects whose boxes come within `reach` pixels of a box."""
    low, high = bbox[:2] - reach, bbox[2:] + reach
    return objects[((objects.bboxes[:, :2] < high) & (objects.bboxes[:, 2:] > low)).all(1)]


def _diameter(mask: Instances) -> float:
    """Return the diameter of the disk of an object's area, in pixels."""
    return float(np.sqrt(mask.areas[0] * 4 / np.pi))


def centroids(objects: Instances) -> NDArray[np.float64]:
    """Return (N, 2)."""
    centroids = np.empty((len(objects), 2))
    for n in range(len(objects)):
        mask = objects.mask(n)
        for axis in (0, 1):
            profile = mask.sum(1 - axis)
            centroids[n, axis] = (
                objects.bboxes[n, axis] + profile @ np.arange(len(profile)) / objects.areas[n]
            )
    return centroids
