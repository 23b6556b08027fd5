"""How a plane is looked at more than once, and what becomes of the candidates of several looks.

Mirrored or at another size, an object is found a little otherwise. Of what overlaps by its box,
each look has one vote on the score, and each pixel goes by the looks' scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Look(NamedTuple):
    """One look: mirrored along an axis (0 rows, 1 columns) or not, at so many times the size."""

    axis: int | None = None
    size: float = 1.0


LOOKS: dict[str, tuple[Look, ...]] = {
    "one": (Look(),),
    "flips": (Look(), Look(1), Look(0)),
    "scales": (Look(), Look(1), Look(0), Look(size=3 / 4), Look(size=4 / 3)),
}
"""The looks of each kind of view; the first is that of the plane as it is."""


def mirrored(found: Instances, axis: int) -> Instances:
    """Return the objects mirrored along an axis of their plane."""
    bboxes = found.bboxes.copy()
    bboxes[:, [axis, axis + 2]] = found.shape[axis] - found.bboxes[:, [axis + 2, axis]]
    parts = [np.flip(found.mask(n), axis).ravel() for n in range(len(found))]
    buffer = np.concatenate(parts) if parts else found.buffer
    return Instances(found.shape, bboxes, found.scores, buffer, found.classes, found.names)


def merged(looks: Sequence[Instances], iou: float) -> Instances:
    """Return the candidates of several looks at one plane as those of one, the best first.

    Parameters
    ----------
    looks
        What was found, on planes of one shape.
    iou
        Two boxes of different looks that overlap more than this (IoU) are one object.

    Returns
    -------
    Instances: of each object the pixels for which looks with half of the scores are, and the mean
    of the scores, half of it if only one look of many has found it.
    """
    everything = Instances.concatenate(looks)
    look = np.repeat(np.arange(len(looks)), [len(found) for found in looks])
    order = np.argsort(-everything.scores, kind="stable")
    free = np.ones(len(order), bool)
    objects: list[tuple[int, NDArray[np.int32], float, NDArray[np.bool_]]] = []
    for n in order:
        if not free[n]:
            continue
        alike = np.where(free, _box_iou(everything.bboxes, everything.bboxes[n]), 0)
        alike[n] = 2  # more than any IoU can be
        group = [int(n)]
        for other in range(len(looks)):
            theirs = np.where(look == other, alike, 0)
            if other != look[n] and theirs.max() > iou:
                group.append(int(theirs.argmax()))
        free[alike > iou] = False
        bbox, mask = _voted(everything, group)
        score = float(everything.scores[group].mean()) * (1 + len(group) / len(looks)) / 2
        objects.append((int(n), bbox, score, mask))
    objects.sort(key=lambda item: -item[2])
    best = everything[[item[0] for item in objects]]
    return Instances(
        everything.shape,
        np.array([item[1] for item in objects], np.int32),
        np.array([item[2] for item in objects], np.float32),
        np.concatenate([item[3].ravel() for item in objects]) if objects else best.buffer,
        best.classes,
        best.names,
    )


def _box_iou(bboxes: NDArray[np.int32], bbox: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return (N,): IoU of boxes (N, 4) with a box."""
    low, high = np.maximum(bboxes[:, :2], bbox[:2]), np.minimum(bboxes[:, 2:], bbox[2:])
    shared = np.maximum(high - low, 0).astype(np.int64).prod(1)
    areas = (bboxes[:, 2:] - bboxes[:, :2]).astype(np.int64).prod(1)
    own = np.int64(bbox[2] - bbox[0]) * (bbox[3] - bbox[1])
    return np.asarray(shared / (areas + own - shared), np.float64)


def _voted(found: Instances, group: list[int]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return box and mask on which a group of objects, the best first, agrees by its scores."""
    corner, end = found.bboxes[group, :2].min(0), found.bboxes[group, 2:].max(0)
    votes = np.zeros(end - corner, np.float32)
    for n in group:
        top, left, bottom, right = found.bboxes[n] - np.tile(corner, 2)
        votes[top:bottom, left:right] += found.scores[n] * found.mask(n)
    mask = votes > found.scores[group].sum() / 2
    if not mask.any():  # they agree on nothing
        return found.bboxes[group[0]], found.mask(group[0])
    return np.concatenate([corner, end]), mask
