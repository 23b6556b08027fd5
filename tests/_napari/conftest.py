"""What the tests of the viewer's side share: an image of known objects, and a docked widget."""

from __future__ import annotations

from threading import Event

import napari.settings
import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.notifications import notification_manager

from fakes import BlobSegmenter
from napari_fastsam import Instances
from napari_fastsam._napari.layer_boxes import layers_of
from napari_fastsam._napari.widget import FastSamWidget
from napari_fastsam.pipeline import PlaneResult

OBJECTS = {
    1: (slice(5, 15), slice(6, 20)),
    2: (slice(20, 34), slice(50, 70)),
    3: (slice(36, 56), slice(8, 24)),
}
"""Where the objects of a plane of 60 x 80 are, by their number in reading order."""

CENTRES = {1: (10, 12), 2: (27, 60), 3: (45, 16)}


@pytest.fixture(autouse=True)
def settings_file(tmp_path, monkeypatch):
    """Keep what docks remember in a file of the test's own, and napari's settings in none."""
    monkeypatch.setattr(napari.settings.get_settings(), "config_path", None)
    napari.settings._clear_plugin_settings_cache()
    monkeypatch.setattr(napari.settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    yield tmp_path / "napari-fastsam.yaml"
    napari.settings._clear_plugin_settings_cache()


@pytest.fixture
def plane() -> np.ndarray:
    """(60, 80) uint8: three bright rectangles."""
    image = np.full((60, 80), 10, np.uint8)
    for where in OBJECTS.values():
        image[where] = 200
    return image


@pytest.fixture
def stack(plane: np.ndarray) -> np.ndarray:
    """(4, 60, 80) uint8: the plane, without object n + 1 on plane n."""
    images = np.stack([plane] * 4)
    for n, where in OBJECTS.items():
        images[(n - 1, *where)] = 10
    return images


@pytest.fixture
def gate(blobs, monkeypatch):
    """Make the network wait before its n-th look, `gate.at`, until `gate.set()`."""
    event = Event()
    event.at = -1
    segment = blobs.segment

    def wait(image):
        if blobs.calls == event.at:
            assert event.wait(60)
        return segment(image)

    monkeypatch.setattr(blobs, "segment", wait)
    yield event
    event.set()


@pytest.fixture
def result():
    """Make the result of a plane from its labels."""

    def make(labels: np.ndarray, index: tuple[int, ...] = ()) -> PlaneResult:
        labels = np.asarray(labels, np.uint32)
        return PlaneResult(index, Instances.from_labels(labels), None, labels, {})

    return make


@pytest.fixture
def viewer(make_napari_viewer):
    """A real viewer, not shown."""
    return make_napari_viewer()


@pytest.fixture
def notices(monkeypatch):
    """Collect what docks report as errors, in place of showing it."""
    shown = []

    def report(kind, error, trace):
        shown.append(f"{kind.__name__}: {error}")

    monkeypatch.setattr("napari_fastsam._napari.seeing.show_error", shown.append)
    monkeypatch.setattr(notification_manager, "receive_error", report)
    return shown


@pytest.fixture
def make_dock(blobs, qtbot, notices):
    """Dock a widget with the fake segmenter in a viewer; its `settle` waits until nothing runs.

    What it reports as an error fails the test, unless that is taken from `notices`.
    """

    def make(viewer, model=blobs):
        widget = FastSamWidget(viewer, model=model)
        viewer.window.add_dock_widget(widget, name="Segment")
        widget.settle = lambda: qtbot.waitUntil(lambda: not widget.busy, timeout=60_000)
        return widget

    yield make
    assert notices == []


@pytest.fixture
def dock(viewer, make_dock):
    """A docked widget."""
    return make_dock(viewer)


@pytest.fixture
def held(blobs, monkeypatch):
    """Make the network wait until it is let go."""
    gate = Event()
    segment = blobs.segment

    def wait(image):
        assert gate.wait(60)
        return segment(image)

    monkeypatch.setattr(blobs, "segment", wait)
    yield gate
    gate.set()


class Nested(BlobSegmenter):
    """Finds what is brighter than each of three thresholds: clusters, objects and their parts."""

    spec = "nested"

    def segment(self, image):
        self.shapes.append(image.shape)
        levels = [BlobSegmenter(threshold) for threshold in (60, 127, 180)]
        return Instances.concatenate([level.segment(image) for level in levels])


def labels_of(viewer):
    """Return the only Labels layer that is not a preview."""
    [layer] = layers_of(viewer, Labels)
    return layer


def found(layer) -> list[int]:
    """Return the labels that are in a layer."""
    return [int(label) for label in np.unique(layer.data) if label]
