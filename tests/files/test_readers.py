import logging

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from napari_fastsam.files.readers import ReadError, read_image

RAMP = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)
STACK = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)


def check(path, data, axes):
    image = read_image(path)
    assert image.axes.axes == axes
    np.testing.assert_array_equal(np.asarray(image.data[...]), data)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize(
    ("data", "axes"),
    [
        pytest.param(RAMP, "YX", id="16 bit"),
        pytest.param(STACK, "ZYX", id="pages"),
        pytest.param(RAMP.astype(np.float32) / 7, "YX", id="float"),
        pytest.param(np.zeros((20, 30, 3), np.uint8), "YXS", id="RGB"),
        pytest.param(np.zeros((20, 30, 4), np.uint8), "YXS", id="RGBA"),
    ],
)
def test_tiff_is_read_with_its_pixels_and_axes(tmp_path, data, axes, compression):
    colour = "rgb" if data.ndim == 3 and data.shape[2] in (3, 4) else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=colour, compression=compression)
    check(tmp_path / "a.tif", data, axes)


def test_a_tiff_of_jpeg_tiles_is_read(tmp_path):
    path, data = tmp_path / "a.tif", np.full((32, 48, 3), 90, np.uint8)
    tifffile.imwrite(path, data, photometric="rgb", compression="jpeg", tile=(16, 16))
    np.testing.assert_allclose(np.asarray(read_image(path).data), data, atol=2)


def test_other_images_in_a_tiff_are_left_out_with_a_warning(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for image in (RAMP, RAMP[:10], RAMP[:, :10]):
            file.write(image, photometric="minisblack")
    with pytest.warns(UserWarning, match=r"Of the 3 images in .*a\.tif the first was read"):
        image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, RAMP)


def test_the_axes_of_an_ome_tiff_are_its_own(tmp_path):
    data = np.zeros((4, 2, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata={"axes": "TCYX"})
    check(tmp_path / "a.ome.tif", data, "TCYX")


def test_the_axes_of_an_imagej_tiff_are_its_own(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    check(tmp_path / "a.tif", STACK, "TYX")


def test_axes_that_are_given_come_before_the_files_own(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack", metadata={"axes": "ZYX"})
    assert read_image(tmp_path / "a.tif", "TYX").axes.axes == "TYX"


def test_axes_that_do_not_fit_are_refused_with_the_path(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    with pytest.raises(ValueError, match=r"a\.tif: Expected one different letter .* shape \(3, 20"):
        read_image(tmp_path / "a.tif", "YX")


@pytest.mark.parametrize(
    ("mode", "shape", "axes"),
    [
        pytest.param("L", (20, 30), "YX", id="grey"),
        pytest.param("1", (20, 30), "YX", id="1 bit"),
        pytest.param("LA", (20, 30), "YX", id="grey with alpha"),
        pytest.param("I;16", (20, 30), "YX", id="16 bit"),
        pytest.param("P", (20, 30, 3), "YXC", id="palette"),
        pytest.param("RGB", (20, 30, 3), "YXC", id="RGB"),
        pytest.param("RGBA", (20, 30, 4), "YXC", id="RGBA"),
    ],
)
def test_png_is_grey_or_colour(tmp_path, mode, shape, axes):
    PIL.Image.new(mode, (30, 20), 1).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.data.shape == shape
    assert image.axes.axes == axes


def test_16_bit_png_keeps_its_values(tmp_path):
    PIL.Image.fromarray(RAMP * 100).save(tmp_path / "a.png")
    check(tmp_path / "a.png", RAMP * 100, "YX")


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_jpeg_is_grey_or_rgb(tmp_path, mode):
    PIL.Image.new(mode, (30, 20)).save(tmp_path / "a.jpg")
    shape = (20, 30) if mode == "L" else (20, 30, 3)
    assert read_image(tmp_path / "a.JPG".lower()).data.shape == shape


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_read_in_either_order(tmp_path, order):
    np.save(tmp_path / "a.npy", np.asarray(STACK, order=order))
    check(tmp_path / "a.npy", STACK, "ZYX")


def test_npy_of_objects_is_refused_and_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([print], dtype=object))
    with pytest.raises(ReadError, match="Python objects"):
        read_image(tmp_path / "a.npy")


def test_zarr_names_its_axes(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=STACK, dimension_names=["t", "y", "x"])
    check(path, STACK, "TYX")


def test_zarr_without_names_is_guessed(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=STACK)
    check(tmp_path / "a.zarr", STACK, "ZYX")


def test_a_zarr_group_of_several_arrays_says_what_to_name(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    for name in ("one", "two"):
        group.create_array(name, shape=RAMP.shape, dtype=RAMP.dtype)[...] = RAMP
    with pytest.raises(ReadError, match=r"2 arrays: one, two.*a\.zarr/one"):
        read_image(tmp_path / "a.zarr")
    check(tmp_path / "a.zarr" / "two", RAMP, "YX")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kept", [0, 4, 200, 0.5, 0.9])
@pytest.mark.parametrize("ending", [".tif", ".ome.tif"])
def test_a_truncated_tiff_is_never_a_smaller_image(tmp_path, kept, compression, ending, caplog):
    path = tmp_path / f"a{ending}"
    noise = np.random.default_rng(0).integers(0, 4000, (8, 40, 50), np.uint16)
    tifffile.imwrite(path, noise, compression=compression, metadata={"axes": "ZYX"})
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ReadError, match=r"a whole image in .*a\..*save or copy"),
    ):
        read_image(path)
    assert not caplog.records


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.npy", "a.tif"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", bytes(1000)])
def test_what_is_no_image_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError, match="a whole image in"):
        read_image(tmp_path / name)


def test_a_truncated_png_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ReadError, match="truncated"):
        read_image(tmp_path / "a.png")


def test_a_picture_of_too_many_pixels_says_which_formats_have_no_limit(tmp_path, monkeypatch):
    PIL.Image.fromarray(RAMP).save(tmp_path / "a.png")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", RAMP.size // 3)
    with pytest.raises(ReadError, match=r"a\.png.*600 pixels.*convert it to TIFF or zarr"):
        read_image(tmp_path / "a.png")


def test_another_ending_is_refused_with_those_that_are_read(tmp_path):
    (tmp_path / "a.czi").touch()
    with pytest.raises(ReadError, match=r"\.tif, .*\.zarr.*a\.czi.*convert it to TIFF"):
        read_image(tmp_path / "a.czi")
