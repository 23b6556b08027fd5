"""How well questions about scenes are answered: precision, recall and F1.

Picked candidates that are an object that is asked for (IoU of half or more) are right, each object
once; all others are wrong; objects that nothing was picked for are missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shape_scenes import Query, Scene


@dataclass(frozen=True, slots=True)
class Tally:
    """How many picked candidates are right and wrong, and how many objects are missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.right + other.right, self.wrong + other.wrong, self.missed + other.missed)

    @property
    def precision(self) -> float:
        """Share of what was picked that is right; 1 if nothing was picked."""
        return self.right / max(self.right + self.wrong, 1) if self.right or self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Share of what was asked for that was picked; 1 if nothing was asked for."""
        return self.right / (self.right + self.missed) if self.right or self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.right / max(2 * self.right + self.wrong + self.missed, 1)


def judged(made: Scene, query: Query, picked: Iterable[int]) -> Tally:
    """Return how good an answer is."""
    asked = query.answers(made)
    owners = made.truth[np.fromiter(picked, int)]
    right = (owners >= 0) & asked[owners]
    found = len(np.unique(owners[right]))
    return Tally(found, int((~right).sum()), int(asked.sum()) - found)


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    return sum(tallies, Tally())
