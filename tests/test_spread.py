"""Labels that a run over planes gave to prompts: each plane's object is changed by itself."""

import numpy as np
import pytest

import napari_fastsam as fs
from napari_fastsam import Labelling, Prompts
from napari_fastsam.script import as_script

LEFT, RIGHT = (slice(2, 8), slice(2, 9)), (slice(2, 8), slice(20, 28))
AT_LEFT, AT_RIGHT = (5, 5), (5, 24)


@pytest.fixture
def stack():
    """Three planes that show the same two objects."""
    images = np.zeros((3, 24, 32), np.uint8)
    images[(slice(None), *LEFT)] = images[(slice(None), *RIGHT)] = 200
    return images


@pytest.fixture
def work(stack, blobs):
    """A labelling of one object, linked through the planes, one prompt on each."""
    work = Labelling.of(stack, blobs, axes="ZYX")
    work.segment(prompts={(z,): Prompts(points=[AT_LEFT]) for z in range(3)}, link=True)
    return work


def shown(work):
    """Return the labels at the left and at the right, plane by plane."""
    return [(int(plane[AT_LEFT]), int(plane[AT_RIGHT])) for plane in work.labels]


def test_the_object_of_one_plane_changes_and_the_others_stay(work):
    assert shown(work) == [(1, 0)] * 3
    assert [work.object_on(1, (z,)) is not None for z in range(4)] == [True, True, True, False]
    work.take(Prompts(points=[AT_RIGHT]), plane=1, labels=[1])
    assert shown(work) == [(1, 0), (0, 1), (1, 0)]
    work.undo()
    assert shown(work) == [(1, 0)] * 3
    work.redo()
    work.take(Prompts(points=[AT_LEFT]), plane=1, labels=[1])
    assert shown(work) == [(1, 0)] * 3


def test_the_object_of_one_plane_is_taken_away(work):
    work.remove(1, plane=0)
    assert shown(work) == [(0, 0), (1, 0), (1, 0)]
    work.take(Prompts(points=[AT_RIGHT]), plane=0, labels=[1])
    assert shown(work) == [(0, 1), (1, 0), (1, 0)]
    work.remove(1)
    assert not work.labels.any()
    work.undo()
    assert shown(work) == [(0, 1), (1, 0), (1, 0)]


def test_what_an_object_covers_comes_back_on_its_plane(stack, blobs):
    work = Labelling.of(stack, blobs, axes="ZYX")
    for z in range(3):
        work.take(Prompts(points=[AT_LEFT]), plane=z)
    asked = {(z,): Prompts(points=[AT_LEFT]) for z in range(3)}
    work.segment(prompts=asked, link=True, existing="overwrite")
    assert shown(work) == [(4, 0)] * 3
    work.remove(4, plane=2)
    assert shown(work) == [(4, 0), (4, 0), (3, 0)]
    work.give_back(4, plane=0)
    assert shown(work) == [(1, 0), (4, 0), (3, 0)]


def test_undoing_the_run_undoes_what_can_be_changed(work):
    work.undo()
    assert not work.labels.any()
    assert work.object_on(1, (1,)) is None
    work.take(Prompts(points=[AT_LEFT]), plane=1)
    work.take(Prompts(points=[AT_RIGHT]), plane=2, labels=[1])
    assert shown(work) == [(0, 0), (0, 0), (0, 1)], "a label that was taken alone moves"


def test_changes_after_a_run_are_replayed_and_scripted(work, stack, blobs):
    work.take(Prompts(points=[AT_RIGHT]), plane=1, labels=[1])
    work.remove(1, plane=2)
    work.give_back(1, plane=0)
    again = fs.replay(fs.provenance(work), stack, model=blobs)
    np.testing.assert_array_equal(again, work.labels)
    assert "work.remove([1], plane=(2,))" in as_script(fs.provenance(work))


@pytest.fixture
def other(stack, blobs):
    """Return the object at the right, as it was found on any of the planes."""
    candidates = blobs.segment(np.stack([stack[0]] * 3, -1))
    return candidates[[int(np.flatnonzero(candidates.contains([AT_RIGHT])[0])[0])]]


def test_a_label_goes_on_to_other_planes_and_each_is_changed_alone(stack, blobs, other):
    work = Labelling.of(stack, blobs, axes="ZYX")
    work.take(Prompts(points=[AT_RIGHT]), plane=1)
    with work.together():
        assert work.extend(1, other, plane=0).state == "new"
        assert work.extend(1, other, plane=2).state == "new"
    assert shown(work) == [(0, 1)] * 3
    work.take(Prompts(points=[AT_LEFT]), plane=2, labels=[1])
    assert shown(work) == [(0, 1), (0, 1), (1, 0)]
    work.remove(1, plane=0)
    assert shown(work) == [(0, 0), (0, 1), (1, 0)]
    again = fs.replay(fs.provenance(work), stack, model=blobs)
    np.testing.assert_array_equal(again, work.labels)
    for expected in ([(0, 1), (0, 1), (1, 0)], [(0, 1)] * 3, [(0, 0), (0, 1), (0, 0)]):
        work.undo()
        assert shown(work) == expected


def test_where_others_are_a_label_does_not_go_on(stack, blobs, other):
    work = Labelling.of(stack, blobs, axes="ZYX")
    work.take(Prompts(points=[AT_RIGHT]), plane=0)
    work.take(Prompts(points=[AT_RIGHT]), plane=1)
    assert work.extend(1, other, plane=1).state == "taken"
    assert shown(work) == [(0, 1), (0, 2), (0, 0)]
    assert work.extend(1, other, plane=1, existing="overwrite").state == "new"
    assert shown(work) == [(0, 1), (0, 1), (0, 0)]


def test_a_label_that_is_spread_is_taken_on_another_plane_besides(stack, blobs):
    work = Labelling.of(stack, blobs, axes="ZYX")
    work.take(Prompts(points=[AT_RIGHT]), plane=0)
    with work.together():
        work.spread(1)
        work.take(Prompts(points=[AT_LEFT]), plane=1, labels=[1])
    assert shown(work) == [(0, 1), (1, 0), (0, 0)]
    again = fs.replay(fs.provenance(work), stack, model=blobs)
    np.testing.assert_array_equal(again, work.labels)


def test_what_goes_on_is_in_the_script(stack, blobs, other, monkeypatch):
    work = Labelling.of(stack, blobs, axes="ZYX")
    work.take(Prompts(points=[AT_RIGHT]), plane=1)
    with work.together():
        work.spread(1)
        work.extend(1, other, plane=0)
    script = as_script(fs.provenance(work))
    again = Labelling.of(stack, blobs, axes="ZYX")
    calls = script[script.index("work.take") : script.index("tifffile.imwrite")]
    exec(calls, {"work": again, "fs": fs})
    np.testing.assert_array_equal(again.labels, work.labels)
