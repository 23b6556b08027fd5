"""From an array to labels."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fakes import Batching, BlobSegmenter, ShortSighted
from napari_fastsam import (
    CandidateCache,
    Cleanup,
    Instances,
    ModelSpec,
    PlaneAxes,
    Prompts,
    Request,
    Segmenter,
    Tiled,
    run,
    segment_stack,
)
from napari_fastsam.ahead import THREAD_NAME
from napari_fastsam.closer import Seen
from napari_fastsam.pipeline import Course, build, run_regions

if TYPE_CHECKING:
    from napari_fastsam import PlaneResult

SHAPE = (24, 32)
LEFT, RIGHT, LOW = (slice(2, 8), slice(2, 9)), (slice(2, 8), slice(20, 28)), (16, 10)


def plane(*where: Any) -> np.ndarray:
    image = np.zeros(SHAPE, np.uint8)
    for at in where:
        image[at] = 200
    return image


@pytest.fixture
def stack() -> np.ndarray:
    return np.stack([plane(LEFT, RIGHT), plane(RIGHT), plane(LEFT, RIGHT)])


class Recorder:
    """A lazy array that writes down what is read of it."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim
        self.reads: list[tuple[Any, ...]] = []

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        self.reads.append(key)
        return self.data[key]

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("the whole array was read")


def test_everything_of_every_plane_is_labelled(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    labels = segment_stack(stack, blobs, axes="ZYX")
    assert labels.dtype == np.uint32
    assert ((labels > 0) == (stack > 0)).all()
    assert [int(part.max()) for part in labels] == [2, 1, 2]
    assert blobs.calls == 3


def test_linked_objects_have_one_label_through_z(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    labels = segment_stack(stack, blobs, link=True)
    left, right = labels[0, 4, 4], labels[0, 4, 22]
    assert left != right
    assert (labels[stack > 0] > 0).all()
    assert (labels[:, 4, 22] == right).all()
    assert labels[:, 4, 4].tolist() == [left, 0, left]


def test_linking_starts_anew_in_every_series(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    labels = segment_stack(np.stack([stack, stack]), blobs, axes="TZYX", link=True)
    first, second = (set(np.unique(part[part > 0])) for part in labels)
    assert len(first) == len(second) == 2
    assert not first & second


@pytest.mark.parametrize("axes", ["ZYX", "YXZ", "YZX", "XYZ", "ZXY", "TZYXC", "CZYX", "YXS", "XY"])
def test_labels_lie_where_the_axes_say(axes: str, blobs: BlobSegmenter) -> None:
    sizes = {"Y": 24, "X": 32, "Z": 3, "T": 2, "C": 3, "S": 3}
    image = np.zeros([sizes[letter] for letter in axes], np.uint8)
    place = {"Y": slice(3, 9), "X": slice(12, 25)}
    image[tuple(place.get(letter, slice(None)) for letter in axes)] = 200
    labels = segment_stack(image, blobs, axes=axes)
    channel = next((n for n, letter in enumerate(axes) if letter in "CS"), None)
    expected = image > 0 if channel is None else (image > 0).any(channel)
    assert labels.shape == expected.shape
    assert ((labels > 0) == expected).all()
    assert set(blobs.shapes) == {(24, 32, 3)}


def test_a_lazy_array_is_read_one_plane_at_a_time(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    lazy = Recorder(stack)
    results = run(Request(data=lazy), blobs)
    for n in range(3):
        next(results)
        assert len(lazy.reads) == n + 1
        assert lazy.reads[-1] == (n, slice(None), slice(None))


def test_cached_planes_are_neither_read_nor_segmented_again(
    stack: np.ndarray, blobs: BlobSegmenter
) -> None:
    cache = CandidateCache()
    lazy = Recorder(stack)
    for _ in range(3):
        results = list(run(Request(data=lazy, key="stack"), blobs, cache=cache))
        assert [len(result.candidates) for result in results] == [2, 1, 2]
    assert blobs.calls == len(lazy.reads) == len(cache) == 3


def test_another_model_or_key_is_another_entry(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    cache = CandidateCache()
    for key, model in (("a", blobs), ("b", blobs), ("a", Tiled(blobs)), ("a", Tiled(blobs))):
        list(run(Request(data=stack, key=key), model, cache=cache))
    assert blobs.calls == len(cache) == 9


def test_without_a_key_nothing_is_cached(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    cache = CandidateCache()
    for _ in range(2):
        list(run(Request(data=stack), blobs, cache=cache))
    assert len(cache) == 0
    assert blobs.calls == 6


def test_cancelling_keeps_the_planes_that_are_done(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    done = []
    for result in run(Request(data=stack), blobs, cancelled=lambda: len(done) == 2):
        done.append(result)
    assert [result.index for result in done] == [(0,), (1,)]
    assert blobs.calls == 2
    assert all(result.labels.any() for result in done)


def test_prompts_number_labels_through_the_planes(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    prompts = {
        (2,): Prompts(points=[(4, 4)]),
        (0,): Prompts(points=[(4, 22), LOW, (4, 4)]),
    }
    results = list(run(Request(data=stack, prompts=prompts), blobs))
    assert [result.index for result in results] == [(0,), (2,)]
    first, last = (result.labels for result in results)
    assert (first[4, 22], first[LOW], first[4, 4]) == (1, 0, 3)
    assert np.unique(last).tolist() == [0, 4]
    assert last[4, 4] == 4
    assert results[0].selection is not None
    assert results[0].selection.unanswered.tolist() == [1]
    assert blobs.calls == 2


def test_prompts_read_from_the_cache_need_no_network(
    stack: np.ndarray, blobs: BlobSegmenter
) -> None:
    cache = CandidateCache()
    for point in ((4, 4), (4, 22), LOW):
        request = Request(data=stack, key="stack", prompts={(0,): Prompts(points=[point])})
        (result,) = run(request, blobs, cache=cache)
        assert result.labels[point] == (point != LOW)
    assert blobs.calls == 1


def test_only_the_planes_asked_for_are_looked_at(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    results = list(run(Request(data=stack, indices=((2,), (0,))), blobs))
    assert [result.index for result in results] == [(2,), (0,)]
    assert blobs.calls == 2


def test_a_single_image_is_one_plane_without_a_number(blobs: BlobSegmenter) -> None:
    (result,) = run(Request(data=plane(LEFT), link=True), blobs)
    assert result.index == ()
    assert result.labels[4, 4] == 1


class Scored(BlobSegmenter):
    """Scores the objects 0.9, 0.6, 0.3 and so on, from the top left."""

    def segment(self, image: np.ndarray) -> Instances:
        found = super().segment(image)
        scores = 0.9 - 0.3 * np.arange(len(found))
        masks = [found.mask(n) for n in range(len(found))]
        return Instances.from_masks(found.shape, masks, found.bboxes, scores)


@pytest.mark.parametrize("link", [False, True])
def test_scores_are_those_of_the_labels(stack: np.ndarray, link: bool) -> None:
    for result in run(Request(data=stack[1:], link=link), Scored()):
        assert set(result.scores) == set(np.unique(result.labels)) - {0}
        at = {result.labels[4, 4]: 4, result.labels[4, 22]: 22}
        expected = [0.9, 0.6] if len(result.scores) == 2 else [0.9]
        ordered = sorted(result.scores, key=lambda label: at[label])
        assert [result.scores[label] for label in ordered] == pytest.approx(expected)


@pytest.mark.parametrize("link", [False, True])
def test_cleanup_may_remove_the_last_object(link: bool) -> None:
    image = plane((slice(2, 10), slice(2, 10)))
    image[20, 20] = 200
    request = Request(data=image, link=link, cleanup=Cleanup(min_area=5))
    (result,) = run(request, Scored())
    assert np.unique(result.labels).tolist() == [0, 1]
    assert result.scores[1] == pytest.approx(0.9)


def test_confidence_and_area_filter_what_is_found(stack: np.ndarray) -> None:
    (result,) = run(Request(data=stack[0], confidence=0.7), Scored())
    assert result.labels[4, 4]
    assert not result.labels[4, 22]
    (result,) = run(Request(data=stack[0], min_area=45), Scored())
    assert not result.labels[4, 4]
    assert result.labels[4, 22]
    (result,) = run(Request(data=stack[0], max_area=45), Scored())
    assert result.labels[4, 4]
    assert not result.labels[4, 22]
    assert len(result.candidates) == 2


def test_progress_counts_the_planes(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    steps = []
    segment_stack(stack, blobs, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_a_spec_is_built_once_and_only_when_needed(
    stack: np.ndarray, blobs: BlobSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def made(model: ModelSpec | Segmenter) -> Segmenter:
        built.append(model)
        return blobs

    monkeypatch.setattr("napari_fastsam.pipeline.build", made)
    cache, spec = CandidateCache(), ModelSpec()
    for _ in range(2):
        list(run(Request(data=stack, key="stack"), spec, cache=cache))
    assert built == [spec]
    assert blobs.calls == 3


def test_a_segmenter_is_used_as_it_is(blobs: BlobSegmenter) -> None:
    assert build(blobs) is blobs


@pytest.mark.parametrize("axes", ["ZY", "ZZYX", "TZYX", "ABC"])
def test_axes_that_do_not_fit_are_refused(stack: np.ndarray, axes: str, blobs) -> None:
    with pytest.raises(ValueError, match=rf"Expected .*Got axes '{axes}'.*To fix it: "):
        segment_stack(stack, blobs, axes=axes)
    assert blobs.calls == 0


def test_complex_planes_are_refused(blobs: BlobSegmenter) -> None:
    with pytest.raises(TypeError, match=r"Expected .*complex"):
        segment_stack(np.zeros((2, 8, 8), complex), blobs)


def test_a_prompt_without_an_answer_has_no_score(stack: np.ndarray) -> None:
    prompts = {(0,): Prompts(points=[(4, 4), (15, 15)])}
    (result,) = run(Request(data=stack, prompts=prompts), Scored())
    assert set(result.scores) == {1}


def test_a_model_may_be_a_name_of_the_registry() -> None:
    assert build("starter").spec.model == "starter"


CLOSE = (slice(60, 64), slice(90, 94))
DOT, NOTHING = (62, 92), (20, 70)


@pytest.fixture
def eyes() -> ShortSighted:
    return ShortSighted(image_size=32, least=3)


@pytest.fixture
def wide() -> np.ndarray:
    """Three planes with an object that is seen at once and one that is seen only closer."""
    stack = np.zeros((3, 128, 128), np.uint8)
    stack[:, 10:40, 10:40] = 200
    stack[(slice(None), *CLOSE)] = 200
    return stack


def asked(data: Any, *points: tuple[int, int], **options: Any) -> Request:
    return Request(data=data, prompts={(0,): Prompts(points=points)}, **options)


def test_a_prompt_without_an_answer_is_looked_at_closer(
    wide: np.ndarray, eyes: ShortSighted
) -> None:
    (result,) = run(asked(wide, DOT, (20, 20)), eyes)
    assert (result.labels == 1).sum() == 16
    assert (result.labels[CLOSE] == 1).all()
    assert result.labels[20, 20] == 2
    assert result.scores == {1: 1.0, 2: 1.0}
    assert len(result.candidates) == 2
    assert eyes.calls == 2


def test_closer_looks_can_be_switched_off(wide: np.ndarray, eyes: ShortSighted) -> None:
    (result,) = run(asked(wide, DOT, closer=False), eyes)
    assert not result.labels.any()
    assert eyes.calls == 1


def test_everything_never_looks_closer(wide: np.ndarray, eyes: ShortSighted) -> None:
    assert [result.labels.max() for result in run(Request(data=wide), eyes)] == [1, 1, 1]
    assert eyes.calls == 3


def test_what_was_found_closer_is_kept_in_the_cache(wide: np.ndarray, eyes: ShortSighted) -> None:
    cache, lazy = CandidateCache(), Recorder(wide)
    list(run(Request(data=lazy, key="wide", indices=((0,),)), eyes, cache=cache))
    for _ in range(3):
        (result,) = run(asked(lazy, DOT, key="wide"), eyes, cache=cache)
        assert result.labels[DOT] == 1
    assert eyes.calls == len(lazy.reads) == 2
    (result,) = run(Request(data=lazy, key="wide", indices=((0,),)), eyes, cache=cache)
    assert result.labels[DOT] == 2
    assert eyes.calls == 2


def test_looking_closer_in_vain_is_remembered(wide: np.ndarray, eyes: ShortSighted) -> None:
    cache, lazy = CandidateCache(), Recorder(wide)
    for _ in range(3):
        (result,) = run(asked(lazy, NOTHING, key="wide"), eyes, cache=cache)
        assert not result.labels.any()
    assert len(lazy.reads) == 1
    assert eyes.calls == 2
    assert cache.nbytes == result.candidates.nbytes


def test_a_plane_whose_closer_look_was_cancelled_is_not_given(
    wide: np.ndarray, eyes: ShortSighted
) -> None:
    cache = CandidateCache()
    request = asked(wide, DOT, key="wide")
    assert list(run(request, eyes, cache=cache, cancelled=lambda: eyes.calls == 1)) == []
    (result,) = run(request, eyes, cache=cache)
    assert result.labels[DOT] == 1
    assert eyes.calls == 2


class Coarse(BlobSegmenter):
    """Sees the first `image_size` pixels of a plane's longer side, as `ScaledSegmenter` can."""

    image_size = 40

    def segment(self, image: np.ndarray, *, shape: tuple[int, int] | None = None) -> Instances:
        factor = 1 if shape is None else shape[0] // image.shape[0]
        found = super().segment(image)
        return Instances.from_labels(found.to_labels().repeat(factor, 0).repeat(factor, 1))


@pytest.fixture
def pyramid(stack: np.ndarray) -> list[Recorder]:
    """The stack at full size, and at a half and an eighth of it."""
    full = stack.repeat(2, 1).repeat(2, 2)
    return [Recorder(full[:, ::step, ::step]) for step in (1, 2, 16)]


def test_the_first_look_is_at_the_level_that_fits_and_masks_are_at_full_resolution(
    pyramid: list[Recorder], stack: np.ndarray, blobs: BlobSegmenter
) -> None:
    full, half, small = pyramid
    model = Coarse()
    model.image_size = max(stack.shape[1:])
    request = Request(data=full, levels=(half, small), axes=PlaneAxes("ZYX", full.shape))
    labels = [result.labels for result in run(request, model)]
    assert not full.reads
    assert not small.reads
    alone = Request(data=full, axes=PlaneAxes("ZYX", full.shape))
    expected = [result.labels for result in run(alone, blobs)]
    np.testing.assert_array_equal(labels, expected)


def test_without_a_level_that_fits_the_full_resolution_is_looked_at(
    pyramid: list[Recorder], blobs: BlobSegmenter
) -> None:
    full, half, small = pyramid
    request = Request(data=full, levels=(half, small), axes=PlaneAxes("ZYX", full.shape))
    model = Coarse()
    model.image_size = max(full.shape[1:])
    for segmenter in (model, blobs):
        full.reads.clear()
        list(run(request, segmenter))
        assert len(full.reads) == len(request.planes())
        assert not half.reads


def test_linking_runs_through_the_last_axis_with_several_planes(
    stack: np.ndarray, blobs: BlobSegmenter
) -> None:
    linked = segment_stack(stack, blobs, axes="ZYX", link=True)
    apart = segment_stack(stack[:, None], blobs, axes="TZYX", link=True)
    np.testing.assert_array_equal(apart[:, 0], linked)


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
@pytest.mark.parametrize("prompted", [False, True], ids=["everything", "prompts"])
def test_a_run_that_ended_early_goes_on_as_if_it_had_not(
    stack: np.ndarray, blobs: BlobSegmenter, prompted: bool, stop: int
) -> None:
    data = np.stack([stack, stack])
    prompts = {(t, z): Prompts(points=[(5, 5), (5, 24)]) for t in (0, 1) for z in (0, 2)}
    request = Request(
        data=data, axes=PlaneAxes("TZYX", data.shape), prompts=prompts if prompted else None
    )
    for link in (False, True):
        whole = list(run(replace(request, link=link), blobs))
        course = Course()
        results = run(replace(request, link=link), blobs, course=course)
        first = [next(results) for _ in range(min(stop, len(whole)))]
        left = tuple(result.index for result in whole[len(first) :])
        rest = list(run(replace(request, link=link, indices=left), blobs, course=course))
        for one, other in zip(whole, [*first, *rest], strict=True):
            np.testing.assert_array_equal(one.labels, other.labels)
            assert one.numbers == other.numbers


def test_prompts_are_told_which_label_they_got(stack: np.ndarray, blobs: BlobSegmenter) -> None:
    prompts = {(0,): Prompts(points=[(20, 5), (5, 5)]), (2,): Prompts(points=[(5, 5)])}
    apart = [result.numbers for result in run(Request(data=stack, prompts=prompts), blobs)]
    assert apart == [(0, 2), (3,)]
    linked = run(Request(data=stack, prompts=prompts, link=True), blobs)
    assert [result.numbers for result in linked] == [(0, 1), (1,)]


def require_same(results: list[PlaneResult], expected: list[PlaneResult]) -> None:
    assert [result.index for result in results] == [result.index for result in expected]
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.candidates.buffer, other.candidates.buffer)
        assert one.scores == other.scores
        assert one.windows == other.windows
        assert one.numbers == other.numbers


def no_threads_are_left() -> bool:
    return not any(thread.name == THREAD_NAME for thread in threading.enumerate())


ASKED = {(n,): Prompts(points=[(4, 4), (4, 22), LOW]) for n in (0, 2)}


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"link": True},
        {"indices": ((2,), (0,), (2,), (1,))},
        {"prompts": ASKED},
        {"prompts": ASKED, "key": "stack"},
        {"cleanup": Cleanup(min_area=45), "key": "stack"},
    ],
    ids=["everything", "linked", "order", "prompts", "prompts, cached", "cleaned, cached"],
)
def test_planes_that_are_looked_at_ahead_are_those_looked_at_one_by_one(
    stack: np.ndarray, options: dict[str, Any], size: int
) -> None:
    request = Request(data=stack, **options)
    plain, model = BlobSegmenter(), Batching(size)
    expected = list(run(request, plain, cache=CandidateCache()))
    require_same(list(run(request, model, cache=CandidateCache())), expected)
    assert model.calls == plain.calls
    assert model.callers
    assert threading.get_ident() not in model.callers
    regions = list(run_regions(request, model, cache=CandidateCache()))
    whole = (0, 0, *SHAPE)
    for one, other in zip(regions, expected, strict=True):
        np.testing.assert_array_equal(one.labels(whole), other.labels)
    assert no_threads_are_left()


def test_each_plane_is_read_once_also_where_it_is_looked_at_closer(
    wide: np.ndarray, eyes: ShortSighted
) -> None:
    class Eyes(Batching):
        spec = eyes.spec

        def segment(self, image: np.ndarray, *, shape: Any = None) -> Instances:
            return eyes.segment(image)

    lazy = Recorder(wide)
    prompts = {(n,): Prompts(points=[DOT, (20, 20)]) for n in range(3)}
    results = list(run(Request(data=lazy, prompts=prompts), Eyes(2)))
    assert sorted(lazy.reads) == [(n, slice(None), slice(None)) for n in range(3)]
    require_same(results, list(run(Request(data=wide, prompts=prompts), eyes)))
    assert all(result.labels[DOT] for result in results)


def test_planes_that_are_known_are_not_looked_at_ahead(stack: np.ndarray) -> None:
    cache, model, lazy = CandidateCache(), Batching(4), Recorder(np.concatenate([stack, stack]))
    list(run(Request(data=lazy, indices=((3,), (1,)), key="stack"), model, cache=cache))
    results = run(Request(data=lazy, key="stack"), model, cache=cache)
    first = next(results)
    cache.put(Request(data=lazy, key="stack").place(model, (2,)), Seen(first.candidates, 0))
    assert [result.index for result in results] == [(n,) for n in range(1, 6)]
    assert model.calls == 6
    assert len(lazy.reads) == 6
    assert len(cache) == 6


def test_few_planes_are_read_ahead_and_none_once_the_run_has_ended(stack: np.ndarray) -> None:
    lazy, stop = Recorder(np.concatenate([stack] * 10)), []
    results = run(Request(data=lazy), Batching(2), cancelled=lambda: bool(stop))
    assert not lazy.reads
    assert next(results).index == (0,)
    assert next(results).index == (1,)
    stop.append(True)
    assert list(results) == []
    assert no_threads_are_left()
    assert len(lazy.reads) <= 2 + 2 * (2 + 1)
    results = run(Request(data=lazy), Batching(2))
    next(results)
    results.close()
    assert no_threads_are_left()


def test_a_plane_that_cannot_be_read_is_an_error_after_those_before_it(stack: np.ndarray) -> None:
    class Damaged(Recorder):
        def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
            if key[0] == 2:
                raise OSError("plane 2 is damaged")
            return super().__getitem__(key)

    results = run(Request(data=Damaged(np.concatenate([stack, stack]))), Batching(4))
    assert [next(results).index for _ in range(2)] == [(0,), (1,)]
    with pytest.raises(OSError, match="plane 2"):
        next(results)
    assert no_threads_are_left()


def test_a_run_that_looks_ahead_goes_on_where_it_ended(stack: np.ndarray) -> None:
    request = Request(data=np.concatenate([stack, stack]), link=True)
    whole, course = list(run(request, BlobSegmenter())), Course()
    results = run(request, Batching(4), course=course)
    first = [next(results), next(results)]
    results.close()
    rest = tuple(result.index for result in whole[2:])
    later = list(run(replace(request, indices=rest), Batching(4), course=course))
    require_same([*first, *later], whole)


def test_levels_are_read_ahead_too(pyramid: list[Recorder]) -> None:
    class CoarseToo(Batching):
        image_size = 40

    full, half, small = pyramid
    model = CoarseToo(2)
    model.image_size = max(half.shape[1:])
    axes = PlaneAxes("ZYX", full.shape)
    prompts = {(n,): Prompts(points=[(8, 44)]) for n in range(3)}
    for asked in (None, prompts):
        request = Request(data=full, levels=(half, small), axes=axes, prompts=asked, closer=False)
        labels = [result.labels for result in run(request, model)]
        plain = Request(data=full.data, axes=axes, prompts=asked, closer=False)
        expected = [result.labels for result in run(plain, BlobSegmenter())]
        np.testing.assert_array_equal(labels, expected)
    assert model.callers
    assert not full.reads


def test_who_finds_nothing_to_batch_looks_at_each_alone(stack: np.ndarray) -> None:
    model = Batching(0)
    assert len(list(run(Request(data=stack), model))) == 3
    assert not model.callers
    assert len(list(run(Request(data=stack, indices=((1,),)), Batching(4)))) == 1
