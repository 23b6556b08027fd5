import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_fastsam import PlaneAxes
from napari_fastsam.files import tiff_writer
from napari_fastsam.files.calibration import Calibration
from napari_fastsam.files.readers import Image, read_image
from napari_fastsam.files.writers import write_labels


def image_of(axes, shape):
    return Image(Path("image.tif"), None, PlaneAxes(axes, shape), Calibration.pixels(axes))


def noise(shape):
    return np.random.default_rng(0).integers(0, 2**32, shape, np.uint32)


def write(path, axes, labels):
    """Write labels of an image of these axes."""
    image = Image(Path("image.tif"), None, axes, Calibration.pixels(axes.axes))
    write_labels(path, labels, image, provenance={"napari_fastsam": {"version": "1"}})


@pytest.mark.parametrize("ending", [".tif", ".tiff", ".npy", ".zarr"])
@pytest.mark.parametrize(
    ("axes", "shape", "kept"),
    [
        pytest.param("YX", (20, 30), "YX", id="image"),
        pytest.param("YXS", (20, 30, 3), "YX", id="colour"),
        pytest.param("TCYX", (4, 2, 20, 30), "TYX", id="channels in the middle"),
        pytest.param("TZYX", (2, 3, 20, 30), "TZYX", id="five hyperplanes"),
    ],
)
def test_labels_come_back_with_their_values_and_axes(tmp_path, ending, axes, shape, kept):
    layout = PlaneAxes(axes, shape)
    volume = np.random.default_rng(0).integers(0, 2**32, layout.label_shape, np.uint32)
    write(tmp_path / f"a{ending}", layout, volume)
    image = read_image(tmp_path / f"a{ending}")
    assert image.data.dtype == np.uint32
    np.testing.assert_array_equal(np.asarray(image.data[...]), volume)
    if ending != ".npy":
        assert image.axes.axes == kept


def test_tiff_is_deflated_and_tells_how_it_was_made(tmp_path):
    write(tmp_path / "a.tif", PlaneAxes("YX", (500, 500)), np.zeros((500, 500), np.uint32))
    assert (tmp_path / "a.tif").stat().st_size < 10_000
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        about = json.loads(file.pages[0].description)
    assert about["napari_fastsam"] == {"version": "1"}


def test_zarr_is_chunked_by_plane_and_tells_how_it_was_made(tmp_path):
    write(tmp_path / "a.zarr", PlaneAxes("ZYX", (2, 20, 30)), np.ones((2, 20, 30), np.uint32))
    array = zarr.open(tmp_path / "a.zarr", mode="r")
    assert array.chunks == (1, 20, 30)
    assert array.attrs["napari_fastsam"] == {"version": "1"}


@pytest.mark.parametrize("ending", [".tif", ".ome.tif", ".npy", ".zarr", ".ome.zarr"])
def test_labels_that_cannot_be_read_to_their_end_leave_nothing(tmp_path, ending):
    class Broken:
        shape = (2, 20, 30)

        def __getitem__(self, key):
            if key[0] == 1 or key[0] == slice(1, 2):
                raise KeyboardInterrupt
            return np.ones(self.shape, np.uint32)[key]

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / f"a{ending}", PlaneAxes("ZYX", (2, 20, 30)), Broken())
    assert list(tmp_path.iterdir()) == []


class Watched:
    """An array that keeps the most pixels that were asked of it at once."""

    def __init__(self, data):
        self.data, self.shape, self.most = data, data.shape, 0

    def __getitem__(self, key):
        part = self.data[key]
        self.most = max(self.most, math.prod(np.shape(part)))
        return part


@pytest.mark.parametrize("ending", [".tif", ".npy", ".zarr"])
def test_labels_of_a_store_are_written_plane_by_plane(tmp_path, ending):
    volume = noise((2, 3, 20, 30))
    store = zarr.create_array(tmp_path / "store", data=volume, chunks=(1, 1, 16, 16))
    labels = Watched(store)
    image = image_of("TZCYX", (2, 3, 2, 20, 30))
    write_labels(tmp_path / f"a{ending}", labels, image, provenance={})
    written = read_image(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(np.asarray(written.data[...]), volume)
    assert labels.most == 20 * 30


@pytest.mark.parametrize("shape", [(40, 33), (2, 40, 33), (2, 32, 48)])
def test_large_pages_are_written_tile_by_tile(tmp_path, monkeypatch, shape):
    monkeypatch.setattr(tiff_writer, "PAGE", 1000)
    monkeypatch.setattr(tiff_writer, "TILE", 16)
    labels = Watched(noise(shape))
    image = image_of("ZYX"[-len(shape) :], shape)
    write_labels(tmp_path / "a.tif", labels, image, provenance={})
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), labels.data)
    assert labels.most == 16 * 16


def test_what_is_larger_than_4_gb_is_a_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_writer, "_CLASSIC_BYTES", 4 * 2 * 20 * 30 - 1)
    for pages in (1, 2):
        labels = noise((pages, 20, 30))
        image = image_of("ZYX", labels.shape)
        write_labels(tmp_path / f"{pages}.tif", labels, image, provenance={})
        with tifffile.TiffFile(tmp_path / f"{pages}.tif") as file:
            assert file.is_bigtiff == (pages == 2)
            np.testing.assert_array_equal(file.asarray(), labels)


@pytest.mark.parametrize("ending", [".tif", ".ome.tif", ".zarr", ".ome.zarr"])
def test_what_the_axes_measure_is_carried_over(tmp_path, ending):
    units = ("minute", "nanometer", "micrometer", "micrometer")
    known = Calibration("TZYX", (2.0, 400.0, 0.5, 0.25), (0.0,) * 4, units)
    image = Image(Path("a.tif"), None, PlaneAxes("TZYX", (2, 3, 20, 30)), known)
    write_labels(tmp_path / f"a{ending}", noise((2, 3, 20, 30)), image, provenance={})
    written = read_image(tmp_path / f"a{ending}")
    assert written.calibration == known
    np.testing.assert_array_equal(written.data[...], noise((2, 3, 20, 30)))


@pytest.mark.parametrize(("unit", "known"), [("micrometer", 20000), (None, None)])
def test_tiff_tells_the_resolution_to_programs_that_know_no_more(tmp_path, unit, known):
    calibration = Calibration.of("YX", {"Y": (0.5, unit), "X": (0.5, unit)})
    image = Image(Path("a.tif"), None, PlaneAxes("YX", (20, 30)), calibration)
    write_labels(tmp_path / "a.tif", noise((20, 30)), image, provenance={})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages[0].tags
        pixels, units = tags.valueof("XResolution")
        assert (pixels / units == known) == (tags.valueof("ResolutionUnit") == 3) == bool(unit)


@pytest.mark.parametrize(
    ("axes", "shape", "order"),
    [("YXZ", (20, 30, 3), (2, 0, 1)), ("ZTYX", (3, 2, 20, 30), (1, 0, 2, 3))],
)
def test_ome_tiff_has_the_axes_in_its_own_order(tmp_path, axes, shape, order):
    labels = noise(shape)
    image = image_of(axes, shape)
    write_labels(tmp_path / "a.ome.tif", labels, image, provenance={"napari_fastsam": "1"})
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert file.is_ome
        assert file.series[0].axes == "".join(axes[n] for n in order)
        np.testing.assert_array_equal(file.asarray(), labels.transpose(order))
        assert '"napari_fastsam": "1"' in file.ome_metadata.replace("&quot;", '"')


def test_axes_that_ome_tiff_cannot_hold_are_refused(tmp_path):
    image = image_of("QYX", (2, 20, 30))
    with pytest.raises(ValueError, match=r"axes T, Z, Y and X for OME-TIFF.*'QYX'.*choose \.tif"):
        write_labels(tmp_path / "a.ome.tif", noise((2, 20, 30)), image, provenance={})
    assert list(tmp_path.iterdir()) == []


def test_labels_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(20, 30\), those of image\.tif.*\(20, 31\)"):
        write_labels(tmp_path / "a.tif", noise((20, 31)), image_of("YX", (20, 30)), provenance={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".tif", ".ome.tif", ".npy", ".zarr", ".ome.zarr"])
def test_a_disk_that_fills_up_keeps_the_old_labels_and_nothing_of_the_new(small_disk, ending):
    path = small_disk / f"a{ending}"
    small, large = noise((1, 20, 30)), noise((20, 200, 200))
    write_labels(path, small, image_of("ZYX", small.shape), provenance={})
    with pytest.raises(OSError, match=r"room on the disk for .*nothing of it was kept.*free some"):
        write_labels(path, large, image_of("ZYX", large.shape), provenance={}, overwrite=True)
    np.testing.assert_array_equal(np.squeeze(read_image(path).data[...]), small[0])
    assert list(small_disk.iterdir()) == [path]
