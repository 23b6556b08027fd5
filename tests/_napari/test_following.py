"""An object that is followed through the stack: found, lost, clicked where it goes on, undone."""

import numpy as np
import pytest

import napari_fastsam as fs
from napari_fastsam._napari import words
from napari_fastsam._napari.following import stretches

from .conftest import found, labels_of


def moving(plane: int, *, jump: int = 0) -> tuple[slice, slice]:
    """Return where the object is: it drifts to the right, and may jump far to the left."""
    left = 30 + 2 * plane - jump
    return slice(20, 30), slice(left, left + 12)


@pytest.fixture
def drift():
    """(9, 60, 100) uint8: an object drifts; on plane 6 it jumps away, on plane 8 it is gone."""
    images = np.full((9, 60, 100), 10, np.uint8)
    images[:, 40:50, 40:52] = 200  # another one
    for z in range(8):
        images[(z, *moving(z, jump=0 if z < 6 else 30))] = 200
    return images


@pytest.fixture
def clicked(viewer, dock, drift):
    """Return the labels after a click on the object on plane 3."""
    dock.settings.prefetch.value = False
    viewer.add_image(drift, scale=(2, 1, 1))
    viewer.dims.set_point(0, 6)
    dock.settle()
    dock.new_points()
    dock.points.value.add((3, 25, 42))
    dock.settle()
    assert found(labels_of(viewer)) == [1]
    return labels_of(viewer)


def on(labels) -> list[int]:
    """Return the planes that label 1 is on."""
    return np.flatnonzero((labels.data == 1).any((1, 2))).tolist()


def test_an_object_is_followed_both_ways_as_one_step(dock, clicked, drift, blobs):
    dock.follow_button.native.click()
    dock.settle()
    assert on(clicked) == [0, 1, 2, 3, 4, 5]
    for z in range(6):
        np.testing.assert_array_equal(clicked.data[z] == 1, (drift[z] > 100) & rows(20, 30))
    text = dock.status.message.text()
    assert text.startswith("Label 1 is on planes 0 to 5. Not found on plane 6")
    np.testing.assert_array_equal(fs.replay(clicked, drift, model=blobs), clicked.data)
    dock.undo()
    dock.settle()
    assert on(clicked) == [3]
    dock.redo()
    dock.settle()
    assert on(clicked) == [0, 1, 2, 3, 4, 5]


def rows(first, last):
    inside = np.zeros((60, 100), bool)
    inside[first:last] = True
    return inside


def test_a_click_where_it_was_lost_goes_on_with_its_label(viewer, dock, clicked, drift, blobs):
    dock.follow_last()
    dock.settle()
    assert '<a href="6"' in dock.click.followed.text()
    dock.click.followed.linkActivated.emit("6")
    assert viewer.dims.current_step[0] == 6
    dock.settle()
    before = clicked.data[:6].copy()
    dock.points.value.add((6, 25, 16))
    dock.settle()
    assert on(clicked) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert found(clicked) == [1]
    np.testing.assert_array_equal(clicked.data[:6], before)
    assert "Not found on plane 8" in dock.status.message.text()
    np.testing.assert_array_equal(fs.replay(clicked, drift, model=blobs), clicked.data)
    dock.undo()
    dock.settle()
    assert on(clicked) == [0, 1, 2, 3, 4, 5], "the click and what follows are one step"
    assert len(dock.points.value.data) == 1


def test_a_box_goes_on_too_and_moving_it_changes_that_plane_alone(dock, clicked, viewer):
    dock.follow_last()
    dock.settle()
    viewer.dims.set_point(0, 12)
    dock.settle()
    dock.new_shapes()
    shapes = dock.shapes.value
    rectangle = np.array([(6, 20, 12), (6, 20, 23), (6, 29, 23), (6, 29, 12)])
    shapes.add(rectangle, shape_type="rectangle")
    dock.settle()
    assert on(clicked) == [0, 1, 2, 3, 4, 5, 6, 7]
    before = clicked.data.copy()
    shapes.data = [rectangle + np.array([0, 20, 28])]
    dock.settle()
    assert (clicked.data[6, 40:50, 40:52] == 1).all()
    others = [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(clicked.data[others], before[others])


def test_next_object_ends_following(viewer, dock, clicked):
    dock.follow_last()
    dock.settle()
    dock.pointing.finish()
    viewer.dims.set_point(0, 12)
    dock.settle()
    dock.points.value.add((6, 25, 16))
    dock.settle()
    assert found(clicked) == [1, 2]
    assert on(clicked) == [0, 1, 2, 3, 4, 5]


def test_a_plane_that_is_given_back_waits_for_the_right_object(viewer, dock, clicked):
    dock.follow_last()
    dock.settle()
    viewer.dims.set_point(0, 10)
    dock.settle()
    dock.give_back(1)
    assert on(clicked) == [0, 1, 2, 3, 4]
    dock.points.value.add((5, 45, 45))
    dock.settle()
    assert (clicked.data[5, 40:50, 40:52] == 1).all()
    assert on(clicked) == [0, 1, 2, 3, 4, 5, 6, 7, 8], "the other one is on all planes"


def test_following_is_cancelled_and_what_was_found_stays(viewer, dock, clicked, held, qtbot):
    dock.follow_last()
    dock.cancel()
    held.set()
    dock.settle()
    assert 3 in on(clicked)
    assert dock.status.message.text().startswith("Cancelled.")


def test_what_a_run_has_linked_is_not_in_its_own_way(viewer, dock, drift):
    dock.settings.prefetch.value = False
    viewer.add_image(drift)
    viewer.dims.set_point(0, 3)
    dock.ranges.value = "2:4:1/9"
    dock.everything_stack()
    dock.settle()
    labels = labels_of(viewer)
    label = int(labels.data[3, 25, 42])
    before = labels.data[2:5].copy()
    dock.follow_object(label)
    dock.settle()
    assert np.flatnonzero((labels.data == label).any((1, 2))).tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(labels.data[2:5], before)
    text = dock.status.message.text()
    assert text.startswith(f"Label {label} is on planes 0 to 5. Not found on plane 6")
    dock.undo()
    dock.settle()
    assert np.flatnonzero((labels.data == label).any((1, 2))).tolist() == [2, 3, 4]


def test_where_others_are_they_stay(viewer, dock, clicked):
    dock.new_shapes()
    dock.points.value.add((4, 25, 44))
    dock.settle()
    assert found(clicked) == [1, 2]
    viewer.dims.set_point(0, 6)
    dock.settle()
    dock.follow_object(1)
    dock.settle()
    assert on(clicked) == [0, 1, 2, 3, 5]
    assert "Others have its place on 4" in dock.status.message.text()


def test_without_an_object_it_is_said_what_to_do(viewer, dock, drift):
    viewer.add_image(drift)
    dock.settle()
    dock.follow_last()
    assert dock.status.message.text() == words.NOTHING_TO_FOLLOW


@pytest.mark.parametrize(
    ("planes", "said"), [(set(), ""), ({3}, "3"), ({1, 2, 3, 7, 9, 10}, "1 to 3, 7, 9 to 10")]
)
def test_planes_are_told_in_few_words(planes, said):
    assert stretches(planes) == said


def test_following_again_keeps_what_was_clicked(viewer, dock, clicked):
    dock.follow_last()
    dock.settle()
    before = on(clicked)
    lost = max(before) + 1
    viewer.dims.set_point(0, 2 * lost)
    dock.settle()
    dock.points.value.add((lost, 25, 16))
    dock.settle()
    corrected = on(clicked)
    assert set(before) < set(corrected)
    viewer.dims.set_point(0, 2 * min(before))
    dock.settle()
    dock.follow_object(1)
    dock.settle()
    assert on(clicked) == corrected
