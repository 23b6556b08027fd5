from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from napari_fastsam.models.data import Pair
from napari_fastsam.models.scenes import RARE_CLASSES, Scenes, plan, recognised, target_of

SIZE = 64


class Oracle(torch.nn.Module):
    """Sees one box of one class, wherever the image is bright."""

    def __init__(self, box=(8, 8, 40, 40), of=5, classes=80, score=0.9):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        x0, y0, x1, y1 = box
        one = torch.zeros(4 + classes + 32)
        one[:4] = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
        one[4 + of] = score
        self.prediction = one[None, :, None]

    def forward(self, batch):
        return (self.prediction, torch.zeros(1, 32, 16, 16)), {}


@pytest.fixture
def pairs(tmp_path):
    """Two photographs and two cells of two objects, of which the oracle sees the first."""
    made = []
    for name in ("cells/1", "cells/2", "photos/1", "photos/2"):
        labels = np.zeros((SIZE, SIZE), np.uint8)
        labels[8:40, 8:40], labels[44:60, 44:60] = 1, 2
        image, truth = tmp_path / "i" / f"{name}.tif", tmp_path / "l" / f"{name}.tif"
        for path, array in ((image, labels * 100), (truth, labels)):
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, array)
        made.append(Pair(name, image, truth))
    return made


def planned(pairs, model, classes=80, photographs=("photos",)):
    return plan(pairs, model, classes, image_size=SIZE, photographs=photographs)


def test_a_recognised_object_has_the_network_s_class():
    labels = np.zeros((SIZE, SIZE), np.uint16)
    labels[8:40, 8:40], labels[44:60, 44:60] = 1, 2
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert recognised(Oracle(), image, labels, SIZE).tolist() == [5, -1]
    assert recognised(Oracle(score=0.1), image, labels, SIZE).tolist() == [-1, -1]


def test_objects_are_compared_at_the_size_the_network_sees():
    labels = np.zeros((2 * SIZE, 2 * SIZE), np.uint16)
    labels[16:80, 16:80] = 1
    image = np.zeros((*labels.shape, 3), np.uint8)
    assert recognised(Oracle(), image, labels, SIZE).tolist() == [5]


def test_what_is_known_on_photographs_stays_and_the_rest_gets_a_class_of_its_domain(pairs):
    lessons = planned(pairs, Oracle())
    cells, photos = RARE_CLASSES[:2]
    assert lessons.domains == {"cells": cells, "photos": photos}
    assert lessons.new == (cells, photos)
    assert [o.tolist() for o in lessons.objects] == [[cells] * 2] * 2 + [[5, photos]] * 2


def test_a_domain_that_the_network_knows_keeps_its_class(pairs):
    for pair in pairs:
        labels = tifffile.imread(pair.labels)
        tifffile.imwrite(pair.labels, np.where(labels == 2, 0, labels))
    lessons = planned(pairs, Oracle(of=12), photographs=())
    assert lessons.domains == {"cells": 12, "photos": 12}
    assert lessons.new == ()


def test_a_network_of_one_class_has_no_class_to_spare(pairs):
    lessons = planned(pairs, Oracle(of=0, classes=1, score=0.1), classes=1)
    assert set(lessons.domains.values()) == {0}
    assert lessons.new == ()


def test_scenes_are_read_once_and_upright_where_they_are_photographs(pairs, monkeypatch):
    scenes = Scenes(pairs, [np.zeros(2, np.int64)] * 4, ("photos",))
    assert len(scenes) == 4
    assert [scenes[n].upright for n in range(4)] == [False, False, True, True]
    pairs[0].image.unlink()
    assert scenes[0] is scenes[0]


def test_scenes_that_do_not_fit_in_memory_are_read_again(pairs, monkeypatch):
    monkeypatch.setattr("napari_fastsam.models.scenes._KEPT_BYTES", 0)
    scenes = Scenes(pairs, [np.zeros(2, np.int64)] * 4, ())
    assert scenes[0] is not scenes[0]
    np.testing.assert_array_equal(scenes[0].image, scenes[0].image)


def test_a_target_holds_boxes_classes_and_shares_of_the_objects_that_are_seen():
    labels = np.zeros((32, 32), np.uint16)
    labels[4:12, 8:22] = 1
    labels[30, 30] = 3  # too small to be seen
    target = target_of(labels, np.array([7, 8, 9]))
    assert target.boxes.tolist() == [[8, 4, 22, 12]]
    assert target.classes.tolist() == [7]
    assert target.masks.shape == (1, 8, 8)
    assert target.masks[0, 1, 2:].tolist() == [1, 1, 1, 0.5, 0, 0]
    assert target.masks.sum() == 2 * 3.5


def test_a_square_without_objects_has_an_empty_target():
    target = target_of(np.zeros((32, 32), np.uint16), np.zeros(0, np.int64))
    assert target.boxes.shape == (0, 4)
    assert target.masks.shape == (0, 8, 8)
