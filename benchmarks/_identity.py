"""How well objects keep their identities through planes, where the truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from skimage.metrics import contingency_table

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

MOST = 0.95  # share of an object's voxels, and of a label's, that makes them one


class Identities(NamedTuple):
    """Shares of the true objects.

    Attributes
    ----------
    one
        One label covers at least 95 % of the object's voxels, and no other object has more than 5 %
        of that label's.
    unbroken
        One label covers at least 95 % of the object's voxels, whatever else it covers.
    strict
        One label covers all of them, whatever else it covers.
    """

    one: float
    unbroken: float
    strict: float


def shuffled(truth: NDArray[np.integer], seed: int = 0, drop: float = 0.0) -> NDArray[np.uint32]:
    """Return the volume with labels that mean nothing beyond their plane, some objects left out."""
    rng = np.random.default_rng(seed)
    planes = np.zeros(truth.shape, np.uint32)
    for plane, labels in zip(planes, truth, strict=True):
        values = np.unique(labels[labels > 0])
        names = np.zeros(int(truth.max()) + 1, np.uint32)
        names[values] = rng.permutation(len(values)) + 1
        names[values[rng.random(len(values)) < drop]] = 0
        plane[:] = names[labels]
    return planes


def named_as_neighbours(truth: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the volume with planes that share no name with another named as those beside them.

    The ground truth of ``plant3d`` has one, plane 31: its 30 names are those of no cell elsewhere.
    """
    named = truth.copy()
    for n in range(1, len(truth) - 1):
        beside = truth[[n - 1, n + 1]]
        if np.isin(truth[n][truth[n] > 0], beside).any():
            continue
        for label in np.unique(truth[n][truth[n] > 0]):
            votes = np.bincount(beside[:, truth[n] == label].ravel())
            votes[0] = 0
            named[n][truth[n] == label] = votes.argmax() if votes.any() else label
    return named


def identities(
    truth: NDArray[np.integer], linked: NDArray[np.integer], left_out: Collection[int] = ()
) -> Identities:
    """Return how many true objects kept their identity, but for some that are not counted."""
    table, labels = _shared(truth, linked)
    best = table.argmax(1)
    most = table[np.arange(len(table)), best]
    unbroken = most >= MOST * table.sum(1)
    alone = _largest_other(table)[np.arange(len(table)), best] <= (1 - MOST) * table.sum(0)[best]
    strict = (table > 0).sum(1) == 1
    counted = ~np.isin(labels, list(left_out))
    return Identities(
        *(float(which[counted].mean()) for which in (unbroken & alone, unbroken, strict))
    )


def idf1(truth: NDArray[np.integer], linked: NDArray[np.integer]) -> float:
    """Return the identity F1 score, counted in objects of single planes that have the same pixels.

    References
    ----------
    Ristani et al., "Performance measures and a data set for multi-target, multi-camera tracking",
    ECCV Workshops 2016.
    """
    pairs = [
        np.unique(np.stack([a[a > 0], b[a > 0]], 1), axis=0)
        for a, b in zip(truth, linked, strict=True)
    ]
    rows, cols = np.concatenate(pairs).T
    table = np.zeros((int(rows.max()) + 1, int(cols.max()) + 1), np.int64)
    np.add.at(table, (rows, cols), 1)
    kept = table[:, 1:]
    same = kept[linear_sum_assignment(kept, maximize=True)].sum()
    return float(2 * same / (table.sum() + kept.sum()))


def ap50(truth: NDArray[np.integer], linked: NDArray[np.integer]) -> float:
    """Return TP / (TP + FP + FN), objects being matched one to one at a volume IoU of 0.5."""
    table = contingency_table(truth, linked, normalize=False).toarray()
    either = table.sum(1, keepdims=True) + table.sum(0) - table
    iou = (table / np.maximum(either, 1))[1:, 1:]
    iou = iou[table[1:].any(1)][:, table[:, 1:].any(0)]
    hits = iou >= 0.5
    right = int(hits[linear_sum_assignment(hits + iou / 2, maximize=True)].sum())
    return right / max(sum(iou.shape) - right, 1)


def _shared(
    truth: NDArray[np.integer], linked: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the voxels that each true object that has a label shares with each label; its name."""
    table = contingency_table(truth, linked, ignore_labels=[0], normalize=False).toarray()
    labels = np.flatnonzero(table[:, 1:].any(1))  # what has no label is missed, not split
    return table[labels, 1:].astype(np.int64), labels


def _largest_other(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each object and label the most voxels of that label that another object has."""
    if len(table) < 2:
        return np.zeros_like(table)
    second, first = np.sort(table, axis=0)[-2:]
    return np.where(
        (table == first) & (table.argmax(0) == np.arange(len(table))[:, None]), second, first
    )
