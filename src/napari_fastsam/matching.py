"""Which candidates look like what is asked for, by words or by examples: several may answer.

What a candidate looks like is a vector that was made once, see `TextScorer`; every question after
that is a product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances
    from napari_fastsam.prompts import Prompts
    from napari_fastsam.segmenter import Shown, TextScorer

TEXT_THRESHOLD = 0.5
"""Probability from which on words describe an object."""

SIMILAR_THRESHOLD = 0.8
"""Cosine of two objects' vectors from which on they look alike."""

MAX_TAKEN = 0.5
"""Share of a candidate that better ones may have taken before it is left out."""

INSIDE = 0.5
"""More than this share of an object has to lie in the box or region that it is looked for in."""


def identity(scorer: TextScorer) -> Hashable:
    """Return what tells a scorer from others: what it is built from, or nothing but itself."""
    itself: Any = scorer
    found: Hashable = getattr(scorer, "spec", itself)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What the candidates of a plane look like.

    Parameters
    ----------
    vectors
        (N, D) float32, of length 1, NaN for candidates that were not looked at.
    scorer
        What made them, and compares them with words.
    by
        What tells the scorer, as it was then, from others: see `identity`.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> sam, clip = fs.FastSAM(), fs.OpenClip("ViT-B-32")  # doctest: +SKIP
    >>> candidates = sam.segment(image)  # doctest: +SKIP
    >>> looks = fs.Looks.of(clip, image, candidates)  # doctest: +SKIP
    >>> fs.select(candidates, fs.Prompts(text="nucleus"), looks=looks)  # doctest: +SKIP
    """

    vectors: NDArray[np.float32]
    scorer: TextScorer
    by: Hashable = None

    @classmethod
    def of(cls, scorer: TextScorer, image: Shown, candidates: Instances) -> Looks:
        """Return what candidates look like on an (H, W, 3) image, uint8, RGB."""
        vectors = scorer.embed(image, candidates)
        assert vectors is not None  # as nobody could cancel
        return cls(vectors, scorer, identity(scorer))

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) which candidates were looked at."""
        return np.asarray(np.isfinite(self.vectors).any(1))  # without a number, nobody looked

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return (N, W) probabilities for each wanted phrase, 0 for what was not looked at."""
        known, wording = self.known, Wording.parse(text)
        scores = np.zeros((len(known), len(wording.wanted)), np.float32)
        if known.any() and wording.anything:  # all that is not what is unwanted
            unwanted = self.scorer.score(self.vectors[known], "|".join(wording.unwanted))
            scores[known] = 1 - unwanted.max(1, keepdims=True)
        elif known.any():
            scores[known] = self.scorer.score(self.vectors[known], text)
        return scores

    def likeness(self, examples: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return (N,) cosines in [-1, 1] with the most similar of some candidates.

        Those are like themselves, exactly. Where there are none, nothing is like them, not even -1.
        """
        vectors = np.nan_to_num(self.vectors)
        alike = np.clip(vectors @ vectors[examples].T, -1, 1).max(1, initial=-np.inf)
        alike[examples] = 1
        return np.asarray(alike, np.float32)

    def completed(
        self,
        image: Callable[[], Shown],
        candidates: Instances,
        wanted: NDArray[np.bool_],
        *,
        cancelled: Callable[[], bool] = lambda: False,
        looked: Callable[[int, int], None] = lambda done, total: None,
    ) -> Looks | None:
        """Return the looks of candidates, with those of all `wanted` (N,); None if cancelled.

        Candidates beyond those known so far were found later. The parameters are as in
        `TextScorer.embed`; `image` is called if there is anything to look at.
        """
        known = np.flatnonzero(self.known)
        missing = np.setdiff1d(np.flatnonzero(wanted), known)
        if not len(missing) and len(self.vectors) == len(candidates):
            return self
        new: NDArray[np.float32] | None = self.vectors[:0]
        if len(missing):
            new = self.scorer.embed(
                image(), candidates[missing], cancelled=cancelled, looked=looked
            )
        if new is None:
            return None
        vectors = np.full((len(candidates), new.shape[1]), np.nan, np.float32)
        vectors[missing] = new
        if len(known):
            vectors[known] = self.vectors[known]
        return replace(self, vectors=vectors)


def least_likeness(prompts: Prompts) -> float:
    """Return from which probability or cosine on a candidate answers a search."""
    if prompts.threshold is not None:
        return prompts.threshold
    return SIMILAR_THRESHOLD if prompts.similar else TEXT_THRESHOLD


def narrowed(candidates: Instances, prompts: Prompts) -> NDArray[np.bool_]:
    """Return (N,): which candidates lie where prompts say that objects are looked for.

    More than half of it in one of the boxes or regions, on one of the positive points or scribbles,
    if there are any; and on no negative point.
    """
    positive = np.asarray(prompts.positive, bool)
    allowed = ~candidates.contains(prompts.points[~positive]).any(0)
    inside = [candidates.overlaps(np.rint(prompts.boxes).astype(np.int64))]
    if prompts.masks is not None:
        inside.append(candidates.overlaps(prompts.masks))
    if any(map(len, inside)):
        allowed &= np.concatenate(inside).max(0) > INSIDE * candidates.areas
    marks = [candidates.contains(prompts.points[positive])] if positive.any() else []
    if prompts.scribbles is not None:
        marks.append(candidates.overlaps(prompts.scribbles) > 0)
    if marks:
        allowed &= np.concatenate(marks).any(0)
    return np.asarray(allowed)


def matches(
    candidates: Instances,
    likeness: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    *,
    threshold: float,
    top_k: int | None = None,
) -> tuple[tuple[NDArray[np.intp], ...], tuple[NDArray[np.float32], ...]]:
    """Return for each of W questions the candidates that answer it and how well, the best first.

    Parameters
    ----------
    candidates
        N objects.
    likeness
        (N, W): how well each answers each question. It answers the one that it answers best.
    allowed
        (N,): which may answer at all.
    threshold
        What is less like it is no answer.
    top_k
        At most so many answers to a question; ``None`` for all.

    Notes
    -----
    Of answers to a question that overlap by more than half, the better one stays: the more alike in
    tenths, then by score. Answers to different questions may lie in each other, as nuclei in cells,
    but not be about the same.
    """
    best = likeness.max(1, initial=-np.inf)
    asked = likeness.argmax(1) if likeness.size else np.zeros(len(likeness), np.intp)
    able = np.flatnonzero(allowed & (best >= threshold))
    order = able[np.lexsort((-candidates.scores[able], -np.round(best[able], 1)))]
    kept = np.zeros(len(candidates), bool)
    for n in range(likeness.shape[1]):
        rows = order[asked[order] == n]
        kept[rows[apart(candidates[rows])]] = True
    order = order[kept[order]]
    if likeness.shape[1] > 1:
        order = order[_distinct(candidates[order])]
    order = order[np.argsort(-best[order], kind="stable")]
    ranked = tuple(order[asked[order] == n][:top_k] for n in range(likeness.shape[1]))
    return ranked, tuple(best[numbers].astype(np.float32) for numbers in ranked)


def _distinct(candidates: Instances) -> NDArray[np.bool_]:
    """Return (N,): which candidates, going down the list, have about the pixels of none before."""
    same = candidates.iou(candidates) > MAX_TAKEN
    keep = np.zeros(len(candidates), bool)
    for n in range(len(candidates)):
        keep[n] = not (same[n] & keep).any()
    return keep


def apart(candidates: Instances) -> NDArray[np.bool_]:
    """Return (N,): which candidates, going down the list, those before have not taken.

    That is `MAX_TAKEN` of it at most: more is the same object again, or a part of it.
    """
    taken = np.zeros(candidates.shape, bool)
    keep = np.zeros(len(candidates), bool)
    for n, (top, left, bottom, right) in enumerate(candidates.bboxes):
        there, mask = taken[top:bottom, left:right], candidates.mask(n)
        keep[n] = np.count_nonzero(there & mask) <= MAX_TAKEN * candidates.areas[n]
        if keep[n]:
            there |= mask
    return keep
