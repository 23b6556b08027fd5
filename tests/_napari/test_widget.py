from threading import Event

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtWidgets import QMessageBox

from napari_fastsam._napari import words
from napari_fastsam._napari.widget import FastSamWidget
from napari_fastsam.models.registry import MODELS

from .conftest import CENTRES, OBJECTS


@pytest.fixture
def notices(monkeypatch):
    """Collect the notifications instead of showing them."""
    shown = []
    monkeypatch.setattr("napari_fastsam._napari.widget.show_error", shown.append)
    return shown


@pytest.fixture
def held(blobs, monkeypatch):
    """Make the network wait until it is let go."""
    gate = Event()
    segment = blobs.segment

    def wait(image):
        assert gate.wait(10)
        return segment(image)

    monkeypatch.setattr(blobs, "segment", wait)
    yield gate
    gate.set()


def labels_of(viewer):
    [layer] = [layer for layer in viewer.layers if isinstance(layer, Labels)]
    return layer


def test_points_take_their_objects(viewer, dock, plane):
    viewer.add_image(plane, name="cells")
    viewer.add_points([CENTRES[2], CENTRES[1]])
    dock.segment_button.native.click()
    dock.settle()
    data = labels_of(viewer).data
    assert (data[OBJECTS[2]] == 1).all()
    assert (data[OBJECTS[1]] == 2).all()
    assert np.count_nonzero(data == 0) == data.size - 14 * 20 - 10 * 14
    assert dock.output.value is labels_of(viewer)
    assert "2 new objects" in dock.status.message.text()
    assert "3 candidates" in dock.status.state_line.text()


def test_everything_takes_all_objects(viewer, dock, plane):
    viewer.add_image(plane)
    dock.everything_button.native.click()
    dock.settle()
    assert labels_of(viewer).data.max() == 3


def test_the_second_prompt_runs_no_network(viewer, dock, plane, blobs):
    viewer.add_image(plane)
    points = viewer.add_points([CENTRES[1]])
    for n in (1, 2, 3):
        points.data = [CENTRES[n]]
        dock.segment_plane()
        dock.settle()
    dock.everything()
    dock.settle()
    assert blobs.calls == 1
    assert labels_of(viewer).data.max() == 3
    assert dock.status.state_line.text().endswith("at hand")


def test_new_contrast_or_new_data_asks_the_network_again(viewer, dock, plane, blobs):
    image = viewer.add_image(plane)
    dock.everything()
    dock.settle()
    image.contrast_limits = (0, 220)
    dock.everything()
    dock.settle()
    assert blobs.calls == 2
    image.data = plane[::-1].copy()
    dock.everything()
    dock.settle()
    assert blobs.calls == 3


def test_earlier_objects_and_hand_edits_are_kept_and_each_run_is_one_undo_step(viewer, dock, plane):
    viewer.add_image(plane)
    points = viewer.add_points([CENTRES[1]])
    dock.segment_plane()
    dock.settle()
    labels = labels_of(viewer)
    labels.data_setitem((np.array([58]), np.array([78])), 50)
    points.data = [CENTRES[2], CENTRES[3]]
    dock.segment_plane()
    dock.settle()
    assert sorted(np.unique(labels.data)) == [0, 1, 50, 51, 52]
    labels.undo()
    assert sorted(np.unique(labels.data)) == [0, 1, 50]
    labels.undo()
    labels.undo()
    assert not labels.data.any()


def test_existing_objects_can_be_cleared_from_the_plane(viewer, dock, plane):
    viewer.add_image(plane)
    dock.everything()
    dock.settle()
    dock.settings.existing.value = "clear"
    viewer.add_points([CENTRES[1]])
    dock.segment_plane()
    dock.settle()
    assert np.unique(labels_of(viewer).data).tolist() == [0, 4]


def test_only_the_plane_in_view_is_segmented(viewer, dock, stack, blobs):
    viewer.add_image(stack)
    viewer.dims.set_point(0, 2)
    dock.everything()
    dock.settle()
    data = labels_of(viewer).data
    assert blobs.calls == 1
    assert data[2].any()
    assert not data[[0, 1, 3]].any()


def test_prompts_apply_to_the_plane_that_they_are_on(viewer, dock, stack):
    viewer.add_image(stack)
    viewer.add_points([(1, *CENTRES[1]), (3, *CENTRES[2])])
    viewer.dims.set_point(0, 3)
    dock.segment_plane()
    dock.settle()
    data = labels_of(viewer).data
    assert (data[3][OBJECTS[2]] == 1).all()
    assert not data[:3].any()
    viewer.dims.set_point(0, 0)
    dock.segment_plane()
    assert dock.status.message.text() == words.NOTHING_DRAWN
    dock.segment_stack()
    dock.settle()
    assert (data[1][OBJECTS[1]] == 2).all()


def test_flat_prompts_on_a_stack_apply_to_the_plane_in_view(viewer, dock, stack):
    viewer.add_image(stack, scale=(2, 1, 1))
    viewer.add_points([CENTRES[1]])
    viewer.dims.set_point(0, 4)
    dock.segment_plane()
    dock.settle()
    assert np.unique(np.nonzero(labels_of(viewer).data)[0]).tolist() == [2]


def test_all_planes_are_segmented_one_undo_step_each(viewer, dock, stack):
    viewer.add_image(stack)
    dock.linked.value = False
    dock.everything_stack()
    dock.settle()
    labels = labels_of(viewer)
    assert len(np.unique(labels.data)) == 10
    labels.undo()
    assert not labels.data[3].any()
    assert labels.data[2].any()


def test_linked_objects_keep_their_label(viewer, dock, stack):
    viewer.add_image(stack[2:])
    dock.everything_stack()
    dock.settle()
    data = labels_of(viewer).data
    assert data[0][CENTRES[1]] == data[1][CENTRES[1]]
    assert data.max() == 3


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0), (2, 1, 0), (0, 2, 1)])
def test_any_displayed_plane_is_segmented(order, viewer, dock, stack):
    shape = tuple(int(n) for n in np.argsort(order))
    viewer.add_image(
        np.transpose(stack, shape), rgb=False
    )  # shown along `order`, this is the stack again
    viewer.dims.order = order
    viewer.dims.set_point(order[0], 3)
    dock.everything()
    dock.settle()
    data = np.transpose(labels_of(viewer).data, order)
    assert not data[:3].any()
    assert [len(np.unique(data[3][where])) for where in OBJECTS.values()] == [1, 1, 1]
    assert data.max() == 3


def test_3d_display_is_explained(viewer, dock, stack, notices):
    viewer.add_image(stack)
    viewer.dims.ndisplay = 3
    assert dock.status.message.text() == words.VOLUME
    dock.everything()
    assert "switch to 2D" in notices[0]
    viewer.dims.ndisplay = 2
    assert dock.status.message.text() == words.next_step(words.Situation())


def test_an_error_in_the_worker_is_a_notification(viewer, dock, plane, blobs, notices, monkeypatch):
    def fail(image):
        raise ValueError("Expected this. Got that. To fix it: do so.")

    monkeypatch.setattr(blobs, "segment", fail)
    viewer.add_image(plane)
    dock.everything()
    dock.settle()
    assert notices == ["Expected this. Got that. To fix it: do so."]
    assert dock.status.message.text() == notices[0]
    assert len(viewer.layers) == 1


def test_labels_that_do_not_fit_are_refused_before_anything_runs(
    viewer, dock, plane, blobs, notices
):
    viewer.add_image(plane)
    viewer.add_labels(np.zeros((5, 5), int))
    dock.output.value = viewer.layers[-1]
    dock.everything()
    assert "choose a new layer" in notices[0]
    assert blobs.calls == 0


def test_cancel_keeps_the_planes_that_are_done(viewer, dock, stack, blobs, monkeypatch, qtbot):
    segment = blobs.segment
    gate = Event()

    def wait_at_the_third(image):
        if blobs.calls == 2:
            assert gate.wait(10)
        return segment(image)

    monkeypatch.setattr(blobs, "segment", wait_at_the_third)
    viewer.add_image(stack)
    dock.linked.value = False
    dock.everything_stack()
    qtbot.waitUntil(lambda: dock.status.running.isVisibleTo(dock.native))
    qtbot.waitUntil(lambda: len(viewer.layers) == 2 and labels_of(viewer).data[1].any())
    dock.status.cancel_button.click()
    gate.set()
    dock.settle()
    assert labels_of(viewer).data.any(axis=(1, 2)).tolist() == [True, True, False, False]
    assert dock.status.message.text().startswith("Cancelled after 2 planes. 4 new objects.")
    assert not dock.status.running.isVisibleTo(dock.native)


def test_the_newest_request_wins(viewer, dock, plane, held):
    viewer.add_image(plane)
    points = viewer.add_points([CENTRES[1]])
    dock.segment_plane()
    points.data = [CENTRES[2]]
    dock.segment_plane()
    points.data = [CENTRES[3]]
    dock.segment_plane()
    held.set()
    dock.settle()
    data = labels_of(viewer).data
    assert (data[OBJECTS[3]] == 1).all()
    assert not data[OBJECTS[1]].any()
    assert not data[OBJECTS[2]].any()


@pytest.mark.parametrize("gone", ["image", "labels"])
def test_a_layer_removed_while_a_job_runs_stops_it(gone, viewer, dock, plane, held):
    image = viewer.add_image(plane, name="image")
    labels = viewer.add_labels(np.zeros(plane.shape, int), name="labels")
    dock.output.value = labels
    dock.everything()
    viewer.layers.remove(gone)
    held.set()
    dock.settle()
    assert dock.status.message.text() == words.LAYER_GONE
    assert not labels.data.any()
    assert (image in viewer.layers) == (gone == "labels")


def test_layers_renamed_and_moved_while_a_job_runs_do_not_matter(viewer, dock, plane, held):
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


def test_closing_the_dock_stops_the_job(viewer, dock, plane, held, qtbot):
    viewer.add_image(plane)
    dock.everything()
    viewer.window.remove_dock_widget(dock.native)
    held.set()
    dock.settle()
    assert len(viewer.layers) == 1


def test_closing_the_viewer_while_a_job_runs_is_harmless(
    make_napari_viewer, plane, blobs, held, qtbot
):
    viewer = make_napari_viewer()
    widget = FastSamWidget(viewer, model=blobs)
    viewer.window.add_dock_widget(widget)
    viewer.add_image(plane)
    widget.everything()
    worker = widget.session.worker
    viewer.close()
    held.set()
    qtbot.waitUntil(lambda: not worker.busy)
    assert len(viewer.layers) == 0  # closing empties the list, and nothing came after


def test_the_first_prompt_layers_are_chosen(viewer, dock, plane):
    viewer.add_image(plane)
    assert dock.status.message.text() == words.next_step(words.Situation())
    points = viewer.add_points()
    viewer.add_points()
    assert dock.points.value is points
    assert dock.status.message.text() == words.next_step(words.Situation(prompts=True))
    viewer.layers.remove(points)
    assert dock.points.value is None


def test_plus_makes_prompt_layers_on_the_image(viewer, dock, stack):
    image = viewer.add_image(stack, scale=(3, 0.5, 0.5), translate=(1, 2, 3), units=("um",) * 3)
    dock.add_points.native.click()
    dock.add_shapes.native.click()
    points, shapes = dock.points.value, dock.shapes.value
    assert (points.mode, shapes.mode) == ("add", "add_rectangle")
    for layer in (points, shapes):
        assert (layer.ndim, layer.units) == (3, image.units)
        np.testing.assert_allclose(layer.data_to_world((1, 2, 3)), image.data_to_world((1, 2, 3)))
    points.add((1, *CENTRES[1]))
    points.feature_defaults = {"polarity": "-"}
    points.add((1, *CENTRES[2]))
    assert points.features["polarity"].tolist() == ["+", "-"]
    np.testing.assert_allclose(points.face_color, [(0, 1, 0, 1), (1, 0, 0, 1)])


def test_negative_clicks_are_a_choice_of_the_dock(viewer, dock, plane):
    viewer.add_image(plane)
    dock.new_points()
    points = dock.points.value
    points.add(CENTRES[1])
    points.add(CENTRES[2])
    points.selected_data = {1}
    dock.polarity.value = "-"
    points.add(CENTRES[3])
    assert points.features["polarity"].tolist() == ["+", "-", "-"]
    np.testing.assert_allclose(points.face_color, [(0, 1, 0, 1), (1, 0, 0, 1), (1, 0, 0, 1)])
    dock.segment_plane()
    dock.settle()
    assert labels_of(viewer).data[OBJECTS[1]].all()
    assert labels_of(viewer).data.max() == 1


@pytest.mark.parametrize(
    "polarity",
    [["+", "-"], ["positive", "negative"], [True, False], [1, 0]],
    ids=["signs", "words", "truth", "numbers"],
)
def test_negative_clicks_go_with_the_users_own_features(viewer, dock, plane, polarity):
    viewer.add_image(plane)
    points = viewer.add_points(
        [CENTRES[1], CENTRES[2]], features={"polarity": polarity, "group": [7, 8]}
    )
    dock.points.value = points
    dock.polarity.value = "+"
    dock.polarity.value = "-"
    points.add(CENTRES[3])
    assert points.features["polarity"].tolist() == ["+", "-", "-"]
    assert points.features["group"].tolist()[:2] == [7, 8]


def test_negative_clicks_are_offered_for_points_that_can_be_negative(viewer, dock, plane):
    viewer.add_image(plane)
    viewer.add_points()
    assert not dock.polarity.native.isVisibleTo(dock.native)
    dock.new_points()
    assert dock.polarity.native.isVisibleTo(dock.native)
    dock.polarity.value = "-"
    first = dock.points.value
    dock.new_points()
    assert dock.polarity.value == "+"
    dock.points.value = first
    assert dock.polarity.value == "-"


def test_the_selected_layer_stays_selected(viewer, dock, plane):
    viewer.add_image(plane)
    points = viewer.add_points([CENTRES[1]])
    points.mode = "add"
    dock.segment_plane()
    dock.settle()
    assert viewer.layers.selection.active is points
    assert points.mode == "add"
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Labels", "Points"]


def test_the_selected_image_is_chosen_when_the_dock_opens(viewer, plane, blobs):
    viewer.add_image(plane)
    second = viewer.add_image(plane)
    viewer.add_points()
    viewer.layers.selection.active = second
    assert FastSamWidget(viewer, model=blobs).image.value is second


def test_unanswered_prompts_are_told(viewer, dock, plane):
    viewer.add_image(plane)
    viewer.add_points([(0, 0), CENTRES[1]])
    dock.segment_plane()
    dock.settle()
    assert "1 new object." in dock.status.message.text()
    assert "1 prompt found no object" in dock.status.message.text()


def test_nothing_found_makes_no_layer(viewer, dock, plane):
    viewer.add_image(plane * 0)
    dock.everything()
    dock.settle()
    assert len(viewer.layers) == 1
    assert dock.status.message.text().startswith("0 new objects.")


def test_every_control_explains_itself(dock):
    controls = [*vars(dock).values(), *vars(dock.cleanup).values(), *vars(dock.settings).values()]
    silent = [c for c in controls if hasattr(c, "tooltip") and c is not dock and not c.tooltip]
    assert silent == []


def test_the_dock_fits_a_narrow_column(viewer, dock, plane):
    viewer.add_image(plane, name="a name that is far too long for any dock widget to show in full")
    for panel in (dock.cleanup, dock.colours, dock.settings):
        panel.native.expand()
    assert dock.native.layout().itemAt(0).widget().widget().minimumSizeHint().width() <= 260


def test_a_model_is_downloaded_only_when_the_user_agrees(viewer, plane, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(tmp_path))
    asked, fetched = [], []

    def ask(parent, title, text):
        asked.append(text)
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", ask)
    monkeypatch.setattr("napari_fastsam._napari.session.fetch", lambda *a, **k: fetched.append(a))
    widget = FastSamWidget(viewer)
    viewer.add_image(plane)
    widget.model.value = "FastSAM-s"
    widget.everything()
    model = MODELS["FastSAM-s"]
    for part in ("24 MB", model.licence, model.url, str(tmp_path)):
        assert part in asked[0]
    assert widget.status.message.text() == words.not_downloaded("FastSAM-s")
    assert not widget.session.worker.busy
    assert not fetched


def test_an_agreed_download_comes_before_the_run(
    viewer, plane, blobs, monkeypatch, tmp_path, qtbot
):
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(tmp_path))
    order = []
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)

    def fetch(name, progress):
        progress(10, 20)
        order.append(name)

    def build(model):
        order.append("built")
        return blobs

    monkeypatch.setattr("napari_fastsam._napari.session.fetch", fetch)
    monkeypatch.setattr("napari_fastsam._napari.worker.build", build)
    widget = FastSamWidget(viewer)
    viewer.add_image(plane)
    widget.model.value = "FastSAM-s"
    widget.everything()
    qtbot.waitUntil(lambda: not widget.session.worker.busy)
    assert order == ["FastSAM-s", "built"]
    assert labels_of(viewer).data.max() == 3


def test_the_values_reach_the_request(viewer, dock, plane):
    viewer.add_image(plane)
    dock.confidence.value = 0.6
    dock.cleanup.opening.value = 2
    dock.cleanup.clear_border.value = True
    dock.settings.contrast.value = "automatic"
    asked = dock._make_run(everything=True)
    assert asked.request.confidence == pytest.approx(0.6)
    assert (asked.request.cleanup.opening, asked.request.cleanup.clear_border) == (2, True)
    assert asked.request.display.contrast_limits is None
    assert dock.cleanup.native.text().endswith("Cleanup: opening, border")
    assert dock._make_run(everything=False).request.confidence is None
