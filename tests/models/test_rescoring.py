"""Scores fall where masks are not steady, and nowhere else."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.rescoring import _count, _count_on_device, rescored, stability

LETTERBOX = Letterbox.fit((64, 96), 96)
WHOLE = np.array([[0, 0, 64, 96]], np.int32)


def prototypes(logits):
    """Return prototypes of which the first alone says something."""
    return torch.cat([torch.as_tensor(logits, dtype=torch.float32)[None], torch.zeros(31, 16, 24)])


def first(count=1):
    return np.eye(32, dtype=np.float32)[[0] * count]


def ramp(slope):
    """Return logits (16, 24) that rise from left to right, 0 in the middle."""
    return np.tile(slope * (np.arange(24) - 11.5), (16, 1))


def steadiness(logits, bboxes=WHOLE):
    return stability(prototypes(logits), first(len(bboxes)), bboxes, LETTERBOX)


def test_a_mask_drawn_firmly_is_steadier_than_one_that_is_guessed():
    firm, guessed = steadiness(ramp(4)), steadiness(ramp(0.3))
    assert firm == 1
    assert guessed == 9 / 15  # columns above 1 and above -1


def test_only_what_is_in_the_box_counts():
    left, right = [0, 0, 64, 48], [0, 48, 64, 96]
    column = np.tile(np.arange(24), (16, 1))
    logits = np.where(column < 12, 2 * (column - 5.5), 5)
    steady = steadiness(logits, np.array([left, right], np.int32))
    np.testing.assert_allclose(steady, [5 / 6, 1])


def test_logits_that_are_all_small_say_nothing():
    assert steadiness(np.full((16, 24), 0.5)) == 1
    assert steadiness(np.full((16, 24), -9.0)) == 1


def test_no_object_has_no_stability():
    assert steadiness(ramp(1), np.zeros((0, 4), np.int32)).shape == (0,)


def test_scores_fall_with_the_stability_and_keep_their_order_where_it_is_equal():
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    np.testing.assert_array_equal(rescored(scores, np.array([0.5, 0.8, 1])), scores)
    lower = rescored(scores, np.array([0.125, 0.125, 0.125]))
    np.testing.assert_allclose(lower, scores / 2)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1)), min_size=1, max_size=20))
def test_a_score_never_rises_nor_leaves_its_range(pairs):
    scores, steady = np.array(pairs, np.float64).T
    new = rescored(scores.astype(np.float32), steady)
    assert new.dtype == np.float32
    assert ((new >= 0) & (new <= scores.astype(np.float32))).all()


def test_a_device_counts_what_windows_count():
    rng = np.random.default_rng(0)
    cells = torch.from_numpy(rng.normal(size=(32, 16, 24)).astype(np.float32))
    weights = rng.normal(size=(70, 32)).astype(np.float32)
    low = rng.integers(0, (12, 20), (70, 2))
    windows = np.concatenate([low, low + rng.integers(1, 5, (70, 2))], 1)
    for here, there in zip(
        _count(cells, weights, windows), _count_on_device(cells, weights, windows), strict=True
    ):
        np.testing.assert_array_equal(here, there)
