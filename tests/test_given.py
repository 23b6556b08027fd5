"""A label image in a model's place."""

from __future__ import annotations

import numpy as np
import pytest

import napari_fastsam as fs
from napari_fastsam.looking import Looking


@pytest.fixture
def labels() -> np.ndarray:
    """(3, 40, 50): two objects a plane, the second one lower on each."""
    found = np.zeros((3, 40, 50), np.int32)
    for n in range(3):
        found[n, 2:8, 3:9] = 7
        found[n, 10 + n * 5 : 18 + n * 5, 20:40] = 3
    found[0, 0, 0] = -1
    return found


def test_prompts_pick_from_a_stack_of_labels_plane_by_plane(labels):
    image = np.zeros((3, 40, 50, 3), np.uint8)
    prompts = {(0,): fs.Prompts(points=[(4, 4)]), (2,): fs.Prompts(boxes=[(20, 20, 28, 40)])}
    taken = fs.segment_stack(image, fs.FromLabels(labels), axes="ZYXC", prompts=prompts)
    assert np.array_equal(taken[0] > 0, labels[0] == 7)
    assert not taken[1].any()
    assert np.array_equal(taken[2] > 0, labels[2] == 3)


def test_everything_is_what_the_labels_hold(labels):
    found = fs.segment_stack(np.zeros((3, 40, 50)), fs.FromLabels(labels), axes="ZYX")
    for plane, given in zip(found, labels, strict=True):
        assert (
            fs.Instances.from_labels(plane).iou(fs.Instances.from_labels(given)).max(1).min() == 1
        )


def test_rows_and_columns_may_be_any_axes(labels):
    turned = labels.transpose(2, 0, 1)
    prompts = {(0,): fs.Prompts(points=[(4, 5)])}
    taken = fs.segment_stack(
        np.zeros(turned.shape), fs.FromLabels(turned), axes="XZY", prompts=prompts
    )
    assert np.array_equal(taken > 0, (turned == 7) & (np.arange(3) == 0)[:, None])


def test_what_no_object_is_at_has_no_answer_and_nothing_is_looked_at_closer(labels):
    image = np.zeros((40, 50), np.uint8)
    looking = Looking(image, fs.FromLabels(labels[0], name="cells"))
    seen = looking((), fs.Prompts(points=[(35, 5), (4, 4)]))
    assert seen.windows == ()
    assert len(seen.candidates) == 2
    record = looking.record()
    assert "model" not in record
    assert record["candidates"] == {"labels": "cells", "shape": [40, 50], "dtype": "int32"}


def test_labels_are_a_segmenter_of_one_plane(labels):
    found = fs.FromLabels(labels[1]).segment(np.zeros((40, 50, 3), np.uint8))
    assert found.areas.tolist() == [160, 36]
    with pytest.raises(ValueError, match=r"\(40, 50\).*\(3, 40, 50\)"):
        fs.FromLabels(labels).segment(np.zeros((40, 50, 3), np.uint8))


def test_labels_of_another_shape_or_no_labels_are_refused(labels):
    with pytest.raises(ValueError, match=r"\(3, 40, 51\).*\(3, 40, 50\)"):
        fs.segment_stack(np.zeros((3, 40, 51)), fs.FromLabels(labels), axes="ZYX")
    for wrong in (labels * 1.0, [[1, 2]]):
        with pytest.raises(ValueError, match="an array of integer labels"):
            fs.FromLabels(wrong)
