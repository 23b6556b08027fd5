"""What is remembered of the objects seen last, and which objects of a plane meet them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_fastsam.instances import Instances, labelled_windows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Objects as they were last seen: masks, linked labels, centroids, planes missed since."""

    masks: Instances
    numbers: NDArray[np.uint32]
    centroids: NDArray[np.float64]
    missed: NDArray[np.int64]

    def without(self, rows: NDArray[np.intp]) -> Objects:
        """Return all but some."""
        return self._only(np.setdiff1d(np.arange(len(self.numbers)), rows))

    def after(self, planes: int, max_gap: int) -> Objects:
        """Return those that may still come back when so many more planes are missed."""
        rest = self._only(np.flatnonzero(self.missed + planes <= max_gap))
        return replace(rest, missed=rest.missed + planes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it as arrays that `from_arrays` reads."""
        return {
            "shape": np.array(self.masks.shape),
            "bboxes": self.masks.bboxes,
            "masks": np.packbits(self.masks.buffer),
            "numbers": self.numbers,
            "centroids": self.centroids,
            "missed": self.missed,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Objects:
        """Return the objects that `arrays` were taken of."""
        height, width = (int(n) for n in arrays["shape"])
        bboxes = arrays["bboxes"]
        sizes = (bboxes[:, 2:] - bboxes[:, :2]).prod(1)
        buffer = np.unpackbits(arrays["masks"], count=int(sizes.sum())).astype(bool)
        masks = Instances((height, width), bboxes, np.ones(len(bboxes), np.float32), buffer)
        return cls(masks, arrays["numbers"], arrays["centroids"], arrays["missed"])

    def _only(self, rows: NDArray[np.intp]) -> Objects:
        """Return some of them."""
        return Objects(
            self.masks[rows], self.numbers[rows], self.centroids[rows], self.missed[rows]
        )


class Pairs(NamedTuple):
    """Objects before (rows) and now (cols) that overlap or are near: (K,) each."""

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    pixels: NDArray[np.int64]  # that both have
    nearness: NDArray[np.float64]  # 1 for one centroid, 0 out of reach


def objects_of(plane: NDArray[Any]) -> tuple[NDArray[np.int64], Objects]:
    """Return the labels of a plane, ascending, and its objects, still without numbers."""
    values, masks, bboxes, centroids = [], [], [], []
    for label, (rows, cols) in labelled_windows(plane):
        mask = plane[rows, cols] == label
        area = np.count_nonzero(mask)
        values.append(label)
        masks.append(mask)
        bboxes.append((rows.start, cols.start, rows.stop, cols.stop))
        row = rows.start + mask.sum(1) @ np.arange(mask.shape[0]) / area
        centroids.append((row, cols.start + mask.sum(0) @ np.arange(mask.shape[1]) / area))
    return np.array(values, np.int64), Objects(
        Instances.from_masks(plane.shape, masks, bboxes),
        np.zeros(len(values), np.uint32),
        np.array(centroids, np.float64).reshape(-1, 2),
        np.zeros(len(values), np.int64),
    )


def overlaps(
    masks: Instances, plane: NDArray[Any], values: NDArray[np.int64]
) -> dict[tuple[int, int], int]:
    """Return the pixels that each mask (row) shares with each of a plane's labels (column)."""
    shared = {}
    for row, (top, left, bottom, right) in enumerate(masks.bboxes):
        under = plane[top:bottom, left:right][masks.mask(row)]
        labels, counts = np.unique(under[under > 0], return_counts=True)
        for col, count in zip(np.searchsorted(values, labels), counts, strict=True):
            shared[row, int(col)] = int(count)
    return shared


def pairs_of(
    before: Objects,
    now: Objects,
    shared: dict[tuple[int, int], int],
    reach: NDArray[np.float64],
) -> Pairs:
    """Return the pairs that overlap, and those with centroids in reach."""
    from scipy.spatial import KDTree

    joined = dict(shared)
    if len(now.numbers) and len(before.numbers):
        near = KDTree(now.centroids).query_ball_point(before.centroids, reach)
        for row, found in enumerate(near):
            for col in found:
                joined.setdefault((row, col), 0)
    rows, cols = np.array(sorted(joined), np.intp).reshape(-1, 2).T
    distance = np.linalg.norm(before.centroids[rows] - now.centroids[cols], axis=1)
    nearness = np.zeros(len(rows))
    np.divide(reach[rows] - distance, reach[rows], out=nearness, where=distance < reach[rows])
    pixels = np.array([joined[pair] for pair in sorted(joined)], np.int64)
    return Pairs(rows, cols, pixels, nearness)


def together(first: Objects, second: Objects) -> Objects:
    """Return the objects of both."""
    return Objects(
        Instances.concatenate([first.masks, second.masks]),
        np.concatenate([first.numbers, second.numbers]),
        np.concatenate([first.centroids, second.centroids]),
        np.concatenate([first.missed, second.missed]),
    )
