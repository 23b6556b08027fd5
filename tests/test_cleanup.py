import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage import measure, morphology

from napari_fastsam import Cleanup, Instances, clean
from napari_fastsam.cleanup import tidy

label_images = arrays(
    np.uint16, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 4)
)
cleanups = st.builds(
    Cleanup,
    opening=st.integers(0, 2),
    closing=st.integers(0, 2),
    smoothing=st.floats(0, 2),
    fill_holes=st.integers(0, 9),
    min_area=st.integers(0, 9),
    largest_piece=st.booleans(),
    clear_border=st.booleans(),
)


def disk_image(radius=12, size=40, label=3):
    rows, cols = np.mgrid[:size, :size] - size // 2
    return np.where(rows**2 + cols**2 <= radius**2, label, 0).astype(np.int32)


@given(label_images, cleanups)
def test_no_object_grows_over_a_neighbour(labels, cleanup):
    cleaned = clean(labels, cleanup)
    changed = cleaned != labels
    assert ((cleaned == 0) | (labels == 0))[changed].all()
    assert cleaned.dtype == labels.dtype


@given(label_images)
def test_everything_is_off_by_default(labels):
    assert not Cleanup()
    np.testing.assert_array_equal(clean(labels, Cleanup()), labels)


@given(label_images, cleanups)
def test_the_callers_labels_stay_as_they_are(labels, cleanup):
    before = labels.copy()
    clean(labels, cleanup)
    np.testing.assert_array_equal(labels, before)


def test_opening_removes_a_spike_as_scikit_image_does():
    labels = disk_image()
    labels[20, 32:39] = 3
    want = morphology.opening(labels > 0, morphology.disk(2))
    np.testing.assert_array_equal(clean(labels, Cleanup(opening=2)) > 0, want)


def test_closing_fills_a_notch_as_scikit_image_does():
    labels = disk_image()
    labels[8:16, 20] = 0
    want = morphology.closing(labels > 0, morphology.disk(2))
    np.testing.assert_array_equal(clean(labels, Cleanup(closing=2)) > 0, want)


def test_closing_far_from_other_objects_equals_the_whole_image():
    rng = np.random.default_rng(0)
    labels = np.zeros((60, 60), int)
    labels[20:40, 20:40] = rng.random((20, 20)) > 0.5
    want = morphology.closing(labels > 0, morphology.disk(3))
    np.testing.assert_array_equal(clean(labels, Cleanup(closing=3)) > 0, want)


def test_smoothing_rounds_a_ragged_outline():
    rows, cols = np.mgrid[:60, :60] - 30
    rough = 15 + np.random.default_rng(0).normal(0, 1.5, rows.shape)
    ragged = (rows**2 + cols**2 <= rough**2).astype(int)
    smooth = clean(ragged, Cleanup(smoothing=2))
    circle = disk_image(radius=15, size=60) > 0
    assert ((smooth > 0) ^ circle).sum() < ((ragged > 0) ^ circle).sum() / 2
    assert measure.perimeter(smooth) < measure.perimeter(ragged) * 0.8


def test_objects_cut_by_the_planes_edge_keep_that_edge():
    labels = np.zeros((30, 30), int)
    labels[:15, :15] = 1
    for cleanup in (Cleanup(opening=3), Cleanup(smoothing=2)):
        assert clean(labels, cleanup)[0, 0] == 1


@pytest.mark.parametrize(("size", "filled"), [(3, False), (4, True)])
def test_holes_up_to_the_size_are_filled(size, filled):
    labels = disk_image()
    labels[20:22, 20:22] = 0
    assert (clean(labels, Cleanup(fill_holes=size))[20, 20] == 3) == filled


@given(label_images, st.integers(1, 1000))
def test_filling_holes_adds_nothing_that_is_not_enclosed(labels, size):
    cleaned = clean(labels, Cleanup(fill_holes=size))
    for value in np.unique(labels[labels > 0]):
        assert not ((cleaned == value) & ~ndimage.binary_fill_holes(labels == value)).any()


def test_a_small_object_is_no_hole_in_its_surroundings():
    labels = np.zeros((30, 30), int)
    labels[10:15, 10:15] = 1
    np.testing.assert_array_equal(clean(labels, Cleanup(fill_holes=500)), labels)


def test_a_diagonal_line_is_one_piece():
    labels = np.eye(10, dtype=int)
    np.testing.assert_array_equal(clean(labels, Cleanup(largest_piece=True)), labels)


def test_a_neighbour_inside_a_hole_stays():
    labels = disk_image()
    labels[18:23, 18:23] = 0
    labels[20, 20] = 8
    cleaned = clean(labels, Cleanup(fill_holes=100))
    assert cleaned[20, 20] == 8
    assert cleaned[18, 18] == 3


def test_the_largest_piece_is_kept():
    labels = disk_image()
    labels[1:4, 1:4] = 3
    cleaned = clean(labels, Cleanup(largest_piece=True))
    assert ndimage.label(cleaned, np.ones((3, 3)))[1] == 1
    assert cleaned[20, 20] == 3


@pytest.mark.parametrize(("least", "left"), [(9, 9), (10, 0)])
def test_objects_smaller_than_the_least_area_are_dropped(least, left):
    labels = np.zeros((9, 9), int)
    labels[3:6, 3:6] = 5
    assert np.count_nonzero(clean(labels, Cleanup(min_area=least))) == left


def test_objects_on_the_border_are_cleared_and_others_stay():
    labels = disk_image()
    labels[:3, 5:9] = 9
    assert np.unique(clean(labels, Cleanup(clear_border=True))).tolist() == [0, 3]


def test_no_object_gains_what_its_neighbour_loses():
    labels = np.zeros((20, 30), int)
    labels[5:15, 5:14] = 1
    labels[9:11, 14:20] = 2  # thin: opening deletes it
    cleaned = clean(labels, Cleanup(opening=2, closing=3))
    assert not cleaned[labels == 2].any()


def test_huge_labels_are_cleaned_without_renumbering():
    labels = disk_image().astype(np.uint64) * 10**12
    labels[0, 0] = 1
    assert np.unique(clean(labels, Cleanup(min_area=5))).tolist() == [0, 3 * 10**12]


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_impossible_amounts_are_refused(value):
    with pytest.raises(ValueError, match=r"smoothing.*use 0 to switch"):
        Cleanup(smoothing=value)


def test_what_is_not_a_label_image_is_refused():
    with pytest.raises(ValueError, match="integer labels"):
        clean(np.zeros((3, 3)), Cleanup())


@given(label_images, cleanups)
def test_tidying_an_object_is_cleaning_it_alone(labels, cleanup):
    found = Instances.from_labels(labels)
    alone = [clean((labels == n).astype(np.uint8), cleanup) for n in np.unique(labels[labels > 0])]
    left = [plane for plane in alone if plane.any()]
    tidied = tidy(found, cleanup)
    assert len(tidied) == len(left)
    for one, plane in zip(tidied, left, strict=True):
        np.testing.assert_array_equal(one.to_labels() > 0, plane > 0)


def test_tidied_objects_keep_their_scores():
    labels = np.zeros((20, 20), int)
    labels[2, 2], labels[5:15, 5:15] = 1, 2
    found = Instances.from_labels(labels, scores=[0.25, 0.75])
    assert tidy(found, Cleanup(min_area=5)).scores.tolist() == [0.75]
    assert tidy(found, Cleanup()) is found
    assert len(tidy(found, Cleanup(clear_border=True, min_area=1000))) == 0
