"""What is remembered of the objects seen last, and which objects of a plane meet them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_fastsam._packing import pack, unpack
from napari_fastsam.instances import Instances, labelled_windows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


_CROWD = 5  # objects that say how all move


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Objects as they were last seen: masks, linked labels, centroids, planes missed since.

    `motions`, (N, 2), is by how many pixels each is expected to move from plane to plane.
    """

    masks: Instances
    numbers: NDArray[np.uint32]
    centroids: NDArray[np.float64]
    missed: NDArray[np.int64]
    motions: NDArray[np.float64]

    @property
    def shifts(self) -> NDArray[np.float64]:
        """(N, 2): by how much each is expected to have moved on the next plane."""
        return self.motions * (self.missed[:, None] + 1)

    def without(self, rows: NDArray[np.intp]) -> Objects:
        """Return all but some."""
        return self.only(np.setdiff1d(np.arange(len(self.numbers)), rows))

    def after(self, planes: int, max_gap: int) -> Objects:
        """Return those that may still come back when so many more planes are missed."""
        rest = self.only(np.flatnonzero(self.missed + planes <= max_gap))
        return replace(rest, missed=rest.missed + planes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it as arrays that `from_arrays` reads."""
        return {
            **pack(self.masks),
            "numbers": self.numbers,
            "centroids": self.centroids,
            "missed": self.missed,
            "motions": self.motions,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Objects:
        """Return the objects that `arrays` were taken of."""
        names = ("numbers", "centroids", "missed", "motions")
        return cls(unpack(arrays), *(arrays[name] for name in names))

    def only(self, rows: NDArray[np.intp]) -> Objects:
        """Return some of them."""
        return Objects(
            self.masks[rows],
            self.numbers[rows],
            self.centroids[rows],
            self.missed[rows],
            self.motions[rows],
        )


class Pairs(NamedTuple):
    """Objects before (rows) and now (cols) that overlap or are near: (K,) each."""

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    pixels: NDArray[np.int64]  # that both have
    nearness: NDArray[np.float64]  # 1 for one centroid, 0 out of reach


def objects_of(plane: NDArray[Any]) -> tuple[NDArray[np.int64], Objects]:
    """Return the labels of a plane and its objects, still without numbers.

    They are in the order of their first pixels, so that what a plane calls its objects decides
    nothing where two links are worth the same.
    """
    values, masks, bboxes, centroids, firsts = [], [], [], [], []
    for label, (rows, cols) in labelled_windows(plane):
        mask = plane[rows, cols] == label
        area = np.count_nonzero(mask)
        values.append(label)
        masks.append(mask)
        bboxes.append((rows.start, cols.start, rows.stop, cols.stop))
        row = rows.start + mask.sum(1) @ np.arange(mask.shape[0]) / area
        centroids.append((row, cols.start + mask.sum(0) @ np.arange(mask.shape[1]) / area))
        firsts.append((rows.start, cols.start + int(mask[0].argmax())))
    order = np.array(sorted(range(len(firsts)), key=firsts.__getitem__), np.intp)
    objects = Objects(
        Instances.from_masks(plane.shape, masks, bboxes),
        np.zeros(len(values), np.uint32),
        np.array(centroids, np.float64).reshape(-1, 2),
        np.zeros(len(values), np.int64),
        np.zeros((len(values), 2)),
    )
    return np.array(values, np.int64)[order], objects.only(order)


def overlaps(
    before: Objects, plane: NDArray[Any], values: NDArray[np.int64]
) -> dict[tuple[int, int], int]:
    """Return the pixels that each object (row) shares with each of a plane's labels (column).

    Where it was, or where it is expected, whichever are more.
    """
    shared: dict[tuple[int, int], int] = {}
    ascending = np.argsort(values)
    for row, expected in enumerate(np.rint(before.shifts).astype(int)):
        for shift in {(0, 0), (int(expected[0]), int(expected[1]))}:
            under = _under(before.masks, row, shift, plane)
            labels, counts = np.unique(under[under > 0], return_counts=True)
            cols = ascending[np.searchsorted(values, labels, sorter=ascending)]
            for col, pixels in zip(cols, counts, strict=True):
                shared[row, int(col)] = max(int(pixels), shared.get((row, int(col)), 0))
    return shared


def _under(masks: Instances, row: int, shift: tuple[int, int], plane: NDArray[Any]) -> NDArray[Any]:
    """Return the values of a plane under a mask that was moved, as far as it lies inside."""
    low = masks.bboxes[row, :2] + shift
    high = masks.bboxes[row, 2:] + shift
    top, left = np.maximum(low, 0)
    bottom, right = np.maximum(np.minimum(high, plane.shape), (top, left))
    inside = masks.mask(row)[top - low[0] : bottom - low[0], left - low[1] : right - low[1]]
    return np.asarray(plane[top:bottom, left:right][inside])


def pairs_of(
    before: Objects,
    now: Objects,
    shared: dict[tuple[int, int], int],
    reach: NDArray[np.float64],
) -> Pairs:
    """Return the pairs that overlap, and those with centroids in reach, now or as expected."""
    from scipy.spatial import KDTree

    joined = dict(shared)
    expected = before.centroids + before.shifts
    if len(now.numbers) and len(before.numbers):
        tree = KDTree(now.centroids)
        for places in (before.centroids, expected):
            for row, found in enumerate(tree.query_ball_point(places, reach)):
                for col in found:
                    joined.setdefault((row, col), 0)
    rows, cols = np.array(sorted(joined), np.intp).reshape(-1, 2).T
    distance = np.minimum(
        np.linalg.norm(before.centroids[rows] - now.centroids[cols], axis=1),
        np.linalg.norm(expected[rows] - now.centroids[cols], axis=1),
    )
    nearness = np.zeros(len(rows))
    np.divide(reach[rows] - distance, reach[rows], out=nearness, where=distance < reach[rows])
    pixels = np.array([joined[pair] for pair in sorted(joined)], np.int64)
    return Pairs(rows, cols, pixels, nearness)


def with_motions(
    before: Objects, now: Objects, rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> Objects:
    """Return `now` with motions: half each object's own last step, half that of all in common.

    The common one, all of it for new objects, is the median over the pairs linked, so that a stage
    that moves is followed; a few objects have none in common.
    """
    steps = (now.centroids[cols] - before.centroids[rows]) / (before.missed[rows, None] + 1)
    common = np.median(steps, axis=0) if len(steps) >= _CROWD else np.zeros(2)
    motions = np.tile(common, (len(now.numbers), 1))
    motions[cols] = (steps + common) / 2
    return replace(now, motions=motions)


def together(first: Objects, second: Objects) -> Objects:
    """Return the objects of both."""
    return Objects(
        Instances.concatenate([first.masks, second.masks]),
        np.concatenate([first.numbers, second.numbers]),
        np.concatenate([first.centroids, second.centroids]),
        np.concatenate([first.missed, second.missed]),
        np.concatenate([first.motions, second.motions]),
    )
