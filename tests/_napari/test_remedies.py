"""What is wrong with layers is told, stays told, and is noticed to be mended."""

import numpy as np

from napari_fastsam._napari import words

from .conftest import CENTRES, found, labels_of


def test_a_colour_that_lay_elsewhere_is_looked_at_once_it_is_moved_back(viewer, dock, plane, blobs):
    other = viewer.add_image(plane, name="other", translate=(9, 0))
    dock.image.value = viewer.add_image(plane, name="image")
    dock.settle()
    seen = blobs.calls
    dock.colours.red.value = other
    assert words.UNSEEN in dock.status.state_line.text()
    other.translate = (0, 0)
    dock.settle()
    assert blobs.calls == seen + 1
    assert "3 candidates" in dock.status.state_line.text()


def test_labels_that_are_moved_are_not_written_to_until_they_lie_on_the_image_again(
    viewer, dock, plane, notices, qtbot
):
    viewer.add_image(plane)
    dock.settle()
    points = viewer.add_points(ndim=2)
    points.add(CENTRES[1])
    labels = labels_of(viewer)
    labels.translate = (5, 0)
    points.add(CENTRES[2])
    assert "labels that lie on" in notices.pop()
    qtbot.waitUntil(lambda: bool(notices))  # once it lies still
    assert "labels that lie on" in notices.pop()
    assert found(labels) == [1]
    labels.translate = (0, 0)
    points.add(CENTRES[3])
    assert len(found(labels)) > 1
    assert notices == []


def test_what_a_run_cannot_write_to_is_told_last(viewer, dock, stack, notices, held):
    viewer.add_image(stack)
    dock.everything_stack()
    dock.output.value = viewer.add_labels(np.zeros((2, 3), int))
    notices.clear()
    held.set()
    dock.settle()
    assert "labels of the shape of" in dock.status.message.text()
    assert notices
    notices.clear()


def test_prompts_on_all_planes_say_in_3d_what_is_missing(viewer, dock, stack):
    viewer.add_image(stack)
    viewer.add_points([(1, *CENTRES[1])])
    dock.settle()
    viewer.dims.ndisplay = 3
    dock.segment_stack()
    assert "3D" in dock.status.message.text()
    assert dock.status.message.text() != words.NOTHING_DRAWN
    viewer.dims.ndisplay = 2
