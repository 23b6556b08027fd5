"""What comes and goes while a dock is open: layers, planes, data, docks, windows."""

import gc
import weakref
from threading import Event

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication, QMessageBox

import napari_fastsam as fs
from napari_fastsam._napari import words
from napari_fastsam._napari.layer_boxes import layers_of
from napari_fastsam.models.registry import MODELS
from napari_fastsam.pipeline import CandidateCache

from .conftest import CENTRES, OBJECTS, found, labels_of

LIMIT = 60_000  # milliseconds


@pytest.fixture
def seen(blobs, monkeypatch):
    """Write down which plane the network sees, of a stack whose first pixels are numbers."""
    numbers = []
    segment = blobs.segment

    def see(image):
        numbers.append(int(image[0, 0, 0]))
        return segment(image)

    monkeypatch.setattr(blobs, "segment", see)
    return numbers


@pytest.fixture
def numbered(stack):
    """(10, 60, 80) uint8: planes that hold their own number in the first pixel."""
    planes = np.concatenate([stack] * 3)[:10]
    planes[:, 0, 0] = np.arange(10)
    return planes


def close(viewer, dock) -> None:
    viewer.window.remove_dock_widget(dock.native)
    QApplication.processEvents()


def wait_for_threads(qtbot, *workers) -> None:
    qtbot.waitUntil(lambda: not any(worker.busy for worker in workers), timeout=LIMIT)
    assert QThreadPool.globalInstance().waitForDone(LIMIT)
    assert QThreadPool.globalInstance().activeThreadCount() == 0


# Several docks and viewers.


def test_docks_in_one_viewer_keep_to_their_own_prompts_labels_and_previews(
    make_napari_viewer, make_dock, plane
):
    viewer = make_napari_viewer(show=True)
    first, second = make_dock(viewer), make_dock(viewer)
    viewer.add_image(plane, name="cells")
    QApplication.processEvents()
    first.settle()
    second.settle()
    assert first.points.value is not None
    assert second.points.value is not None
    assert first.points.value is not second.points.value
    first.points.value.add(CENTRES[1])
    assert found(first.output.value) == [1]
    assert second.output.value is None
    second.points.value.add(CENTRES[1])
    assert found(second.output.value) == [1]
    assert first.output.value is not second.output.value
    first.add_box((18.0, 48.0, 36.0, 72.0))
    assert second.shapes.value is None
    assert found(first.output.value) == [1, 2]
    assert found(second.output.value) == [1]
    second.undo()
    assert found(first.output.value) == [1, 2]
    assert found(second.output.value) == []
    for dock, n in ((first, 2), (second, 3)):
        dock.pointing.hover(CENTRES[n], ())
    QApplication.processEvents()
    assert first.preview.layer is not second.preview.layer
    for dock, n in ((first, 2), (second, 3)):
        there = np.nonzero(np.asarray(dock.preview.layer.data))
        assert [int(axis.min()) for axis in there] == [part.start for part in OBJECTS[n]]


def test_a_points_layer_of_the_user_goes_to_one_dock(viewer, make_dock, plane):
    first, second = make_dock(viewer), make_dock(viewer)
    viewer.add_image(plane)
    first.settle()
    second.settle()
    points = viewer.add_points()
    points.add(CENTRES[1])
    assert [dock.points.value is points for dock in (first, second)] == [True, False]
    assert len(layers_of(viewer, Labels)) == 1
    close(viewer, first)
    viewer.layers.remove(points)
    viewer.layers.append(points)
    assert second.points.value is points


def test_viewers_do_not_mind_each_other(make_napari_viewer, make_dock, plane):
    viewers = [make_napari_viewer(), make_napari_viewer()]
    docks = [make_dock(viewer) for viewer in viewers]
    viewers[0].add_image(plane)
    viewers[1].add_image(plane[::-1].copy())
    for dock in docks:
        dock.settle()
        dock.everything()
        dock.settle()
    one, other = (labels_of(viewer) for viewer in viewers)
    np.testing.assert_array_equal(one.data > 0, other.data[::-1] > 0)
    close(viewers[0], docks[0])
    docks[1].undo()
    assert found(one) == [1, 2, 3]
    assert found(other) == []


# Layers.


@pytest.mark.parametrize("gone", ["image", "labels"])
def test_a_layer_removed_while_a_run_is_on_stops_it(gone, viewer, dock, stack, blobs, held):
    dock.settings.prefetch.value = False
    viewer.add_image(stack, name="image")
    labels = viewer.add_labels(np.zeros(stack.shape, int), name="labels")
    dock.output.value = labels
    dock.everything_stack()
    viewer.layers.remove(gone)
    held.set()
    dock.settle()
    if gone == "labels":  # without an image there is something else to say
        assert dock.status.message.text() == words.LAYER_GONE
    assert not labels.data.any()


def test_an_image_removed_while_it_is_looked_at_leaves_an_empty_dock(viewer, dock, plane, held):
    image = viewer.add_image(plane)
    points = viewer.add_points()
    points.add(CENTRES[1])
    viewer.layers.remove(image)
    held.set()
    dock.settle()
    assert words.NO_IMAGE_STATE in dock.status.state_line.text()
    assert layers_of(viewer, Labels) == []
    points.add(CENTRES[2])  # asks nothing of nothing
    viewer.layers.insert(0, image)
    dock.settle()
    assert "3 candidates" in dock.status.state_line.text()
    points.add(CENTRES[3])
    assert found(labels_of(viewer)) == [1, 2, 3]


def test_layers_renamed_and_moved_while_a_run_is_on_do_not_matter(viewer, dock, plane, held):
    image = viewer.add_image(plane)
    viewer.add_image(plane[::-1].copy())
    dock.image.value = image
    dock.everything()
    image.name = "another name"
    viewer.layers.move(0, 2)
    held.set()
    dock.settle()
    assert (labels_of(viewer).data > 0).sum() == (plane > 127).sum()
    assert labels_of(viewer).data[OBJECTS[1]].all()


def test_an_image_replaced_by_another_is_looked_at(viewer, dock, plane, blobs):
    first = viewer.add_image(plane)
    dock.settle()
    viewer.layers.remove(first)
    viewer.add_image(plane[:, ::-1].copy())
    dock.settle()
    assert blobs.calls == 2
    dock.everything()
    dock.settle()
    assert labels_of(viewer).data[:, ::-1][OBJECTS[1]].all()


def test_prompts_left_without_their_image_are_kept_and_asked_of_the_next(viewer, dock, plane):
    image = viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add(CENTRES[1])
    labels = labels_of(viewer)
    viewer.layers.remove(image)
    points.add(CENTRES[2])
    points.selected_data = {0}
    points.remove_selected()
    assert found(labels) == [1]
    dock.undo()
    assert found(labels) == [1]
    viewer.add_image(plane)
    dock.settle()
    dock.segment_plane()
    assert found(dock.output.value) == [1, 2]


def test_labels_that_were_deleted_are_made_anew_by_the_next_click(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add(CENTRES[1])
    old = labels_of(viewer)
    viewer.layers.remove(old)
    points.add(CENTRES[2])
    assert labels_of(viewer) is not old
    assert found(labels_of(viewer)) == [1]
    assert (labels_of(viewer).data[OBJECTS[2]] == 1).all()
    dock.undo()
    assert found(labels_of(viewer)) == []
    assert found(old) == [1]


def test_prompt_layers_that_were_deleted_are_made_anew(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    dock.take_clicks()
    first = dock.points.value
    first.add(CENTRES[1])
    viewer.layers.remove(first)
    assert dock.points.value is None
    assert found(labels_of(viewer)) == [1]
    dock.take_clicks()
    second = dock.points.value
    assert second is not first
    second.add(CENTRES[2])
    assert found(labels_of(viewer)) == [1, 2]
    first.add(CENTRES[3])  # nobody listens any more
    assert found(labels_of(viewer)) == [1, 2]
    dock.undo()
    dock.undo()
    assert found(labels_of(viewer)) == []


def test_labels_replaced_by_other_data_start_again(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add(CENTRES[1])
    labels = labels_of(viewer)
    data = np.zeros_like(labels.data)
    data[58, 78] = 9
    labels.data = data
    dock.undo()
    assert found(labels) == [9]
    points.add(CENTRES[2])
    assert found(labels) == [9, 10]


# What is in view.


def test_new_data_is_looked_at_and_the_old_is_forgotten(viewer, dock, plane, blobs):
    image = viewer.add_image(plane)
    dock.settle()
    image.data = plane[:, ::-1].copy()
    dock.settle()
    assert blobs.calls == 2
    points = viewer.add_points()
    points.add((CENTRES[1][0], 79 - CENTRES[1][1]))
    assert labels_of(viewer).data[:, ::-1][OBJECTS[1]].all()


def test_new_data_of_another_shape_is_looked_at(viewer, dock, plane):
    image = viewer.add_image(plane)
    dock.settle()
    dock.everything()
    dock.settle()
    image.data = np.pad(plane, 10, constant_values=10)
    dock.output.value = None
    dock.settle()
    dock.everything()
    dock.settle()
    assert dock.output.value.data.shape == (80, 100)
    assert len(found(dock.output.value)) == 3


def test_pixels_edited_in_place_are_noticed_at_the_next_refresh(viewer, dock, plane, blobs):
    image = viewer.add_image(plane)
    dock.settle()
    image.data[OBJECTS[3]] = 10
    image.refresh()
    dock.settle()
    assert blobs.calls == 2
    assert "2 candidates" in dock.status.state_line.text()
    image.refresh()
    dock.settle()
    assert blobs.calls == 2


def test_pixels_edited_in_place_on_another_plane_are_noticed_when_it_comes(
    viewer, dock, numbered, blobs, seen
):
    image = viewer.add_image(numbered)
    viewer.dims.set_point(0, 3)
    dock.settle()
    viewer.dims.set_point(0, 5)
    dock.settle()
    before = len(seen)
    image.data[3][OBJECTS[3]] = 10
    viewer.dims.set_point(0, 3)
    dock.settle()
    assert seen[before:].count(3) == 1
    assert "2 candidates" in dock.status.state_line.text()


def test_a_plane_beside_the_image_is_told_and_the_way_back(viewer, dock, stack, plane):
    image = viewer.add_image(stack)
    viewer.add_image(np.concatenate([stack] * 3))
    dock.image.value = image
    dock.settle()
    viewer.dims.set_point(0, 9)
    assert words.UNSEEN in dock.status.state_line.text()
    assert "move the sliders" in dock.status.message.text()
    dock.everything()
    dock.take_clicks()
    dock.pointing.click((9, *CENTRES[1]), ())
    dock.settle()
    assert layers_of(viewer, Labels) == []
    viewer.dims.set_point(0, 3)
    dock.settle()
    assert "3 candidates" in dock.status.state_line.text()


def test_3d_display_and_back_goes_on_as_before(viewer, dock, stack, blobs):
    viewer.add_image(stack)
    dock.new_points()
    points = dock.points.value
    viewer.dims.set_point(0, 3)
    dock.settle()
    points.add((3, *CENTRES[1]))
    labels = labels_of(viewer)
    viewer.dims.ndisplay = 3
    assert "2D" in dock.status.message.text()
    dock.pointing.click((3, *CENTRES[2]), ())
    dock.everything()
    dock.settle()
    assert found(labels) == [1]
    dock.undo()
    assert found(labels) == []
    dock.redo()
    assert found(labels) == [1]
    viewer.dims.ndisplay = 2
    dock.settle()
    assert found(labels) == [1]  # what was pressed meanwhile does not come later
    points.add((3, *CENTRES[2]))
    assert found(labels) == [1, 2]
    points.selected_data = {0}
    points.remove_selected()
    assert found(labels) == [2]


def test_what_is_painted_in_3d_or_on_labels_of_before_is_written_down(viewer, dock, stack, blobs):
    image = viewer.add_image(stack)
    dock.everything()
    dock.settle()
    first = labels_of(viewer)
    dock.output.value = None
    dock.everything()
    dock.settle()
    second = dock.output.value
    first.fill((1, 0, 0), 50)
    viewer.dims.ndisplay = 3
    second.fill((1, 0, 0), 60)
    for layer in (first, second):
        np.testing.assert_array_equal(fs.replay(layer, image, model=blobs), layer.data)
    dock.undo()
    assert found(second) == [1, 2]
    np.testing.assert_array_equal(fs.replay(second, image, model=blobs), second.data)


def test_of_planes_passed_quickly_only_the_last_is_looked_at(viewer, dock, numbered, seen, held):
    dock.settings.prefetch.value = False
    viewer.add_image(numbered, contrast_limits=(0, 255))
    first = viewer.dims.current_step[0]
    for n in (5, 6, 7, 8, 9):
        viewer.dims.set_point(0, n)
        QApplication.processEvents()
    held.set()
    dock.settle()
    assert seen == [first, 9]


def test_the_plane_in_view_comes_before_those_looked_at_ahead(viewer, dock, numbered, seen, held):
    viewer.add_image(numbered, contrast_limits=(0, 255))
    first = viewer.dims.current_step[0]
    viewer.dims.set_point(0, 8)
    held.set()
    dock.settle()
    assert seen == [first, 8, 9, 7]


def test_the_memory_of_candidates_is_bounded_and_shown(viewer, dock, plane):
    dock.settings.cache_mb.value = dock.settings.cache_mb.min
    viewer.add_image(plane)
    dock.settle()
    cache = dock.scene.looks.cache
    assert cache.max_bytes == int(dock.settings.cache_mb.min) << 20
    dock.settings.cache_mb.value += 100
    assert cache.max_bytes == int(dock.settings.cache_mb.min + 100) << 20
    assert words.memory(cache.nbytes) in dock.memory.text()


def test_the_oldest_planes_leave_the_memory_first(viewer, dock, numbered, seen):
    dock.settings.prefetch.value = False
    viewer.add_image(numbered, contrast_limits=(0, 255))
    dock.settle()
    cache = dock.scene.looks.cache
    room = int(3.6 * cache.nbytes)

    class Small(CandidateCache):
        max_bytes = property(lambda _: room, lambda *_: None)

    cache.__class__ = Small  # the settings allow for more
    for n in (0, 1, 2, 3):
        viewer.dims.set_point(0, n)
        dock.settle()
        assert cache.nbytes <= room
    seen.clear()
    for n in (3, 2, 0):
        viewer.dims.set_point(0, n)
        dock.settle()
    assert seen == [0]


# Failures.


def test_a_failed_look_says_what_to_do_once_and_the_next_one_works(
    viewer, dock, numbered, blobs, notices, monkeypatch
):
    segment = blobs.segment
    failures = [ValueError("Expected memory. Got none. To fix it: choose a smaller size.")]

    def sometimes(image):
        if failures:
            raise failures.pop()
        return segment(image)

    monkeypatch.setattr(blobs, "segment", sometimes)
    dock.settings.prefetch.value = False
    viewer.add_image(numbered)
    first = viewer.dims.current_step[0]
    dock.settle()
    assert notices.pop().endswith("choose a smaller size.")
    assert notices == []
    assert dock.status.kind == "error"
    viewer.dims.set_point(0, 5)
    dock.settle()
    assert "candidates" in dock.status.state_line.text()
    viewer.dims.set_point(0, first)
    dock.settle()
    assert dock.scene.in_view is not None


def test_a_prompt_waits_for_no_plane_that_failed(viewer, dock, plane, blobs, notices, monkeypatch):
    segment = blobs.segment
    failures = [RuntimeError("out of memory")]

    def sometimes(image):
        if failures:
            raise failures.pop()
        return segment(image)

    monkeypatch.setattr(blobs, "segment", sometimes)
    viewer.add_image(plane)
    points = viewer.add_points()
    points.add(CENTRES[1])
    dock.settle()
    assert notices.pop() == "RuntimeError: out of memory"
    assert layers_of(viewer, Labels) == []
    dock.segment_plane()
    dock.settle()
    points.add(CENTRES[2])
    assert found(labels_of(viewer)) == [1, 2]


def test_a_run_that_fails_keeps_what_is_done(viewer, dock, stack, blobs, notices, monkeypatch):
    dock.settings.prefetch.value = False
    viewer.add_image(stack)
    dock.settle()
    segment = blobs.segment

    def fail(image):
        if blobs.calls == 2:
            raise ValueError("Expected this. Got that. To fix it: do so.")
        return segment(image)

    monkeypatch.setattr(blobs, "segment", fail)
    dock.linked.value = False
    dock.everything_stack()
    dock.settle()
    assert "To fix it: do so." in notices[0]
    notices.clear()
    assert labels_of(viewer).data[0].any()
    assert not dock.status.running.isVisibleTo(dock.native)
    dock.undo()
    dock.settle()
    assert not labels_of(viewer).data.any()


def test_labels_that_do_not_fit_are_told_when_something_is_to_be_written(
    viewer, dock, plane, notices, held
):
    viewer.add_image(plane)
    odd = viewer.add_labels(np.zeros((5, 5), int))
    dock.output.value = odd
    assert "choose a new layer" in notices.pop()
    dock.take_clicks()
    points = dock.points.value
    points.add(CENTRES[1])
    held.set()
    dock.settle()
    assert "choose a new layer" in notices.pop()
    for action in (
        lambda: dock.pointing.hover(CENTRES[2], ()),
        lambda: dock.pointing.click(CENTRES[2], ("Control",)),
        lambda: dock.pointing.turn(1),
        dock.look_again,
    ):
        action()
        assert notices == []
    dock.pointing.click(CENTRES[2], ())
    assert "choose a new layer" in notices.pop()
    dock.prompting.draw()
    assert len(points.data) == 1
    dock.output.value = None
    dock.pointing.click(CENTRES[2], ())
    assert (dock.output.value.data[OBJECTS[2]] > 0).all()
    assert notices == []


# Closing.


@pytest.mark.parametrize("doing", ["look", "run", "nothing"])
def test_closing_the_dock_stops_what_runs_and_leaves_the_layers_alone(
    doing, viewer, dock, stack, held, qtbot
):
    if doing == "nothing":
        held.set()
    image = viewer.add_image(stack)
    if doing == "run":
        dock.everything_stack()
    workers = (dock.scene.looks.worker, dock.runs.worker, dock.tidying.worker)
    if doing == "nothing":
        dock.settle()
        dock.new_points()
        dock.points.value.add((1, *CENTRES[2]))
    names = [layer.name for layer in viewer.layers if layer is not dock.preview.layer]
    close(viewer, dock)
    held.set()
    wait_for_threads(qtbot, *workers)
    assert [layer.name for layer in viewer.layers] == names
    # What the user does then reaches no dock.
    image.contrast_limits = (0, 100)
    image.data = stack[::-1].copy()
    viewer.dims.set_point(0, 3)
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    points = viewer.add_points(np.empty((0, 3)))
    points.add((1, *CENTRES[1]))
    viewer.layers.selection.active = image
    viewer.layers.clear()
    QApplication.processEvents()
    assert not any(worker.busy for worker in workers)


@pytest.mark.parametrize("doing", ["look", "run"])
def test_closing_the_viewer_while_something_runs_is_harmless(
    doing, make_napari_viewer, make_dock, stack, held, qtbot
):
    viewer = make_napari_viewer()
    dock = make_dock(viewer)
    viewer.add_image(stack)
    if doing == "run":
        dock.everything_stack()
    workers = (dock.scene.looks.worker, dock.runs.worker, dock.tidying.worker)
    viewer.close()
    held.set()
    wait_for_threads(qtbot, *workers)
    assert len(viewer.layers) == 0  # closing empties the list, and nothing came after


def test_a_closed_dock_is_freed(viewer, make_dock, plane, qtbot):
    def use() -> weakref.ref:  # napari looks at the caller's variables, and so keeps them
        dock = make_dock(viewer)
        viewer.add_image(plane)
        dock.settle()
        viewer.add_points().add(CENTRES[1])
        close(viewer, dock)
        return weakref.ref(dock)

    def is_free() -> bool:
        gc.collect()
        return gone() is None

    gone = use()
    qtbot.waitUntil(is_free, timeout=LIMIT)


def test_another_dock_goes_on_where_one_was_closed(viewer, make_dock, plane):
    dock = make_dock(viewer)
    viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add(CENTRES[1])
    labels = labels_of(viewer)
    close(viewer, dock)
    another = make_dock(viewer)
    another.settle()
    another.points.value, another.output.value = points, labels
    points.add(CENTRES[2])
    assert found(labels) == [1, 2]
    another.undo()
    assert found(labels) == [1]


# Models that are not here.


@pytest.fixture
def not_here(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(tmp_path))
    return tmp_path


def test_a_model_is_downloaded_only_when_the_user_agrees(
    viewer, make_dock, plane, monkeypatch, not_here, blobs
):
    asked, fetched = [], []

    def ask(parent, title, text):
        asked.append(text)
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", ask)
    monkeypatch.setattr("napari_fastsam._napari.ground.fetch", lambda *a, **k: fetched.append(a))
    monkeypatch.setattr("napari_fastsam._napari.worker.build", lambda model: blobs)
    dock = make_dock(viewer, None)
    viewer.add_image(plane)
    dock.settle()
    dock.model.value = "FastSAM-s"
    model = MODELS["FastSAM-s"]
    for part in ("24 MB", model.licence, model.url, str(not_here)):
        assert part in asked[0]
    assert "FastSAM-s" in dock.status.message.text() + dock.status.state_line.text()
    dock.everything()
    dock.settle()
    assert not fetched
    assert layers_of(viewer, Labels) == []
    assert len(asked) == 1


def test_an_agreed_download_comes_before_the_look(
    viewer, make_dock, plane, blobs, monkeypatch, not_here
):
    order = []
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)

    def fetch(name, progress):
        progress(10, 20)
        order.append(name)

    def build(model):
        if model is not blobs:
            order.append("built")
        return blobs

    monkeypatch.setattr("napari_fastsam._napari.ground.fetch", fetch)
    monkeypatch.setattr("napari_fastsam._napari.worker.build", build)
    dock = make_dock(viewer, None)
    dock.model.value = "FastSAM-s"
    viewer.add_image(plane)
    dock.everything()
    dock.settle()
    assert order[:2] == ["FastSAM-s", "built"]
    assert found(labels_of(viewer)) == [1, 2, 3]


def test_closing_the_dock_stops_a_download(
    viewer, make_dock, plane, blobs, monkeypatch, not_here, qtbot
):
    begun, gate, ended = Event(), Event(), []
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)

    def fetch(name, progress):
        begun.set()
        assert gate.wait(60)
        try:
            progress(10, 20)
        except InterruptedError:
            ended.append("stopped")
            raise

    monkeypatch.setattr("napari_fastsam._napari.ground.fetch", fetch)
    dock = make_dock(viewer, None)
    dock.model.value = "FastSAM-s"
    viewer.add_image(plane)
    qtbot.waitUntil(begun.is_set)
    worker = dock.scene.looks.worker
    close(viewer, dock)
    gate.set()
    wait_for_threads(qtbot, worker)
    assert ended == ["stopped"]
