import numpy as np
import pytest
from napari.components import ViewerModel

from napari_fastsam._napari.colours import ColoursPanel


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def panel(viewer, qtbot):
    panel = ColoursPanel(viewer)
    qtbot.addWidget(panel.native)
    return panel


def test_an_image_is_shown_as_it_is_at_first(viewer, panel, plane):
    panel.follow(viewer.add_image(plane))
    assert not panel.value
    assert panel.native.text().endswith("Colours: as the image")


def test_layers_are_colours(viewer, panel, plane):
    nuclei, actin = (viewer.add_image(plane, name=name) for name in ("nuclei", "actin"))
    panel.follow(nuclei)
    panel.red.value, panel.blue.value = actin, nuclei
    colours = panel.value
    assert (colours.red, colours.green, colours.blue) == (actin, None, nuclei)
    assert colours.channel_axis is None
    assert panel.native.text().endswith("Colours: R actin, B nuclei")


def test_an_axis_gives_its_first_channels(viewer, panel):
    image = viewer.add_image(np.zeros((2, 7, 8, 9)), axis_labels=("c", "-3", "y", "x"))
    panel.follow(image)
    assert panel.channel_axis.choices == (None, 0, 1, 2, 3)
    panel.channel_axis.value = 0
    assert panel.channel_axis.current_choice == "along c (2)"
    assert (panel.red.value, panel.green.value, panel.blue.value) == (0, 1, None)
    panel.channel_axis.value = 1
    assert panel.channel_axis.current_choice == "along axis 1 (7)"
    panel.blue.value = 6
    assert (panel.value.blue, panel.value.channel_axis) == (6, 1)
    panel.channel_axis.value = None
    assert not panel.value


def test_a_change_is_told_once(viewer, panel):
    panel.follow(viewer.add_image(np.zeros((3, 8, 9))))
    told = []
    panel.changed.connect(lambda: told.append(panel.value.channel_axis))
    panel.channel_axis.value = 0
    panel.red.value = 2
    assert told == [0, 0]


def test_another_image_has_other_axes(viewer, panel, plane):
    panel.follow(viewer.add_image(np.zeros((3, 8, 9))))
    panel.channel_axis.value = 0
    panel.follow(viewer.add_image(plane))
    assert panel.channel_axis.choices == (None,)
    assert not panel.value


def test_colour_images_have_their_own(viewer, panel):
    panel.follow(viewer.add_image(np.zeros((8, 9, 3), np.uint8), rgb=True))
    assert not panel.native.isEnabled()


def test_a_removed_layer_is_no_colour(viewer, panel, plane):
    image, other = viewer.add_image(plane), viewer.add_image(plane)
    panel.follow(image)
    panel.green.value = other
    viewer.layers.remove(other)
    panel.follow(image)
    assert not panel.value
