import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_fastsam._napari.grid import unit_factors
from napari_fastsam._napari.views import (
    View,
    carry,
    displayed_plane,
    in_view,
    layout,
    pixels,
    to_pixel,
)

from .transforms import stepped, transforms

turned = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari's, on purpose

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


@turned
@settings(deadline=None, max_examples=60)
@given(transforms(4, units=True), transforms(2, units=True), st.integers(2, 3))
def test_flat_positions_stay_on_the_plane_in_view_of_an_image_turned_anyhow(placing, flat, ndim):
    placing["units"] = placing["units"][:2] + flat["units"]
    image = Image(np.zeros((5, 6, 30, 40)), contrast_limits=(0, 1), **placing)
    points = Points(ndim=2, **flat) if ndim == 2 else Points(ndim=3, units=image.units[-3:])
    view = View(layout(image), (4, 3))
    positions = np.array([(4, 3, 7, 11), (4, 3, 29, 0.5)])
    world = np.array([image.data_to_world(position) for position in positions])[:, -ndim:]
    there = np.array([points.world_to_data(position) for position in world])
    shared = np.array([image.data_to_world(unit) for unit in np.eye(4)])[4 - ndim :, 4 - ndim :]
    shared -= image.data_to_world(np.zeros(4))[4 - ndim :]
    assume(np.linalg.cond(shared) < 1e3)
    np.testing.assert_allclose(carry(there, points, image, view), positions, atol=1e-6)


@turned
def test_flat_positions_on_an_axis_that_the_world_does_not_share_are_the_nearest_there_are():
    image = Image(STACK, rotate=np.eye(3)[[1, 0, 2]])  # rows run along the stepped axis
    flat = carry(np.array([(2.0, 3.0)]), Points(ndim=2), image, View(layout(image), (2,)))
    assert flat[0, [0, 2]].tolist() == [2, 3]


def test_positions_without_a_plane_are_refused_where_none_is_said():
    with pytest.raises(ValueError, match=r"3 axes of the image.*'clicks' with 2"):
        carry(np.zeros((1, 2)), Points(ndim=2, name="clicks"), Image(STACK))


def test_positions_with_more_axes_than_the_image_lose_the_first():
    points, image = Points([(9, 2, 3)]), Image(STACK[0], scale=(0.5, 0.5))
    np.testing.assert_allclose(carry(points.data, points, image), [(4, 6)])


@pytest.mark.parametrize(
    ("slider", "expected"),
    [(0, [True, False, False]), (2.0, [False, True, True]), (np.nan, [True, True, True])],
)
def test_positions_are_in_view_on_the_slider_of_an_axis_that_the_image_lacks(slider, expected):
    points = Points([(0, 2, 3), (1, 2, 3), (0.9, 5, 5)], scale=(2, 1, 1))
    image = Image(STACK[0])
    view = View(layout(image), (), (slider, 0, 0), image.units[:1] + image.units)
    assert in_view(points.data, points, image, view).tolist() == expected
    assert in_view(points.data, points, image, View(layout(image), ())).all()


def test_the_slider_has_the_viewer_s_units():
    points = Points([(3000, 2, 3), (3, 2, 3)], units=("nm", "um", "um"))
    image = Image(STACK[0], units=("um", "um"))
    view = View(layout(image), (), (3, 0, 0), image.units[:1] * 3)
    assert in_view(points.data, points, image, view).tolist() == [True, False]


@settings(deadline=None, max_examples=60)
@given(
    stepped(transforms(3, units=True)),
    st.permutations(range(4)),
    st.lists(st.tuples(*[st.floats(-3, 45)] * 3), min_size=1, max_size=5),
    st.integers(0, 4),
)
def test_the_pixel_under_the_mouse_is_found_as_through_the_world(placing, order, places, index):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((2, 5, 30, 40)), contrast_limits=(0, 1), units=("um",) * 4)
    image = viewer.add_image(STACK, **placing)
    assume(0 not in order[2:])
    shown = sorted(axis - 1 for axis in order[2:])
    assume(shown == [1, 2])  # what `stepped` keeps apart
    viewer.dims.order = order
    factors = unit_factors(image.units, viewer.dims.units[-3:])
    viewer.dims.point = (0, *(np.array(image.data_to_world((index, 9, 9))) * factors))
    view = displayed_plane(image, viewer.dims)
    pixel = to_pixel(image, view, viewer.dims)
    for place in places:
        world = (7, *(np.array(image.data_to_world((index, *place[1:]))) * factors))
        row, column = (place[axis] for axis in view.displayed)
        height, width = view.axes.plane_shape
        if -0.49 < row < height - 0.51 and -0.49 < column < width - 0.51:
            np.testing.assert_allclose(pixel(world), (row, column), atol=1e-6)
        elif not (-0.51 < row < height - 0.49 and -0.51 < column < width - 0.49):
            assert pixel(world) is None
    beside = (0, *(np.array(image.data_to_world((index + 1, 9, 9))) * factors))
    assert pixel(beside) is None


@turned
@settings(deadline=None, max_examples=60)
@given(transforms(3), st.floats(0, 1))
def test_the_plane_of_an_image_turned_out_of_the_screen_is_the_one_that_napari_shows(placing, at):
    viewer = ViewerModel()
    data = np.repeat(np.arange(1, 6, dtype=np.uint8) * 51, 30 * 40).reshape(STACK.shape)
    image = viewer.add_image(data, contrast_limits=(0, 255), **placing)
    start, stop, _ = viewer.dims.range[0]
    viewer.dims.set_point(0, start + at * (stop - start))
    grey = int(image.thumbnail[16, 16, 0])  # 51 for the first plane, 255 for the last
    if grey:
        assert displayed_plane(image, viewer.dims).index == (grey // 51 - 1,)
    else:
        with pytest.raises(ValueError, match="move the sliders"):
            displayed_plane(image, viewer.dims)


@turned
def test_a_pixel_that_is_sheared_out_of_the_screen_is_found_where_it_is_seen():
    viewer = ViewerModel()
    affine = np.eye(4)
    affine[1:3, 0], affine[0, 1], affine[0, 3] = (4, -3), 0.02, 2
    image = viewer.add_image(np.zeros((5, 40, 60)), scale=(2, 1.5, 1), affine=affine)
    viewer.dims.set_point(0, 4.9624)
    view = displayed_plane(image, viewer.dims)
    assert view.index == (2,)
    # Where a real viewer drew the pixel (2, 12, 41); its own world_to_data says (1.4, 4.4, 49.4).
    row, column = to_pixel(image, view, viewer.dims)((4.9624, 17.9, 40.9))
    assert (round(row), round(column)) == (12, 41)


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
