from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from napari_fastsam.models.decode import CELL, Upscaling, decode
from napari_fastsam.models.letterbox import Letterbox


def whole_logits(prototypes, coefficients, letterbox):
    """Scale every object's logits up to the whole image, (N, H, W): simple, and large."""
    logits = torch.from_numpy(np.einsum("nk,kyx->nyx", coefficients, prototypes))[None]
    borders = np.array([*letterbox.offset, *letterbox.content])
    finer = next(f for f in (1, 2, CELL) if not (borders * f % CELL).any())
    if finer > 1:
        logits = interpolate(logits, scale_factor=finer, mode="bilinear")
    top, left, height, width = borders * finer // CELL
    inside = logits[..., top : top + height, left : left + width]
    return interpolate(inside, letterbox.image, mode="bilinear")[0].numpy()


def boxes_inside(shape, count, rng):
    rows, cols = (np.sort(rng.integers(0, n + 1, (count, 2)), axis=1) for n in shape)
    return np.stack([rows[:, 0], cols[:, 0], rows[:, 1], cols[:, 1]], 1).astype(np.int32)


def random_prototypes(letterbox, rng):
    cells = [side // CELL for side in letterbox.frame]
    return rng.standard_normal((32, *cells)).astype(np.float32)


# The pad is a whole number of prototype cells, of halves and of quarters, or none; images are
# smaller and larger than the network's, and as thin as can be.
SHAPES = [(48, 64), (40, 64), (64, 37), (50, 64), (123, 90), (700, 400), (1, 300), (333, 1), (9, 9)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_masks_in_boxes_equal_masks_cut_out_of_the_whole_image(shape):
    rng = np.random.default_rng(1)
    letterbox = Letterbox.fit(shape, 64)
    prototypes = random_prototypes(letterbox, rng)
    coefficients = rng.standard_normal((30, 32)).astype(np.float32)
    bboxes = boxes_inside(shape, 30, rng)
    whole = whole_logits(prototypes, coefficients, letterbox)
    found, buffer = decode(prototypes, coefficients, bboxes, letterbox)
    at = 0
    for n, (top, left, bottom, right) in enumerate(bboxes):
        logits = whole[n, top:bottom, left:right]
        assert found[n] == (logits > 0).any()
        if found[n]:
            mask = buffer[at : at + logits.size].reshape(logits.shape)
            at += logits.size
            clear = abs(logits) > 1e-4  # nearer to 0 the order of additions decides
            np.testing.assert_array_equal(mask[clear], logits[clear] > 0)
    assert at == len(buffer)
    assert found.any()


def test_an_object_without_a_pixel_leaves_no_trace():
    letterbox = Letterbox.fit((64, 64), 64)
    prototypes = np.ones((32, 16, 16), np.float32)
    signs = np.array([1, -1, 1], np.float32)
    coefficients = np.repeat(signs[:, None], 32, 1)
    bboxes = np.array([[0, 0, 4, 4], [8, 8, 30, 30], [40, 40, 42, 45]], np.int32)
    found, buffer = decode(prototypes, coefficients, bboxes, letterbox)
    assert found.tolist() == [True, False, True]
    assert len(buffer) == 16 + 10
    assert buffer.all()


def test_an_empty_box_holds_no_object():
    letterbox = Letterbox.fit((64, 64), 64)
    ones = np.ones((32, 16, 16), np.float32)
    bboxes = np.array([[5, 5, 5, 9]], np.int32)
    found, buffer = decode(ones, np.ones((1, 32), np.float32), bboxes, letterbox)
    assert not found.any()
    assert not len(buffer)


def test_no_box_gives_no_mask():
    letterbox = Letterbox.fit((64, 64), 64)
    ones = np.ones((32, 16, 16), np.float32)
    found, buffer = decode(ones, np.empty((0, 32)), np.empty((0, 4), np.int32), letterbox)
    assert found.shape == buffer.shape == (0,)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([32, 64, 96]))
def test_each_pixel_is_a_mean_of_a_few_neighbouring_cells(height, width, size):
    letterbox = Letterbox.fit((height, width), size)
    for axis, pixels in enumerate((height, width)):
        scaling = Upscaling.along(axis, letterbox)
        assert scaling.weights.shape == (pixels, letterbox.frame[axis] // CELL)
        np.testing.assert_allclose(scaling.weights.sum(1), 1, rtol=1e-5)
        assert (scaling.weights >= 0).all()
        assert ((scaling.stop - scaling.first >= 1) & (scaling.stop - scaling.first <= 4)).all()
        assert (np.diff(scaling.first) >= 0).all()
        assert (np.diff(scaling.stop) >= 0).all()


def test_memory_follows_the_boxes_and_not_their_number_times_the_image():
    shape, count = (2048, 2048), 200
    rng = np.random.default_rng(0)
    letterbox = Letterbox.fit(shape, 256)
    prototypes = random_prototypes(letterbox, rng)
    corners = rng.integers(0, 2048 - 40, (count, 2))
    bboxes = np.concatenate([corners, corners + 40], 1).astype(np.int32)
    tracemalloc.start()
    try:
        decode(prototypes, rng.standard_normal((count, 32)).astype(np.float32), bboxes, letterbox)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6 < count * 2048 * 2048
