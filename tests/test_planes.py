import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_fastsam import Display, PlaneAxes, to_rgb
from napari_fastsam.planes import level_for, merge_channels

NUMERIC = [bool, "u1", "i1", "u2", ">u2", "i2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]


@given(
    st.sampled_from(NUMERIC).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=9))
    )
)
def test_any_numbers_become_eight_bit_rgb(plane):
    rgb = to_rgb(plane)
    assert rgb.shape == (*plane.shape, 3)
    assert rgb.dtype == np.uint8


@pytest.mark.parametrize("dtype", NUMERIC[1:])
def test_brighter_stays_brighter(dtype):
    ramp = np.arange(100).reshape(10, 10).astype(dtype)
    grey = to_rgb(ramp)[..., 0].ravel().astype(int)
    assert (np.diff(grey) >= 0).all()
    assert grey[0] == 0
    assert grey[-1] == 255


def test_eight_bit_colour_is_taken_as_it_is():
    colour = np.random.default_rng(0).integers(50, 90, (7, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_rgb(colour), colour)


def test_alpha_is_ignored():
    colour = np.random.default_rng(0).integers(0, 255, (7, 8, 4), dtype=np.uint8)
    np.testing.assert_array_equal(to_rgb(colour), colour[..., :3])


def test_unit_float_colour_keeps_its_scale():
    assert to_rgb(np.full((4, 4, 3), 0.5)).max() == 128


def test_contrast_limits_are_black_and_white():
    grey = to_rgb(np.array([[0, 10, 15, 20, 99]]), contrast_limits=(10, 20))[0, :, 0]
    assert grey.tolist() == [0, 0, 128, 255, 255]


def test_gamma_is_the_exponent():
    grey = to_rgb(np.array([[0.0, 0.5, 1.0]]), contrast_limits=(0, 1), gamma=2)[0, :, 0]
    assert grey.tolist() == [0, 64, 255]


def test_small_integers_and_floats_are_stretched_alike():
    plane = np.random.default_rng(0).integers(0, 4096, (50, 50))
    for gamma in (1.0, 0.7):
        np.testing.assert_array_equal(
            to_rgb(plane.astype(np.uint16), gamma=gamma), to_rgb(plane.astype(float), gamma=gamma)
        )


def test_a_hot_pixel_does_not_darken_the_rest():
    plane = np.random.default_rng(0).integers(0, 100, (100, 100)).astype(np.uint16)
    plane[5, 5] = 65535
    assert np.median(to_rgb(plane)) > 100


def test_a_few_objects_on_nothing_are_seen():
    plane = np.zeros((1000, 1000), np.uint16)
    plane[400:410, 400:410] = 900
    assert to_rgb(plane)[405, 405, 0] == 255


def test_nan_is_black_and_infinities_are_the_ends():
    plane = np.array([[np.nan, -np.inf, np.inf, 0.0, 1.0, 0.5]])
    grey = to_rgb(plane, contrast_limits=(0, 1))[0, :, 0]
    assert grey.tolist() == [0, 0, 255, 0, 255, 128]
    assert to_rgb(np.full((3, 3), np.nan)).max() == 0


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_plane_is_black(value):
    assert to_rgb(np.full((5, 5), value, np.uint8)).max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1)])
def test_extreme_shapes_pass(shape):
    assert to_rgb(np.zeros(shape, np.float32)).shape == (*shape, 3)


@pytest.mark.parametrize(
    ("plane", "error", "complaint"),
    [
        (np.zeros((3, 3), complex), TypeError, "np.abs"),
        (np.array([["a"]]), TypeError, "dtype"),
        (np.zeros((2, 3, 3, 3)), ValueError, "segment_stack"),
        (np.zeros((3, 3, 2)), ValueError, r"shape \(3, 3, 2\)"),
        (np.zeros((0, 5)), ValueError, "at least one pixel"),
    ],
    ids=["complex", "text", "stack", "two channels", "empty"],
)
def test_what_is_not_a_plane_is_refused(plane, error, complaint):
    with pytest.raises(error, match=complaint):
        to_rgb(plane)


@pytest.mark.parametrize("limits", [(2, 1), (0, np.inf)])
def test_impossible_contrast_limits_are_refused(limits):
    with pytest.raises(ValueError, match="finite contrast limits"):
        to_rgb(np.zeros((3, 3)), contrast_limits=limits)


def test_percentiles_of_a_display_are_black_and_white():
    ramp = np.arange(101.0)[None]
    grey = Display(percentiles=(10, 90))(ramp)[0, :, 0]
    assert (grey[:11] == 0).all()
    assert (grey[90:] == 255).all()
    assert grey[50] == 128
    two = np.stack([ramp, 2 * ramp], axis=-1)
    np.testing.assert_array_equal(Display(percentiles=(10, 90))(two)[0, :, 1], grey)


def test_each_channel_has_its_own_gamma():
    plane = np.full((1, 1, 2), 0.5)
    display = Display(contrast_limits=((0, 1), (0, 1)), gamma=(1.0, 2.0))
    assert display(plane).tolist() == [[[128, 64, 0]]]


@pytest.mark.parametrize("percentiles", [(90, 10), (5, 5), (-1, 50), (0, 101), (np.nan, 1)])
def test_impossible_percentiles_are_refused(percentiles):
    with pytest.raises(ValueError, match="two percentiles from 0 to 100"):
        Display(percentiles=percentiles)


@pytest.mark.parametrize("limits", [None, (0, 1), ((0, 1),)], ids=["none", "for all", "for one"])
def test_gamma_for_each_channel_needs_limits_for_each(limits):
    with pytest.raises(ValueError, match="as many gammas as pairs"):
        Display(contrast_limits=limits, gamma=(1.0, 2.0))


def test_channels_are_stretched_each_on_its_own():
    faint, bright = np.array([[0, 1]]), np.array([[0, 1000]])
    rgb = merge_channels([faint, bright])
    assert rgb[0, 1].tolist() == [255, 255, 0]
    with pytest.raises(ValueError, match="one, two or three channels"):
        merge_channels([faint] * 4)


def test_display_treats_two_channels_as_fluorescence_and_three_as_colour():
    two = np.stack([np.array([[0, 1]]), np.array([[0, 1000]])], axis=-1)
    assert Display()(two)[0, 1].tolist() == [255, 255, 0]
    three = np.zeros((1, 2, 3), np.uint16)
    three[0, 1] = (10, 100, 1000)
    assert Display()(three)[0, 1, 0] < 10
    each = Display(contrast_limits=((0, 10), (0, 100), None))
    assert each(three)[0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("axes", "shape", "planes", "label_shape", "plane"),
    [
        ("YX", (5, 6), 1, (5, 6), (5, 6)),
        ("YXC", (5, 6, 3), 1, (5, 6), (5, 6)),
        ("ZYX", (4, 5, 6), 4, (4, 5, 6), (5, 6)),
        ("CYX", (2, 5, 6), 1, (5, 6), (5, 6)),
        ("TZCYX", (2, 3, 1, 5, 6), 6, (2, 3, 5, 6), (5, 6)),
        ("YXZ", (5, 6, 4), 4, (5, 6, 4), (5, 6)),
        ("XYT", (6, 5, 4), 4, (6, 5, 4), (5, 6)),
        ("zyx", (4, 5, 6), 4, (4, 5, 6), (5, 6)),
    ],
)
def test_planes_are_read_and_labels_written_where_they_belong(
    axes, shape, planes, label_shape, plane
):
    array = np.arange(np.prod(shape)).reshape(shape)
    layout = PlaneAxes(axes, shape)
    indices = list(layout.indices())
    assert len(indices) == planes
    assert layout.label_shape == label_shape
    assert layout.plane_shape == plane
    labels = np.full(label_shape, -1)
    for index in indices:
        pixels = layout.read(array, index)
        assert pixels.shape[:2] == plane
        layout.write(labels, index, pixels if pixels.ndim == 2 else pixels[..., 0])
    first = array if layout.channel is None else array.take(0, layout.channel)
    np.testing.assert_array_equal(labels, first)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 6), "YX"),
        ((5, 6, 3), "YXC"),
        ((9, 5, 6), "ZYX"),
        ((9, 5, 6, 4), "ZYXC"),
        ((2, 9, 5, 6), "TZYX"),
    ],
)
def test_axes_are_guessed_from_the_shape(shape, axes):
    assert PlaneAxes.guess(shape).axes == axes


@pytest.mark.parametrize(
    ("axes", "shape", "complaint"),
    [
        ("ZYX", (5, 6), "one different letter"),
        ("ZY", (5, 6), "Y and X"),
        ("YYX", (1, 5, 6), "different"),
        ("CYX", (9, 5, 6), "one to four channels"),
        ("CYXS", (3, 5, 6, 3), "at most one of C and S"),
    ],
)
def test_axes_that_do_not_fit_are_refused(axes, shape, complaint):
    with pytest.raises(ValueError, match=complaint):
        PlaneAxes(axes, shape)


def test_axes_of_six_dimensions_are_not_guessed():
    with pytest.raises(ValueError, match="name its axes"):
        PlaneAxes.guess((1, 1, 1, 1, 5, 6))


@pytest.mark.parametrize(
    ("longest", "side"),
    [(1, 100), (100, 100), (101, 200), (399, 400), (401, None)],
)
def test_the_level_that_fits_is_the_smallest_that_is_large_enough(longest, side):
    axes = PlaneAxes("ZYX", (7, 500, 800))
    levels = [np.empty((7, side // 2, side)) for side in (400, 200, 100)]
    found = level_for(axes, levels, longest)
    assert (None if found is None else found.shape[2]) == side


def test_levels_with_fewer_planes_or_channels_do_not_count():
    axes = PlaneAxes("ZYXC", (7, 500, 800, 3))
    coarse, grey = np.empty((3, 250, 400, 3)), np.empty((7, 250, 400, 1))
    assert level_for(axes, [coarse, grey], 10) is None
