"""What the dock shows of looking at planes and of what is to come, when the user goes on."""

from threading import Event

import numpy as np
import pytest
from napari.layers import Labels

from napari_fastsam._napari.layer_boxes import layers_of

from .conftest import CENTRES


@pytest.fixture
def calm(dock):
    """A dock that looks at no plane but the one in view."""
    dock.settings.prefetch.value = False
    return dock


@pytest.fixture
def looking(blobs, monkeypatch):
    """Hold the network back, when it is told to, until it is let go."""
    gate = Event()
    gate.set()
    segment = blobs.segment

    def wait(image):
        assert gate.wait(60)
        return segment(image)

    monkeypatch.setattr(blobs, "segment", wait)
    yield gate
    gate.set()


def shown(dock, qtbot) -> bool:
    """Whether the bar of a look is shown, once it had the time to appear."""
    qtbot.wait(150)
    return not dock.status.look_bar.isHidden()


def test_the_bar_of_a_look_goes_when_a_known_plane_comes_into_view(
    viewer, calm, stack, looking, qtbot
):
    viewer.add_image(stack)
    viewer.dims.set_current_step(0, 0)
    calm.settle()
    looking.clear()
    viewer.dims.set_current_step(0, 3)
    assert shown(calm, qtbot)
    viewer.dims.set_current_step(0, 0)
    assert not shown(calm, qtbot)
    assert calm.status.kind == "ready"
    looking.set()
    calm.settle()
    assert not shown(calm, qtbot)


def test_the_bar_of_a_look_goes_with_the_image(viewer, calm, stack, looking, qtbot):
    looking.clear()
    viewer.add_image(stack)
    assert shown(calm, qtbot)
    viewer.layers.clear()
    assert not shown(calm, qtbot)


def test_a_plane_that_is_being_prefetched_is_looked_at_once_it_is_in_view(
    viewer, calm, stack, looking, qtbot
):
    viewer.add_image(stack)
    viewer.dims.set_current_step(0, 1)
    calm.settle()
    looking.clear()
    calm.settings.prefetch.value = True
    assert calm.busy
    assert not shown(calm, qtbot)
    viewer.dims.set_current_step(0, 2)
    assert calm.status.kind == "working"
    assert "plane 2" in calm.status.state_line.text()
    assert shown(calm, qtbot)


def test_a_plane_that_cannot_be_prefetched_is_no_error_until_it_is_in_view(
    viewer, calm, stack, blobs, monkeypatch, notices
):
    viewer.add_image(stack)
    viewer.dims.set_current_step(0, 1)
    calm.settle()

    def fail(image):
        raise OSError("This plane is broken.")

    monkeypatch.setattr(blobs, "segment", fail)
    calm.settings.prefetch.value = True
    calm.settle()
    assert calm.status.kind == "ready"
    assert notices == []
    viewer.dims.set_current_step(0, 2)
    calm.settle()
    assert calm.status.kind == "error"
    assert notices == ["This plane is broken."]
    notices.clear()


def test_everything_that_waits_for_a_plane_is_not_taken_on_another(viewer, calm, stack, looking):
    looking.clear()
    viewer.add_image(stack)
    viewer.dims.set_current_step(0, 0)
    calm.everything()
    viewer.dims.set_current_step(0, 2)
    looking.set()
    calm.settle()
    assert layers_of(viewer, Labels) == []


def test_everything_in_3d_is_not_taken_later(viewer, calm, stack, looking):
    looking.clear()
    viewer.add_image(stack)
    viewer.dims.ndisplay = 3
    calm.everything()
    viewer.dims.ndisplay = 2
    looking.set()
    calm.settle()
    assert layers_of(viewer, Labels) == []


def test_labels_that_do_not_fit_are_told_once(viewer, calm, stack, notices):
    viewer.add_image(stack)
    viewer.add_labels(np.zeros((5, 5), int), name="small")
    calm.settle()
    calm.output.value = viewer.layers["small"]
    assert len(notices) == 1
    assert "'small'" in notices[0]
    for plane in range(4):
        viewer.dims.set_current_step(0, plane)
        calm.settle()
    calm.confidence.value = 0.5
    assert len(notices) == 1
    notices.clear()


def test_a_preview_of_cleanup_that_comes_late_is_not_shown(viewer, calm, plane):
    viewer.add_image(plane)
    calm.settle()
    calm.everything()
    calm.settle()
    calm.cleanup.opening.value = 6
    calm.settle()
    assert calm.preview.layer.data.any()
    calm.cleanup.opening.value = 5
    calm.cleanup.opening.value = 0
    calm.settle()
    assert not calm.preview.layer.data.any()


def test_a_box_that_is_dragged_out_of_the_image_goes_as_far_as_it_did(viewer, calm, plane):
    viewer.add_image(plane)
    calm.settle()
    row, column = CENTRES[2]
    for at, done in (((row + 8, column + 12), False), ((row + 8, 200), False), ((row, 200), True)):
        calm.pointing.drag((row - 8, column - 12), at, done=done)
    assert len(calm.shapes.value.data) == 1
    assert calm.shapes.value.data[0].max(0).tolist() == [35.5, 72.5]
    [labels] = layers_of(viewer, Labels)
    assert labels.data[CENTRES[2]] == 1
