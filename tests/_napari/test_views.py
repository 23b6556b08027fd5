import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_fastsam._napari.views import (
    View,
    carry,
    display_of,
    displayed_plane,
    layout,
    pixels,
)
from napari_fastsam.planes import Display

TRANSFORMS = {
    "plain": {},
    "scaled": {"scale": (2, 0.5, 0.25)},
    "moved": {"translate": (3, -4, 5)},
    "rotated": {"rotate": (0, 0, 30)},
    "sheared": {"shear": (0, 0, 0.3)},
    "affine": {"affine": [[1, 0, 0, 2], [0, 0.8, 0.3, 1], [0, -0.3, 0.9, 7], [0, 0, 0, 1]]},
    "all": {"scale": (2, 0.5, 0.25), "translate": (3, -4, 5), "rotate": (0, 0, 30)},
}
STACK = np.zeros((5, 30, 40), np.uint8)


@pytest.mark.parametrize("source", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("target", TRANSFORMS.values(), ids=TRANSFORMS)
def test_positions_are_carried_through_the_world(source, target):
    positions = np.array([(1, 2, 3), (4, 20, 30.5)])
    points, image = Points(positions, **source), Image(STACK, **target)
    expected = [image.world_to_data(points.data_to_world(position)) for position in positions]
    np.testing.assert_allclose(carry(positions, points, image), expected, atol=1e-9)


def test_positions_are_carried_through_units_axis_by_axis():
    points = Points([(2, 3000, 4000)], units=("s", "nm", "nm"))
    image = Image(STACK, scale=(1, 0.5, 0.25), units=("ms", "um", "um"))
    np.testing.assert_allclose(carry(points.data, points, image), [(2000, 6, 16)])


def test_units_that_do_not_compare_are_taken_as_they_are():
    points = Points([(1, 2, 3)])
    image = Image(STACK, scale=(1, 0.5, 0.5), units=("um", "um", "um"))
    np.testing.assert_allclose(carry(points.data, points, image), [(1, 4, 6)])


def test_positions_without_a_plane_take_the_one_in_view():
    points = Points([(2, 3)])
    image = Image(STACK, scale=(2, 0.5, 0.5), translate=(7, 0, 0))
    view = View(layout(image), (4,))
    np.testing.assert_allclose(carry(points.data, points, image, view), [(4, 4, 6)])


def test_positions_without_a_plane_are_refused_where_none_is_said():
    with pytest.raises(ValueError, match=r"3 axes of the image.*'clicks' with 2"):
        carry(np.zeros((1, 2)), Points(ndim=2, name="clicks"), Image(STACK))


def test_positions_with_more_axes_than_the_image_lose_the_first():
    points, image = Points([(9, 2, 3)]), Image(STACK[0], scale=(0.5, 0.5))
    np.testing.assert_allclose(carry(points.data, points, image), [(4, 6)])


@pytest.mark.parametrize(
    ("order", "axes"),
    [
        ((0, 1, 2), "ZYX"),
        ((1, 0, 2), "YZX"),
        ((0, 2, 1), "ZXY"),
        ((2, 1, 0), "XYZ"),
        ((1, 2, 0), "XZY"),
    ],
)
def test_displayed_plane_follows_the_order_of_the_axes(order, axes):
    viewer = ViewerModel()
    data = np.random.default_rng(1).integers(0, 255, STACK.shape, np.uint8)
    image = viewer.add_image(data)
    viewer.dims.order = order
    viewer.dims.point = (3, 7, 11)
    view = displayed_plane(image, viewer.dims)
    assert view.axes.axes == axes
    assert view.index == ((3, 7, 11)[order[0]],)
    shown = np.moveaxis(data, order, (0, 1, 2))[view.index[0]]
    np.testing.assert_array_equal(view.axes.read(data, view.index), shown)


def test_displayed_plane_follows_scale_translation_and_units():
    viewer = ViewerModel()
    image = viewer.add_image(STACK, scale=(0.5, 1, 1), translate=(2, 0, 0), units=("um",) * 3)
    viewer.add_points(np.zeros((1, 3)), scale=(7, 1, 1), units=("nm",) * 3)
    for step in range(5):
        viewer.dims.set_point(0, 1000 * (2 + 0.5 * step))
        assert displayed_plane(image, viewer.dims).index == (step,)


@pytest.mark.parametrize("step", range(10))
def test_displayed_plane_is_the_one_that_napari_shows_between_planes(step):
    viewer = ViewerModel()
    data = np.arange(5)[:, None, None] * np.ones((5, 4, 4))
    image = viewer.add_image(data, scale=(2, 1, 1))
    viewer.add_image(np.zeros((10, 4, 4)))
    viewer.dims.set_current_step(0, step)
    shown = int(image.get_value((viewer.dims.point[0], 1, 1), world=True))
    assert displayed_plane(image, viewer.dims).index == (shown,)


def test_displayed_plane_of_an_image_with_fewer_axes():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((2, 3, 30, 40)))
    image = viewer.add_image(STACK)
    viewer.dims.point = (1, 2, 0, 0)
    view = displayed_plane(image, viewer.dims)
    assert (view.axes.axes, view.index) == ("ZYX", (2,))


def test_colour_is_no_axis_to_step_through():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 30, 40, 3), np.uint8), rgb=True)
    viewer.dims.set_point(0, 3)
    view = displayed_plane(image, viewer.dims)
    assert (view.axes.axes, view.axes.label_shape, view.index) == ("ZYXC", (5, 30, 40), (3,))


def test_3d_display_is_refused_with_what_to_do():
    viewer = ViewerModel(ndisplay=3)
    image = viewer.add_image(STACK)
    with pytest.raises(ValueError, match=r"3D display.*switch to 2D"):
        displayed_plane(image, viewer.dims)


def test_view_along_an_axis_that_the_image_lacks_is_refused():
    viewer = ViewerModel()
    viewer.add_image(STACK)
    image = viewer.add_image(STACK[0], name="flat")
    viewer.dims.order = (1, 0, 2)
    with pytest.raises(ValueError, match=r"planes of 'flat'.*order of the axes"):
        displayed_plane(image, viewer.dims)


def test_position_beside_the_image_is_refused():
    viewer = ViewerModel()
    image = viewer.add_image(STACK)
    viewer.add_image(np.zeros((50, 30, 40)))
    viewer.dims.set_point(0, 20)
    with pytest.raises(ValueError, match=r"\(5,\) along the sliders.*\(20,\).*move the sliders"):
        displayed_plane(image, viewer.dims)


def test_pyramid_is_read_at_full_resolution():
    pyramid = [STACK, STACK[:, ::2, ::2]]
    assert pixels(Image(pyramid, multiscale=True)).shape == STACK.shape


def test_display_is_what_the_layer_shows():
    image = Image(da.zeros((30, 40), dtype=np.uint16), contrast_limits=(100, 900), gamma=0.5)
    assert display_of(image) == Display(contrast_limits=(100.0, 900.0), gamma=0.5)


def test_colour_is_displayed_as_it_is():
    image = Image(np.zeros((30, 40, 3), np.uint8), rgb=True, gamma=0.5)
    assert display_of(image) == Display()
