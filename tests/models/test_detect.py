from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam.models.detect import COEFFICIENTS, detect, snap, suppress


def predictions(boxes, probabilities):
    """Return what a network would say of boxes x0, y0, x1, y1 with (N, classes) probabilities."""
    boxes, probabilities = np.asarray(boxes, np.float32), np.asarray(probabilities, np.float32)
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    coefficients = np.tile(np.arange(len(boxes), dtype=np.float32)[:, None], (1, COEFFICIENTS))
    return np.concatenate([centre, size, probabilities, coefficients], 1).T


APART = [(0, 0, 10, 10), (50, 50, 60, 60), (0, 50, 10, 60)]


def found(boxes, probabilities, confidence=0.25, iou=0.7, max_candidates=10):
    return detect(
        predictions(boxes, probabilities),
        confidence=confidence,
        iou=iou,
        max_candidates=max_candidates,
    )


def test_candidates_come_by_descending_score_with_their_own_coefficients():
    result = found(APART, [[0.3], [0.9], [0.5]])
    np.testing.assert_allclose(result.scores, [0.9, 0.5, 0.3])
    np.testing.assert_allclose(result.boxes, np.array(APART)[[1, 2, 0]])
    np.testing.assert_array_equal(result.coefficients[:, 0], [1, 2, 0])


def test_the_best_class_is_the_score_and_classes_do_not_shield_from_each_other():
    result = found([(0, 0, 10, 10), (0, 0, 10, 11)], [[0.1, 0.8], [0.9, 0.2]])
    np.testing.assert_allclose(result.scores, [0.9])


def test_a_score_at_the_threshold_is_not_above_it():
    assert len(found(APART, [[0.25], [0.25], [0.5]]).scores) == 1


def test_of_many_only_the_best_stay():
    result = found(APART, [[0.3], [0.9], [0.5]], max_candidates=2)
    np.testing.assert_allclose(result.scores, [0.9, 0.5])


def test_nothing_above_the_threshold_is_no_candidate():
    result = found(APART, [[0.1], [0.2], [0.2]])
    assert result.boxes.shape == (0, 4)
    assert result.coefficients.shape == (0, COEFFICIENTS)


def naive(boxes, iou, most):
    """Suppress with two loops, in the words of the definition."""
    kept = []
    for n, (a, b, c, d) in enumerate(boxes):
        for k in kept:
            e, f, g, h = boxes[k]
            shared = max(min(c, g) - max(a, e), 0) * max(min(d, h) - max(b, f), 0)
            if shared > iou * ((c - a) * (d - b) + (g - e) * (h - f) - shared):
                break
        else:
            kept.append(n)
    return kept[:most]


@given(
    st.lists(st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2), max_size=25),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    st.integers(1, 30),
)
def test_suppression_is_what_its_definition_says(corners, iou, most):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corners], np.float32).reshape(-1, 4)
    assert suppress(boxes, iou, most).tolist() == naive(boxes.tolist(), iou, most)


@pytest.mark.parametrize("side", range(4))
def test_a_side_within_reach_moves_to_the_border_and_the_others_stay(side):
    box = np.array([[30, 30, 70, 170]], np.float32)
    near, border = [(9, 30, 70, 170), (30, 9, 70, 170), (30, 30, 91, 170), (30, 30, 70, 191)], []
    border = [0, 0, 100, 200][side]
    moved = np.array([near[side]], np.float32)
    expected = box.copy()
    expected[0, side] = border
    np.testing.assert_array_equal(snap(moved, (100, 200), (10, 10)), expected)
    np.testing.assert_array_equal(snap(box, (100, 200), (10, 10)), box)


def test_each_box_near_the_whole_image_becomes_it_and_others_do_not():
    boxes = np.array([[2, 2, 99, 98], [3, 0, 98, 97], [20, 20, 80, 80]], np.float32)
    result = snap(boxes, (100, 100), (1, 1))
    np.testing.assert_array_equal(result, [[0, 0, 100, 100], [0, 0, 100, 100], [20, 20, 80, 80]])


def test_snapping_no_box_gives_no_box():
    assert snap(np.empty((0, 4), np.float32), (10, 10), (2, 2)).shape == (0, 4)
