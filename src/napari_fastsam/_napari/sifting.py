"""*Everything*, before it is taken: what the sliders leave, and what was clicked away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.selection import everything

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index


@dataclass(frozen=True, slots=True)
class Sieve:
    """What is left of the candidates of a plane: see `napari_fastsam.everything`."""

    confidence: float
    min_area: int = 0
    max_area: int | None = None


class Picking:
    """Objects of the plane in view that may be taken, some of which were clicked away."""

    def __init__(self) -> None:
        self.left: Instances | None = None
        self.plane: tuple[Hashable, Index] | None = None
        self.without: frozenset[int] = frozenset()  # numbers of `left`
        self._places: list[tuple[float, float]] = []

    def turn_to(self, key: Hashable, index: Index) -> None:
        """See a plane, by what names its image and where it is; another one forgets all clicks."""
        if (key, index) != self.plane:
            self.plane, self._places = (key, index), []

    def show(self, left: Instances) -> None:
        """Offer these objects; what was clicked away stays away."""
        self.left = left
        self.without = self._clicked_away()

    @property
    def kept(self) -> Instances:
        """What is left and was not clicked away."""
        assert self.left is not None
        keep = np.ones(len(self.left), bool)
        keep[list(self.without)] = False
        return self.left[keep]

    def forget(self) -> None:
        """Show nothing any more."""
        self.left, self.without = None, frozenset()

    def pick_all(self) -> None:
        """Have back what was clicked away."""
        self._places, self.without = [], frozenset()

    def toggle(self, place: tuple[float, float]) -> bool:
        """Drop the object at a place (row, column), or keep it again; False if there is none."""
        number = None if self.left is None else self.number_at(place)
        if number is None:
            return False
        if number in self.without:
            self._places = [at for at in self._places if self.number_at(at) != number]
        else:
            self._places.append(place)
        self.without = self._clicked_away()
        return True

    def _clicked_away(self) -> frozenset[int]:
        """Return the numbers of the objects that were clicked away."""
        return frozenset(n for at in self._places if (n := self.number_at(at)) is not None)

    def number_at(self, place: tuple[float, float]) -> int | None:
        """Return the number of the smallest object at a place, which is the one on top."""
        assert self.left is not None
        held = np.flatnonzero(self.left.contains([place])[0])
        return int(held[np.argmin(self.left.areas[held])]) if len(held) else None


class Sifting(Picking):
    """The objects of the plane in view that *everything* would take.

    Those clicked away stay away while the sliders move, until another plane is in view.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[Instances, Sieve] | None = None  # what is left of which

    def sift(self, candidates: Instances, sieve: Sieve, key: Hashable, index: Index) -> Instances:
        """Return what is left, numbered as `without` counts.

        Parameters
        ----------
        candidates
            Those of the plane in view.
        sieve
            The sliders.
        key, index
            What names the image, and the plane.
        """
        self.turn_to(key, index)
        asked, left = self._asked, self.left
        if left is None or asked is None or asked[0] is not candidates or asked[1] != sieve:
            self._asked = (candidates, sieve)
            left = everything(
                candidates,
                confidence=sieve.confidence,
                min_area=sieve.min_area,
                max_area=sieve.max_area,
            )
        self.show(left)
        return left

    def forget(self) -> None:
        """Show nothing any more."""
        super().forget()
        self._asked = None
