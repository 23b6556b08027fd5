from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_fastsam.instances import Instances
from napari_fastsam.models.data import Pair
from napari_fastsam.models.evaluate import evaluate, inner_point

TRUTH = np.zeros((40, 60), np.uint8)
TRUTH[5:15, 5:15], TRUTH[20:35, 5:20], TRUTH[5:25, 30:50] = 1, 2, 3


class Fixed:
    """Finds the same objects in every image."""

    def __init__(self, candidates):
        self.candidates = candidates

    def segment(self, image):
        return self.candidates


@pytest.fixture
def pair(tmp_path):
    Image.fromarray(TRUTH).save(tmp_path / "a.png")
    return Pair("cells/a", tmp_path / "a.png", tmp_path / "a.png")


def judged(labels, pair, scores=None):
    return evaluate(Fixed(Instances.from_labels(labels, scores)), [pair])["cells"]


def test_the_truth_is_perfect(pair):
    figures = judged(TRUTH, pair)
    assert (figures.images, figures.objects) == (1, 3)
    assert (figures.ap50, figures.pq, figures.click, figures.pool) == (1, 1, 1, 1)


def test_missed_and_wrong_objects_cost_ap50(pair):
    found = np.where(TRUTH == 3, 0, TRUTH)
    found[30:38, 40:58] = 4
    figures = judged(found, pair)
    assert figures.ap50 == pytest.approx(2 / 4)
    assert figures.click == pytest.approx(2 / 3)


def test_an_object_counts_from_half_its_iou_on(pair):
    half, less = TRUTH.copy(), TRUTH.copy()
    half[5:15, 10:15] = 0
    less[5:15, 9:15] = 0
    assert judged(half, pair).ap50 == 1
    assert judged(less, pair).ap50 == pytest.approx(2 / 4)


def test_the_pool_holds_what_everything_leaves_out(pair):
    figures = judged(TRUTH, pair, scores=np.array([0.9, 0.9, 0.01], np.float32))
    assert figures.ap50 == pytest.approx(2 / 3)
    assert figures.pool == 1


def test_nothing_found_is_zero_not_an_error(pair):
    figures = evaluate(Fixed(Instances.empty(TRUTH.shape)), [pair])["cells"]
    assert (figures.ap50, figures.pq, figures.click, figures.pool) == (0, 0, 0, 0)


def test_progress_is_told_after_each_image(pair):
    told = []
    evaluate(
        Fixed(Instances.empty(TRUTH.shape)), [pair, pair], progress=lambda *at: told.append(at)
    )
    assert told == [(1, 2), (2, 2)]


def test_the_inner_point_is_farthest_from_every_edge():
    mask = np.zeros((9, 20), bool)
    mask[:, :9] = True
    mask[4] = True
    assert inner_point(mask).tolist() == [4, 4]


def test_an_inner_point_keeps_away_from_the_edge_of_the_image():
    assert inner_point(np.ones((5, 5), bool)).tolist() == [2, 2]
