"""Edges of masks move to those of the image, in a narrow band, and scraps go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_fastsam import Instances
from napari_fastsam.models import refining
from napari_fastsam.models.refining import refined

SIDE, CELL = 96, 4


def disc(radius, centre=(48, 48)):
    rows, cols = np.ogrid[:SIDE, :SIDE]
    return (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 <= radius**2


def picture(bright, low=40, high=180):
    return np.where(bright, high, low).astype(np.uint8)


def boxed(mask, margin=6):
    """Return an object whose box is a little larger than its mask, as a network's."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = max(rows[0] - margin, 0), max(cols[0] - margin, 0)
    bottom, right = min(rows[-1] + 1 + margin, SIDE), min(cols[-1] + 1 + margin, SIDE)
    crop = mask[top:bottom, left:right]
    return Instances.from_masks(mask.shape, [crop], [(top, left, bottom, right)], [0.5])


def whole(found):
    return found.to_labels() > 0


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("wrong", [-2, -1, 1, 2])
@pytest.mark.parametrize("levels", [(40, 180), (180, 40)], ids=["bright", "dark"])
def test_an_edge_that_is_off_moves_towards_that_of_the_image(wrong, levels):
    true = disc(20)
    before = boxed(disc(20 + wrong))
    after = refined(before, picture(true, *levels), CELL)
    gained = iou(whole(after), true) - iou(whole(before), true)
    assert gained > 0.05
    assert abs(wrong) > 1 or (whole(after) == true).all()


def test_noise_moves_an_edge_little():
    true = disc(20)
    noise = np.random.default_rng(0).normal(0, 10, (SIDE, SIDE))
    image = np.clip(picture(true) + noise, 0, 255).astype(np.uint8)
    assert iou(whole(refined(boxed(true), image, CELL)), true) > 0.97


def test_only_pixels_in_a_narrow_band_change():
    mask = disc(20)
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8)
    changed = whole(refined(boxed(mask, 20), image, CELL)) != mask
    square = np.ones((2 * CELL + 1,) * 2)
    band = ndimage.binary_dilation(mask, square) & ~ndimage.binary_erosion(mask, square)
    assert changed.any()
    assert not (changed & ~band).any()


def test_an_image_without_edges_leaves_a_disc_as_it_is():
    mask = disc(20)
    after = whole(refined(boxed(mask), picture(np.zeros_like(mask)), CELL))
    assert iou(after, mask) > 0.95


def test_pieces_smaller_than_half_of_the_largest_go():
    large, half, scrap = disc(12, (20, 20)), disc(11, (20, 70)), disc(5, (80, 40))
    mask = large | half | scrap
    after = whole(refined(boxed(mask), picture(mask), CELL))
    assert iou(after, large | half) > 0.97
    assert not (after & scrap).any()


def test_a_single_pixel_stays():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[40, 40] = True
    assert (whole(refined(boxed(mask), picture(disc(30)), CELL)) == mask).all()


def test_a_mask_that_fills_the_plane_stays():
    mask = np.ones((SIDE, SIDE), bool)
    assert whole(refined(boxed(mask), picture(disc(20)), CELL)).all()


def test_a_straight_edge_on_the_border_of_the_plane_stays_there():
    true = disc(20, (0, 48))
    after = whole(refined(boxed(disc(21, (0, 48))), picture(true), CELL))
    assert iou(after, true) > 0.97
    assert (after[0] == true[0]).all()


def test_none_is_none():
    assert len(refined(Instances.empty((SIDE, SIDE)), picture(disc(20)), CELL)) == 0


def test_large_objects_are_refined_piece_by_piece_to_the_same(monkeypatch):
    before, image = boxed(disc(38)), picture(disc(40))
    at_once = refined(before, image, CELL)
    monkeypatch.setattr(refining, "BLOCK", 16)
    np.testing.assert_array_equal(refined(before, image, CELL).buffer, at_once.buffer)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 20))
def test_whatever_comes_boxes_and_scores_stay_and_no_object_is_lost(seed, cell):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 60, 2))
    image = rng.integers(0, 256, shape, np.uint8)
    labels = rng.integers(0, 5, shape)
    before = Instances.from_labels(ndimage.grey_dilation(labels, size=3))
    after = refined(before, image, cell)
    np.testing.assert_array_equal(after.bboxes, before.bboxes)
    np.testing.assert_array_equal(after.scores, before.scores)
    assert (after.areas > 0).all()
