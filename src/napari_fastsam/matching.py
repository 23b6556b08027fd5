"""Which candidates look like what is asked for, by words or by examples: several may answer.

What a candidate looks like is a vector that was made once, see `TextScorer`; every question after
that is a product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable

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


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What the candidates of a plane look like.

    Parameters
    ----------
    vectors
        (N, D) float32, of length 1, NaN for candidates that were not looked at.
    scorer
        What made them, and compares them with words.

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

    @classmethod
    def of(cls, scorer: TextScorer, image: Shown, candidates: Instances) -> Looks:
        """Return what candidates look like on an (H, W, 3) image, uint8, RGB."""
        vectors = scorer.embed(image, candidates)
        assert vectors is not None  # as nobody could cancel
        return cls(vectors, scorer)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) which candidates were looked at."""
        return np.asarray(~np.isnan(self.vectors).any(1))

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return (N, W) probabilities for each wanted phrase, 0 for what was not looked at."""
        known = self.known
        scores = np.zeros((len(known), len(Wording.parse(text).wanted)), np.float32)
        if known.any():
            scores[known] = self.scorer.score(self.vectors[known], text)
        return scores

    def likeness(self, examples: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return (N,) cosines in [-1, 1] with the most similar of some candidates."""
        vectors = np.nan_to_num(self.vectors)
        alike = vectors @ vectors[examples].T
        return np.asarray(alike.max(1, initial=-1.0), np.float32)

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
        known = np.zeros(len(candidates), bool)
        known[: len(self.vectors)] = self.known
        missing = np.flatnonzero(wanted & ~known)
        if not len(missing) and len(self.vectors) == len(candidates):
            return self
        vectors = self.vectors
        if len(missing):
            new = self.scorer.embed(
                image(), candidates[missing], cancelled=cancelled, looked=looked
            )
            if new is None:
                return None
            vectors = np.full((len(candidates), new.shape[1]), np.nan, np.float32)
            vectors[missing] = new
        else:
            vectors = np.full((len(candidates), self.vectors.shape[1]), np.nan, np.float32)
        if len(self.vectors):
            vectors[: len(self.vectors)][self.known] = self.vectors[self.known]
        return replace(self, vectors=vectors)


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
    Of answers that overlap by more than half, the better one stays: the more alike in tenths, then
    by score.
    """
    fail_if(
        len(likeness) != len(candidates),
        f"what each of {len(candidates)} candidates looks like",
        f"that of {len(likeness)}",
        "look at the same candidates that are chosen from",
    )
    best = likeness.max(1, initial=-np.inf)
    kept = np.flatnonzero(allowed & (best >= threshold))
    order = kept[np.lexsort((-candidates.scores[kept], -np.round(best[kept], 1)))]
    kept = order[apart(candidates[order])]
    kept = kept[np.argsort(-best[kept], kind="stable")]
    asked = likeness.argmax(1)[kept] if len(kept) else kept
    ranked = tuple(kept[asked == n][:top_k] for n in range(likeness.shape[1]))
    return ranked, tuple(best[numbers].astype(np.float32) for numbers in ranked)


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
