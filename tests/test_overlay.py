import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam.overlay import label_colour, overlay

GREY = np.full((40, 50), 128, np.uint8)
GREY[0, :2] = 0, 255


@pytest.fixture
def labels():
    labels = np.zeros(GREY.shape, np.uint32)
    labels[10:30, 10:30] = 5
    return labels


def test_background_is_the_image_as_it_is(labels):
    image = np.random.default_rng(0).integers(0, 255, (*GREY.shape, 3), np.uint8)
    picture = overlay(image, labels, min_side=50)
    np.testing.assert_array_equal(picture[:8], image[:8])


def test_outlines_have_the_full_colour_and_fills_let_the_image_through(labels):
    picture = overlay(GREY, labels, min_side=50, fill=0.5, outline=2).astype(int)
    colour = label_colour(5).astype(int)
    grey = int(picture[35, 35, 0])
    np.testing.assert_allclose(picture[11, 20], colour, atol=2)
    np.testing.assert_allclose(picture[20, 20], (colour + grey) / 2, atol=2)


def test_objects_that_leave_the_image_have_no_outline_there():
    labels = np.ones(GREY.shape, np.uint32)
    picture = overlay(GREY, labels, min_side=50, fill=0.0)
    assert (picture == overlay(GREY, np.zeros_like(labels), min_side=50)).all()


def test_small_images_are_enlarged_by_a_whole_factor(labels):
    assert overlay(GREY, labels, min_side=1000).shape == (800, 1000, 3)


def test_the_outline_of_an_enlarged_object_is_smooth():
    disk = (np.hypot(*np.mgrid[-20:20, -20:20]) < 12).astype(np.uint32)
    picture = overlay(np.zeros_like(disk, np.uint8), disk, min_side=400, fill=1).astype(int)
    steps = len(np.unique(picture[..., 0]))
    assert steps > 20  # between background and colour, not only the two


@pytest.mark.parametrize("size", [1, 2])
def test_an_object_of_a_pixel_is_visible(size):
    labels = np.zeros((40, 50), np.uint32)
    labels[20, 20 : 20 + size] = 1
    assert (overlay(np.zeros((40, 50), np.uint8), labels, min_side=50) > 100).any()


@given(st.integers(1, 100_000))
def test_neighbouring_numbers_have_different_colours(label):
    one, other = label_colour(label).astype(int), label_colour(label + 1).astype(int)
    assert np.abs(one - other).max() > 60


def test_labels_of_another_shape_are_refused(labels):
    with pytest.raises(ValueError, match=r"labels of \(40, 50\) for an image of \(40, 49\)"):
        overlay(GREY[:, :-1], labels)
