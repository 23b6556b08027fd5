"""The dock on one plane: what its buttons and live prompts do to the labels."""

import json

import numpy as np
import pytest
import zarr
from napari.layers import Labels, Points

import napari_fastsam as fs
from napari_fastsam._napari import words
from napari_fastsam._napari.layer_boxes import layers_of
from napari_fastsam._napari.widget import FastSamWidget
from napari_fastsam._napari.work import PROVENANCE

from .conftest import CENTRES, OBJECTS, found, labels_of


def test_the_plane_in_view_is_looked_at_without_being_asked(viewer, dock, plane, blobs):
    viewer.add_image(plane)
    dock.settle()
    assert blobs.calls == 1
    assert "3 candidates" in dock.status.state_line.text()
    assert layers_of(viewer, Labels) == []


def test_points_take_their_objects(viewer, dock, plane):
    viewer.add_image(plane, name="cells")
    dock.settle()
    viewer.add_points([CENTRES[2], CENTRES[1]])
    assert layers_of(viewer, Labels) == []  # what is drawn already is left alone
    dock.segment_button.native.click()
    data = labels_of(viewer).data
    assert (data[OBJECTS[2]] == 1).all()
    assert (data[OBJECTS[1]] == 2).all()
    assert np.count_nonzero(data == 0) == data.size - 14 * 20 - 10 * 14
    assert dock.output.value is labels_of(viewer)
    assert labels_of(viewer).name == "cells labels"
    assert "2 new objects" in dock.status.message.text()


def test_points_are_taken_as_they_are_added_moved_and_deleted(viewer, dock, plane, blobs):
    viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add(CENTRES[1])
    points.add(CENTRES[2])
    labels = labels_of(viewer)
    assert found(labels) == [1, 2]
    points.data = [CENTRES[3], CENTRES[2]]
    assert found(labels) == [1, 2]
    assert (labels.data[OBJECTS[3]] == 1).all()
    assert not labels.data[OBJECTS[1]].any()
    points.selected_data = {1}
    points.remove_selected()
    assert found(labels) == [1]
    assert blobs.calls == 1


def test_prompts_that_come_before_the_look_are_answered_by_it(viewer, dock, plane, held):
    viewer.add_image(plane)
    points = viewer.add_points()
    points.add(CENTRES[1])
    assert "as soon as" in dock.status.message.text()
    held.set()
    dock.settle()
    assert (labels_of(viewer).data[OBJECTS[1]] == 1).all()


def test_the_newest_prompt_wins(viewer, dock, plane, held):
    viewer.add_image(plane)
    points = viewer.add_points()
    points.add(CENTRES[1])
    points.data = [CENTRES[2]]
    points.data = [CENTRES[3]]
    held.set()
    dock.settle()
    data = labels_of(viewer).data
    assert found(labels_of(viewer)) == [1]
    assert (data[OBJECTS[3]] == 1).all()


def test_everything_takes_all_objects(viewer, dock, plane):
    viewer.add_image(plane)
    dock.everything_button.native.click()  # before the look: it is done as soon as that ends
    dock.settle()
    assert found(labels_of(viewer)) == [1, 2, 3]
    assert dock.status.message.text().startswith("3 new objects.")


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
    assert len(found(labels_of(viewer))) == 3


def test_new_contrast_or_new_data_asks_the_network_again(viewer, dock, plane, blobs, qtbot):
    image = viewer.add_image(plane)
    dock.settle()
    image.contrast_limits = (0, 220)
    qtbot.waitUntil(lambda: blobs.calls == 2)
    dock.settle()
    image.data = np.where(plane > 127, 200, 10)[:, ::-1].astype(np.uint8)
    dock.settle()
    assert blobs.calls == 3
    dock.everything()
    dock.settle()
    assert labels_of(viewer).data[OBJECTS[1]][:, ::-1].sum() == 0


def test_earlier_objects_and_hand_edits_are_kept_and_each_change_is_one_step(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add(CENTRES[1])
    labels = labels_of(viewer)
    labels.data_setitem((np.array([58]), np.array([78])), 50)
    dock.everything()
    dock.settle()
    assert found(labels) == [1, 50, 51, 52]
    dock.undo_button.native.click()
    assert found(labels) == [1, 50]
    dock.undo()
    assert found(labels) == [1]
    dock.undo()
    assert found(labels) == []
    assert len(points.data) == 0
    dock.undo()
    assert dock.status.message.text() == words.NOTHING_TO_UNDO
    for _ in range(3):
        dock.redo_button.native.click()
    assert found(labels) == [1, 50, 51, 52]
    assert len(points.data) == 1
    dock.redo()
    assert dock.status.message.text() == words.NOTHING_TO_REDO


def test_undo_and_redo_are_offered_where_there_is_something_to(viewer, dock, plane):
    viewer.add_image(plane)
    dock.everything()
    dock.settle()
    assert (dock.undo_button.enabled, dock.redo_button.enabled) == (True, False)
    dock.undo()
    assert (dock.undo_button.enabled, dock.redo_button.enabled) == (False, True)


def test_existing_objects_can_be_cleared_from_the_plane(viewer, dock, plane):
    viewer.add_image(plane)
    dock.everything()
    dock.settle()
    dock.settings.existing.value = "clear"
    labels_of(viewer).data_setitem((np.array([58]), np.array([78])), 50)
    dock.everything()
    dock.settle()
    assert found(labels_of(viewer)) == [51, 52, 53]


def test_existing_objects_can_give_way(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    labels = viewer.add_labels(np.full(plane.shape, 7))
    dock.output.value = labels
    points = viewer.add_points()
    points.add(CENTRES[1])
    assert found(labels) == [7]
    assert "Labelled already" in dock.status.message.text()
    dock.settings.existing.value = "overwrite"
    dock.segment_plane()
    assert (labels.data[OBJECTS[1]] == 8).all()
    assert np.count_nonzero(labels.data == 8) == 10 * 14
    points.selected_data = {0}
    points.remove_selected()
    assert found(labels) == [7]
    assert (labels.data == 7).all()


def test_boxes_and_outlines_take_their_objects_live(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    dock.new_shapes()
    shapes = dock.shapes.value
    rows, columns = OBJECTS[1]
    top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
    shapes.add_rectangles([[top, left], [bottom, right]])
    shapes.add_polygons([[20, 50], [20, 69], [33, 69], [33, 50]])
    shapes.add_paths([[40, 12], [50, 20]])
    labels = labels_of(viewer)
    for n in (1, 2, 3):
        assert (labels.data[OBJECTS[n]] == n).all()
    shapes.selected_data = {0}
    shapes.remove_selected()
    assert found(labels) == [2, 3]


def test_negative_points_without_an_object_of_their_own_speak_to_all(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    dock.new_points()
    points = dock.points.value
    points.add(CENTRES[1])
    assert found(labels_of(viewer)) == [1]
    points.selected_data = set()
    dock.polarity.value = "-"
    points.add((CENTRES[1][0] + 2, CENTRES[1][1]))
    dock.settle()  # a closer look finds nothing else
    assert found(labels_of(viewer)) == []
    dock.undo()
    assert found(labels_of(viewer)) == [1]
    assert len(points.data) == 1


def test_points_of_a_group_ask_for_one_object(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    dock.new_points()
    points = dock.points.value
    points.feature_defaults = {"polarity": "+", "group": 1.0}
    points.add(CENTRES[1])
    points.add((CENTRES[1][0] + 2, CENTRES[1][1]))
    assert found(labels_of(viewer)) == [1]
    features = points.features.copy()
    features["group"] = [1.0, 2.0]
    points.features = features
    assert "already" in dock.status.message.text()  # the same object again


def test_3d_display_is_explained(viewer, dock, stack):
    viewer.add_image(stack)
    dock.settle()
    viewer.dims.ndisplay = 3
    assert "2D" in dock.status.message.text()
    assert words.UNSEEN in dock.status.state_line.text()
    dock.everything()
    assert "switch to 2D" in dock.status.message.text()
    assert layers_of(viewer, Labels) == []
    viewer.dims.ndisplay = 2
    dock.settle()
    assert "candidates" in dock.status.state_line.text()


def test_an_error_in_the_look_is_a_notification(viewer, dock, plane, blobs, notices, monkeypatch):
    def fail(image):
        raise ValueError("Expected this. Got that. To fix it: do so.")

    monkeypatch.setattr(blobs, "segment", fail)
    viewer.add_image(plane)
    dock.settle()
    assert dock.status.kind == "error"
    assert notices.pop() == "Expected this. Got that. To fix it: do so."
    assert dock.status.message.text() == "Expected this. Got that. To fix it: do so."
    assert len(viewer.layers) == 1


def test_labels_that_do_not_fit_are_refused_before_anything_is_written(
    viewer, dock, plane, notices
):
    viewer.add_image(plane)
    dock.settle()
    odd = viewer.add_labels(np.zeros((5, 5), int))
    dock.output.value = odd
    dock.everything()
    dock.settle()
    assert notices
    assert all("choose a new layer" in notice for notice in notices)
    notices.clear()
    assert not odd.data.any()
    dock.output.value = None
    dock.everything()
    dock.settle()
    assert dock.output.value is not odd
    assert found(dock.output.value) == [1, 2, 3]


def test_labels_in_a_zarr_array_are_written_in_place(viewer, dock, plane, tmp_path):
    stored = zarr.create_array(tmp_path / "labels.zarr", shape=plane.shape, dtype=np.uint16)
    viewer.add_image(plane)
    dock.settle()
    dock.output.value = viewer.add_labels(stored)
    points = viewer.add_points()
    points.add(CENTRES[1])
    assert (stored[OBJECTS[1]] == 1).all()
    dock.everything()
    dock.settle()
    assert np.unique(stored[:]).tolist() == [0, 1, 2, 3]
    dock.undo()
    dock.undo()
    assert not stored[:].any()


def test_full_labels_are_refused_and_nothing_is_lost(viewer, dock, plane, notices):
    viewer.add_image(plane)
    dock.settle()
    data = np.zeros(plane.shape, np.uint8)
    data[58, 78] = 254
    labels = viewer.add_labels(data)
    dock.output.value = labels
    points = viewer.add_points()
    points.add(CENTRES[1])
    assert found(labels) == [254, 255]
    points.add(CENTRES[2])
    assert "choose a new layer" in notices.pop()
    assert found(labels) == [254, 255]
    dock.everything()
    dock.settle()
    assert "choose a new layer" in notices.pop()
    assert found(labels) == [254, 255]


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
    points.feature_defaults = {"polarity": "-", "group": np.nan}
    points.add((1, *CENTRES[2]))
    assert points.features["polarity"].tolist() == ["+", "-"]
    np.testing.assert_allclose(points.face_color, [(0, 1, 0, 1), (1, 0, 0, 1)])


def test_negative_clicks_are_a_choice_of_the_dock(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    dock.new_points()
    points = dock.points.value
    points.add(CENTRES[1])
    points.add(CENTRES[2])
    points.selected_data = {1}
    dock.polarity.value = "-"
    points.add(CENTRES[3])
    dock.settle()
    assert points.features["polarity"].tolist() == ["+", "-", "-"]
    np.testing.assert_allclose(points.face_color, [(0, 1, 0, 1), (1, 0, 0, 1), (1, 0, 0, 1)])
    assert found(labels_of(viewer)) == [1]
    assert labels_of(viewer).data[OBJECTS[1]].all()


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
    dock.settle()


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
    dock.settle()
    points = viewer.add_points()
    points.mode = "add"
    points.add(CENTRES[1])
    dock.everything()
    dock.settle()
    assert viewer.layers.selection.active is points
    assert points.mode == "add"
    assert [type(layer) for layer in viewer.layers if layer is not dock.preview.layer][1:] == [
        Labels,
        Points,
    ]


def test_the_selected_image_is_chosen_when_the_dock_opens(viewer, plane, make_dock):
    viewer.add_image(plane)
    second = viewer.add_image(plane)
    viewer.add_points()
    viewer.layers.selection.active = second
    assert make_dock(viewer).image.value is second


def test_unanswered_prompts_are_told(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add((0, 0))
    assert "looking closer" in dock.status.message.text()
    dock.settle()
    assert "No object found here" in dock.status.message.text()
    assert layers_of(viewer, Labels) == []  # nothing to write, no layer


def test_no_closer_look_is_made_where_that_is_switched_off(viewer, dock, plane, blobs):
    dock.settings.closer.value = False
    viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add((0, 0))
    dock.settle()
    assert blobs.calls == 1
    assert "No object found here" in dock.status.message.text()


def test_an_image_without_any_candidate_is_told(viewer, dock, plane):
    viewer.add_image(plane * 0)
    dock.settle()
    assert dock.status.kind == "none"
    assert "No candidates" in dock.status.state_line.text()
    assert "No object was found on this plane" in dock.status.message.text()
    dock.everything()
    dock.settle()
    assert layers_of(viewer, Labels) == []
    assert dock.status.message.text() == words.NOTHING_LEFT


def test_sliders_choose_again_without_the_network(viewer, dock, plane, blobs):
    viewer.add_image(plane)
    dock.settle()
    dock.current_tab = "everything"
    assert "3 of 3 objects" in dock.everything_count.text()
    dock.min_area.value = 200
    assert "2 of 3 objects" in dock.everything_count.text()
    dock.everything()
    dock.settle()
    labels = labels_of(viewer)
    assert found(labels) == [1, 2]
    assert not labels.data[OBJECTS[1]].any()
    assert blobs.calls == 1


def test_objects_that_were_clicked_away_are_left_out_of_everything(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    dock.current_tab = "everything"
    assert dock.toggle(CENTRES[2])
    assert "2 of 3 objects" in dock.everything_count.text()
    dock.everything()
    dock.settle()
    assert not labels_of(viewer).data[OBJECTS[2]].any()
    assert len(found(labels_of(viewer))) == 2


def test_cleanup_is_shown_beforehand_done_on_request_and_undone(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    dock.everything()
    dock.settle()
    labels = labels_of(viewer)
    before = labels.data.copy()
    dock.cleanup.min_area.value = 200
    dock.cleanup.preview.value = True
    dock.settle()
    np.testing.assert_array_equal(labels.data, before)
    assert dock.preview.layer is not None
    dock.tidy()
    dock.settle()
    assert found(labels) == [2, 3]
    assert dock.status.message.text() == words.tidied(0, 1)
    dock.undo()
    np.testing.assert_array_equal(labels.data, before)


def test_cleanup_goes_with_each_object_that_is_taken(viewer, dock, plane):
    holed = plane.copy()
    holed[CENTRES[1]] = 10
    viewer.add_image(holed)
    dock.settle()
    dock.cleanup.fill_holes.value = 10
    points = viewer.add_points()
    points.add((8, 9))
    assert (labels_of(viewer).data[OBJECTS[1]] == 1).all()


def test_a_layer_says_how_it_was_made_and_is_made_again(viewer, dock, plane, blobs):
    image = viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points()
    points.add(CENTRES[1])
    dock.everything()
    dock.settle()
    labels = labels_of(viewer)
    labels.data_setitem((np.array([58]), np.array([78])), 50)
    points.data = [CENTRES[3]]
    again = fs.replay(labels, image, model=blobs)
    np.testing.assert_array_equal(again, labels.data)
    saved = json.loads(json.dumps(labels.metadata[PROVENANCE]))
    np.testing.assert_array_equal(fs.replay(saved, plane, model=blobs), labels.data)


def test_the_values_of_the_controls_are_in_the_record(viewer, dock, plane):
    viewer.add_image(plane)
    dock.confidence.value = 0.6
    dock.cleanup.opening.value = 2
    dock.cleanup.clear_border.value = True
    dock.settings.contrast.value = "percentiles"
    dock.everything()
    dock.settle()
    record = labels_of(viewer).metadata[PROVENANCE]
    [step] = record["steps"]
    assert (step["do"], step["how"]["confidence"]) == ("everything", pytest.approx(0.6))
    assert (step["cleanup"]["opening"], step["cleanup"]["clear_border"]) == (2, True)
    assert record["sources"][0]["display"].get("contrast_limits") is None


def test_the_script_of_what_was_done_is_copied(viewer, dock, plane, qapp):
    dock.copy_script()
    assert dock.status.message.text() == words.NOTHING_DONE
    viewer.add_image(plane)
    dock.everything()
    dock.settle()
    dock.script_button.native.click()
    assert "napari_fastsam" in qapp.clipboard().text()
    compile(qapp.clipboard().text(), "script", "exec")


def test_a_dock_without_an_image_says_what_to_do(viewer, dock):
    for action in (
        dock.everything,
        dock.segment_plane,
        dock.segment_stack,
        dock.everything_stack,
        dock.tidy,
        dock.cancel,
        dock.undo,
        dock.redo,
        dock.new_points,
        dock.new_shapes,
        dock.take_clicks,
    ):
        action()
    assert len(viewer.layers) == 0
    dock.refresh()
    assert words.NO_IMAGE_STATE in dock.status.state_line.text()


def test_a_dock_is_made_from_the_plugins_menu(viewer):
    _, widget = viewer.window.add_plugin_dock_widget("napari-fastsam", "Segment")
    assert isinstance(widget, FastSamWidget)
