import json

import numpy as np
import pytest
import tifffile
import zarr

from napari_fastsam import Instances, PlaneAxes, PlaneResult
from napari_fastsam.files.readers import read_image
from napari_fastsam.files.writers import label_file


def plane(index, labels):
    return PlaneResult(index, Instances.empty(labels.shape), None, labels, {})


def write(path, axes, volume):
    with label_file(path, axes, provenance={"napari_fastsam": {"version": "1"}}) as add:
        for index in axes.indices():
            add(plane(index, volume[axes.key(index)]))


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


@pytest.mark.parametrize("ending", [".tif", ".npy", ".zarr"])
def test_a_run_that_breaks_off_leaves_nothing(tmp_path, ending):
    axes = PlaneAxes("ZYX", (2, 20, 30))
    with (
        pytest.raises(KeyboardInterrupt),
        label_file(tmp_path / f"a{ending}", axes, provenance={}) as add,
    ):
        add(plane((0,), np.ones((20, 30), np.uint32)))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
