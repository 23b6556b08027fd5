"""What is told about the objects that were found: a row of figures for each, through its planes."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.instances import labelled_windows
from napari_fastsam.told import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

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
    found
        What a search by words or examples says of it, and of which class it is; the best of its
        planes.
    """

    label: int
    score: float
    area: int
    centroid: tuple[float, ...]
    bbox: tuple[int, ...]
    found: Found | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the figures as plain numbers, rounded to what they can mean."""
        return {
            "label": self.label,
            "score": round(self.score, 4),
            **self.told,
            "area": self.area,
            "centroid": [round(value, 2) for value in self.centroid],
            "bbox": list(self.bbox),
        }

    @property
    def told(self) -> dict[str, str | float]:
        """What is said of it, by name; nothing if nothing is."""
        return {} if self.found is None else self.found.columns

    def to_json(self) -> dict[str, Any]:
        """Return the figures in full, for `from_json`."""
        row = {name: getattr(self, name) for name in _FIGURES}  # asdict() copies deeply, slowly
        return row | self.told

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> FoundObject:
        """Return an object from figures that were plain numbers and lists in between."""
        return cls(
            row["label"],
            row["score"],
            row["area"],
            tuple(row["centroid"]),
            tuple(row["bbox"]),
            Found.from_columns(row),
        )


_FIGURES = ("label", "score", "area", "centroid", "bbox")


@dataclass(frozen=True, slots=True)
class Summary:
    """The objects of an image or stack in a few figures.

    Parameters
    ----------
    count
        How many they are.
    score, area
        Mean score and median number of pixels, 0 if there are none.
    """

    count: int = 0
    score: float = 0.0
    area: float = 0.0


class Tally:
    """The objects of planes that come one after the other.

    Parameters
    ----------
    across_planes
        Whether a label means the same object on every plane.
    most
        How many rows are kept in memory, the first ones, if labels mean other objects on each
        plane; ``None`` keeps all.
    """

    def __init__(self, *, across_planes: bool, most: int | None = None) -> None:
        self._across, self._most = across_planes, most
        self._rows: dict[int, FoundObject] = {}
        self._listed: list[FoundObject] = []
        self._areas, self._scores = array("q"), 0.0

    def add(self, found: Iterable[FoundObject]) -> None:
        """Count the objects of one more plane."""
        for row in found:
            if self._across:
                seen = self._rows.get(row.label)
                self._rows[row.label] = row if seen is None else _union(seen, row)
                continue
            self._areas.append(row.area)
            self._scores += row.score
            if self._most is None or len(self._listed) < self._most:
                self._listed.append(row)

    @property
    def objects(self) -> tuple[FoundObject, ...]:
        """The objects so far, by plane where labels count from 1 on each, then by label."""
        if self._across:
            return self.by_label[: self._most]
        return tuple(self._listed)

    @property
    def by_label(self) -> tuple[FoundObject, ...]:
        """All objects so far if each label means one, none otherwise."""
        return tuple(self._rows[label] for label in sorted(self._rows)) if self._across else ()

    @property
    def summary(self) -> Summary:
        """All objects so far, in figures."""
        areas, scores = self._areas, self._scores
        if self._across:
            areas = array("q", [row.area for row in self._rows.values()])
            scores = sum(row.score for row in self._rows.values())
        if not areas:
            return Summary()
        return Summary(len(areas), scores / len(areas), float(np.median(areas)))


def objects_of(result: PlaneResult) -> list[FoundObject]:
    """Return the objects of a plane, by label."""
    return objects_in(result.labels, result.index, result.scores, found=result.found)


def objects_in(
    labels: NDArray[Any],
    index: tuple[int, ...],
    scores: Mapping[int, float],
    corner: tuple[int, int] = (0, 0),
    *,
    found: Mapping[int, Found] | None = None,
) -> list[FoundObject]:
    """Return the objects of a plane, or of a part of it that begins at `corner`, by label."""
    above = tuple(at + 1 for at in index)
    rows = []
    for label, window in labelled_windows(labels):
        mask = labels[window] == label
        area = int(np.count_nonzero(mask))
        top, left = (side.start + at for side, at in zip(window, corner, strict=True))
        down = float(mask.sum(1) @ np.arange(mask.shape[0])) / area
        right = float(mask.sum(0) @ np.arange(mask.shape[1])) / area
        row = FoundObject(
            label,
            scores.get(label, 0.0),
            area,
            (*map(float, index), top + down, left + right),
            (*index, top, left, *above, top + mask.shape[0], left + mask.shape[1]),
            (found or {}).get(label),
        )
        rows.append(row)
    return rows


def _union(one: FoundObject, other: FoundObject) -> FoundObject:
    """Return the figures of two parts of an object together."""
    area = one.area + other.area
    half = len(one.centroid)
    first, second = sorted((one, other), key=lambda row: -row.score)
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
        better(first.found, second.found),
    )


def better(one: Found | None, other: Found | None) -> Found | None:
    """Return what says of an object that it answers better, if anything does; else the first."""
    return max((f for f in (one, other) if f), key=lambda f: f.likeness or 0.0, default=None)
