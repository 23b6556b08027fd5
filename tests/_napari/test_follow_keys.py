"""Following by the key F over the canvas, as Qt delivers it: found, lost, clicked there, undone."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

import napari_fastsam as fs
from napari_fastsam._napari import words
from napari_fastsam._napari.lineages import COLUMNS

from .conftest import found, labels_of
from .test_mouse import CTRL, SHIFT, begin

OTHER = (45, 46)


def at(plane: int) -> tuple[float, float]:
    """Return where the middle of the object is: from plane 6 on it is far from where it was."""
    return 25, 36 + 2 * plane - (30 if plane > 5 else 0)


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 700)
    return viewer


@pytest.fixture
def drift():
    """(9, 60, 100) uint8: an object drifts and jumps; it is gone on plane 8. Another stays."""
    images = np.full((9, 60, 100), 10, np.uint8)
    images[:, 40:50, 40:52] = 200
    for z in range(8):
        row, column = at(z)
        images[z, row - 5 : row + 5, column - 6 : column + 6] = 200
    return images


@pytest.fixture
def hand(viewer, dock, drift):
    """A hand over plane 3."""
    hand = begin(viewer, dock, drift)
    viewer.dims.set_point(0, 3)
    hand.settle()
    return hand


def on(viewer, label=1) -> list[int]:
    return np.flatnonzero((labels_of(viewer).data == label).any((1, 2))).tolist()


def go(viewer, hand, plane) -> None:
    viewer.dims.set_point(0, plane)
    hand.settle()


def test_click_follow_correct_and_undo(viewer, dock, drift, hand, blobs):
    hand.click(at(3))
    hand.key(Qt.Key.Key_F)
    labels = labels_of(viewer)
    assert on(viewer) == [0, 1, 2, 3, 4, 5]
    assert "Not found on plane 6" in dock.status.message.text()
    first = labels.data.copy()
    go(viewer, hand, 6)
    hand.click(at(6))
    assert on(viewer) == [0, 1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(labels.data[:6], first[:6])
    assert "Not found on plane 8" in dock.status.message.text()
    np.testing.assert_array_equal(fs.replay(labels, drift, model=blobs), labels.data)
    whole = labels.data.copy()
    undo = (Qt.Key.Key_Z, CTRL)
    hand.key(*undo)
    np.testing.assert_array_equal(labels.data, first)
    assert len(dock.points.value.data) == 1, "the correcting click went with what it led to"
    hand.key(*undo)
    assert on(viewer) == [3], "following is one step"
    hand.key(*undo)
    assert found(labels) == []
    for planes in ([3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7]):
        hand.key(Qt.Key.Key_Z, CTRL | SHIFT)
        assert on(viewer) == planes
    np.testing.assert_array_equal(labels.data, whole)
    assert len(dock.points.value.data) == 2


def test_the_object_under_the_mouse_is_followed_not_the_last_one(viewer, dock, hand):
    hand.click(OTHER)
    hand.click(at(3))
    hand.hover(OTHER)
    hand.key(Qt.Key.Key_F)
    assert on(viewer, 1) == list(range(9))
    assert on(viewer, 2) == [3]


def test_the_last_one_is_followed_beside_all_objects(viewer, dock, hand):
    hand.click(OTHER)
    hand.click(at(3))
    hand.hover((5, 90))
    hand.key(Qt.Key.Key_F)
    assert on(viewer, 2) == [0, 1, 2, 3, 4, 5]
    assert on(viewer, 1) == [3]


def test_a_dragged_box_is_followed(viewer, dock, hand):
    row, column = at(3)
    hand.drag((row - 6, column - 7), (row + 6, column + 7))
    assert on(viewer) == [3]
    hand.key(Qt.Key.Key_F)
    assert on(viewer) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", ["polygon", "ellipse", "path", "rectangle"])
def test_a_drawn_shape_is_followed(viewer, dock, hand, kind):
    row, column = at(3)
    dock.new_shapes()
    corners = [(row + y, column + x) for y, x in ((-4, -5), (-4, 5), (4, 5), (4, -5))]
    if kind == "path":
        corners = corners[::2]
    dock.shapes.value.add(np.array([(3, *corner) for corner in corners]), shape_type=kind)
    hand.settle()
    assert on(viewer) == [3]
    dock.follow_button.native.click()
    hand.settle()
    assert on(viewer) == [0, 1, 2, 3, 4, 5]
    dock.undo()
    hand.settle()
    assert on(viewer) == [3]


def test_without_an_object_it_is_said_what_to_do(viewer, dock, hand):
    hand.hover(at(3))
    hand.key(Qt.Key.Key_F)
    assert dock.status.message.text() == words.NOTHING_TO_FOLLOW
    assert viewer.layers.selection.active is dock.points.value


def test_where_it_is_is_told_in_the_features_and_leaves_with_undo(viewer, dock, hand):
    hand.click(at(3))
    assert len(labels_of(viewer).features) == 0
    hand.key(Qt.Key.Key_F)
    [row] = labels_of(viewer).features[["index", *COLUMNS]].to_numpy().tolist()
    assert row == [1, 0, 5, 6, 0, 0, 0]
    go(viewer, hand, 6)
    hand.click(at(6))
    [row] = labels_of(viewer).features[["index", *COLUMNS]].to_numpy().tolist()
    assert row == [1, 0, 7, 8, 0, 0, 0]
    hand.key(Qt.Key.Key_Z, CTRL)
    hand.key(Qt.Key.Key_Z, CTRL)
    assert len(labels_of(viewer).features) == 0


def test_next_object_lets_go(viewer, dock, hand):
    hand.click(at(3))
    hand.key(Qt.Key.Key_F)
    go(viewer, hand, 6)
    hand.key(Qt.Key.Key_N)
    assert not dock.click.followed.isVisible()
    hand.click(at(6))
    assert found(labels_of(viewer)) == [1, 2]
