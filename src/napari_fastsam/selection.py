"""How a prompt chooses among the candidates of a plane: array look-ups, no network.

Every prompt gets its own ranked list of candidates, so one object per prompt, cycling through
nested candidates, many objects for a word and "no candidate here" are all the same data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.instances import empty_labels
from napari_fastsam.matching import Looks, apart, least_likeness, matches, narrowed
from napari_fastsam.prompts import ALONE, Prompts

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from napari_fastsam.instances import Instances

DEFAULT_CONFIDENCE = 0.25
"""Score below which *everything* and searches leave a candidate out; single prompts may choose from
all of them."""

MIN_BOX_FIT = 0.3
"""Below this fit, see `box_fit`, a box has no answer."""

MIN_MASK_IOU = 0.2
"""Below this IoU a rough mask has no answer."""

MIN_COVERED = 0.5
"""A candidate answers a scribble if it holds at least this share of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """For every prompt, in order, the candidates that answer it, the best first, or none.

    Parameters
    ----------
    candidates
        What was chosen from.
    ranked
        One (K,) array of candidate numbers per prompt, in the order of `Prompts.questions`; empty
        where no candidate answers.
    likeness
        Of a search by words or examples, how well each of them answers, (K,) per prompt: then all
        of them are taken. ``None`` where the best answer is.
    """

    candidates: Instances
    ranked: tuple[NDArray[np.intp], ...]
    likeness: tuple[NDArray[np.float32], ...] | None = None

    def __len__(self) -> int:
        return len(self.ranked)

    @property
    def best(self) -> NDArray[np.intp]:
        """(Q,) number of the candidate that answers each prompt best, -1 for none."""
        return np.array([answers[0] if len(answers) else -1 for answers in self.ranked], np.intp)

    @property
    def unanswered(self) -> NDArray[np.intp]:
        """Numbers of the prompts that no candidate answers."""
        return np.flatnonzero(self.best < 0)

    @property
    def answers(self) -> NDArray[np.intp]:
        """(A,) number of the candidate behind each label, -1 for none.

        The best answer to each prompt; of a search all answers, prompt after prompt.
        """
        return self.best if self.likeness is None else np.concatenate(self.ranked)

    @property
    def chosen(self) -> Instances:
        """The answers, those to the first prompt first."""
        return self.candidates[self.answers[self.answers >= 0]]

    def cycle(self, prompt: int, steps: int = 1) -> Selection:
        """Return the selection with a prompt's next candidate first; the first becomes the last."""
        ranked = list(self.ranked)
        ranked[prompt] = np.roll(ranked[prompt], -steps)
        likeness = self.likeness
        if likeness is not None:
            turned = list(likeness)
            turned[prompt] = np.roll(turned[prompt], -steps)
            likeness = tuple(turned)
        return replace(self, ranked=tuple(ranked), likeness=likeness)

    def to_labels(self, dtype: DTypeLike = np.uint32) -> NDArray[Any]:
        """Return an (H, W) label image: the best answer to prompt i is i + 1.

        Of a search, answer i is i + 1. A candidate that is the best answer to several prompts takes
        the first one's number, and smaller objects lie on larger ones.
        """
        labels = empty_labels(self.candidates.shape, len(self.answers), dtype)
        picked, numbers = self.labelled()
        self.candidates[picked].paint(labels, numbers)
        return labels

    def labelled(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return (K,) candidates that get a label, each once, and (K,) these labels."""
        picked, places = np.unique(self.answers, return_index=True)
        return picked[picked >= 0], places[picked >= 0] + 1


def select(
    candidates: Instances,
    prompts: Prompts,
    *,
    confidence: float | None = None,
    looks: Looks | None = None,
) -> Selection:
    """Return the candidates that answer each prompt, the best first.

    Parameters
    ----------
    candidates
        The objects of the plane, N of them.
    prompts
        Q questions.
    confidence
        Candidates that score below this are left out. Prompts rank by score anyway, so ``None``
        leaves out none; of a search by words or examples, those below `DEFAULT_CONFIDENCE`.
    looks
        What the candidates look like: only a search needs it.

    Returns
    -------
    Selection of Q prompts.

    Raises
    ------
    ValueError
        If the prompts' masks belong to a plane of another shape, or a search has no looks.

    Notes
    -----
    - Points of one group: a candidate answers if it holds at least one positive point and no
      negative one; it ranks by how many positives it holds, then by `merit`. A positive point on
      its own is a group of one; negative points on their own rule candidates out everywhere.
    - A box: by `box_fit`, from `MIN_BOX_FIT` on.
    - A rough mask: by IoU, from `MIN_MASK_IOU` on.
    - A scribble: by the share of it that is covered, in tenths, then by `merit`.
    - Words, or examples: see `napari_fastsam.matching.matches`.

    The answers do not depend on the order of the points within a group.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fastsam import Instances, Prompts, select
    >>> cells = Instances.from_labels(np.array([[1, 1, 0, 2], [1, 1, 0, 2]]))
    >>> select(cells, Prompts(points=[(0, 3), (1, 0), (0, 2)])).best
    array([ 1,  0, -1])
    """
    regions = [r for r in (prompts.masks, prompts.scribbles) if r is not None]
    fail_if(
        any(region.shape != candidates.shape for region in regions),
        f"masks and scribbles on the candidates' plane of {candidates.shape}",
        f"shapes {[region.shape for region in regions]}",
        "make the prompts for this plane",
    )
    if prompts.searching:
        return _found(candidates, prompts, least_score(prompts, confidence), looks)
    fit = np.concatenate(
        [
            _points_fit(candidates, prompts),
            _thresholded(box_fit(candidates, prompts.boxes), MIN_BOX_FIT),
            _mask_fit(candidates, prompts.masks),
            _scribble_fit(candidates, prompts.scribbles),
        ]
    )
    allowed = candidates.scores >= least_score(prompts, confidence)
    allowed &= ~_held_by_lone_negatives(candidates, prompts)
    return Selection(candidates, _ranked(fit * allowed, merit(candidates)))


def least_score(prompts: Prompts | None, confidence: float | None) -> float:
    """Return the score below which candidates are left out; prompts None are *everything*."""
    if confidence is not None:
        return confidence
    return DEFAULT_CONFIDENCE if prompts is None or prompts.searching else 0.0


def looked_for(
    candidates: Instances, prompts: Prompts, confidence: float | None = None
) -> NDArray[np.bool_]:
    """Return (N,): which candidates have to be looked at for a search."""
    wanted = (candidates.scores >= least_score(prompts, confidence)) & (
        narrowed(candidates, prompts) if prompts.text is not None else True
    )
    if prompts.similar:
        wanted[_examples(candidates, prompts)] = True
    return np.asarray(wanted, bool)


def _examples(candidates: Instances, prompts: Prompts) -> NDArray[np.intp]:
    """Return the candidates that are examples."""
    best = select(candidates, prompts.marks).best
    return np.unique(best[best >= 0])


def _found(candidates: Instances, prompts: Prompts, least: float, looks: Looks | None) -> Selection:
    """Answer a search."""
    fail_if(
        looks is None,
        "what the candidates look like",
        "words or examples without it",
        "pass looks=Looks.of(OpenClip(), image, candidates), or use run, which does so",
    )
    assert looks is not None
    fail_if(
        len(looks.vectors) != len(candidates),
        f"what each of {len(candidates)} candidates looks like",
        f"that of {len(looks.vectors)}",
        "look at the same candidates that are chosen from",
    )
    allowed = candidates.scores >= least
    if prompts.text is not None:
        allowed &= narrowed(candidates, prompts)
    else:
        against = prompts.points[~_positive(prompts)]
        allowed &= ~candidates.contains(against).any(0)
        allowed[_examples(candidates, prompts)] = True
    ranked, how_well = matches(
        candidates,
        likeness(candidates, prompts, looks),
        allowed,
        threshold=least_likeness(prompts),
        top_k=prompts.top_k,
    )
    return Selection(candidates, ranked, how_well)


def likeness(candidates: Instances, prompts: Prompts, looks: Looks) -> NDArray[np.float32]:
    """Return (N, W): how well each candidate answers each phrase of a search, or its examples."""
    if prompts.text is not None:
        return looks.scores(prompts.text)
    return looks.likeness(_examples(candidates, prompts))[:, None]


def merit(candidates: Instances) -> NDArray[np.float64]:
    """Return (N,): how good an answer each candidate is, among those that a click could mean.

    The score over the square root of the area. Candidates under one click are mostly nested, and
    the score alone prefers the larger: cluster over cell, group over person. Of the rules of score,
    area and box fill that were tried, this one chose best on single clicks over nuclei and
    photographs alike; ``benchmarks/accuracy.py`` compares its choices with the best of the pool.
    """
    return np.asarray(candidates.scores / np.sqrt(np.maximum(candidates.areas, 1)), np.float64)


def box_fit(candidates: Instances, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (B, N) in [0, 1]: how well each candidate fills each box, and only it.

    The mean of the mask's IoU with the filled box and of the two boxes' IoU, which is fair to
    slender objects, times the share of the mask that lies inside.
    """
    pixels = np.rint(boxes).astype(np.int64).reshape(-1, 4)
    inside = candidates.overlaps(pixels) / np.maximum(candidates.areas, 1)
    frames = candidates.bboxes.astype(np.int64)
    low = np.maximum(pixels[:, None, :2], frames[None, :, :2])
    high = np.minimum(pixels[:, None, 2:], frames[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    sizes = [(b[:, 2:] - b[:, :2]).prod(1) for b in (pixels, frames)]
    frame_iou = shared / np.maximum(sizes[0][:, None] + sizes[1][None] - shared, 1)
    filled = inside * candidates.areas
    mask_iou = filled / np.maximum(sizes[0][:, None] + candidates.areas - filled, 1)
    return np.asarray((mask_iou + frame_iou) / 2 * inside)


def check_confidence(confidence: float | None) -> None:
    """Refuse what is no score: nothing would be found, and nobody would know why."""
    fail_if(
        confidence is not None and not 0 <= confidence <= 1,
        "a confidence from 0 to 1",
        f"{confidence}",
        "pass a share, as 0.25 for 25 %",
    )


def everything(
    candidates: Instances,
    *,
    confidence: float = DEFAULT_CONFIDENCE,
    min_area: int = 0,
    max_area: int | None = None,
) -> Instances:
    """Return the candidates that make up a label image of the whole plane.

    Going down the scores, a candidate is left out if better ones have taken more than half of it
    (`matching.MAX_TAKEN`) already: the same object found twice, or a part of one that was found
    whole.

    Parameters
    ----------
    candidates
        The objects of the plane.
    confidence
        Those that score below this are left out.
    min_area, max_area
        Those outside this range, in pixels, inclusive, are left out.

    Returns
    -------
    Instances, in the order of `candidates`.

    Notes
    -----
    Wrong where objects lie in objects, as organelles in cells, and all are wanted: filter the
    candidates by their score instead, ``candidates[candidates.scores >= 0.25]``.
    """
    check_confidence(confidence)
    keep = (candidates.scores >= confidence) & (candidates.areas >= min_area)
    if max_area is not None:
        keep &= candidates.areas <= max_area
    order = np.flatnonzero(keep)[np.argsort(-candidates.scores[keep], kind="stable")]
    return candidates[np.sort(order[apart(candidates[order])])]


def fastsam_mask(candidates: Instances, prompts: Prompts) -> NDArray[np.bool_]:
    """Return the (H, W) mask that FastSAM's own point prompt gives, for comparison.

    Masks that hold a positive point are united, the pixels of masks that hold a negative point are
    taken away, largest mask first, and the result is closed by a 3 x 3 square. Groups are ignored.

    References
    ----------
    Zhao et al., "Fast Segment Anything", 2023, arXiv 2306.12156, and its reference code.
    """
    from scipy.ndimage import binary_closing

    merged = np.zeros(candidates.shape, bool)
    held = candidates.contains(prompts.points)
    for n in np.argsort(-candidates.areas, kind="stable"):
        for point in np.flatnonzero(held[:, n]):
            top, left, bottom, right = candidates.bboxes[n]
            part = merged[top:bottom, left:right]
            part[candidates.mask(int(n))] = _positive(prompts)[point]
    closed = binary_closing(np.pad(merged, 1), np.ones((3, 3), bool))
    return np.asarray(closed[1:-1, 1:-1])


def _positive(prompts: Prompts) -> NDArray[np.bool_]:
    """Return (P,) polarity."""
    return np.asarray(prompts.positive, bool)


def _held_by_lone_negatives(candidates: Instances, prompts: Prompts) -> NDArray[np.bool_]:
    """Return (N,): whether a negative point without a group lies in the candidate."""
    lone = ~_positive(prompts) & (np.asarray(prompts.group) == ALONE)
    return np.asarray(candidates.contains(prompts.points[lone]).any(0))


def _points_fit(candidates: Instances, prompts: Prompts) -> NDArray[np.float64]:
    """Return (Q, N): how many positives of each question a candidate holds, 0 with a negative."""
    members, starts = prompts.point_questions
    if not len(starts):
        return np.zeros((0, len(candidates)))
    held = candidates.contains(prompts.points[members])
    if len(starts) == len(members):  # every point on its own, so every one positive
        return held.astype(np.float64)
    positive = _positive(prompts)[members, None]
    hits = np.add.reduceat(held & positive, starts, axis=0, dtype=np.int32)
    misses = np.logical_or.reduceat(held & ~positive, starts, axis=0)
    return np.where(misses, 0.0, hits)


def _mask_fit(candidates: Instances, masks: Instances | None) -> NDArray[np.float64]:
    """Return (M, N): IoU with each rough mask, 0 below the threshold."""
    if masks is None:
        return np.zeros((0, len(candidates)))
    return _thresholded(candidates.iou(masks), MIN_MASK_IOU)


def _scribble_fit(candidates: Instances, scribbles: Instances | None) -> NDArray[np.float64]:
    """Return (S, N): share of each scribble that is covered, in tenths, 0 below the threshold."""
    if scribbles is None:
        return np.zeros((0, len(candidates)))
    covered = candidates.overlaps(scribbles) / scribbles.areas[:, None]
    return np.where(covered >= MIN_COVERED, np.round(covered, 1), 0)


def _thresholded(fit: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Return the fit, 0 where it is too small to be an answer."""
    return np.where(fit >= least, fit, 0)


def _ranked(fit: NDArray[np.float64], merits: NDArray[np.float64]) -> tuple[NDArray[np.intp], ...]:
    """Return for each row of (Q, N) the columns of positive fit: by fit, then merit."""
    question, candidate = np.nonzero(fit > 0)
    order = np.lexsort((-merits[candidate], -fit[question, candidate], question))
    ends = np.searchsorted(question[order], np.arange(len(fit)), side="right")
    return tuple(np.split(candidate[order], ends[:-1])) if len(fit) else ()
