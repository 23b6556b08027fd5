"""A search on the plane in view, before anything is taken: the question, and what answers it.

It is asked in words or by examples. Once the objects were looked at, all here is array look-ups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._napari.sifting import Picking
from napari_fastsam.instances import Instances
from napari_fastsam.matching import MAX_TAKEN, identity, narrowed
from napari_fastsam.prompts import Prompts
from napari_fastsam.selection import least_score, likeness, looked_for, select
from napari_fastsam.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

    from napari_fastsam._napari.scorers import KeptScorer
    from napari_fastsam.closer import Seen
    from napari_fastsam.history import Window
    from napari_fastsam.pipeline import Index
    from napari_fastsam.placing import Existing
    from napari_fastsam.selection import Selection

_AT_ONCE = 1 << 25  # pixels of labels that are read at once

SAME_IOU = 0.7
"""From this overlap on two objects are the same example."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Terms:
    """What the controls say.

    Parameters
    ----------
    threshold, likeness
        From which probability on words describe an object, and from which cosine on objects are
        alike.
    top_k
        At most so many objects for each phrase; ``None`` for all.
    region
        Boxes and rough regions that objects have to lie in; ``None`` for anywhere.
    """

    threshold: float
    likeness: float
    top_k: int | None = None
    region: Prompts | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What answers a question.

    Parameters
    ----------
    prompts, terms, selection
        What was asked, on which terms, and all that answers.
    numbers
        (K,) which of `Selection.answers` are in the region, not too many, and not labelled yet.
    likeness, phrases
        (N, W) how well each candidate answers each phrase, and these; NaN for those that were not
        looked at.
    searched, taken
        How many objects could answer, and how many of the answers are labelled already.
    """

    prompts: Prompts
    terms: Terms
    selection: Selection
    numbers: NDArray[np.intp]
    likeness: NDArray[np.float32]
    phrases: tuple[str, ...]
    searched: int
    taken: int

    @property
    def candidates(self) -> NDArray[np.intp]:
        """(K,) the candidates that answer."""
        return self.selection.answers[self.numbers]

    def told(self, candidate: int) -> tuple[str, float] | None:
        """Return the phrase that a candidate answers best and how well; None if nobody knows."""
        row = self.likeness[candidate]
        if not np.isfinite(row).all():
            return None
        best = int(row.argmax())
        return self.phrases[best], float(row[best])


class Searching(Picking):
    """The objects of the plane in view that answer the question asked last.

    Those clicked away stay away while the threshold moves, until something else is asked or another
    plane is in view. Examples belong to their plane, and are there again when that is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.text: str | None = None  # None: by examples
        self.answers: Answers | None = None
        self.at: int | None = None  # the candidate that was stepped to
        self._away: frozenset[int] = frozenset()  # candidates that were clicked away
        self._examples: dict[tuple[Hashable, Index], list[Instances]] = {}

    @property
    def examples(self) -> list[Instances]:
        """Those on the plane in view, one object each."""
        return [] if self.plane is None else self._examples.setdefault(self.plane, [])

    @property
    def asked(self) -> bool:
        """Whether there is a question."""
        return self.text is not None or bool(self.examples)

    def ask(self, text: str | None) -> None:
        """Ask for what words describe; ``None`` for what looks like the examples.

        Raises
        ------
        ValueError
            If there are no words in the text.
        """
        if text is not None:
            Wording.parse(text)
        if text != self.text:
            self.text = text
            self.forget()
            self.pick_all()

    def toggle_example(self, example: Instances) -> bool:
        """Make an object an example, or an example none any more; False for the latter."""
        kept = [one for one in self.examples if float(one.iou(example)[0, 0]) < SAME_IOU]
        known = len(kept) < len(self.examples)
        self.examples[:] = kept if known else [*kept, example]
        return not known

    def turn_to(self, key: Hashable, index: Index) -> None:
        """See another plane."""
        if (key, index) != self.plane:
            self.forget()
            self._away = frozenset()
        super().turn_to(key, index)

    def forget(self) -> None:
        """Show nothing any more."""
        super().forget()
        self.answers = self.at = None

    def pick_all(self) -> None:
        """Have back what was clicked away."""
        super().pick_all()
        self._away = frozenset()

    def toggle(self, place: tuple[float, float]) -> bool:
        """Drop the object at a place (row, column), or keep it again; False if there is none."""
        candidate = self.found_at(place)
        if candidate is None:
            return False
        self._away ^= {candidate}
        self.without = self._clicked_away()
        return True

    def _clicked_away(self) -> frozenset[int]:
        """Return the numbers of the objects that were clicked away: the same ones, on all terms."""
        answering = [] if self.answers is None else self.answers.candidates.tolist()
        return frozenset(n for n, candidate in enumerate(answering) if candidate in self._away)

    def prompts(self, terms: Terms) -> Prompts | None:
        """Return the question as prompts, None if there is none."""
        if self.text is not None:
            where: dict[str, Any] = {}
            if terms.region is not None:
                where = {"boxes": terms.region.boxes, "masks": terms.region.masks}
            return Prompts(text=self.text, threshold=terms.threshold, **where)
        if not self.examples:
            return None
        examples = Instances.concatenate(self.examples)
        # What is pointed at are the examples: a region narrows what they find afterwards.
        return Prompts(similar=True, masks=examples, threshold=terms.likeness)

    def answer(
        self,
        seen: Seen,
        prompts: Prompts,
        terms: Terms,
        taken: NDArray[np.bool_],
    ) -> None:
        """Find what answers a question that is known, but for candidates (N,) that are taken."""
        assert seen.looks is not None
        candidates = seen.candidates
        selection = select(candidates, prompts, looks=seen.looks)
        allowed = candidates.scores >= least_score(prompts, None)
        inside = np.ones(len(candidates), bool)
        if terms.region is not None:
            inside = narrowed(candidates, terms.region)
            allowed &= inside
        within, there = inside[selection.answers], taken[selection.answers]
        numbers = _first(selection, within & ~there, terms.top_k)
        how_well = likeness(candidates, prompts, seen.looks)
        how_well[~seen.looks.known] = np.nan
        self.answers = Answers(
            prompts,
            terms,
            selection,
            numbers,
            how_well,
            prompts.phrases,
            int(np.count_nonzero(allowed)),
            int(np.count_nonzero(within & there)),
        )
        if self.at is not None and self.at not in self.answers.candidates:
            self.at = None
        self.show(candidates[self.answers.candidates])

    @property
    def left_out(self) -> list[int]:
        """The numbers of the selection's answers that are not to be taken."""
        assert self.answers is not None
        kept = np.delete(self.answers.numbers, sorted(self.without))
        whole = np.arange(len(self.answers.selection.answers))
        return [int(n) for n in np.setdiff1d(whole, kept)]

    @property
    def ranked(self) -> list[int]:
        """The candidates to step through, the best first."""
        if self.answers is None:
            return []
        kept = np.delete(self.answers.candidates, sorted(self.without))
        best = np.nan_to_num(self.answers.likeness[kept].max(1, initial=-1.0))
        return [int(n) for n in kept[np.argsort(-best, kind="stable")]]

    def step(self, steps: int) -> int | None:
        """Go to the next candidate, or the one before (-1); None if there is none."""
        ranked = self.ranked
        if not ranked:
            self.at = None
        elif self.at in ranked:
            self.at = ranked[(ranked.index(self.at) + steps) % len(ranked)]
        else:
            self.at = ranked[0 if steps > 0 else -1]
        return self.at

    def found_at(self, place: tuple[float, float]) -> int | None:
        """Return the candidate that answers at a place (row, column), the one on top."""
        number = None if self.left is None else self.number_at(place)
        return (
            None if number is None or self.answers is None else int(self.answers.candidates[number])
        )


def _first(selection: Selection, wanted: NDArray[np.bool_], top_k: int | None) -> NDArray[np.intp]:
    """Return which answers (A,) are wanted, of each phrase the first `top_k`."""
    ends = np.cumsum([len(ranked) for ranked in selection.ranked])[:-1]
    of_each = np.split(np.arange(len(wanted)), ends)
    return np.concatenate([numbers[wanted[numbers]][:top_k] for numbers in of_each])


def is_known(seen: Seen, prompts: Prompts, scorer: KeptScorer) -> bool:
    """Whether a question can be answered without the network."""
    looks = seen.looks
    if looks is None or looks.by != identity(scorer):
        return False
    if len(looks.vectors) != len(seen.candidates):
        return False
    if (looked_for(seen.candidates, prompts) & ~looks.known).any():
        return False
    if prompts.text is None:
        return True
    wording = Wording.parse(prompts.text)
    text = "|".join(wording.unwanted) if wording.anything else prompts.text  # as `Looks.scores`
    return scorer.knows(looks.vectors[looks.known], text)


def labelled(
    objects: Instances, read: Callable[[Window], NDArray[Any]], existing: Existing
) -> NDArray[np.bool_]:
    """Return (N,): which objects are labelled already.

    Parameters
    ----------
    objects
        On one plane.
    read
        Returns the labels of a window of it.
    existing
        Where others stay, an object is labelled once they have more than half of it; else once it
        has a label of its own that is about the same.
    """
    found = np.zeros(len(objects), bool)
    if not len(objects):
        return found
    sides = objects.bboxes[:, 2:] - objects.bboxes[:, :2]
    # With some of their surroundings, to see whether a label goes on beside an object.
    low = np.maximum(objects.bboxes[:, :2] - sides // 2, 0)
    high = np.minimum(objects.bboxes[:, 2:] + sides // 2, objects.shape)
    (first, last), whole = (low.min(0), high.max(0)), None
    if (last - first).prod() <= _AT_ONCE:  # labels on disk are read in chunks, so once
        whole = read((slice(*map(int, (first[0], last[0]))), slice(*map(int, (first[1], last[1])))))
    for n, (top, left, bottom, right) in enumerate(objects.bboxes.tolist()):
        (up, aside), (down, across) = low[n].tolist(), high[n].tolist()
        if whole is None:
            part = read((slice(up, down), slice(aside, across)))
        else:
            part = whole[up - first[0] : down - first[0], aside - first[1] : across - first[1]]
        within = part[top - up : bottom - up, left - aside : right - aside]
        under = within[objects.mask(n)]
        area, covered = len(under), int(np.count_nonzero(under))
        if existing != "keep" and covered:
            values, counts = np.unique(under[under != 0], return_counts=True)
            most = int(counts.argmax())
            covered = int(counts[most])
            area += int(np.count_nonzero(part == values[most])) - covered  # the union of both
        found[n] = covered > (MAX_TAKEN if existing == "keep" else SAME_IOU) * area
    return found
