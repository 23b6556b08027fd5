from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam.models.letterbox import FILL, STRIDE, Letterbox

sides = st.integers(1, 5000)
sizes = st.integers(1, 40).map(lambda n: n * STRIDE)


@given(sides, sides, sizes)
def test_any_image_lies_inside_a_frame_of_whole_strides(height, width, size):
    box = Letterbox.fit((height, width), size)
    for axis in (0, 1):
        assert box.frame[axis] % STRIDE == 0
        assert 0 < box.content[axis] <= box.frame[axis] < box.content[axis] + STRIDE
        before, pad = box.offset[axis], box.frame[axis] - box.content[axis]
        assert pad - before - before in (0, 1)
    assert max(box.content) == max(box.frame) == size


@given(sides, sides, sizes)
def test_the_content_maps_back_to_the_whole_image(height, width, size):
    box = Letterbox.fit((height, width), size)
    (top, left), (rows, cols) = box.offset, box.content
    whole = np.array([[left, top, left + cols, top + rows]], np.float32)
    np.testing.assert_allclose(box.to_image(whole), [[0, 0, width, height]], rtol=1e-5)


def test_boxes_are_clipped_to_the_image():
    box = Letterbox.fit((100, 200), 320)
    far = np.array([[-50, -50, 900, 900]], np.float32)
    np.testing.assert_array_equal(box.to_image(far), [[0, 0, 200, 100]])


@pytest.mark.parametrize("shape", [(48, 64), (30, 64), (64, 17)])
def test_an_image_of_the_network_s_size_is_shown_as_it_is_with_grey_around(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    box = Letterbox.fit(shape, 64)
    frame = box.apply(image)
    top, left = box.offset
    inside = (slice(top, top + shape[0]), slice(left, left + shape[1]))
    np.testing.assert_array_equal(frame[inside], image)
    frame[inside] = FILL
    assert (frame == FILL).all()


def test_small_images_are_scaled_up_and_large_ones_down_to_the_same_frame():
    for side in (16, 1000):
        image = np.full((side, side, 3), 200, np.uint8)
        frame = Letterbox.fit((side, side), 96).apply(image)
        assert frame.shape == (96, 96, 3)
        assert (frame == 200).all()


def test_a_view_that_is_not_contiguous_is_shown_as_its_copy():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    box = Letterbox.fit((60, 40), 96)
    view = image[::-1].transpose(1, 0, 2)
    np.testing.assert_array_equal(box.apply(view), box.apply(view.copy()))
