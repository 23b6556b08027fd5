from __future__ import annotations

import numpy as np
import pytest

from napari_fastsam.models.scenes import Scenes, target_of


def test_scenes_are_read_once_and_upright_where_they_are_photographs(pairs, monkeypatch):
    scenes = Scenes(pairs, [np.zeros(2, np.int64)] * 4, ("photos",))
    assert len(scenes) == 4
    assert [scenes[n].upright for n in range(4)] == [False, False, True, True]
    pairs[0].image.unlink()
    assert scenes[0] is scenes[0]


def test_scenes_that_do_not_fit_in_memory_are_read_again(pairs, monkeypatch):
    monkeypatch.setattr("napari_fastsam.models.scenes._KEPT_BYTES", 0)
    scenes = Scenes(pairs, [np.zeros(2, np.int64)] * 4, ())
    with pytest.warns(UserWarning, match="read from disk each time"):
        first = scenes[0]
    assert scenes[0] is not first  # told once
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
