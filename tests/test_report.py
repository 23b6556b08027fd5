import numpy as np
import pytest

from napari_fastsam import Instances, PlaneResult
from napari_fastsam.report import FoundObject, Summary, Tally, objects_of


def plane(index, labels, scores):
    return objects_of(PlaneResult(index, Instances.empty(labels.shape), None, labels, scores))


@pytest.fixture
def labels():
    """A 2 x 4 object with label 3 at (1, 2)."""
    labels = np.zeros((10, 12), np.uint32)
    labels[1:3, 2:6] = 3
    return labels


def test_the_figures_of_an_object(labels):
    tally = Tally(across_planes=False)
    tally.add(plane((), labels, {3: 0.5}))
    (found,) = tally.objects
    assert found.as_json() == {
        "label": 3,
        "score": 0.5,
        "area": 8,
        "centroid": [1.5, 3.5],
        "bbox": [1, 2, 3, 6],
    }


def test_an_object_through_planes_is_one_row(labels):
    tally = Tally(across_planes=True)
    tally.add(plane((4,), labels, {3: 0.5}))
    tally.add(plane((5,), np.roll(labels, (2, 2), (0, 1)), {3: 0.75}))
    (found,) = tally.objects
    assert (found.area, found.score) == (16, 0.75)
    assert found.centroid == (4.5, 2.5, 4.5)
    assert found.bbox == (4, 1, 2, 6, 5, 8)


def test_labels_that_count_from_one_on_each_plane_are_different_objects(labels):
    tally = Tally(across_planes=False)
    for z in (0, 1):
        tally.add(plane((z,), labels, {3: 0.5}))
    assert [(found.label, found.bbox[0]) for found in tally.objects] == [(3, 0), (3, 1)]


def test_objects_come_in_order_of_their_labels():
    tally = Tally(across_planes=True)
    tally.add(plane((), np.array([[9, 0, 2, 10]], np.uint32), {}))
    assert [found.label for found in tally.objects] == [2, 9, 10]


@pytest.mark.parametrize("across", [True, False])
def test_only_the_first_rows_are_kept_where_not_all_are_wanted(across):
    tally = Tally(across_planes=across, most=2)
    tally.add(plane((), np.array([[1, 2, 2, 3, 3, 3]], np.uint32), {1: 0.1, 2: 0.2, 3: 0.6}))
    assert [found.label for found in tally.objects] == [1, 2]
    assert tally.summary == Summary(3, pytest.approx(0.3), 2)


def test_no_objects_are_a_summary_too():
    assert Tally(across_planes=False).summary == Summary(0, 0, 0)


def test_figures_survive_json(labels):
    import json
    from dataclasses import asdict

    (found,) = plane((4,), labels, {3: 0.5})
    assert FoundObject.from_json(json.loads(json.dumps(asdict(found)))) == found
