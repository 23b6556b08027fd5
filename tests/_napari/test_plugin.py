"""The dock as napari opens it from its menu: as a plugin, with the viewer that plugins get."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication


@pytest.fixture
def opened(make_napari_viewer, plane):
    """A viewer that is shown, with an image and the dock from the menu."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(plane, name="cells")
    _, dock = viewer.window.add_plugin_dock_widget("napari-fastsam", "Segment")
    while dock.busy:
        QApplication.processEvents()
    QApplication.processEvents()
    yield viewer, dock
    while dock.busy:
        QApplication.processEvents()


def test_it_works_on_the_viewer_itself(opened):
    viewer, dock = opened
    assert dock.viewer is viewer


def test_it_takes_clicks_at_once(opened):
    viewer, dock = opened
    assert viewer.layers.selection.active is dock.points.value
    assert dock.click_button.value


def test_tab_on_the_canvas_reaches_it(opened, monkeypatch):
    _, dock = opened
    turns = []
    monkeypatch.setattr(dock.pointing, "turn", turns.append)
    [canvas] = dock.native.window().findChildren(QOpenGLWidget)
    QTest.keyClick(canvas, Qt.Key.Key_Tab)
    assert turns == [1]


def test_keys_on_the_canvas_reach_it(opened):
    _, dock = opened
    [canvas] = dock.native.window().findChildren(QOpenGLWidget)
    dock.pointing.click((10, 12), ())
    label = dock.output.value
    assert label.data.any()
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not label.data.any()


def test_there_is_nothing_to_undo_at_first_nor_on_other_labels(opened):
    viewer, dock = opened
    assert not dock.undo_button.enabled
    dock.add_box((5, 6, 15, 20))
    assert dock.undo_button.enabled
    assert dock.next_label.text() == "<small>next label 2</small>"
    first = dock.output.value
    dock.output.value = viewer.add_labels(first.data * 4, name="other")
    assert not dock.undo_button.enabled
    assert dock.next_label.text() == "<small>next label 5</small>"
    dock.output.value = first
    assert dock.undo_button.enabled


def test_labels_that_do_not_fit_are_told_once_and_not_by_each_move(opened):
    viewer, dock = opened
    dock.output.value = viewer.add_labels(np.zeros((5, 5), int), name="small")
    assert "'small' of shape (5, 5)" in dock.status.message.text()
    dock.say("")
    dock.pointing.hover((10, 12), ())
    assert dock.status.message.text() == ""
    assert dock.pointing.label_at((2, 2)) == 0
