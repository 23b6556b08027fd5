"""Which candidate of a plane goes on from an object of the plane before, if any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam.selection import everything

if TYPE_CHECKING:
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
_SIZEABLE = 0.25  # of the candidate's area: smaller ones may be swallowed


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The object as it was seen last, and what else was there."""

    mask: Instances
    others: Instances
    velocity: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def at(cls, mask: Instances, candidates: Instances) -> Look:
        """Return the look at a plane with these candidates."""
        return cls(mask, _others(mask, candidates))

    def coming_from(self, mask: Instances, planes: float) -> Look:
        """Return the look with the motion from where the object was so many planes before."""
        row, col = (_centroids(self.mask)[0] - _centroids(mask)[0]) / planes
        return replace(self, velocity=(float(row), float(col)))

    def then(self, mask: Instances, candidates: Instances, planes: int) -> Look:
        """Return the next look, so many planes later."""
        moved = (_centroids(mask)[0] - _centroids(self.mask)[0]) / planes
        row, col = (moved + self.velocity) / 2
        return Look(mask, _others(mask, candidates), (float(row), float(col)))


class Continuation(NamedTuple):
    """The candidate that goes on from an object, or why there is none."""

    instance: Instances | None
    fit: float
    reason: str


def continuation(look: Look, candidates: Instances, missing: int) -> Continuation:
    """Return what goes on from a look, `missing` planes being left out between."""
    shift = np.multiply(look.velocity, missing + 1)
    mine = _windowed(candidates, look.mask.bboxes[0], reach=_diameter(look.mask))
    if not len(mine):
        return Continuation(None, 0.0, NO_CANDIDATE)
    fit = fits(look.mask, mine, shift)[0]
    rivals = _windowed(look.others, look.mask.bboxes[0], reach=2 * _diameter(look.mask))
    theirs = fits(rivals, mine, shift)
    apart = mine.overlaps(mine) == 0
    rank = fit * np.sqrt(mine.scores)
    reason = TOO_DIFFERENT if (fit > 0).any() else NO_CANDIDATE
    for n in np.argsort(-rank, kind="stable"):
        if fit[n] < MIN_FIT:
            continue
        if not _contested(n, fit, theirs, apart) and not _swallows(mine[[n]], rivals, shift):
            return Continuation(mine[[n]], float(fit[n]), "")
        reason = TOUCHES_OTHER
    return Continuation(None, 0.0, reason)


def fits(before: Instances, now: Instances, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (B, N): how well each object now goes on from each before, in [0, 1].

    The IoU of the masks, as they are or moved by `shift`, whichever is larger; for masks of similar
    size also how near their centroids are.
    """
    if not len(before) or not len(now):
        return np.zeros((len(before), len(now)))
    steady = now.iou(before)
    moved = _shifted_iou(before, now, shift)
    sizes = np.minimum.outer(before.areas, now.areas) / np.maximum.outer(before.areas, now.areas)
    away = _centroids(before)[:, None] - _centroids(now)[None]
    away = np.minimum(np.linalg.norm(away, axis=2), np.linalg.norm(away + shift, axis=2))
    near = np.clip(1 - away / np.sqrt(before.areas * 4 / np.pi)[:, None], 0, None)
    near = np.where(sizes >= _SIZE_RATIO, _NEAR * near * sizes, 0)
    return np.maximum(np.maximum(steady, moved), near)


def _shifted_iou(
    before: Instances, now: Instances, shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (B, N): the IoU of masks that went on moving by `shift`, beyond the plane too."""
    rows, cols = np.rint(shift).astype(int)
    if not rows and not cols:
        return np.zeros((len(before), len(now)))
    margin = max(abs(rows), abs(cols))
    shape = (before.shape[0] + 2 * margin, before.shape[1] + 2 * margin)
    return now.shift((margin, margin), shape).iou(
        before.shift((margin + rows, margin + cols), shape)
    )


def _contested(
    n: int, mine: NDArray[np.float64], theirs: NDArray[np.float64], apart: NDArray[np.bool_]
) -> bool:
    """Return whether the plane is explained better if a rival goes on as candidate n."""
    free = apart[n]
    my_gain = mine[n] - mine[free].max(initial=0.0)
    their_gain = theirs[:, n] - theirs[:, free].max(1, initial=0.0)
    return bool((their_gain > my_gain).any())


def _swallows(candidate: Instances, rivals: Instances, shift: NDArray[np.float64]) -> bool:
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


def _centroids(objects: Instances) -> NDArray[np.float64]:
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
