import numpy as np
from napari.layers import Image

from napari_fastsam import Cleanup, Instances, Labelling
from napari_fastsam._napari.preview_layer import COMES, GOES, preview_layer
from napari_fastsam._napari.tidying import difference
from napari_fastsam.canvas import ArrayCanvas
from napari_fastsam.planes import PlaneAxes

AXES = PlaneAxes("YX", (4, 4))


def planned(labels, **steps):
    nothing = Instances.empty(labels.shape)
    return Labelling(ArrayCanvas(labels), lambda plane, prompts: nothing).plan_clean(
        Cleanup(**steps), ()
    )


def test_what_goes_and_what_comes_is_told_apart():
    labels = np.zeros((12, 12), int)
    labels[2:9, 2:9] = 7
    labels[5, 5] = 0
    labels[0, 11] = 7
    shown = difference(planned(labels, fill_holes=3, largest_piece=True), labels.shape)
    expected = np.zeros_like(labels)
    expected[5, 5], expected[0, 11] = COMES, GOES
    np.testing.assert_array_equal(shown, expected)


def test_nothing_is_shown_where_nothing_is_tidied():
    labels = np.full((6, 6), 3)
    assert not difference(planned(labels, fill_holes=3), labels.shape).any()


def test_what_goes_is_red_and_what_comes_is_green():
    layer = preview_layer(np.zeros((4, 4), np.uint8), Image(np.zeros((4, 4))), AXES, ())
    red, green = layer.colormap.map(np.array([GOES, COMES], np.uint8))
    assert red[0] > 3 * max(red[1], red[2])
    assert green[1] > max(green[0], green[2])
