"""Searches by words and by examples: many answers, array look-ups only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_fastsam as fs
from fakes import BlobSegmenter, GreyScorer
from napari_fastsam import Instances, Looks, Prompts, select
from napari_fastsam.matching import apart, matches

BRIGHT, GREY, DARK = 250, 180, 110
"""Of objects; the background is 0."""


def scene():
    """Return an image of six objects: two of each brightness, the left ones large."""
    image = np.zeros((60, 90, 3), np.uint8)
    for row, level in enumerate((BRIGHT, GREY, DARK)):
        image[20 * row + 2 : 20 * row + 16, 4:24] = level
        image[20 * row + 4 : 20 * row + 10, 50:58] = level
    return image


@pytest.fixture
def plane():
    image = scene()
    candidates = BlobSegmenter(100).segment(image)
    return image, candidates, Looks.of(GreyScorer(), image, candidates)


def levels(selection, image):
    return [image[tuple(box[:2])][0] for box in selection.chosen.bboxes]


def test_every_object_that_words_describe_answers(plane):
    image, candidates, looks = plane
    found = select(candidates, Prompts(text="bright"), looks=looks)
    assert levels(found, image) == [BRIGHT, BRIGHT]
    assert found.to_labels().max() == 2
    assert (found.likeness[0] > 0.5).all()


def test_several_phrases_are_several_questions(plane):
    image, candidates, looks = plane
    prompts = Prompts(text="bright | dark")
    found = select(candidates, prompts, looks=looks)
    assert prompts.phrases == ("bright", "dark")
    assert [question.kind for question in prompts.questions] == ["text", "text"]
    assert [len(ranked) for ranked in found.ranked] == [2, 2]
    assert levels(found, image)[:2] == [BRIGHT, BRIGHT]


def test_nothing_answers_words_for_what_is_not_there(plane):
    image, candidates, looks = plane
    bright = candidates[[n for n in range(6) if image[tuple(candidates.bboxes[n][:2])][0] > 240]]
    looks = Looks.of(GreyScorer(), image, bright)
    found = select(bright, Prompts(text="dark"), looks=looks)
    assert found.unanswered.tolist() == [0]
    assert not found.to_labels().any()


def test_the_best_so_many_answer(plane):
    _, candidates, looks = plane
    found = select(candidates, Prompts(text="bright", top_k=1), looks=looks)
    assert [len(ranked) for ranked in found.ranked] == [1]
    everything = select(candidates, Prompts(text="bright", threshold=0), looks=looks)
    assert len(everything.answers) == 6
    assert (np.diff(everything.likeness[0]) <= 0).all()


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({"boxes": [(0, 0, 60, 40)]}, 1),
        ({"boxes": [(0, 0, 60, 40), (0, 40, 60, 90)]}, 2),
        ({"boxes": [(40, 0, 60, 90)]}, 0),
        ({"boxes": [(0, 0, 60, 13)]}, 0),
        ({"points": [(8, 10)]}, 1),
        ({"points": [(8, 10)], "positive": [False]}, 1),
        ({"points": [(8, 10), (6, 52)], "positive": [False, True]}, 1),
        ({"points": [(28, 10)]}, 0),
        ({"masks": [np.pad(np.ones((60, 30), bool), ((0, 0), (0, 60)))]}, 1),
        ({"scribbles": [np.pad(np.ones((1, 2), bool), ((6, 53), (52, 36)))]}, 1),
    ],
)
def test_what_is_pointed_at_says_where_words_look(plane, where, count):
    _, candidates, looks = plane
    found = select(candidates, Prompts(text="bright", **where), looks=looks)
    assert len(found.answers) == count


def test_what_looks_like_an_example_answers(plane):
    image, candidates, looks = plane
    one = Prompts(points=[(28, 10)], similar=True, threshold=0.99)
    assert levels(select(candidates, one, looks=looks), image) == [GREY, GREY]
    two = Prompts(points=[(28, 10), (48, 10)], similar=True, threshold=0.99)
    assert sorted(levels(select(candidates, two, looks=looks), image)) == [DARK] * 2 + [GREY] * 2
    but = Prompts(points=[(28, 10), (26, 52)], positive=[True, False], similar=True, threshold=0.99)
    assert len(select(candidates, but, looks=looks).answers) == 1
    none = Prompts(points=[(0, 0)], similar=True)
    assert select(candidates, none, looks=looks).unanswered.tolist() == [0]


def test_an_example_may_be_a_faint_candidate(plane):
    _, candidates, looks = plane
    faint = candidates.scores.copy()
    faint[:2] = 0.1
    candidates = Instances(candidates.shape, candidates.bboxes, faint, candidates.buffer)
    at = tuple(candidates.bboxes[0][:2] + 1)
    found = select(candidates, Prompts(points=[at], similar=True, threshold=-1), looks=looks)
    assert 0 in found.answers
    assert 1 not in found.answers
    text = Prompts(text="bright", threshold=0)
    assert not {0, 1} & set(select(candidates, text, looks=looks).answers.tolist())
    assert len(select(candidates, text, looks=looks, confidence=0).answers) == 6


def test_of_two_masks_of_an_object_one_answers():
    masks = [np.pad(np.ones((10, n), bool), ((0, 0), (0, 20 - n))) for n in (10, 9, 10)]
    masks[2] = masks[2][:, ::-1]
    candidates = Instances.from_masks((10, 20), masks, scores=[0.5, 0.9, 0.4])
    likeness = np.array([[0.98], [0.97], [0.6]], np.float32)
    (ranked,), (how_well,) = matches(candidates, likeness, np.ones(3, bool), threshold=0.5)
    assert ranked.tolist() == [1, 2]  # as alike in tenths, and a better mask
    assert how_well.tolist() == pytest.approx([0.97, 0.6])


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(0, 1), st.integers(1, 5))
def test_answers_are_ranked_apart_and_above_the_threshold(seed, count, threshold, top_k):
    random = np.random.default_rng(seed)
    masks = []
    for _ in range(count):
        mask = np.zeros((12, 12), bool)
        (top, left), sides = random.integers(0, 8, 2), random.integers(1, 6, 2)
        mask[top : top + sides[0], left : left + sides[1]] = True
        masks.append(mask)
    candidates = Instances.from_masks((12, 12), masks, scores=random.random(count))
    likeness = random.random((count, 2)).astype(np.float32)
    allowed = random.random(count) > 0.2
    ranked, how_well = matches(candidates, likeness, allowed, threshold=threshold, top_k=top_k)
    answers = np.concatenate(ranked)
    assert len(set(answers.tolist())) == len(answers)
    assert allowed[answers].all()
    for n, (numbers, values) in enumerate(zip(ranked, how_well, strict=True)):
        assert len(numbers) <= top_k
        assert (values >= np.float32(threshold)).all()
        assert (np.diff(values) <= 0).all()
        assert (likeness[numbers].argmax(1) == n).all()
    for numbers in ranked:
        again = candidates[numbers]
        order = np.lexsort((-again.scores, -np.round(likeness[numbers].max(1), 1)))
        taken = np.zeros((12, 12), bool)
        if top_k == 5:  # else some that are in the way may be cut off
            for n in order:
                mask = again[[n]].to_labels() > 0
                assert (taken & mask).sum() <= 0.5 * mask.sum() or len(ranked[0]) == len(answers)
                taken |= mask
    assert (candidates[answers].iou(candidates[answers]) > 0.5).sum() == len(answers)
    assert apart(candidates[:1]).tolist() == [True]


def test_objects_in_objects_answer_their_own_words():
    cell, nucleus = np.ones((10, 10), bool), np.pad(np.ones((4, 4), bool), 3)
    twin = cell.copy()
    twin[0] = False
    candidates = Instances.from_masks((10, 10), [cell, nucleus, twin], scores=[0.9, 0.8, 0.7])
    likeness = np.array([[0.99, 0.1], [0.2, 0.6], [0.7, 0.8]], np.float32)
    ranked, _ = matches(candidates, likeness, np.ones(3, bool), threshold=0.5)
    assert [numbers.tolist() for numbers in ranked] == [[0], []]  # the twin is the same cell
    likeness[2] = 0
    ranked, _ = matches(candidates, likeness, np.ones(3, bool), threshold=0.5)
    assert [numbers.tolist() for numbers in ranked] == [[0], [1]]


def test_what_is_not_unwanted_answers(plane):
    image, candidates, looks = plane
    found = select(candidates, Prompts(text="not bright"), looks=looks)
    assert sorted(levels(found, image)) == [DARK] * 2 + [GREY] * 2
    assert len(select(candidates, Prompts(text="not bright, not dark"), looks=looks).answers) == 2


def test_an_example_is_like_itself_whatever_rounding_makes_of_it(plane):
    _, candidates, looks = plane
    for n in range(6):
        at = tuple(candidates.bboxes[n][:2] + 1)
        found = select(candidates, Prompts(points=[at], similar=True, threshold=1), looks=looks)
        assert n in found.answers
    nowhere = Prompts(points=[(0, 0)], similar=True, threshold=-1)
    assert not len(select(candidates, nowhere, looks=looks).answers)


def test_answers_are_turned_with_how_well_they_answer(plane):
    _, candidates, looks = plane
    found = select(candidates, Prompts(text="bright", threshold=0), looks=looks)
    turned = found.cycle(0)
    assert turned.ranked[0].tolist() == np.roll(found.ranked[0], -1).tolist()
    assert turned.likeness[0].tolist() == np.roll(found.likeness[0], -1).tolist()


def test_looks_are_completed_and_kept(plane):
    image, candidates, _ = plane
    scorer = GreyScorer()
    none = Looks(np.empty((0, 0), np.float32), scorer)
    first = none.completed(lambda: image, candidates, np.arange(6) < 2)
    assert first.known.tolist() == [True] * 2 + [False] * 4
    same = first.completed(lambda: pytest.fail("read again"), candidates, np.arange(6) < 2)
    assert same is first
    all_of_them = first.completed(lambda: image, candidates, np.ones(6, bool))
    assert scorer.looks == [2, 4]
    assert np.allclose(all_of_them.vectors, scorer.embed(image, candidates))
    more = Instances.concatenate([candidates, candidates[:1]])
    assert first.completed(lambda: image, more, np.zeros(7, bool)).known.sum() == 2
    assert (
        none.completed(lambda: image, candidates, np.ones(6, bool), cancelled=lambda: True) is None
    )


def test_no_candidates_are_no_answer():
    empty = Instances.empty((5, 5))
    looks = Looks(np.empty((0, 0), np.float32), GreyScorer())
    for prompts in (Prompts(text="bright | dark"), Prompts(points=[(1, 1)], similar=True)):
        assert not len(select(empty, prompts, looks=looks).answers)
        assert select(empty, prompts, looks=looks).to_labels().shape == (5, 5)


def test_a_search_needs_looks(plane):
    _, candidates, looks = plane
    with pytest.raises(ValueError, match=r"looks=Looks\.of"):
        select(candidates, Prompts(text="bright"))
    for count in (3, 6):
        pool = Instances.concatenate([candidates, candidates])[: 9 - count]
        fewer = Looks(looks.vectors[:count], looks.scorer)
        told = rf"what each of {9 - count} candidates looks like\. Got that of {count}"
        with pytest.raises(ValueError, match=told):
            select(pool, Prompts(points=[(8, 10)], similar=True), looks=fewer)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"text": ""}, "words for what is wanted"),
        ({"text": 7}, "text: a int"),
        ({"text": "cell", "similar": True}, "both text and similar"),
        ({"similar": True}, "similar without"),
        ({"text": "cell", "threshold": 1.5}, "threshold 1.5, not from 0 to 1"),
        ({"text": "cell", "threshold": -0.5}, "not from 0 to 1"),
        ({"text": "cell", "threshold": "0.5"}, "threshold '0.5'"),
        ({"points": [(1, 1)], "positive": [False], "similar": True}, "similar without"),
        ({"threshold": 0.5}, "a threshold without text"),
        ({"text": "cell", "top_k": 0}, "top_k 0"),
        ({"top_k": 1}, "top_k without text"),
    ],
)
def test_searches_that_make_no_sense_are_refused(told, fault):
    with pytest.raises(ValueError, match=fault):
        Prompts(**told)


def test_marks_are_the_same_prompts_without_the_search():
    prompts = Prompts(points=[(1, 2)], boxes=[(0, 0, 3, 3)], similar=True, top_k=3)
    assert [question.kind for question in prompts.questions] == ["similar"]
    assert [question.kind for question in prompts.marks.questions] == ["points", "box"]
    assert prompts.marks.marks is not prompts
    assert not prompts.marks.searching


def test_public_names():
    assert fs.Looks is Looks
    assert fs.TextSpec(model="x").mode in ("crops", "dense")
    with pytest.raises(ValueError, match='"crops" or "dense"'):
        fs.TextSpec(mode="both")
