"""Classes of candidates, on their way to tables, annotations and features."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_fastsam as fs
from napari_fastsam._packing import pack, unpack
from napari_fastsam._uniting import union
from napari_fastsam.cleanup import tidy
from napari_fastsam.files.coco import Coco
from napari_fastsam.planes import PlaneAxes
from napari_fastsam.report import FoundObject, Tally, objects_of
from napari_fastsam.told import Found

NAMES = ("cell", "nucleus", "debris")


def classed(classes: list[int], names: tuple[str, ...] = NAMES) -> fs.Instances:
    """Squares of 4 pixels beside each other, each of a class."""
    labels = np.zeros((4, 4 * len(classes)), np.uint8)
    for n in range(len(classes)):
        labels[1:3, 4 * n + 1 : 4 * n + 3] = n + 1
    plain = fs.Instances.from_labels(labels)
    return fs.Instances(plain.shape, plain.bboxes, plain.scores, plain.buffer, classes, names)


class Classes:
    """Finds three objects, two with a class."""

    def segment(self, image: np.ndarray) -> fs.Instances:
        return classed([2, -1, 0])


IMAGE = np.zeros((4, 12), np.uint8)


@given(st.lists(st.integers(-1, 2), min_size=1, max_size=6), st.data())
def test_classes_stay_with_their_objects(classes, data):
    found = classed(classes)
    rows = data.draw(st.lists(st.integers(0, len(classes) - 1), max_size=6))
    for kept in (found[rows], pickle.loads(pickle.dumps(found[rows])), unpack(pack(found[rows]))):
        assert kept.class_names == tuple(("", *NAMES)[classes[n] + 1] for n in rows)
    assert found.shift((0, 0)).class_names == found.class_names
    assert tidy(found, fs.Cleanup(min_area=1)).class_names == found.class_names


def test_parts_of_several_models_keep_what_their_classes_are_called():
    other = classed([1, 0, -1], ("nucleus", "fibre"))
    plain = fs.Instances(other.shape, other.bboxes, other.scores, other.buffer)
    joined = fs.Instances.concatenate([classed([0, 1, 2]), other, plain])
    assert joined.class_names == (*NAMES, "fibre", "nucleus", "", "", "", "")
    assert fs.Instances.concatenate([plain, plain]).classes is None


def test_a_united_object_is_of_the_class_of_its_largest_piece():
    found = classed([0, 1])
    larger = fs.Instances.from_masks((4, 8), [np.ones((4, 8), bool)]).classed_as(found, [1])
    assert union(fs.Instances.concatenate([found[[0]], larger])).class_names == ("nucleus",)


@pytest.mark.parametrize("classes", [[0], [0, 3], [0, -2]])
def test_classes_without_a_name_are_refused(classes):
    plain = classed([0, 0])
    with pytest.raises(ValueError, match="one class for each of 2 boxes, from -1 to 2"):
        fs.Instances(plain.shape, plain.bboxes, plain.scores, plain.buffer, classes, NAMES)


def test_results_say_of_which_class_each_label_is():
    (everything,) = fs.run(fs.Request(data=IMAGE), Classes())
    assert everything.found == {1: Found(class_name="debris"), 3: Found(class_name="cell")}
    prompts = {(): fs.Prompts(points=[(1, 9), (1, 5), (3, 0)])}
    (picked,) = fs.run(fs.Request(data=IMAGE, prompts=prompts, closer=False), Classes())
    assert picked.found == {1: Found(class_name="cell")}
    (regions,) = fs.run_regions(fs.Request(data=IMAGE), Classes())
    assert regions.found == everything.found


def test_tables_and_annotations_say_the_class(tmp_path):
    (result,) = fs.run(fs.Request(data=IMAGE), Classes())
    rows = objects_of(result)
    assert [row.as_json().get("class") for row in rows] == ["debris", None, "cell"]
    assert [FoundObject.from_json(json.loads(json.dumps(row.to_json()))) for row in rows] == rows
    coco = Coco({})
    coco.add_labels(
        "a",
        PlaneAxes("YX", IMAGE.shape),
        result.labels,
        lambda _: result.scores,
        lambda _: result.found,
    )
    coco.save(tmp_path / "a.json")
    told = json.loads((tmp_path / "a.json").read_text())
    names = {category["id"]: category["name"] for category in told["categories"]}
    assert [names[one["category_id"]] for one in told["annotations"]] == [
        "debris",
        "object",
        "cell",
    ]


def test_an_object_on_several_planes_is_what_the_best_of_them_says():
    tally = Tally(across_planes=True)
    for score, name in ((0.4, "cell"), (0.9, "nucleus"), (0.6, "debris")):
        box = (0, 0, 0, 1, 2, 2)
        tally.add([FoundObject(1, score, 4, (0.0, 0.5, 0.5), box, Found(class_name=name))])
    assert tally.objects[0].told == {"class": "nucleus"}
