import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_fastsam import Instances
from napari_fastsam.history import Taken
from napari_fastsam.placing import LEAST_FREE, fit, paint, plan_plane, pull_out, take_out

SHAPE = (8, 10)
existing_modes = st.sampled_from(["keep", "overwrite"])
planes = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 200, 201]))
findings = arrays(np.uint32, SHAPE, elements=st.integers(0, 3))


@st.composite
def objects(draw):
    top, left = draw(st.integers(0, 6)), draw(st.integers(0, 8))
    bottom, right = draw(st.integers(top + 1, 8)), draw(st.integers(left + 1, 10))
    mask = draw(arrays(bool, (bottom - top, right - left)))
    mask[0, 0] = True
    return Instances.from_masks(SHAPE, [mask], [(top, left, bottom, right)])


@given(planes, objects(), existing_modes)
def test_taking_out_what_was_painted_leaves_what_was_there(plane, found, existing):
    labels = plane.copy()
    (pixels,) = fit(labels, [found], existing)
    if pixels is None:
        return
    beneath = paint(labels, found, pixels, 7)
    take_out(labels, Taken((), found, beneath, pixels), 7)
    np.testing.assert_array_equal(labels, plane)


@given(planes, objects(), st.integers(0, 3), st.integers(0, 3))
def test_a_window_with_a_corner_is_the_same_as_the_plane(plane, found, up, left):
    top, side = found.bboxes[0, :2]
    corner = (max(0, int(top) - up), max(0, int(side) - left))
    whole, part = plane.copy(), plane.copy()
    (pixels,) = fit(whole, [found], "overwrite")
    paint(whole, found, pixels, 7)
    view = part[corner[0] :, corner[1] :]
    (same,) = fit(view, [found], "overwrite", corner)
    paint(view, found, same, 7, corner)
    np.testing.assert_array_equal(part, whole)


@given(planes, objects())
def test_kept_objects_lose_nothing(plane, found):
    (pixels,) = fit(plane, [found], "keep")
    free = (
        Instances.overlaps(found, Instances.from_masks(SHAPE, [plane == 0]))[0, 0]
        if (plane == 0).any()
        else 0
    )
    assert (pixels is not None) == (free >= LEAST_FREE * found.areas[0])
    if pixels is not None:
        after = plane.copy()
        paint(after, found, pixels, 7)
        np.testing.assert_array_equal(after[plane > 0], plane[plane > 0])


def test_small_objects_come_before_large_ones():
    masks = np.zeros((2, *SHAPE), bool)
    masks[0, :4, :4] = True
    masks[1, 1:3, 1:3] = True
    large, small = Instances.from_masks(SHAPE, list(masks))
    of_large, of_small = fit(np.zeros(SHAPE, int), [large, small], "keep")
    assert of_small.all()
    assert np.count_nonzero(of_large) == 12


def test_an_object_outside_the_window_is_not_touched():
    found = Instances.from_masks(SHAPE, [np.ones((2, 2), bool)], [(6, 8, 8, 10)])
    window = np.full((3, 3), 7)
    take_out(window, Taken((), found, None), 7)
    assert (window == 7).all()


@given(planes, objects(), objects())
def test_what_is_pulled_out_leaves_what_it_covered(plane, lower, upper):
    labels = plane.copy()
    below = paint(labels, lower, lower.mask(0), 7)
    low = Taken((), lower, below)
    on_top = Taken((), upper, paint(labels, upper, upper.mask(0), 8))
    without = pull_out(on_top, 7, low)
    take_out(labels, low, 7)
    take_out(labels, without, 8)
    np.testing.assert_array_equal(labels, plane)


def test_a_stroke_beneath_goes_only_if_the_whole_label_goes():
    found = Instances.from_masks(SHAPE, [np.ones(SHAPE, bool)])
    labels = np.full(SHAPE, 7)
    on_top = Taken((), found, paint(labels, found, found.mask(0), 8))
    assert pull_out(on_top, 7, None).beneath is not None
    assert pull_out(on_top, 7, None, whole=True).beneath is None


def counter(first=100):
    given = []

    def reserve(count):
        given.append(count)
        return first + sum(given[:-1])

    return reserve


@given(planes, findings, st.sampled_from(["keep", "overwrite", "clear"]))
def test_a_plane_holds_what_came_and_what_stayed(before, found, existing):
    placed = plan_plane(before, found, existing, counter())
    for label in np.unique(found[found > 0]):
        there = found == label
        share = np.count_nonzero(before[there] == 0) / np.count_nonzero(there)
        came = existing != "keep" or share >= LEAST_FREE
        assert (int(label) in placed.numbers) == came
        if came:
            pixels = placed.labels[there]
            want = placed.numbers[int(label)]
            assert (
                pixels
                == (np.where(before[there], before[there], want) if existing == "keep" else want)
            ).all()
    rest = ~np.isin(found, list(placed.numbers))
    kept = np.zeros_like(before) if existing == "clear" else before
    np.testing.assert_array_equal(placed.labels[rest], kept[rest])
    total = len(np.unique(found[found > 0]))
    assert len(placed.numbers) + placed.taken == total


def test_an_object_met_before_keeps_its_number():
    numbers = {2: 55}
    found = np.array([[1, 2, 0]], np.uint32)
    placed = plan_plane(np.zeros((1, 3), int), found, "keep", counter(), numbers)
    assert placed.labels.tolist() == [[100, 55, 0]]
    assert numbers == {1: 100, 2: 55}


def test_exactly_the_numbers_given_come_whatever_is_free():
    before = np.array([[9, 9, 0]])
    placed = plan_plane(before, np.array([[1, 1, 1]], np.uint32), "keep", None, {1: 5})
    assert placed.labels.tolist() == [[9, 9, 5]]
    placed = plan_plane(before, np.array([[0, 1, 2]], np.uint32), "overwrite", None, {2: 6})
    assert placed.labels.tolist() == [[9, 9, 6]]


@pytest.mark.parametrize("existing", ["keep", "overwrite"])
def test_nothing_found_changes_nothing(existing):
    before = np.array([[3, 0]])
    placed = plan_plane(before, np.zeros((1, 2), np.uint32), existing, counter())
    assert placed.labels.tolist() == [[3, 0]]
    assert (placed.numbers, placed.taken) == ({}, 0)


def test_what_does_not_fit_is_refused_before_anything_is_written():
    plane = np.ones(SHAPE, int)
    with pytest.raises(ValueError, match=r"on a plane of \(8, 10\).*\(3, 3\)"):
        plan_plane(plane, np.ones((3, 3), int), "keep", lambda count: 1)
    for call in (
        lambda: plan_plane(plane, plane, "kepe", lambda count: 1),
        lambda: fit(plane, [], "kepe"),
    ):
        with pytest.raises(ValueError, match="Got 'kepe'"):
            call()
