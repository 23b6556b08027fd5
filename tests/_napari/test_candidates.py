"""Objects of a Labels layer in a model's place, and classes among the features."""

import numpy as np
import pytest

from napari_fastsam._napari.scene import Scene
from napari_fastsam._napari.work import PROVENANCE
from napari_fastsam.segmenter import ModelSpec

from .conftest import OBJECTS


@pytest.fixture
def nuclei(viewer, plane):
    """A layer of labels: halves of the objects that the model finds."""
    halves = np.zeros(plane.shape, np.int32)
    for n, (rows, columns) in OBJECTS.items():
        halves[rows, columns.start : (columns.start + columns.stop) // 2] = 10 * n
    return viewer.add_labels(halves, name="nuclei")


def test_clicks_pick_from_the_layer_that_is_chosen(viewer, dock, plane, nuclei, blobs):
    viewer.add_image(plane)
    dock.output.value = None
    dock.settle()
    assert blobs.calls == 1
    dock.candidates.value = nuclei
    dock.settle()
    assert not dock.model.enabled
    viewer.add_points([(10, 8), (10, 18)])
    dock.segment_button.native.click()
    dock.settle()
    labels = dock.output.value
    assert labels is not nuclei
    assert np.array_equal(labels.data > 0, nuclei.data == 10)
    assert "No object found here" in dock.status.message.text()  # and nothing is looked at closer
    source = labels.metadata[PROVENANCE]["sources"][-1]
    assert source["candidates"]["labels"] == "nuclei"
    assert source["closer"] is False
    assert blobs.calls == 1
    assert labels not in dock.candidates.choices


def test_labels_that_a_click_makes_are_not_offered_as_candidates(viewer, dock, plane):
    viewer.add_image(plane)
    dock.settle()
    viewer.add_points([(10, 8)])
    dock.segment_button.native.click()
    dock.settle()
    assert dock.output.value is not None
    assert dock.candidates.native.isHidden()
    assert len(dock.candidates.choices) == 1


def test_the_time_of_the_network_is_not_said_of_a_layer(viewer, dock, plane, nuclei, blobs):
    blobs.description = "blobs · CPU · OpenVINO · fp32 · 64 px"
    viewer.add_image(plane)
    dock.output.value = None
    dock.settle()
    by_network = dock.status.state_line.text()
    assert "CPU · OpenVINO" in by_network
    assert "s a plane" in by_network
    dock.candidates.value = nuclei
    dock.settle()
    assert dock.status.state_line.text().endswith("3 candidates")
    assert dock.status.state_line.toolTip() == "objects of 'nuclei'"
    dock.candidates.value = None
    dock.settle()
    assert dock.status.state_line.text() == by_network


def test_what_a_network_ran_on_is_still_known_when_it_is_chosen_again(viewer, monkeypatch, blobs):
    ignored = ("came", "looking", "made", "stepped", "undo", "redo")
    scene = Scene(viewer, None, **dict.fromkeys(ignored, lambda *_: None))
    spec = ModelSpec(runtime="torch")
    monkeypatch.setattr("napari_fastsam._napari.worker.build", lambda model: blobs)
    monkeypatch.setattr("napari_fastsam._napari.worker.model_hash", lambda spec: "")
    blobs.description = "blobs · CPU · fp32 · 64 px"
    kept = scene.model(spec)
    kept.segment(np.zeros((9, 9, 3), np.uint8))
    kept.take_seconds()
    ran = scene.ran
    assert ran.where == "CPU"
    scene.model(ModelSpec(runtime="onnx"))
    assert scene.ran.where == ""
    assert scene.model(spec) is not kept
    assert scene.ran == ran


def test_everything_takes_the_layer_and_its_new_data(viewer, dock, plane, nuclei, blobs):
    viewer.add_image(plane)
    dock.output.value = None
    dock.candidates.value = nuclei
    dock.settle()
    nuclei.data = np.where(nuclei.data == 20, 0, nuclei.data)
    dock.look_again()
    dock.settle()
    dock.everything_button.native.click()
    dock.settle()
    assert np.array_equal(dock.output.value.data > 0, nuclei.data > 0)


def test_a_layer_of_another_shape_is_refused(viewer, dock, plane):
    viewer.add_image(plane)
    other = viewer.add_labels(np.zeros((9, 9), np.int32), name="other")
    dock.output.value = None
    dock.candidates.value = other
    dock.settle()
    assert "choose another layer, or the model, for the candidates" in dock.status.message.text()
    dock.candidates.value = None
    dock.settle()
    assert dock.scene.in_view is not None


def test_the_classes_of_what_is_taken_are_a_column_of_features(
    viewer, dock, plane, blobs, monkeypatch
):
    segment = blobs.segment

    def classed(image):
        found = segment(image)
        return type(found)(
            found.shape, found.bboxes, found.scores, found.buffer, [1, 0, -1], ("cell", "fibre")
        )

    monkeypatch.setattr(blobs, "segment", classed)
    viewer.add_image(plane)
    dock.settle()
    dock.everything_button.native.click()
    dock.settle()
    features = dock.output.value.features.set_index("index")
    assert features["class"].dropna().to_dict() == {1: "fibre", 2: "cell"}
    assert "likeness" not in features
    assert "text" not in features
