import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes

from napari_fastsam._napari.labels import labels_like
from napari_fastsam._napari.preview_layer import (
    OPACITY,
    OUTLINE,
    OUTLINE_COLOUR,
    is_preview,
    preview_layer,
    raise_above_data,
    write_objects,
)
from napari_fastsam._napari.views import layout


def made(image, index=()):
    axes = layout(image)
    return preview_layer(np.zeros(axes.plane_shape, np.uint8), image, axes, index)


def test_previews_can_be_told_from_the_users_layers():
    image = Image(np.zeros((60, 80)))
    others = [
        image,
        Labels(np.zeros((60, 80), int)),
        Points(ndim=2),
        Shapes(ndim=2),
        labels_like(image, layout(image)),
    ]
    assert is_preview(made(image))
    assert not any(map(is_preview, others))
    assert not made(image).editable


def test_the_layer_shows_the_plane_it_was_given():
    image = Image(np.zeros((5, 60, 80)))
    axes = layout(image, (2, 0))
    plane = np.zeros(axes.plane_shape, np.uint8)
    layer = preview_layer(plane, image, axes, (7,))
    plane[33, 2] = OUTLINE
    assert layer.data.shape == (5, 1, 80)
    assert layer.data[2, 0, 33] == OUTLINE
    np.testing.assert_array_equal(layer.data_to_world((0, 0, 0)), (0, 7, 0))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.uint64])
def test_every_object_gets_a_value_and_none_that_of_outlines(dtype):
    labels = (15 * np.arange(4800).reshape(60, 80)).astype(dtype)
    plane = np.full((60, 80), 9, np.uint8)
    write_objects(plane, labels)
    np.testing.assert_array_equal(plane > 0, labels > 0)
    assert plane.max() < OUTLINE


def test_outlines_are_opaque_and_objects_are_not():
    colours = made(Image(np.zeros((60, 80)))).colormap.map(np.arange(256, dtype=np.uint8))
    np.testing.assert_allclose(colours[OUTLINE], OUTLINE_COLOUR)
    assert (colours[1:OUTLINE, 3] == OPACITY).all()
    assert not colours[0, 3]


@pytest.mark.parametrize("again", [False, True])
def test_the_layer_lies_above_data_and_below_what_is_on_it(again):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((60, 80)))
    layer, other = made(image), made(image)
    if again:
        raise_above_data(viewer.layers, layer)
    points = viewer.add_points(ndim=2)
    labels = viewer.add_labels(np.zeros((60, 80), int))
    shapes = viewer.add_shapes(ndim=2)
    raise_above_data(viewer.layers, other)
    raise_above_data(viewer.layers, layer)
    lower = [image, points, labels]
    assert [n for n in viewer.layers if not is_preview(n)] == [*lower, shapes]
    assert {layer, other} == set(viewer.layers[3:5])
    assert viewer.layers.selection.active is shapes
