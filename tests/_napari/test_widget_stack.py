"""The dock on stacks: the plane in view, all planes, any order of axes."""

from threading import Event

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Labels

import napari_fastsam as fs
from napari_fastsam._napari import words
from napari_fastsam._napari.layer_boxes import layers_of
from napari_fastsam._napari.work import PROVENANCE

from .conftest import CENTRES, OBJECTS, found, labels_of


def by_plane(layer) -> list[int]:
    """Return how many labels each plane of a stack has."""
    return [len(np.unique(plane)) - 1 for plane in np.asarray(layer.data)]


@pytest.fixture
def held_at_the_third(blobs, monkeypatch):
    """Make the network wait at the third plane until it is let go."""
    gate = Event()
    segment = blobs.segment

    def wait(image):
        if blobs.calls == 2:
            assert gate.wait(60)
        return segment(image)

    monkeypatch.setattr(blobs, "segment", wait)
    yield gate
    gate.set()


def test_only_the_plane_in_view_is_labelled(viewer, dock, stack):
    viewer.add_image(stack)
    viewer.dims.set_point(0, 2)
    dock.everything()
    dock.settle()
    assert by_plane(labels_of(viewer)) == [0, 0, 2, 0]


def test_the_planes_beside_are_looked_at_ahead_unless_that_is_switched_off(
    viewer, dock, stack, blobs
):
    dock.settings.prefetch.value = False
    viewer.add_image(stack)
    dock.settle()
    assert (viewer.dims.current_step[0], blobs.calls) == (1, 1)
    dock.settings.prefetch.value = True
    dock.settle()
    assert blobs.calls == 3
    viewer.dims.set_point(0, 2)
    assert "2 candidates" in dock.status.state_line.text()  # at once
    dock.settle()
    assert blobs.calls == 4


def test_prompts_apply_to_the_plane_that_they_are_on(viewer, dock, stack):
    viewer.add_image(stack)
    viewer.add_points([(1, *CENTRES[1]), (3, *CENTRES[2])])
    viewer.dims.set_point(0, 3)
    dock.settle()
    dock.segment_plane()
    data = labels_of(viewer).data
    assert (data[3][OBJECTS[2]] == 1).all()
    assert not data[:3].any()
    viewer.dims.set_point(0, 0)
    dock.settle()
    dock.segment_plane()
    assert dock.status.message.text() == words.NOTHING_DRAWN
    dock.segment_stack()
    dock.settle()
    assert (data[1][OBJECTS[1]] == 2).all()
    assert found(labels_of(viewer)) == [1, 2]


def test_a_point_on_another_plane_has_that_one_looked_at(viewer, dock, stack):
    dock.settings.prefetch.value = False
    viewer.add_image(stack)
    points = viewer.add_points(ndim=3)
    dock.settle()
    points.add((3, *CENTRES[1]))
    dock.settle()
    assert by_plane(labels_of(viewer)) == [0, 0, 0, 1]
    points.data = [(1, *CENTRES[1])]
    dock.settle()
    assert by_plane(labels_of(viewer)) == [0, 1, 0, 0]


def test_flat_prompts_on_a_stack_apply_to_the_plane_in_view_and_stay_there(viewer, dock, stack):
    viewer.add_image(stack, scale=(2, 1, 1))
    viewer.dims.set_point(0, 4)
    dock.settle()
    points = viewer.add_points(ndim=2)
    points.add(CENTRES[1])
    assert by_plane(labels_of(viewer)) == [0, 0, 1, 0]
    viewer.dims.set_point(0, 6)
    dock.settle()
    points.add(CENTRES[2])
    assert by_plane(labels_of(viewer)) == [0, 0, 1, 1]
    assert (labels_of(viewer).data[3][OBJECTS[2]] == 2).all()


def test_all_planes_are_labelled_as_one_step_and_written_down(viewer, dock, stack, blobs):
    viewer.add_image(stack)
    dock.linked.value = False
    dock.everything_stack()
    dock.settle()
    labels = labels_of(viewer)
    assert by_plane(labels) == [2, 2, 2, 3]
    assert len(found(labels)) == 9
    np.testing.assert_array_equal(fs.replay(labels, stack, model=blobs), labels.data)
    before = labels.data.copy()
    dock.undo()
    dock.settle()
    assert not labels.data.any()
    dock.redo()
    dock.settle()
    np.testing.assert_array_equal(labels.data, before)


def test_linked_objects_keep_their_label(viewer, dock, stack, blobs):
    viewer.add_image(stack[2:])
    dock.everything_stack()
    dock.settle()
    labels = labels_of(viewer)
    assert labels.data[0][CENTRES[1]] == labels.data[1][CENTRES[1]]
    assert found(labels) == [1, 2, 3]
    assert dock.status.message.text().startswith("3 new objects."), "each is told once"
    np.testing.assert_array_equal(fs.replay(labels, stack[2:], model=blobs), labels.data)


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0), (2, 1, 0), (0, 2, 1)])
def test_any_displayed_plane_is_labelled(order, viewer, dock, stack, blobs):
    shape = tuple(int(n) for n in np.argsort(order))
    # Shown along `order`, this is the stack again.
    image = viewer.add_image(np.transpose(stack, shape), rgb=False)
    viewer.dims.order = order
    viewer.dims.set_point(order[0], 3)
    dock.settle()
    dock.new_points()
    where = [0.0] * 3
    for axis, at in zip(order, (3, *CENTRES[1]), strict=True):
        where[axis] = at
    dock.points.value.add(where)
    data = np.transpose(labels_of(viewer).data, order)
    assert (data[3][OBJECTS[1]] == 1).all()
    dock.everything()
    dock.settle()
    assert not data[:3].any()
    assert [len(np.unique(data[3][where])) for where in OBJECTS.values()] == [1, 1, 1]
    assert found(labels_of(viewer)) == [1, 2, 3]
    labels = labels_of(viewer)
    np.testing.assert_array_equal(fs.replay(labels, image, model=blobs), labels.data)


def test_labels_go_on_when_the_view_is_turned(viewer, dock, blobs):
    cube = np.full((40, 40, 40), 10, np.uint8)
    cube[10:20, 12:24, 14:28] = 200
    image = viewer.add_image(cube)
    viewer.dims.set_point(0, 15)
    dock.settle()
    dock.new_points()
    dock.points.value.add((15, 15, 20))
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, 20)
    dock.settle()
    dock.points.value.add((12, 20, 20))
    labels = labels_of(viewer)
    assert (labels.data[15, 12:24, 14:28] == 1).sum() > 0
    assert (labels.data[10:15, 20, 14:28] == 2).all()
    np.testing.assert_array_equal(fs.replay(labels, image, model=blobs), labels.data)
    dock.undo()
    dock.settle()
    assert found(labels) == [1]
    dock.undo()
    dock.settle()
    assert found(labels) == []


def test_of_a_stored_volume_only_planes_that_are_looked_at_are_computed(viewer, dock, stack):
    dock.settings.prefetch.value = False
    read = []

    def compute(block, block_info=None):
        if block_info:
            read.append(block_info[0]["chunk-location"][0])
        return block

    volume = da.from_array(np.repeat(stack, 5, axis=0), chunks=(1, 60, 80))
    volume = volume.map_blocks(compute, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    viewer.add_image(volume, contrast_limits=(0, 255))
    viewer.dims.set_point(0, 7)
    dock.everything()
    dock.settle()
    assert set(read) <= {0, 7, 9}  # this one, and what napari shows at first
    assert np.flatnonzero(labels_of(viewer).data.any((1, 2))).tolist() == [7]


def test_labels_in_a_zarr_array_are_written_plane_by_plane(viewer, dock, stack, tmp_path):
    stored = zarr.create_array(
        tmp_path / "labels.zarr", shape=stack.shape, chunks=(1, 60, 80), dtype=np.uint32
    )
    viewer.add_image(stack)
    dock.output.value = viewer.add_labels(stored)
    dock.everything_stack()
    dock.settle()
    assert [len(np.unique(plane)) - 1 for plane in stored[:]] == [2, 2, 2, 3]
    assert layers_of(viewer, Labels) == [dock.output.value]


def test_cancel_keeps_the_planes_that_are_done(
    viewer, dock, stack, held_at_the_third, qtbot, blobs
):
    dock.settings.prefetch.value = False
    viewer.add_image(stack)
    dock.settle()
    dock.linked.value = False
    dock.everything_stack()
    qtbot.waitUntil(lambda: dock.status.running.isVisibleTo(dock.native))
    qtbot.waitUntil(lambda: dock.output.value is not None and dock.output.value.data[1].any())
    dock.status.cancel_button.click()
    held_at_the_third.set()
    dock.settle()
    labels = labels_of(viewer)
    assert by_plane(labels) == [2, 2, 0, 0]
    assert dock.status.message.text().startswith("Cancelled after 2 planes. 4 new objects.")
    assert not dock.status.running.isVisibleTo(dock.native)
    np.testing.assert_array_equal(fs.replay(labels, stack, model=blobs), labels.data)
    dock.undo()
    dock.settle()
    assert not labels.data.any()


def test_what_is_painted_while_a_run_goes_on_stays(
    viewer, dock, stack, held_at_the_third, qtbot, blobs
):
    dock.settings.prefetch.value = False
    viewer.add_image(stack)
    dock.settle()
    dock.linked.value = False
    dock.everything_stack()
    qtbot.waitUntil(lambda: dock.output.value is not None and dock.output.value.data[1].any())
    labels = labels_of(viewer)
    where = tuple(np.array([at]) for at in (3, *CENTRES[2]))
    labels.data_setitem(where, 77)
    held_at_the_third.set()
    dock.settle()
    assert labels.data[where] == 77
    assert by_plane(labels) == [2, 2, 2, 4]
    np.testing.assert_array_equal(fs.replay(labels, stack, model=blobs), labels.data)
    while dock.undo_button.enabled:
        dock.undo()
        dock.settle()
    assert not labels.data.any()


def test_undo_during_a_run_stops_it(viewer, dock, stack, held_at_the_third, qtbot):
    dock.settings.prefetch.value = False
    viewer.add_image(stack)
    dock.settle()
    dock.everything_stack()
    qtbot.waitUntil(lambda: dock.output.value is not None and dock.output.value.data[1].any())
    dock.undo()
    held_at_the_third.set()
    dock.settle()
    assert not labels_of(viewer).data.any()
    dock.redo()
    dock.settle()
    assert by_plane(labels_of(viewer)) == [2, 2, 0, 0]


def test_undo_pressed_twice_takes_two_steps_back(viewer, dock, stack):
    viewer.add_image(stack)
    dock.settle()
    dock.everything_stack()
    dock.settle()
    before = labels_of(viewer).data.copy()
    dock.settings.existing.value = "clear"
    dock.everything_stack()
    dock.settle()
    dock.undo()
    dock.undo()
    dock.settle()
    assert not labels_of(viewer).data.any()
    dock.redo()
    dock.redo()
    dock.undo()
    dock.settle()
    np.testing.assert_array_equal(labels_of(viewer).data, before)


def test_a_channel_axis_is_not_stepped_through(viewer, dock, plane, blobs):
    channels = np.stack([plane, plane[::-1]])
    image = viewer.add_image(channels)
    dock.colours.channel_axis.value = 0
    dock.settle()
    dock.everything()
    dock.settle()
    assert labels_of(viewer).data.shape == plane.shape
    assert found(labels_of(viewer))
    source = labels_of(viewer).metadata[PROVENANCE]["sources"][0]
    assert source["axes"].replace("C", "") == "YX"
    again = fs.replay(labels_of(viewer), image, model=blobs)
    np.testing.assert_array_equal(again, labels_of(viewer).data)
