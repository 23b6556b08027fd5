"""Runs over a stack in the dock: some of the planes, going on after a stop, prompts and objects."""

import numpy as np
import pytest

import napari_fastsam as fs
from napari_fastsam._napari import words

from .conftest import CENTRES, OBJECTS, found, labels_of
from .test_widget_stack import by_plane


@pytest.fixture
def long_stack(plane):
    """(8, 60, 80) uint8: object 2 is not on the fourth plane."""
    images = np.stack([plane] * 8)
    images[(3, *OBJECTS[2])] = 10
    return images


@pytest.fixture
def stop(viewer, dock, long_stack, gate, blobs, qtbot):
    """Begin a run over all planes, and cancel it after four of eight."""
    dock.settings.prefetch.value = False
    viewer.add_image(long_stack)
    dock.settle()  # the fourth plane is in view
    viewer.dims.set_point(0, 0)
    dock.settle()

    def begin_and_stop():
        gate.at = blobs.calls + 2
        dock.everything_stack()
        qtbot.waitUntil(lambda: dock.output.value is not None and dock.output.value.data[3].any())
        dock.cancel()
        gate.set()
        dock.settle()
        return labels_of(viewer)

    return begin_and_stop


@pytest.mark.parametrize("linked", [False, True])
def test_resuming_gives_what_an_uninterrupted_run_gives(
    viewer, dock, stop, long_stack, blobs, linked
):
    dock.linked.value = linked
    labels = stop()
    assert by_plane(labels) == [3, 3, 3, 2, 0, 0, 0, 0]
    assert dock.everything_stack_button.text == "Resume (4 of 8 left)"
    assert dock.prompts_stack_button.text == "Prompts on all planes"
    assert "Resume does the other 4." in dock.status.message.text()
    dock.everything_stack_button.native.click()
    dock.settle()
    assert blobs.calls == 8, "no plane is looked at twice"
    assert by_plane(labels) == [3, 3, 3, 2, 3, 3, 3, 3]
    assert dock.everything_stack_button.text == "Everything on all planes"
    whole = fs.segment_stack(long_stack, blobs, axes="ZYX", link=linked)
    if linked:
        np.testing.assert_array_equal(labels.data, whole)
    np.testing.assert_array_equal(fs.replay(labels, long_stack, model=blobs), labels.data)
    dock.undo()
    dock.settle()
    assert not labels.data.any(), "what was gone on with is one step"


def test_other_settings_start_anew_and_that_is_said(dock, stop):
    stop()
    dock.min_area.value = 5
    assert dock.everything_stack_button.text == "Everything on all planes"
    assert "starts anew" in dock.stack.reason.text()
    dock.min_area.value = 0
    assert dock.everything_stack_button.text.startswith("Resume")
    assert "starts anew" not in dock.stack.reason.text()
    dock.undo()
    dock.settle()
    assert dock.everything_stack_button.text == "Everything on all planes", "none is done"
    dock.redo()
    dock.settle()
    assert dock.everything_stack_button.text.startswith("Resume")


def test_other_labels_or_pixels_start_anew(viewer, dock, stop, long_stack):
    stop()
    dock.output.value = viewer.add_labels(np.zeros(long_stack.shape, np.uint32))
    assert dock.everything_stack_button.text == "Everything on all planes"
    dock.everything_stack()
    dock.settle()
    assert by_plane(dock.output.value) == [3, 3, 3, 2, 3, 3, 3, 3]


def test_a_plane_that_cannot_be_seen_stops_a_run_that_goes_on_once_it_can(
    viewer, dock, long_stack, blobs, monkeypatch, notices
):
    dock.settings.prefetch.value = False
    viewer.add_image(long_stack)
    dock.settle()  # the fourth plane is in view
    viewer.dims.set_point(0, 0)
    dock.settle()
    segment = blobs.segment

    def fail(image):
        if blobs.calls == 5:
            raise ValueError("a plane that cannot be read")
        return segment(image)

    monkeypatch.setattr(blobs, "segment", fail)
    dock.everything_stack()
    dock.settle()
    assert "cannot be read" in notices.pop()
    labels = labels_of(viewer)
    assert by_plane(labels) == [3, 3, 3, 2, 3, 0, 0, 0]
    assert dock.everything_stack_button.text == "Resume (3 of 8 left)"
    monkeypatch.setattr(blobs, "segment", segment)
    dock.everything_stack()
    dock.settle()
    np.testing.assert_array_equal(labels.data, fs.segment_stack(long_stack, blobs, link=True))


def test_only_the_planes_chosen_are_done(viewer, dock, long_stack):
    viewer.add_image(long_stack)
    dock.ranges.value = "1:6:2/8"
    assert dock.ranges.positions == (range(1, 7, 2),)
    assert "3 of 8 planes" in dock.stack.reason.text()
    assert dock.everything_stack_button.text == "Everything on 3 planes"
    dock.everything_stack()
    dock.settle()
    assert by_plane(labels_of(viewer)) == [0, 3, 0, 2, 0, 3, 0, 0]


def test_prompts_beside_the_planes_chosen_wait(viewer, dock, long_stack):
    viewer.add_image(long_stack)
    viewer.add_points([(1, *CENTRES[1]), (5, *CENTRES[1])])
    dock.ranges.value = "4:7:1/8"
    dock.settle()
    dock.segment_stack()
    dock.settle()
    assert by_plane(labels_of(viewer)) == [0, 0, 0, 0, 0, 1, 0, 0]
    dock.segment_stack()
    assert dock.status.message.text() == words.NONE_IN_RANGE


@pytest.mark.parametrize("linked", [False, True])
def test_prompts_that_a_run_answered_change_their_objects(viewer, dock, long_stack, blobs, linked):
    image = viewer.add_image(long_stack)
    points = viewer.add_points([(z, *CENTRES[1]) for z in (1, 2, 5)])
    dock.settle()
    dock.linked.value = linked
    dock.segment_stack()
    dock.settle()
    labels = labels_of(viewer)
    of_run = labels.data.copy()
    assert len(found(labels)) == (1 if linked else 3)
    dock.segment_stack()
    assert dock.status.message.text() == words.ALL_TAKEN
    points.data = [(1, *CENTRES[1]), (2, *CENTRES[3]), (5, *CENTRES[1])]
    dock.settle()
    assert by_plane(labels) == [0, 1, 1, 0, 0, 1, 0, 0]
    assert labels.data[2][CENTRES[3]] == of_run[2][CENTRES[1]]
    assert not labels.data[2][OBJECTS[1]].any()
    np.testing.assert_array_equal(labels.data[[1, 5]], of_run[[1, 5]])
    points.data = points.data[1:]
    dock.settle()
    assert by_plane(labels) == [0, 0, 1, 0, 0, 1, 0, 0]
    np.testing.assert_array_equal(fs.replay(labels, image, model=blobs), labels.data)
    for _ in range(2):
        dock.undo()
        dock.settle()
    np.testing.assert_array_equal(labels.data, of_run)
    dock.undo()
    dock.settle()
    assert not labels.data.any(), "the run is one step"
    assert len(points.data) == 3
    dock.segment_stack()
    dock.settle()
    np.testing.assert_array_equal(labels.data > 0, of_run > 0)


def test_labels_appear_plane_by_plane_while_the_rest_is_looked_at(
    viewer, dock, long_stack, gate, blobs, qtbot
):
    dock.settings.prefetch.value = False
    viewer.add_image(long_stack)
    dock.settle()
    gate.at = blobs.calls + 3
    dock.everything_stack()
    qtbot.waitUntil(lambda: dock.output.value is not None and dock.output.value.data[2].any())
    labels = labels_of(viewer)
    assert dock.busy
    assert by_plane(labels)[4:] == [0, 0, 0, 0]
    qtbot.waitUntil(lambda: dock.status.bar.value() >= 3)
    assert dock.status.bar.maximum() == 8
    assert "left" in dock.status.message.text()
    viewer.dims.set_point(0, 1)
    assert labels.get_value((1, *CENTRES[1])), "what is done is seen meanwhile"
    gate.set()
    dock.settle()
    assert by_plane(labels) == [3, 3, 3, 2, 3, 3, 3, 3]


def test_what_was_linked_before_a_stop_is_told_and_completed_by_resuming(dock, stop):
    labels = stop()

    def rows():
        return labels.features[["index", "first", "last", "planes", "missed"]].to_numpy().tolist()

    assert rows() == [[1, 0, 3, 4, 0], [2, 0, 2, 3, 0], [3, 0, 3, 4, 0]]
    dock.everything_stack()
    dock.settle()
    assert rows() == [[1, 0, 7, 8, 0], [2, 0, 7, 7, 1], [3, 0, 7, 8, 0]]
    dock.undo()
    dock.settle()
    assert len(labels.features) == 0


@pytest.mark.parametrize("linked", [False, True])
def test_points_and_shapes_of_ones_own_apply_to_their_planes_in_one_call(
    viewer, dock, long_stack, blobs, linked
):
    image = viewer.add_image(long_stack)
    viewer.add_points([(1, *CENTRES[1]), (6, *CENTRES[3])])
    rows, columns = OBJECTS[2]
    corners = [(a, b) for a in (rows.start, rows.stop - 1) for b in (columns.start, columns.stop)]
    box = np.array([(2, *corners[n]) for n in (0, 1, 3, 2)])
    polygon = np.array([(5, *corner) for corner in ((34, 6), (34, 26), (58, 26), (58, 6))])
    shapes = viewer.add_shapes([box, polygon], shape_type=["rectangle", "polygon"])
    dock.settle()
    dock.linked.value = linked
    dock.current_tab = "stack"
    dock.prompts_stack_button.native.click()
    dock.settle()
    labels = labels_of(viewer)
    assert by_plane(labels) == [0, 1, 1, 0, 0, 1, 1, 0]
    assert (labels.data[(2, *OBJECTS[2])] > 0).all()
    assert (labels.data[(5, *OBJECTS[3])] > 0).all()
    same = labels.data[5][CENTRES[3]] == labels.data[6][CENTRES[3]]
    assert same == linked
    whole = labels.data.copy()
    np.testing.assert_array_equal(fs.replay(labels, image, model=blobs), whole)
    shapes.selected_data = {0}
    shapes.remove_selected()
    dock.settle()
    assert by_plane(labels) == [0, 1, 0, 0, 0, 1, 1, 0]
    dock.undo()
    dock.settle()
    np.testing.assert_array_equal(labels.data, whole)
    assert len(shapes.data) == 2, "the box is back with its object"
    dock.undo()
    dock.settle()
    assert not labels.data.any()
    assert (len(dock.points.value.data), len(shapes.data)) == (2, 2)
    dock.redo()
    dock.settle()
    np.testing.assert_array_equal(labels.data, whole)
