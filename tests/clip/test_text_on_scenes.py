"""Words on scenes that the small CLIP never saw, through all that a real one goes through.

Beside it are FastSAM's own two ways to answer words, with the same CLIP and the same candidates.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from fastsam_ways import Clip
from shape_pictures import Phrase
from shape_scenes import Query
from text_contest import SHAPES_CLIP, WAYS, Outcome, ours, outcomes, rounds, theirs
from text_judging import Tally, judged, total

from napari_fastsam import Looks, OpenClip, Prompts, select

SEEDS = range(100, 112)


@cache
def scorer(mode="crops"):
    return OpenClip(SHAPES_CLIP, device="cpu", mode=mode)


@cache
def asked():
    return rounds(SEEDS)


@cache
def looked(made) -> Looks:
    return Looks.of(scorer(), made.image, made.candidates)


@cache
def answered(who: str) -> list[Outcome]:
    """The outcomes of a mode of ours, or of one of their ways."""
    if who in WAYS:
        return outcomes(asked(), lambda made: theirs(made, Clip(SHAPES_CLIP), who))
    return outcomes(asked(), lambda made: ours(made, scorer(who)))


def f1(who: str, kind: str | None = None) -> float:
    return tally(who, kind).f1


def tally(who: str, kind: str | None = None) -> Tally:
    return total(o.tally for o in answered(who) if kind in (None, o.query.kind))


def winners(who: str, kind: str) -> float:
    return float(np.mean([o.winner for o in answered(who) if o.query.kind == kind]))


def found(made, query, mask):
    """Share of the objects in a mask (T,) that are asked for and found."""
    looks = looked(made)
    picked = select(made.candidates, Prompts(text=query.text), looks=looks).answers
    wanted = np.flatnonzero(query.answers(made) & mask)
    return np.isin(wanted, made.truth[picked])


@pytest.mark.parametrize(
    ("mode", "precision", "recall"), [("crops", 0.55, 0.75), ("dense", 0.4, 0.45)]
)
def test_words_find_most_of_what_they_describe(mode, precision, recall):
    whole = tally(mode)
    assert whole.precision > precision
    assert whole.recall > recall


@pytest.mark.parametrize(("mode", "margin"), [("crops", 0.3), ("dense", 0.1)])
@pytest.mark.parametrize("way", list(WAYS))
def test_words_find_far_more_of_it_than_by_the_way_of_fastsam(mode, margin, way):
    assert f1(mode) > f1(way) + margin


@pytest.mark.parametrize("kind", ["several", "part", "negative", "phrases"])
@pytest.mark.parametrize("way", list(WAYS))
def test_questions_for_several_things_are_answered_better(kind, way):
    assert f1("crops", kind) > f1(way, kind) + 0.2


@pytest.mark.parametrize("way", list(WAYS))
def test_the_best_answer_is_right_more_often_than_by_the_way_of_fastsam(way):
    assert winners("crops", "one") > 0.75
    assert winners("crops", "one") > winners(way, "one") + 0.1


def test_where_nothing_fits_the_words_fewer_candidates_answer():
    def answers(absent):
        return np.mean(
            [o.tally.right + o.tally.wrong for o in answered("crops") if absent(o.query.kind)]
        )

    assert answers(lambda kind: kind == "none") < answers(lambda kind: kind == "several") / 1.5
    assert all(o.tally.wrong for o in answered("cut out on black") if o.query.kind == "none")


@pytest.mark.parametrize("where", ["small", "at the border", "overlapping"])
def test_hard_objects_are_found(where):
    hits = []
    for made, questions in asked():
        boxes, shape = made.objects.bboxes, np.array(made.objects.shape)
        touched = made.objects.overlaps(boxes) - np.diag(made.objects.areas)
        hard = {
            "small": made.objects.areas < 24**2,
            "at the border": (boxes[:, :2] == 0).any(1) | (boxes[:, 2:] == shape).any(1),
            "overlapping": (touched > 0).any(0),
        }[where]
        hits += [found(made, q, hard) for q in questions if q.kind in ("one", "several", "part")]
    share = np.concatenate(hits)
    assert len(share) > 20
    assert share.mean() > 0.7


def test_what_looks_like_an_example_is_found():
    ranked = []
    for made, questions in asked():
        looks = looked(made)
        owners = made.truth
        for query in questions:
            if query.kind != "several":
                continue
            wanted = query.answers(made)
            example = int(np.flatnonzero(wanted)[0])
            first = np.flatnonzero(owners == example)
            if not len(first):
                continue
            order = np.argsort(-looks.likeness(first[:1]))
            others = order[(owners[order] != example)]
            hits = (owners[others] >= 0) & wanted[owners[others]]
            ranked.append(hits[: max(int(hits.sum()), 1)].mean())
    assert len(ranked) > 10
    assert np.mean(ranked) > 0.4


def test_an_object_picked_twice_counts_once_and_what_is_missed_counts():
    made, _ = asked()[0]
    thing = made.things[0]
    query = Query("one", "", (Phrase(thing.colour, thing.texture, thing.shape),))
    of = np.flatnonzero(made.truth == 0)
    other = np.flatnonzero(made.truth < 0)
    count = int(query.answers(made).sum())
    assert judged(made, query, [of[0], of[0], other[0]]) == Tally(1, 1, count - 1)
