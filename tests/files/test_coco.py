import json

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from napari_fastsam import Instances, PlaneAxes
from napari_fastsam.files import coco as module
from napari_fastsam.files import neighbours
from napari_fastsam.files.coco import Coco, runs

pytestmark = pytest.mark.filterwarnings(  # pycocotools' own, when it decodes
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


def decoded(counts, size):
    """Return the mask of COCO's runs: down the columns, beginning with zeros."""
    flat = np.repeat(np.arange(len(counts)) % 2, counts).astype(bool)
    return flat.reshape(size[::-1]).T


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
    coco.add_labels("a.tif", PlaneAxes("YX", labels.shape), labels, lambda index: {7: 0.87654})
    coco.save(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    (annotation,) = content["annotations"]
    assert annotation["segmentation"]["size"] == [20, 30]
    np.testing.assert_array_equal(mask_utils.decode(annotation["segmentation"]), labels == 7)
    assert annotation["bbox"] == [10, 2, 7, 3]
    assert (annotation["area"], annotation["score"], annotation["label"]) == (21, 0.8765, 7)
    assert content["images"] == [{"id": 1, "file_name": "a.tif", "width": 30, "height": 20}]
    assert annotation["category_id"] in [category["id"] for category in content["categories"]]
    assert content["info"] == {"napari_fastsam": {"version": "1"}}


def test_planes_and_objects_are_numbered_through_all_images():
    labels = np.array([[[1, 0, 2]]] * 2, np.uint32)
    coco = Coco({})
    for name in ("a.tif", "b.tif"):
        coco.add_labels(name, PlaneAxes("ZYX", labels.shape), labels)
    assert [image["id"] for image in coco.images] == [1, 2, 3, 4]
    assert [image["plane"] for image in coco.images] == [[0], [1], [0], [1]]
    assert [item["id"] for item in coco.annotations] == list(range(1, 9))
    assert [item["image_id"] for item in coco.annotations] == [1, 1, 2, 2, 3, 3, 4, 4]


LABELS = np.random.default_rng(0).integers(0, 5, (3, 40, 50), np.uint32)
LABELS[1] = 0


def saved(tmp_path, coco):
    """Save annotations, and load them with COCO's own tool."""
    coco.save(tmp_path / "a.json")
    return COCO(tmp_path / "a.json")


@pytest.mark.parametrize("axes", ["ZYX", "ZXY"])
def test_pycocotools_reads_the_masks_of_a_stack(tmp_path, axes):
    labels = LABELS.swapaxes(1, 2) if axes == "ZXY" else LABELS
    store = zarr.create_array(tmp_path / "labels", data=labels, chunks=(1, 16, 16))
    scores = {(z,): {n: (z + n) / 10 for n in range(1, 5)} for z in range(3)}
    coco = Coco({})
    coco.add_labels("a.tif", PlaneAxes(axes, labels.shape), store, scores.__getitem__)
    loaded = saved(tmp_path, coco)
    planes = loaded.loadImgs(loaded.getImgIds())
    assert [image["plane"] for image in planes] == [[0], [1], [2]]
    for image in planes:
        (z,) = image["plane"]
        found = np.zeros((40, 50), np.uint32)
        for one in loaded.loadAnns(loaded.getAnnIds(imgIds=image["id"])):
            mask = loaded.annToMask(one)
            assert one["score"] == scores[z,][one["label"]]
            assert one["area"] == mask.sum() == mask_utils.area(one["segmentation"])
            assert one["bbox"] == mask_utils.toBbox(one["segmentation"]).tolist()
            found[mask > 0] = one["label"]
        np.testing.assert_array_equal(found, LABELS[z])


def test_pycocotools_reads_one_image_and_one_without_objects(tmp_path):
    coco = Coco({})
    for name, labels in (("a.tif", LABELS[0]), ("empty.tif", LABELS[1])):
        coco.add_labels(name, PlaneAxes("YX", labels.shape), labels)
    loaded = saved(tmp_path, coco)
    first, empty = loaded.loadImgs(loaded.getImgIds())
    assert [first["file_name"], empty["file_name"]] == ["a.tif", "empty.tif"]
    masks = [loaded.annToMask(one) for one in loaded.loadAnns(loaded.getAnnIds(first["id"]))]
    np.testing.assert_array_equal(sum(masks), LABELS[0] > 0)
    assert loaded.getAnnIds(empty["id"]) == []


def test_pycocotools_reads_annotations_of_nothing(tmp_path):
    loaded = saved(tmp_path, Coco({}))
    assert loaded.getImgIds() == loaded.getAnnIds() == []


@pytest.mark.parametrize("in_memory", [1 << 24, 100])
def test_labels_that_cannot_be_read_leave_no_annotation(tmp_path, monkeypatch, in_memory):
    class Broken:
        def __getitem__(self, key):
            if key[0] == 2:
                raise OSError("gone")
            return LABELS[key]

    monkeypatch.setattr(module, "_IN_MEMORY", in_memory)
    axes = PlaneAxes("ZYX", LABELS.shape)
    coco, alone = Coco({}, folder=tmp_path), Coco({})
    with pytest.raises(OSError, match="gone"):
        coco.add_labels("a.tif", axes, Broken())
    assert (coco.images, coco.annotations, coco.count) == ([], [], 0)
    coco.add_labels("b.tif", axes, LABELS)
    with pytest.raises(OSError, match="gone"):
        coco.add_labels("a.tif", axes, Broken())
    coco.add_labels("c.tif", axes, LABELS)
    for name in ("b.tif", "c.tif"):
        alone.add_labels(name, axes, LABELS)
    assert coco.annotations == alone.annotations
    assert coco.count == len(coco.annotations) == 16
    loaded = saved(tmp_path, coco)
    assert [image["file_name"] for image in loaded.loadImgs(loaded.getImgIds())] == [
        name for name in ("b.tif", "c.tif") for _ in range(3)
    ]
    assert list(loaded.anns.values()) == alone.annotations
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_large_plane_is_annotated_in_parts_as_the_whole(monkeypatch):
    plane = np.zeros((70, 90), np.uint32)
    plane[5:60, 40:44], plane[30:33, 2:88] = 300, 7
    plane[::9, ::11] = 1000 + np.arange(72).reshape(8, 9)
    axes = PlaneAxes("YX", plane.shape)
    whole, parts = Coco({}), Coco({})
    whole.add_labels("a", axes, plane)
    monkeypatch.setattr(neighbours, "AT_ONCE", 32)
    monkeypatch.setattr(neighbours, "CHUNK", 16)
    parts.add_labels("a", axes, plane)
    assert parts.annotations == whole.annotations
    assert parts.count == 74


@given(arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8))).filter(np.any))
def test_masks_are_encoded_as_pycocotools_does(mask):
    coco = Coco({})
    coco.add_labels("a", PlaneAxes("YX", mask.shape), mask.astype(np.uint32))
    said = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert coco.annotations[0]["segmentation"]["counts"] == said["counts"].decode()
