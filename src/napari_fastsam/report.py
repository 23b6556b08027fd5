"""What is told about the objects that were found: a row of figures for each, through its planes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from napari_fastsam.pipeline import PlaneResult


@dataclass(frozen=True, slots=True)
class FoundObject:
    """One object of an image or stack.

    Parameters
    ----------
    label
        Its number in the label image.
    score
        The best score of its candidates, in [0, 1].
    area
        Pixels, on all of its planes together.
    centroid
        On the stepped axes, then (row, column); pixel centres on integers.
    bbox
        Half-open, the lower corner and then the upper one, in the same order of axes.
    """

    label: int
    score: float
    area: int
    centroid: tuple[float, ...]
    bbox: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the figures as plain numbers, rounded to what they can mean."""
        return {
            "label": self.label,
            "score": round(self.score, 4),
            "area": self.area,
            "centroid": [round(value, 2) for value in self.centroid],
            "bbox": list(self.bbox),
        }


@dataclass(slots=True)
class Tally:
    """The objects of planes that come one after the other.

    Parameters
    ----------
    across_planes
        Whether a label means the same object on every plane.
    """

    across_planes: bool
    _rows: dict[tuple[tuple[int, ...], int], FoundObject] = field(default_factory=dict)

    def add(self, result: PlaneResult) -> None:
        """Count the objects of one more plane."""
        found = Instances.from_labels(result.labels)
        values = np.unique(result.labels[result.labels > 0])
        here = result.index
        above = tuple(at + 1 for at in here)
        for n, label in enumerate(map(int, values)):
            top, left, bottom, right = map(int, found.bboxes[n])
            rows, cols = np.nonzero(found.mask(n))
            row = FoundObject(
                label,
                result.scores.get(label, 0.0),
                len(rows),
                (*map(float, here), top + float(rows.mean()), left + float(cols.mean())),
                (*here, top, left, *above, bottom, right),
            )
            key = ((), label) if self.across_planes else (here, label)
            seen = self._rows.get(key)
            self._rows[key] = row if seen is None else _union(seen, row)

    @property
    def objects(self) -> tuple[FoundObject, ...]:
        """The objects so far, by plane where labels count from 1 on each, then by label."""
        return tuple(self._rows[key] for key in sorted(self._rows))


def _union(one: FoundObject, other: FoundObject) -> FoundObject:
    """Return the figures of two parts of an object together."""
    area = one.area + other.area
    half = len(one.centroid)
    low = map(min, one.bbox[:half], other.bbox[:half])
    high = map(max, one.bbox[half:], other.bbox[half:])
    return FoundObject(
        one.label,
        max(one.score, other.score),
        area,
        tuple(
            (a * one.area + b * other.area) / area
            for a, b in zip(one.centroid, other.centroid, strict=True)
        ),
        (*low, *high),
    )
