"""Several looks at a plane are one set of candidates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam import Instances
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.views import merged, mirrored
from napari_fastsam.segmenter import ModelSpec

SHAPE = (40, 60)


def squares(*corners, scores=None, side=10):
    masks = [np.ones((side, side), bool) for _ in corners]
    bboxes = [(row, col, row + side, col + side) for row, col in corners]
    return Instances.from_masks(SHAPE, masks, bboxes, scores)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1]))
def test_mirrored_objects_are_those_of_the_mirrored_plane(seed, axis):
    labels = np.random.default_rng(seed).integers(0, 4, (9, 13))
    found = Instances.from_labels(labels)
    expected = np.flip(found.to_labels() > 0, axis)
    np.testing.assert_array_equal(mirrored(found, axis).to_labels() > 0, expected)
    twice = mirrored(mirrored(found, axis), axis)
    np.testing.assert_array_equal(twice.bboxes, found.bboxes)
    np.testing.assert_array_equal(twice.buffer, found.buffer)


def test_what_every_look_finds_keeps_its_score_and_what_one_finds_loses():
    everywhere, once = (5, 5), (20, 40)
    first = squares(everywhere, once, scores=[0.8, 0.9])
    second = third = squares(everywhere, scores=[0.8])
    found = merged([first, second, third], 0.7)
    np.testing.assert_array_equal(found.bboxes[:, :2], [everywhere, once])
    np.testing.assert_allclose(found.scores, [0.8, 0.9 * 2 / 3])


def test_pixels_go_by_the_scores_of_those_that_have_them():
    small, large = squares((5, 5), scores=[0.4], side=10), squares((5, 5), scores=[0.5], side=11)
    assert merged([small, large], 0.7).areas == [121]
    assert merged([small, small, large], 0.7).areas == [100]


def test_boxes_are_one_object_if_they_overlap_more_than_asked_as_in_one_look():
    apart = squares((0, 0), (20, 20), (5, 45))
    assert len(merged([apart, apart], 0.0)) == 3
    touching = merged([apart, squares((4, 4))], 0.0)
    assert len(touching) == 3


def test_what_several_looks_find_scores_above_the_confidence_too(random_weights, monkeypatch):
    sam = FastSAM(random_weights, device="cpu", image_size=64, confidence=0.4, views="flips")
    once, always = (5, 5), (20, 40)

    def look(self, rgb, shape, look):
        places = (always,) if look.axis is not None else (once, always)
        return squares(*places, scores=[0.5] * len(places))

    monkeypatch.setattr(FastSAM, "_look", look)
    found = sam.segment(np.zeros((*SHAPE, 3), np.uint8))
    np.testing.assert_array_equal(found.bboxes[:, :2], [always])


def test_looks_that_find_nothing_give_nothing():
    found = merged([Instances.empty(SHAPE)] * 3, 0.7)
    assert len(found) == 0
    assert found.shape == SHAPE


def test_classes_and_their_names_stay():
    first = squares((5, 5))
    named = Instances(
        SHAPE, first.bboxes, first.scores, first.buffer, np.array([1]), ("cat", "dog")
    )
    assert merged([named, mirrored(mirrored(named, 0), 0)], 0.7).class_names == ("dog",)


def test_more_views_find_objects_on_the_same_plane(random_weights):
    sam = FastSAM(random_weights, device="cpu", image_size=64, max_candidates=20, views="scales")
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    (found,) = sam.segment_many([image])
    assert found.shape == (50, 70)
    assert 0 < len(found) <= 20
    assert (np.diff(found.scores) <= 0).all()


def test_who_ends_several_looks_at_images_ends_what_these_come_from(random_weights):
    sam, ended = FastSAM(random_weights, device="cpu", image_size=64, views="flips"), []

    def images():
        try:
            while True:
                yield np.zeros((*SHAPE, 3), np.uint8)
        finally:
            ended.append(True)

    given = images()
    found = sam.segment_many(given)
    assert next(found).shape == SHAPE
    assert not ended
    found.close()
    assert ended


def test_views_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"'one', 'flips', 'scales'.*'many'"):
        ModelSpec(views="many")
