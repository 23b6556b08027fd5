import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_fastsam import Instances, PlaneResult
from napari_fastsam.files.coco import Coco, runs


def decoded(counts, size):
    """Return the mask of COCO's runs: down the columns, beginning with zeros."""
    flat = np.repeat(np.arange(len(counts)) % 2, counts).astype(bool)
    return flat.reshape(size[::-1]).T


def plane(index, labels, scores):
    return PlaneResult(index, Instances.empty(labels.shape), None, labels, scores)


@given(arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8))).filter(np.any))
def test_runs_are_the_mask_on_its_plane(mask):
    objects = Instances.from_masks(mask.shape, [mask])
    corner = tuple(map(int, objects.bboxes[0, :2]))
    counts = runs(objects.mask(0), corner, mask.shape)
    assert all(counts[1:])
    np.testing.assert_array_equal(decoded(counts, mask.shape), mask)


def test_an_annotation_has_coco_s_fields(tmp_path):
    labels = np.zeros((20, 30), np.uint32)
    labels[2:5, 10:17] = 7
    coco = Coco({"napari_fastsam": {"version": "1"}})
    with coco.image("a.tif") as add:
        add(plane((), labels, {7: 0.87654}))
    coco.save(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    (annotation,) = content["annotations"]
    mask = decoded(annotation["segmentation"]["counts"], annotation["segmentation"]["size"])
    np.testing.assert_array_equal(mask, labels == 7)
    assert annotation["bbox"] == [10, 2, 7, 3]
    assert (annotation["area"], annotation["score"], annotation["label"]) == (21, 0.8765, 7)
    assert content["images"] == [{"id": 1, "file_name": "a.tif", "width": 30, "height": 20}]
    assert annotation["category_id"] in [category["id"] for category in content["categories"]]
    assert content["info"] == {"napari_fastsam": {"version": "1"}}


def test_planes_and_objects_are_numbered_through_all_images():
    labels = np.array([[1, 0, 2]], np.uint32)
    coco = Coco({})
    for name in ("a.tif", "b.tif"):
        with coco.image(name) as add:
            for z in range(2):
                add(plane((z,), labels, {}))
    assert [image["id"] for image in coco.images] == [1, 2, 3, 4]
    assert [image["plane"] for image in coco.images] == [[0], [1], [0], [1]]
    assert [item["id"] for item in coco.annotations] == list(range(1, 9))
    assert [item["image_id"] for item in coco.annotations] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_an_image_that_fails_half_way_leaves_no_annotation():
    coco = Coco({})
    with pytest.raises(OSError, match="gone"), coco.image("a.tif") as add:
        add(plane((0,), np.ones((2, 2), np.uint32), {}))
        raise OSError("gone")
    assert (coco.images, coco.annotations) == ([], [])
