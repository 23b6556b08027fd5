"""A Labels layer that is worked on: axes that turn, strokes, other data, provenance, keys."""

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.key_bindings import coerce_keybinding

from napari_fastsam import Instances, PlaneAxes, Prompts
from napari_fastsam._napari.lineages import of_object
from napari_fastsam._napari.work import PROVENANCE, UNDO, Work

SHAPE = (3, 8, 9)


@pytest.fixture
def labels():
    return Labels(np.zeros(SHAPE, np.uint32))


@pytest.fixture
def calls():
    return []


@pytest.fixture
def work(labels, calls, qapp):
    found = np.zeros(SHAPE[1:], int)
    found[1:4, 1:4], found[5:7, 5:8] = 1, 2

    def candidates(index, prompts):
        shape = PlaneAxes("ZYX", SHAPE).plane_shape
        return Instances.from_labels(found if shape == found.shape else found.T)

    work = Work(
        labels,
        PlaneAxes("ZYX", SHAPE),
        candidates,
        in_view=lambda _: True,
        changed=lambda: calls.append("changed"),
        undo=lambda: calls.append("undo"),
        redo=lambda: calls.append("redo"),
    )
    yield work
    work.close()


def take(work, plane=0, at=(2, 2)):
    [outcome] = work.labelling.take(Prompts(points=[at]), plane=(plane,))
    work.note()
    return outcome.label


def test_numbers_begin_after_those_that_are_there(labels, work):
    assert work.next_label == 1
    labels.data = np.full(SHAPE, 6, np.uint32)
    assert work.next_label == 7
    assert len(work.history) == 0


def test_what_was_done_is_written_into_the_metadata_and_leaves_with_other_data(labels, work, calls):
    assert work.record == {}
    take(work)
    assert [step["do"] for step in work.record["steps"]] == ["take"]
    labels.data = np.zeros(SHAPE, np.uint32)
    assert PROVENANCE not in labels.metadata
    assert work.record == {}
    assert calls[-1] == "changed"


def test_a_stroke_is_a_step_and_an_edit_of_its_own_is_none(labels, work, calls):
    label = take(work)
    calls.clear()
    labels.data_setitem(tuple(np.array([[1, 1], [2, 2], [3, 4]])), np.array([5, 5]))
    assert [step["do"] for step in work.record["steps"]] == ["take", "paint"]
    assert calls == ["changed"]
    work.labelling.undo()
    assert labels.data.max() == label
    assert work.next_label == label + 1


def test_the_label_that_a_person_paints_with_is_left_to_them(labels, work):
    labels.selected_label, labels.mode = 4, "paint"
    work.about_to_number()
    assert take(work) == 5


def test_turned_axes_are_other_planes_of_the_same_labels(labels, work):
    take(work)
    turned = PlaneAxes("YZX", SHAPE)
    assert work.frame(turned) == 1
    assert work.canvas.axes.axes == "ZYX", "what is shown stays"
    work.lie(turned)
    assert work.canvas.axes.axes == "YZX"
    assert work.canvas.read((0,)).shape == (3, 9)
    work.labelling.undo()
    assert not labels.data.any(), "steps keep to the axes that they were made with"


def test_sources_are_written_once_and_steps_name_theirs(work):
    work.source({"name": "first"})
    take(work)
    for name in ("second", "first", "second"):
        work.source({"name": name})
    take(work, 1, (6, 6))
    assert [source["name"] for source in work.sources] == ["first", "second"]
    assert [step.get("source", 0) for step in work.record["steps"]] == [0, 1]


def test_a_table_that_names_no_step_belongs_to_the_last_one(labels, work):
    work.linked(of_object(1, {0}))
    assert len(labels.features) == 0, "there is no step"
    take(work)
    work.linked(of_object(1, {0, 2}))
    assert labels.features[["index", "planes", "missed"]].to_numpy().tolist() == [[1, 2, 1]]
    labels.data = np.zeros(SHAPE, np.uint32)
    assert len(labels.features) == 0


def test_closing_gives_keys_and_events_back(labels, work, calls):
    assert coerce_keybinding(UNDO) in labels.keymap
    work.close()
    calls.clear()
    assert coerce_keybinding(UNDO) not in labels.keymap
    labels.data_setitem((np.array([0]), np.array([0]), np.array([0])), 3)
    labels.data = np.zeros(SHAPE, np.uint32)
    assert calls == []
