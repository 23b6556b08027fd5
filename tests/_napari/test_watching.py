"""What in the viewer makes a dock look again, and which edits in place are noticed."""

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_fastsam._napari.source import source_in_view
from napari_fastsam._napari.watching import CALM, Watching


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def image(viewer, stack):
    return viewer.add_image(stack, name="cells")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def watching(viewer, calls, qtbot):
    watching = Watching(
        viewer, lambda _=None: calls.append("again"), lambda layer: calls.append(layer.name)
    )
    yield watching
    watching.close()


def see(watching, viewer, image):
    watching.seen(*source_in_view(image, viewer.dims))


def test_sliders_axes_and_3d_are_told(viewer, image, watching, calls):
    viewer.dims.set_point(0, 2)
    assert calls
    for change in (
        lambda: setattr(viewer.dims, "order", (1, 0, 2)),
        lambda: setattr(viewer.dims, "ndisplay", 3),
    ):
        calls.clear()
        change()
        assert "again" in calls


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", (2, 1, 1)),
        ("translate", (1, 0, 0)),
        ("shear", (0, 0, 0.5)),
        ("units", ("um", "um", "um")),
        ("data", np.zeros((3, 5, 6))),
    ],
)
def test_what_moves_or_replaces_a_watched_image_is_told_at_once(
    viewer, image, watching, calls, name, value
):
    watching.watch([image])
    calls.clear()
    setattr(image, name, value)
    assert "again" in calls


def test_contrast_is_told_once_it_is_at_rest(viewer, image, watching, calls, qtbot):
    watching.watch([image])
    calls.clear()
    for limit in (50, 80, 120):
        image.contrast_limits = (0, limit)
    assert calls == []
    qtbot.waitUntil(lambda: calls == ["again"], timeout=20 * CALM)


def test_other_images_are_not_watched(viewer, image, watching, calls):
    other = Image(image.data)
    watching.watch([other])
    watching.watch([image])
    calls.clear()
    other.scale = (2, 2, 2)
    assert calls == []


def test_an_edit_in_place_is_noticed_on_refresh_once(viewer, image, watching, calls):
    watching.watch([image])
    see(watching, viewer, image)
    image.refresh()
    assert calls == []
    index = source_in_view(image, viewer.dims)[1].index
    image.data[(*index, 3, 4)] += 9
    image.refresh()
    image.refresh()
    assert calls == ["cells"]


def test_an_edit_of_a_plane_is_noticed_when_it_comes_back(viewer, image, watching, calls):
    watching.watch([image])
    viewer.dims.set_point(0, 1)
    see(watching, viewer, image)
    viewer.dims.set_point(0, 2)
    see(watching, viewer, image)
    image.data[1, 0, 0] += 7
    calls.clear()
    viewer.dims.set_point(0, 1)
    see(watching, viewer, image)
    assert "cells" in calls


def test_pixels_of_stored_arrays_are_not_read_to_compare(viewer, watching, calls):
    reads = []

    def read(block):
        reads.append(block.shape)
        return block

    data = da.zeros((4, 60, 80), np.uint8, chunks=(1, 60, 80)).map_blocks(
        read, dtype=np.uint8, meta=np.zeros((0, 0, 0), np.uint8)
    )
    image = viewer.add_image(data, contrast_limits=(0, 255))
    source, view = source_in_view(image, viewer.dims)
    reads.clear()
    watching.seen(source, view)
    assert reads == []


def test_after_closing_nothing_is_told(viewer, image, watching, calls, qtbot):
    watching.watch([image])
    image.contrast_limits = (0, 40)
    watching.close()
    calls.clear()
    viewer.dims.set_point(0, 3)
    image.scale = (3, 3, 3)
    qtbot.wait(2 * CALM)
    assert calls == []
