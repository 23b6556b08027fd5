"""Closer looks where a prompt has no answer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import hubble_deep_field

from fakes import BlobSegmenter, ShortSighted
from napari_fastsam import FastSAM, Instances, Prompts, Tiled, everything, look_closer, select
from napari_fastsam.closer import (
    CONTEXT,
    LEAST_LENGTH,
    LEAST_SCORE,
    Seen,
    extend,
    extents,
    first_look,
    next_window,
    reach,
    windows,
)

SIDE = 256
LARGE, SMALL, TINY, EMPTY = (50, 50), (150, 200), (200, 40), (116, 116)


def image_of(*dots: tuple[int, int, int]) -> np.ndarray:
    """Return a plane with bright squares, each given by its middle and its length."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for row, col, length in dots:
        image[row - length // 2 :, col - length // 2 :][:length, :length] = 200
    return image


@pytest.fixture
def image() -> np.ndarray:
    return image_of((*LARGE, 40), (*SMALL, 8), (*TINY, 4))


@pytest.fixture
def eyes() -> ShortSighted:
    """Sees 64 x 64 pixels, and of a plane four times as long only what is 16 pixels long."""
    return ShortSighted(image_size=64, least=4)


def point(*where: tuple[int, int]) -> Prompts:
    return Prompts(points=where)


def test_what_is_too_small_at_first_is_found_closer(image: np.ndarray, eyes: ShortSighted) -> None:
    candidates = eyes.segment(image)
    assert select(candidates, point(LARGE, SMALL, TINY)).best.tolist() == [0, -1, -1]
    more = look_closer(eyes, image, candidates, point(SMALL))
    selection = select(more, point(SMALL))
    assert selection.best.tolist() == [1]
    truth = np.zeros((SIDE, SIDE), bool)
    truth[146:154, 196:204] = True
    assert (selection.to_labels().astype(bool) == truth).all()


def test_a_prompt_that_the_first_closer_look_answers_needs_no_second(
    image: np.ndarray, eyes: ShortSighted
) -> None:
    seen = first_look(eyes, image)
    assert len(extend(seen, eyes, image, point(SMALL)).windows) == 1


def test_there_are_two_closer_looks_at_most_the_second_twice_as_close(eyes: ShortSighted) -> None:
    image = image_of((*TINY, 2))
    seen = extend(first_look(eyes, image), eyes, image, point(TINY, EMPTY))
    assert sorted({shape[0] for shape in eyes.shapes}, reverse=True) == [256, 64, 32]
    assert eyes.calls == 5
    assert len(seen.windows) == 4
    assert select(seen.candidates, point(TINY, EMPTY)).best.tolist() == [0, -1]


def test_where_nothing_is_there_is_no_answer(image: np.ndarray, eyes: ShortSighted) -> None:
    candidates = eyes.segment(image)
    assert look_closer(eyes, image, candidates, point(EMPTY)) is candidates


def test_answered_prompts_cost_nothing(image: np.ndarray, eyes: ShortSighted) -> None:
    candidates = eyes.segment(image)
    assert look_closer(eyes, image, candidates, point(LARGE)) is candidates
    assert look_closer(eyes, image, candidates, Prompts()) is candidates
    assert eyes.calls == 1


def test_an_answer_below_the_confidence_is_none(image: np.ndarray, eyes: ShortSighted) -> None:
    faint = Instances.from_masks((SIDE, SIDE), [image[..., 0] > 0], scores=[0.2])
    assert next_window(Seen(faint, 64), point(LARGE)) is None
    assert next_window(Seen(faint, 64), point(LARGE), confidence=0.3) is not None


def test_nothing_is_looked_at_twice(image: np.ndarray, eyes: ShortSighted) -> None:
    seen = extend(first_look(eyes, image), eyes, image, point(EMPTY))
    calls = eyes.calls
    nearby = (EMPTY[0] + 2, EMPTY[1] - 1)
    assert extend(seen, eyes, image, point(EMPTY, nearby)) is seen
    assert eyes.calls == calls


def test_prompts_close_together_share_a_look(eyes: ShortSighted) -> None:
    image = image_of(*[(90 + 10 * n, 100, 8) for n in range(3)])
    prompts = point(*[(90 + 10 * n, 100) for n in range(3)])
    seen = extend(first_look(eyes, image), eyes, image, prompts)
    assert len(seen.windows) == 1
    assert (select(seen.candidates, prompts).best >= 0).all()


def test_an_object_cut_by_the_window_is_left_out() -> None:
    eyes = ShortSighted(image_size=64, least=4)
    image = image_of()
    image[120:126, :] = 200  # through every window that shows its middle
    empty = Instances.empty((SIDE, SIDE))
    assert look_closer(eyes, image, empty, point((123, 123))) is empty
    assert eyes.calls == 2


def test_an_object_at_the_planes_border_is_whole(eyes: ShortSighted) -> None:
    image = image_of()
    image[:8, :8] = 200
    more = look_closer(eyes, image, eyes.segment(image), point((3, 3)))
    assert more.areas.tolist() == [64]


def test_what_is_known_already_is_not_found_again(image: np.ndarray, eyes: ShortSighted) -> None:
    seen = extend(first_look(eyes, image), eyes, image, point(SMALL))
    beside = (SMALL[0], SMALL[1] + 10)
    more = extend(seen, eyes, image, point(beside))
    assert len(more.windows) > len(seen.windows)
    assert more.candidates is seen.candidates


class Doubtful(BlobSegmenter):
    """Finds the same in every look, with a score of its own choice."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = score

    def segment(self, image: np.ndarray) -> Instances:
        found = super().segment(image)
        return Instances(
            found.shape, found.bboxes, np.full(len(found), self.score, np.float32), found.buffer
        )


@pytest.mark.parametrize(("score", "found"), [(LEAST_SCORE, 1), (LEAST_SCORE - 0.01, 0)])
def test_doubtful_finds_of_a_closer_look_are_left_out(
    image: np.ndarray, score: float, found: int
) -> None:
    more = look_closer(Doubtful(score), image, Instances.empty((SIDE, SIDE)), point(SMALL))
    assert len(more) == found
    assert (more.scores == np.float32(score)).all()


def test_cancelling_keeps_what_was_found(image: np.ndarray, eyes: ShortSighted) -> None:
    seen = first_look(eyes, image)
    some = extend(seen, eyes, image, point(SMALL, TINY), cancelled=lambda: eyes.calls == 2)
    assert eyes.calls == 2
    assert len(some.windows) == 1
    assert select(some.candidates, point(SMALL, TINY)).best.tolist() == [1, -1]


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(points=[SMALL, (148, 198), (0, 0)], positive=[True, True, False], group=[0, 0, 0]),
        Prompts(boxes=[(145, 195, 155, 205)]),
        Prompts(masks=[image_of((*SMALL, 10))[..., 0] > 0]),
        Prompts(scribbles=[image_of((*SMALL, 4))[..., 0] > 0]),
    ],
    ids=["group", "box", "mask", "scribble"],
)
def test_every_kind_of_prompt_is_looked_at_closer(
    image: np.ndarray, eyes: ShortSighted, prompts: Prompts
) -> None:
    candidates = eyes.segment(image)
    assert select(candidates, prompts).best.tolist() == [-1]
    more = look_closer(eyes, image, candidates, prompts)
    assert more.areas[select(more, prompts).best].tolist() == [64]


def test_extents_are_around_the_positives_in_the_order_of_the_questions() -> None:
    region = np.zeros((40, 50), bool)
    region[10:20, 5:9] = True
    prompts = Prompts(
        points=[(3.4, 7.6), (30, 30), (5, 2), (0, 0)],
        positive=[True, True, True, False],
        group=[4, -1, 4, 4],
        boxes=[(1.2, 2, 9.8, 12)],
        masks=[region],
        scribbles=[region],
    )
    kinds = [question.kind for question in prompts.questions]
    assert kinds == ["points", "points", "box", "mask", "scribble"]
    assert extents(prompts).tolist() == [
        [3, 2, 6, 9],
        [30, 30, 31, 31],
        [1, 2, 10, 12],
        [10, 5, 20, 9],
        [10, 5, 20, 9],
    ]
    assert extents(Prompts()).shape == (0, 4)


def test_a_prompt_too_large_to_be_enlarged_has_no_window() -> None:
    assert windows(np.array([0, 0, 200, 100]), 64, (SIDE, SIDE)) == []
    assert [w.max_row - w.min_row for w in windows(np.array([9, 9, 20, 20]), 64, (SIDE, SIDE))] == [
        64
    ]


def test_a_point_off_the_plane_has_no_window() -> None:
    seen = Seen(Instances.empty((SIDE, SIDE)), 64)
    assert next_window(seen, point((-5, 10), (10, 300))) is None


@pytest.mark.parametrize(
    ("segmenter", "shape", "expected"),
    [
        (SimpleNamespace(), (1000, 400), 250),
        (SimpleNamespace(), (8192, 8192), 1024),
        (SimpleNamespace(spec=SimpleNamespace(image_size=640)), (500, 8192), 640),
        (SimpleNamespace(spec=SimpleNamespace(image_size=None)), (300, 300), 75),
        (Tiled(ShortSighted(image_size=128, least=1), size=400), (5000, 5000), 100),
        (Tiled(ShortSighted(image_size=64, least=1), size=400), (5000, 5000), 64),
        (SimpleNamespace(), (100, 70), 32),
        (SimpleNamespace(), (63, 63), 0),
    ],
    ids=["part", "huge", "network", "unsaid", "tiled", "tiled network", "small", "too small"],
)
def test_the_first_window_is_a_part_of_what_is_seen_at_once(
    segmenter: SimpleNamespace, shape: tuple[int, int], expected: int
) -> None:
    assert reach(segmenter, shape) == expected


def test_a_plane_too_small_to_be_enlarged_is_looked_at_once(blobs: BlobSegmenter) -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    candidates = blobs.segment(image)
    assert look_closer(blobs, image, candidates, point((20, 20))) is candidates
    assert blobs.calls == 1


shapes = st.tuples(st.integers(1, 700), st.integers(1, 700))


@given(shapes, st.data())
def test_windows_lie_on_the_plane_and_show_the_prompt(
    shape: tuple[int, int], data: st.DataObject
) -> None:
    low = np.array([data.draw(st.integers(0, n - 1)) for n in shape])
    high = np.array([data.draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True)])
    length = reach(SimpleNamespace(), shape)
    found = windows(np.append(low, high), length, shape)
    assert len(found) <= 2
    for window in found:
        top, left, bottom, right = window
        assert 0 <= top <= low[0]
        assert 0 <= left <= low[1]
        assert high[0] <= bottom <= shape[0]
        assert high[1] <= right <= shape[1]
        side = max(bottom - top, right - left)
        assert side >= LEAST_LENGTH
        assert side >= CONTEXT * (high - low).max()
    assert found == sorted(found, key=lambda w: w.min_row - w.max_row)


squares = st.tuples(st.integers(12, 240), st.integers(12, 240), st.integers(1, 20))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(squares, max_size=8),
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=5),
)
def test_candidates_only_gain_whole_objects(
    dots: list[tuple[int, int, int]], points: list[tuple[int, int]]
) -> None:
    image, eyes = image_of(*dots), ShortSighted(image_size=64, least=4)
    seen = first_look(eyes, image)
    more = extend(seen, eyes, image, Prompts(points=points))
    found, before = more.candidates, len(seen.candidates)
    assert (found.bboxes[:before] == seen.candidates.bboxes).all()
    whole = BlobSegmenter().segment(image)
    for n in range(before, len(found)):
        assert found[[n]].iou(whole).max() == 1
    answered = select(seen.candidates, Prompts(points=points)).best >= 0
    assert (select(found, Prompts(points=points)).best[answered] >= 0).all()
    assert extend(more, eyes, image, Prompts(points=points)) is more


def test_the_starter_finds_a_galaxy_closer() -> None:
    sam, image, galaxy = FastSAM("starter", device="cpu"), hubble_deep_field(), (827, 710)
    candidates = sam.segment(image)
    assert select(candidates, point(galaxy)).best.tolist() == [-1]
    more = look_closer(sam, image, candidates, point(galaxy))
    answer = select(more, point(galaxy)).chosen
    assert len(answer) == 1
    (top, left, bottom, right), mask = answer.bboxes[0], answer.mask(0)
    grey = image.mean(2)
    around = grey[top - 6 : bottom + 6, left - 6 : right + 6]
    assert 10 < mask.sum() < 100
    assert grey[top:bottom, left:right][mask].mean() > 4 * np.median(around)
    assert len(everything(more)) > len(everything(candidates))
