"""The mouse and the keys on the canvas, as Qt delivers them, in a viewer that is shown."""

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from fakes import BlobSegmenter
from napari_fastsam._napari.layer_boxes import layers_of

from .conftest import CENTRES, OBJECTS, Nested, found, labels_of

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
NONE, LEFT = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
NO_BUTTON = Qt.MouseButton.NoButton

PART, WHOLE, CLUSTER = np.s_[22:28, 55:61], np.s_[20:34, 50:70], np.s_[18:40, 40:72]
"""One in the other, on the plane of `nested`."""


class Hand:
    """A mouse and a keyboard over the canvas of a viewer.

    Its events reach the canvas at once; the pointer of the screen stays where it is, since the
    display server tells of its moves when it has time.
    """

    def __init__(self, viewer, dock) -> None:
        self.viewer, self.dock = viewer, dock
        [self.canvas] = dock.native.window().findChildren(QOpenGLWidget)

    def at(self, place) -> QPoint:
        """Return where on the canvas napari sees a position of the image."""
        view = self.viewer.window._qt_viewer.canvas.view
        column, row = (view.transform * view.scene.transform).map([place[1], place[0]])[:2]
        where = QPoint(round(column), round(row))
        assert self.canvas.rect().contains(where)
        return where

    def mouse(self, kind, where, modifiers=NONE, button=NO_BUTTON, held=NO_BUTTON) -> None:
        where = QPointF(where)
        event = QMouseEvent(kind, where, self.canvas.mapToGlobal(where), button, held, modifiers)
        QApplication.sendEvent(self.canvas, event)

    def hover(self, place) -> None:
        self.mouse(QEvent.Type.MouseMove, self.at(place))
        self.settle()

    def click(self, place, modifiers=NONE) -> None:
        where = self.at(place)
        self.mouse(QEvent.Type.MouseButtonPress, where, modifiers, LEFT, LEFT)
        self.mouse(QEvent.Type.MouseButtonRelease, where, modifiers, LEFT)
        self.settle()

    def drag(self, start, end, modifiers=NONE) -> None:
        shares = (0, 0.25, 0.5, 0.75, 1)
        way = [self.at(np.add(start, np.subtract(end, start) * share)) for share in shares]
        self.mouse(QEvent.Type.MouseButtonPress, way[0], modifiers, LEFT, LEFT)
        for where in way[1:]:  # of the screen: the camera may move along
            self.mouse(QEvent.Type.MouseMove, where, modifiers, held=LEFT)
        self.mouse(QEvent.Type.MouseButtonRelease, way[-1], modifiers, LEFT)
        self.settle()

    def key(self, key, modifiers=NONE) -> None:
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifiers)
        self.settle()

    def wheel(self, place, steps, modifiers=NONE) -> None:
        where = QPointF(self.at(place))
        event = QWheelEvent(
            where,
            QPointF(self.canvas.mapToGlobal(self.at(place))),
            QPoint(0, 0),
            QPoint(0, 120 * steps),
            NO_BUTTON,
            modifiers,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self.canvas, event)
        self.settle()

    def settle(self) -> None:
        QApplication.processEvents()
        self.dock.settle()
        self.dock.prompting.draw()


def outlined(dock) -> np.ndarray | None:
    """Return which pixels of the plane the outline is around, None if there is none."""
    layer = dock.preview.layer
    if layer is None or not (np.asarray(layer.data) > 0).any():
        return None
    rows, columns = np.nonzero(np.asarray(layer.data).reshape(dock.scene.view.axes.plane_shape))
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])


def ours(layer) -> list[object]:
    """Return what of this plugin a layer would call: for the mouse, for keys and for its events."""
    called = [*layer.mouse_move_callbacks, *layer.mouse_wheel_callbacks]
    called += [*layer.mouse_drag_callbacks, *layer.keymap.values()]
    for emitter in layer.events.emitters.values():
        for one in emitter.callbacks:  # a method is held by its object, weakly, and its name
            called.append(one[0]() if isinstance(one, tuple) else one)
    return [one for one in called if "napari_fastsam" in str(getattr(one, "__module__", ""))]


def box(where) -> list[int]:
    """Return the box of slices as min_row, min_col, max_row, max_col."""
    rows, columns = where
    return [rows.start, columns.start, rows.stop, columns.stop]


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 700)
    return viewer


@pytest.fixture
def hand(viewer, dock, plane):
    """A hand over an image of three objects, in a dock that is ready for clicks."""
    return begin(viewer, dock, plane)


@pytest.fixture
def nested(viewer, make_dock):
    """A hand over a cluster of a whole with a part."""
    image = np.full((60, 80), 10, np.uint8)
    for where, value in ((CLUSTER, 100), (WHOLE, 150), (PART, 200)):
        image[where] = value
    return begin(viewer, make_dock(viewer, Nested()), image)


def begin(viewer, dock, image) -> Hand:
    viewer.add_image(image, contrast_limits=(0, 255), name="cells")
    return ready(viewer, dock)


def ready(viewer, dock) -> Hand:
    """Return a hand when the window has come to rest and shows all of the image."""
    hand = Hand(viewer, dock)
    hand.settle()
    sizes = []
    while len(sizes) < 5 or len(set(sizes[-5:])) > 1:
        QTest.qWait(20)
        sizes.append((hand.canvas.width(), hand.canvas.height()))
    viewer.reset_view()
    QApplication.processEvents()
    return hand


def test_the_dock_is_ready_for_clicks_as_soon_as_there_is_an_image(hand):
    dock, viewer = hand.dock, hand.viewer
    assert viewer.layers.selection.active is dock.points.value
    assert dock.click_button.value
    assert dock.points.value.mode == "add"
    assert layers_of(viewer, Labels) == []


def test_hovering_outlines_what_a_click_takes_and_runs_no_network(hand, blobs):
    hand.hover(CENTRES[1])
    np.testing.assert_array_equal(outlined(hand.dock), box(OBJECTS[1]))
    hand.hover(CENTRES[2])
    np.testing.assert_array_equal(outlined(hand.dock), box(OBJECTS[2]))
    hand.hover((2, 40))
    assert outlined(hand.dock) is None
    assert blobs.calls == 1
    assert layers_of(hand.viewer, Labels) == []


def test_a_click_takes_an_object_and_draws_its_point(hand, blobs):
    hand.click(CENTRES[1])
    hand.click(CENTRES[2])
    labels = labels_of(hand.viewer)
    for n in (1, 2):
        assert (labels.data[OBJECTS[n]] == n).all()
    points = hand.dock.points.value
    np.testing.assert_allclose(points.data, [CENTRES[1], CENTRES[2]], atol=0.5)
    assert points.features["group"].tolist() == [1, 2]
    assert blobs.calls == 1
    assert hand.dock.live.ledger.pending() == {}


def test_a_click_on_a_taken_object_takes_it_no_second_time(hand):
    hand.click(CENTRES[1])
    hand.click((CENTRES[1][0] + 2, CENTRES[1][1]))
    assert found(labels_of(hand.viewer)) == [1]
    assert "already" in hand.dock.status.message.text()


def test_ctrl_click_gives_an_object_back_with_its_point(hand):
    hand.click(CENTRES[1])
    hand.click(CENTRES[2])
    hand.click((CENTRES[1][0] - 2, CENTRES[1][1]), CTRL)
    assert found(labels_of(hand.viewer)) == [2]
    np.testing.assert_allclose(hand.dock.points.value.data, [CENTRES[2]], atol=0.5)
    hand.click((2, 40), CTRL)
    assert "no object to give back" in hand.dock.status.message.text()
    hand.key(Qt.Key.Key_Z, CTRL)
    assert found(labels_of(hand.viewer)) == [1, 2]
    assert len(hand.dock.points.value.data) == 2


def test_a_click_where_there_is_nothing_says_so_and_leaves_a_point(hand, blobs):
    hand.click((2, 40))
    assert layers_of(hand.viewer, Labels) == []
    assert "No object found here" in hand.dock.status.message.text()
    assert blobs.calls > 1  # it was looked at closer


def test_what_a_closer_look_finds_is_taken(viewer, make_dock, plane):
    class Sharper(BlobSegmenter):
        """Finds what is dim in small images only."""

        def segment(self, image):
            self.threshold = 127 if len(image) == 60 else 40
            return super().segment(image)

    faint = np.s_[42:48, 44:52]
    plane[faint] = 60
    hand = begin(viewer, make_dock(viewer, Sharper()), plane)
    hand.hover((45, 48))
    assert outlined(hand.dock) is None
    hand.click((45, 48))
    labels = labels_of(viewer)
    assert (labels.data[faint] == 1).all()
    assert np.count_nonzero(labels.data) == 6 * 8
    assert len(hand.dock.points.value.data) == 1
    hand.key(Qt.Key.Key_Z, CTRL)
    assert found(labels) == []
    assert len(hand.dock.points.value.data) == 0


def test_tab_and_shift_wheel_turn_through_nested_candidates_before_the_click(nested):
    dock, middle = nested.dock, (25, 58)
    nested.hover(middle)
    seen = [outlined(dock).tolist()]
    nested.key(Qt.Key.Key_Tab)
    seen.append(outlined(dock).tolist())
    nested.wheel(middle, -1, SHIFT)
    seen.append(outlined(dock).tolist())
    assert sorted(seen) == sorted([box(PART), box(WHOLE), box(CLUSTER)])
    nested.key(Qt.Key.Key_Backtab, SHIFT)
    assert outlined(dock).tolist() == seen[1]
    nested.click(middle)
    [label] = found(labels_of(nested.viewer))
    rows, columns = np.nonzero(labels_of(nested.viewer).data == label)
    assert [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1] == seen[1]


def test_tab_and_shift_wheel_change_what_was_taken_after_the_click(nested):
    middle = (25, 58)
    nested.click(middle)
    labels = labels_of(nested.viewer)
    sizes = [int((labels.data == 1).sum())]
    nested.key(Qt.Key.Key_Tab)
    sizes.append(int((labels.data == 1).sum()))
    nested.wheel(middle, -1, SHIFT)
    sizes.append(int((labels.data == 1).sum()))
    assert sorted(sizes) == [6 * 6, 14 * 20, 22 * 32]
    nested.key(Qt.Key.Key_Tab)
    assert (labels.data == 1).sum() == sizes[0]
    for size in (sizes[2], sizes[1], sizes[0]):
        nested.key(Qt.Key.Key_Z, CTRL)
        assert (labels.data == 1).sum() == size
    assert len(nested.dock.points.value.data) == 1


def test_the_wheel_without_shift_zooms_as_ever(nested):
    zoom = nested.viewer.scene.camera.zoom
    nested.wheel((25, 58), 1)
    assert nested.viewer.scene.camera.zoom > zoom


def test_shift_click_narrows_the_last_object(nested):
    labels = None
    nested.hover((30, 65))
    nested.click((30, 65))
    labels = labels_of(nested.viewer)
    nested.key(Qt.Key.Key_Tab)  # whatever came first, now the cluster or the whole
    if labels.data[CLUSTER].sum() < 22 * 32:
        nested.key(Qt.Key.Key_Tab)
    assert (labels.data[CLUSTER] == 1).all()
    nested.click((38, 44), SHIFT)  # in the cluster, beside the whole
    assert (labels.data[WHOLE] == 1).all()
    assert (labels.data == 1).sum() == 14 * 20
    features = nested.dock.points.value.features
    assert features["polarity"].tolist() == ["+", "-"]
    assert features["group"].tolist() == [1, 1]
    nested.key(Qt.Key.Key_Z, CTRL)
    assert (labels.data[CLUSTER] == 1).all()
    assert len(nested.dock.points.value.data) == 1


def test_a_drag_draws_a_box_and_takes_what_is_in_it(hand):
    centre = hand.viewer.scene.camera.center
    hand.drag((18, 48), (35, 71))
    shapes = hand.dock.shapes.value
    assert shapes.shape_type == ["rectangle"]
    labels = labels_of(hand.viewer)
    assert (labels.data[OBJECTS[2]] == 1).all()
    assert np.count_nonzero(labels.data) == 14 * 20
    assert hand.viewer.scene.camera.center == centre
    assert hand.viewer.layers.selection.active is hand.dock.points.value
    assert outlined(hand.dock) is None or outlined(hand.dock).tolist() == box(OBJECTS[2])
    hand.key(Qt.Key.Key_Z, CTRL)
    assert found(labels) == []
    assert len(shapes.data) == 0
    hand.key(Qt.Key.Key_Z, CTRL | SHIFT)
    assert found(labels) == [1]
    assert len(shapes.data) == 1


def test_ctrl_click_gives_back_what_a_box_took_and_the_box(hand):
    hand.drag((18, 48), (35, 71))
    hand.click(CENTRES[2], CTRL)
    assert found(labels_of(hand.viewer)) == []
    assert len(hand.dock.shapes.value.data) == 0


def test_clicks_describe_one_object_until_n(hand):
    hand.dock.grouping.value = "one"
    hand.click(CENTRES[1])
    hand.click((CENTRES[1][0] + 3, CENTRES[1][1]))
    points = hand.dock.points.value
    assert points.features["group"].tolist() == [1, 1]
    assert found(labels_of(hand.viewer)) == [1]
    hand.key(Qt.Key.Key_N)
    hand.click(CENTRES[3])
    assert points.features["group"].tolist() == [1, 1, 2]
    assert found(labels_of(hand.viewer)) == [1, 2]


def test_ctrl_z_and_ctrl_shift_z_go_through_all_steps_on_each_layer(hand):
    viewer, dock = hand.viewer, hand.dock
    hand.click(CENTRES[1])
    labels = labels_of(viewer)
    hand.drag((18, 48), (35, 71))
    labels.mode, labels.selected_label = "paint", 40
    viewer.layers.selection.active = labels
    labels.brush_size = 3
    hand.drag((58, 60), (58, 70))
    assert found(labels) == [1, 2, 40]
    hand.key(Qt.Key.Key_Z, CTRL)
    assert found(labels) == [1, 2]
    viewer.layers.selection.active = dock.shapes.value
    hand.key(Qt.Key.Key_Z, CTRL)
    assert found(labels) == [1]
    viewer.layers.selection.active = dock.points.value
    hand.key(Qt.Key.Key_Z, CTRL)
    assert found(labels) == []
    for layer, there in ((dock.points.value, [1]), (dock.shapes.value, [1, 2])):
        viewer.layers.selection.active = layer
        hand.key(Qt.Key.Key_Z, CTRL | SHIFT)
        assert found(labels) == there
    viewer.layers.selection.active = labels
    hand.key(Qt.Key.Key_Z, CTRL | SHIFT)
    assert found(labels) == [1, 2, 40]


def test_the_space_bar_moves_about_meanwhile(hand):
    centre = np.array(hand.viewer.scene.camera.center)
    hand.canvas.setFocus()
    QTest.keyPress(hand.canvas, Qt.Key.Key_Space)
    hand.drag((20, 30), (30, 40))
    QTest.keyRelease(hand.canvas, Qt.Key.Key_Space)
    hand.settle()
    assert not np.allclose(hand.viewer.scene.camera.center, centre)
    assert layers_of(hand.viewer, Labels) == []
    assert hand.dock.shapes.value is None
    hand.viewer.reset_view()
    QApplication.processEvents()
    hand.click(CENTRES[1])
    assert found(labels_of(hand.viewer)) == [1]


def test_other_layers_keep_their_tools(hand):
    viewer, dock = hand.viewer, hand.dock
    hand.click(CENTRES[1])
    labels = labels_of(viewer)
    viewer.layers.selection.active = labels
    assert not dock.click_button.value
    labels.mode, labels.selected_label, labels.brush_size = "paint", 9, 2
    hand.click(CENTRES[3])
    assert 0 < (labels.data == 9).sum() < 20
    assert outlined(dock) is None
    own = viewer.add_shapes(name="mine")
    own.mode = "add_rectangle"
    if dock.shapes.value is own:
        dock.shapes.value = None
    hand.drag((18, 48), (35, 71))
    assert own.shape_type == ["rectangle"]
    assert found(labels) == [1, 9]
    centre = np.array(viewer.scene.camera.center)
    viewer.layers.selection.active = viewer.layers["cells"]
    hand.drag((20, 30), (30, 40))
    assert not np.allclose(viewer.scene.camera.center, centre)


def test_the_next_number_is_not_the_one_in_the_persons_hand(hand):
    hand.click(CENTRES[1])
    labels = labels_of(hand.viewer)
    labels.mode, labels.selected_label = "paint", 2
    hand.click(CENTRES[2])
    assert found(labels) == [1, 3]


def test_the_button_leaves_the_mouse_to_napari_and_takes_it_again(hand):
    dock = hand.dock
    centre = np.array(hand.viewer.scene.camera.center)
    dock.click_button.native.click()
    assert dock.points.value.mode == "pan_zoom"
    hand.drag((20, 30), (30, 40))
    assert not np.allclose(hand.viewer.scene.camera.center, centre)
    assert outlined(dock) is None
    dock.click_button.native.click()
    hand.viewer.reset_view()
    QApplication.processEvents()
    hand.click(CENTRES[1])
    assert found(labels_of(hand.viewer)) == [1]


def test_clicks_leave_previewed_objects_out_while_everything_is_shown(hand):
    hand.dock.current_tab = "everything"
    hand.click(CENTRES[2])
    assert layers_of(hand.viewer, Labels) == []
    assert hand.dock.sifting.without
    hand.dock.everything()
    hand.settle()
    assert not labels_of(hand.viewer).data[OBJECTS[2]].any()


def test_a_click_on_another_plane_is_on_that_plane(viewer, dock, stack):
    hand = begin(viewer, dock, stack)
    viewer.dims.set_point(0, 3)
    hand.settle()
    hand.hover(CENTRES[1])
    np.testing.assert_array_equal(outlined(dock), box(OBJECTS[1]))
    hand.click(CENTRES[1])
    labels = labels_of(viewer)
    assert (labels.data[3][OBJECTS[1]] == 1).all()
    np.testing.assert_allclose(dock.points.value.data, [(3, *CENTRES[1])], atol=0.5)
    viewer.dims.set_point(0, 1)
    hand.settle()
    assert outlined(dock) is None


def test_clicks_in_layers_that_are_scaled_and_moved_hit_what_is_seen(viewer, dock, plane):
    viewer.add_image(plane, scale=(0.5, 0.25), translate=(7, 3), name="cells")
    hand = ready(viewer, dock)
    image = viewer.layers["cells"]
    hand.click(image.data_to_world(CENTRES[2]))
    assert (labels_of(viewer).data[OBJECTS[2]] == 1).all()
    np.testing.assert_allclose(dock.points.value.data, [CENTRES[2]], atol=0.5)


def test_after_the_dock_is_closed_the_layers_are_as_napari_has_them(hand):
    viewer, dock = hand.viewer, hand.dock
    hand.click(CENTRES[1])
    hand.drag((18, 48), (35, 71))
    labels, points, shapes = labels_of(viewer), dock.points.value, dock.shapes.value
    viewer.window.remove_dock_widget(dock.native)
    QApplication.processEvents()
    assert dock.preview.layer is None
    assert [type(layer).__name__ for layer in viewer.layers] == [
        "Image",
        "Labels",
        "Points",
        "Shapes",
    ]
    viewer.layers.selection.active = points
    points.mode = "add"
    count = len(points.data)
    hand.hover(CENTRES[3])
    hand.click(CENTRES[3])
    assert len(points.data) == count + 1
    assert found(labels) == [1, 2]
    hand.canvas.setFocus()
    QTest.keyClick(hand.canvas, Qt.Key.Key_Z, CTRL)
    assert found(labels) == [1, 2]
    viewer.layers.selection.active = labels
    QTest.keyClick(hand.canvas, Qt.Key.Key_Z, CTRL)
    assert found(labels) == [1]  # napari's own history of the layer
    assert len(shapes.data) == 1
    for layer in (viewer.layers["cells"], points, shapes, labels):
        assert ours(layer) == []
