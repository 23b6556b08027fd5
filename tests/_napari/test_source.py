import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_fastsam import Display
from napari_fastsam._napari import shown as shown_module
from napari_fastsam._napari.labels import labels_like
from napari_fastsam._napari.source import source_in_view, source_of

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 255, (3, 20, 30), np.uint8)


def shown(source, index=()):
    """Return what the network sees of a plane."""
    return source.display(source.axes.read(source.data, index))


def counted(array):
    """Return a dask array of single planes, and the list of planes that were computed."""
    computed = []

    def load(block, block_info=None):
        computed.append(block_info[0]["chunk-location"][:-2])
        return block

    chunks = (*(1 for _ in array.shape[:-2]), *array.shape[-2:])
    lazy = da.from_array(array, chunks=chunks).map_blocks(load, dtype=array.dtype)
    return lazy, computed


def test_an_image_is_shown_as_its_layer_is():
    image = Image(STACK, contrast_limits=(50, 150), gamma=0.5)
    source = source_of(image)
    assert source.grid is source.image is image
    assert source.layers == (image,)
    expected = Display(contrast_limits=(50, 150), gamma=0.5)(STACK[1])
    np.testing.assert_array_equal(shown(source, (1,)), expected)


def test_contrast_is_the_layer_s_or_percentiles_of_each_plane():
    image = Image(STACK, contrast_limits=(50, 150))
    assert source_of(image, contrast="percentiles").display == Display()
    assert source_of(image, contrast=(5, 95)).display == Display(percentiles=(5, 95))


@pytest.mark.parametrize("dtype", [bool, "u1", "i1", "u2", "i4", "u4", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("contrast", ["shown", "percentiles", (1, 99)])
def test_numbers_of_any_kind_are_shown(dtype, contrast):
    ramp = (np.arange(600).reshape(20, 30) % 100).astype(dtype)
    image = Image(ramp, contrast_limits=(float(ramp.min()), float(ramp.max())))
    rgb = shown(source_of(image, contrast=contrast))
    assert rgb.shape == (20, 30, 3)
    assert (rgb.min(), rgb.max()) == (0, 255)


@pytest.mark.parametrize("contrast", ["shown", "percentiles"])
def test_what_is_not_finite_is_black_or_white(contrast):
    plane = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    plane[0, :3] = np.nan, -np.inf, np.inf
    rgb = shown(source_of(Image(plane), contrast=contrast))
    assert rgb[0, :3, 0].tolist() == [0, 0, 255]
    assert not shown(source_of(Image(np.full((4, 4), np.nan)), contrast=contrast)).any()


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_is_taken_as_it_is(channels):
    colour = RNG.integers(0, 255, (20, 30, channels), np.uint8)
    np.testing.assert_array_equal(shown(source_of(Image(colour, rgb=True))), colour[..., :3])


def test_complex_images_are_refused_with_what_to_do(monkeypatch):
    image = Image(np.zeros((4, 4)), name="phase")
    # napari itself fails on complex planes, unless they come late or it makes no thumbnail.
    monkeypatch.setattr(shown_module, "pixels", lambda _: np.zeros((4, 4), np.complex64))
    with pytest.raises(TypeError, match=r"real numbers.*'phase' of complex64.*abs\(layer.data\)"):
        source_of(image)


def test_layers_become_colours_each_as_it_is_shown():
    red = Image(STACK, contrast_limits=(0, 255))
    blue = Image(STACK.astype(float), contrast_limits=(50, 150), gamma=2)
    source = source_of(red, colours=(red, None, blue))
    assert source.axes.axes == "ZYXC"
    assert source.axes.label_shape == STACK.shape
    rgb = shown(source, (1,))
    np.testing.assert_array_equal(rgb[..., 0], STACK[1])
    assert not rgb[..., 1].any()
    expected = Display(contrast_limits=(50, 150), gamma=2)(STACK[1])[..., 0]
    np.testing.assert_array_equal(rgb[..., 2], expected)


def test_a_layer_alone_is_grey_whichever_colour_it_is():
    image = Image(STACK, contrast_limits=(0, 255))
    rgb = shown(source_of(image, colours=(None, image, None)), (2,))
    np.testing.assert_array_equal(rgb, np.repeat(STACK[2][..., None], 3, axis=2))


def test_colours_of_another_shape_or_place_are_refused():
    image = Image(STACK, name="cells")
    with pytest.raises(ValueError, match=r"shape of 'cells'.*'other' of shape \(3, 20, 29\)"):
        source_of(image, colours=(image, Image(STACK[..., 1:], name="other")))
    with pytest.raises(ValueError, match=r"lie on 'cells'.*'moved', up to 2 pixels"):
        source_of(image, colours=(image, Image(STACK, translate=(0, 2, 0), name="moved")))
    colour = Image(RNG.integers(0, 9, (3, 20, 30, 3), np.uint8), rgb=True)
    with pytest.raises(ValueError, match="RGB"):
        source_of(image, colours=(image, colour))
    with pytest.raises(ValueError, match="up to three layers"):
        source_of(image, colours=(image,) * 4)


def test_colours_in_other_units_are_in_the_same_place():
    image = Image(STACK, scale=(1, 2, 2), units=("um",) * 3)
    other = Image(STACK, scale=(1000, 2000, 2000), units=("nm",) * 3)
    assert source_of(image, colours=(image, other)).layers == (image, image, other)


def test_one_plane_of_each_colour_is_read():
    (red, red_read), (green, green_read) = counted(STACK), counted(STACK)
    layers = [Image(data, contrast_limits=(0, 255)) for data in (red, green)]
    source = source_of(layers[0], colours=layers)
    red_read.clear()
    green_read.clear()
    shown(source, (2,))
    assert set(red_read) == set(green_read) == {(2,)}


def test_a_first_channel_axis_is_left_out_of_the_labels():
    image = Image(STACK, contrast_limits=(0, 255), scale=(9, 2, 3), translate=(7, 5, 6))
    source = source_of(image, channel_axis=0, channels=(2, 0))
    assert source.axes.label_shape == (20, 30)
    np.testing.assert_array_equal(shown(source)[..., 0], STACK[2])
    np.testing.assert_array_equal(shown(source)[..., 1], STACK[0])
    np.testing.assert_allclose(source.grid.data_to_world((1, 2)), (7, 12))


def test_another_channel_axis_has_one_position_in_the_labels_as_wide_as_the_channels():
    data = RNG.integers(0, 255, (4, 2, 20, 30), np.uint8)
    image = Image(data, contrast_limits=(0, 255), scale=(3, 2, 1, 1), translate=(0, 5, 0, 0))
    source = source_of(image, channel_axis=1)
    assert source.axes.label_shape == (4, 1, 20, 30)
    np.testing.assert_array_equal(shown(source, (3, 0))[..., 1], data[3, 1])
    np.testing.assert_allclose(source.grid.scale, (3, 4, 1, 1))
    np.testing.assert_allclose(source.grid.data_to_world((0, 0, 0, 0)), (0, 6, 0, 0))


def test_channels_of_a_plane_are_all_that_is_read():
    lazy, read = counted(RNG.integers(0, 255, (4, 5, 20, 30), np.uint8))
    source = source_of(Image(lazy, contrast_limits=(0, 255)), channel_axis=1, channels=(3, 1))
    read.clear()
    shown(source, (2, 0))
    assert set(read) == {(2, 3), (2, 1)}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"channel_axis": 2}, "besides rows and columns"),
        ({"channel_axis": 5}, "axis 5"),
        ({"channel_axis": 0, "channels": (0, 3)}, "from 0 to 2"),
        ({"channel_axis": 0, "channels": ()}, "one to three"),
        ({"channel_axis": 0, "channels": (0, 1, 2, 0)}, "one to three"),
    ],
)
def test_channels_that_are_not_there_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        source_of(Image(STACK), **options)


def test_layers_and_a_channel_axis_exclude_each_other():
    image = Image(STACK)
    with pytest.raises(ValueError, match="choose one of them"):
        source_of(image, colours=(image,), channel_axis=0)


def test_equal_keys_mean_equal_pixels():
    image, other = Image(STACK, contrast_limits=(0, 255)), Image(STACK, contrast_limits=(0, 99))
    keys = [
        source_of(image, **options).key
        for options in (
            {},
            {"displayed": (-1, -2)},
            {"contrast": "percentiles"},
            {"contrast": (1, 99)},
            {"colours": (image, other)},
            {"colours": (other, image)},
            {"colours": (image, None, other)},
            {"channel_axis": 0},
            {"channel_axis": 0, "channels": (0, 2)},
            {"channel_axis": 0, "channels": (2, 0)},
        )
    ]
    image.contrast_limits = (0, 254)
    keys.append(source_of(image).key)
    image.contrast_limits = (0, 255)
    assert len(set(keys)) == len(keys)
    assert source_of(image).key == keys[0]


def test_levels_of_a_pyramid_come_with_the_full_resolution():
    levels = [STACK, STACK[:, ::2, ::2], STACK[:, ::4, ::4]]
    plain, other = (Image(levels, multiscale=True, contrast_limits=(0, 255)) for _ in range(2))
    source = source_of(plain)
    assert source.data is plain.data[0]
    assert [level.shape for level in source.levels] == [(3, 10, 15), (3, 5, 8)]
    merged = source_of(plain, colours=(plain, other))
    assert [level.shape for level in merged.levels] == [(3, 10, 15, 2), (3, 5, 8, 2)]
    assert source_of(plain, colours=(plain, Image(STACK))).levels == ()
    channel = source_of(plain, channel_axis=0, channels=(2,))
    assert [level.shape for level in channel.levels] == [(10, 15, 1), (5, 8, 1)]


@pytest.mark.parametrize(("axis", "shape"), [(0, (4, 5, 20, 30)), (1, (5, 4, 20, 30))])
def test_labels_are_seen_at_every_channel(axis, shape):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(shape, np.uint8), scale=(2, 3, 1, 1), translate=(7, 8, 9, 1))
    ranges = viewer.dims.range
    source = source_of(image, channel_axis=axis)
    labels = viewer.add_layer(labels_like(image, source.axes, source.grid))
    assert viewer.dims.range == ranges
    labels.data[2] = 6
    for channel in range(4):
        for step in range(5):
            index = [step, 3, 3]
            index.insert(axis, channel)
            viewer.dims.point = world = image.data_to_world(index)
            seen = labels.get_value(world, world=True)
            assert seen == (6 if step == 2 else 0)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_colours_follow_the_axes_on_the_screen(order):
    viewer = ViewerModel()
    image = viewer.add_image(STACK, contrast_limits=(0, 255))
    viewer.dims.order = order
    viewer.dims.point = (1, 7, 11)
    source, view = source_in_view(image, viewer.dims, colours=(image, image))
    rgb = shown(source, view.index)
    np.testing.assert_array_equal(rgb[..., 1], np.moveaxis(STACK, order, (0, 1, 2))[view.index])


def test_every_channel_has_the_same_plane_in_view():
    viewer = ViewerModel()
    image = viewer.add_image(RNG.integers(0, 255, (4, 2, 20, 30), np.uint8))
    for channel in (0, 1):
        viewer.dims.point = (3, channel, 0, 0)
        assert source_in_view(image, viewer.dims, channel_axis=1)[1].index == (3, 0)
    flat = viewer.add_image(STACK)
    viewer.dims.point = (3, 2, 0, 0)
    assert source_in_view(flat, viewer.dims, channel_axis=0)[1].index == ()


def test_a_colour_without_a_channel_stays_dark():
    data = np.stack([np.full((6, 8), value, np.uint8) for value in (10, 20)])
    source = source_of(Image(data, contrast_limits=(0, 20)), channel_axis=0, channels=(None, 0, 1))
    plane = source.display(source.axes.read(source.data, ()))
    assert [int(plane[0, 0, n]) for n in range(3)] == [0, 128, 255]
