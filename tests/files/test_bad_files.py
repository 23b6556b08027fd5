"""What is wrong with files: a clear error each, and nothing is lost."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from omezarr import ome_zarr, scale

from napari_fastsam.files.inputs import find_images
from napari_fastsam.files.outputs import plan_outputs
from napari_fastsam.files.readers import ReadError, read_image
from napari_fastsam.files.writers import write_labels

STACK = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)


@pytest.fixture
def image(tmp_path):
    np.save(tmp_path / "a.npy", STACK)
    return read_image(tmp_path / "a.npy")


@pytest.fixture
def read_only(tmp_path):
    """A disk that nobody can write to, where the system lets the tests have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only the system's administrator may mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_cannot_be_written_to_is_an_error_before_the_work(image, read_only):
    with pytest.raises(OSError, match=r"a folder to write to.*disk.*[Rr]ead-only.*choose another"):
        plan_outputs(find_images([str(image.path)]), str(read_only / "a.tif"), several=False)


@pytest.mark.parametrize("ending", [".tif", ".ome.tif", ".npy", ".zarr", ".ome.zarr"])
def test_labels_of_another_shape_are_replaced_only_if_asked(tmp_path, image, ending):
    path = tmp_path / f"out{ending}"
    np.save(tmp_path / "other.npy", STACK[0, :9])
    other = read_image(tmp_path / "other.npy")
    write_labels(path, np.ones((9, 30), np.uint32), other, provenance={})
    with pytest.raises(FileExistsError, match=r"out\..*--overwrite"):
        write_labels(path, STACK.astype(np.uint32), image, provenance={})
    np.testing.assert_array_equal(read_image(path).data[...], np.ones((9, 30)))
    write_labels(path, STACK.astype(np.uint32), image, provenance={}, overwrite=True)
    np.testing.assert_array_equal(read_image(path).data[...], STACK)


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "a.zarr", "a.ome.zarr"])
def test_axes_that_do_not_fit_are_told_with_the_file(tmp_path, name):
    if name == "a.npy":
        np.save(tmp_path / name, STACK)
    elif name == "a.tif":
        tifffile.imwrite(tmp_path / name, STACK, photometric="minisblack", compression="zlib")
    elif name == "a.zarr":
        zarr.create_array(tmp_path / name, data=STACK)
    else:
        axes = [("z", 3), ("y", 20), ("x", 30)]
        ome_zarr(tmp_path / name, "0.5", [[scale(1, 1, 1)]], axes)
    for axes in ("YX", "TZYX", "ZZX", "ZTY"):
        with pytest.raises(ValueError, match=rf"{name}: Expected one different letter .*'{axes}'"):
            read_image(tmp_path / name, axes)


def test_planes_without_numbers_are_read_as_they_are(tmp_path):
    planes = STACK.astype(np.float32)
    planes[1] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", compression="zlib")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data[...], planes)


@pytest.mark.parametrize("name", ["a.npy", "a.zarr"])
def test_an_image_without_planes_is_read(tmp_path, name):
    empty = STACK[:0]
    if name == "a.npy":
        np.save(tmp_path / name, empty)
    else:
        zarr.create_array(tmp_path / name, data=empty, chunks=(1, 20, 30))
    image = read_image(tmp_path / name, "ZYX")
    assert list(image.axes.indices()) == []


def test_a_resolution_that_is_missing_is_an_error(tmp_path):
    ome_zarr(tmp_path / "a.ome.zarr", "0.5", [[scale(1, 1)]] * 2, [("y", 40), ("x", 60)])
    (tmp_path / "a.ome.zarr" / "1" / "zarr.json").unlink()
    with pytest.raises(ReadError, match=r"a whole image in .*a\.ome\.zarr"):
        read_image(tmp_path / "a.ome.zarr")


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_metadata_that_is_none_is_an_error(tmp_path, text):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(text)
    with pytest.raises(ReadError, match=r"a whole image in .*a\.zarr"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "multiscales",
    [[{}], [{"datasets": []}], [{"datasets": [{}]}], "text", [{"axes": 3, "datasets": [0]}]],
)
def test_ome_zarr_that_tells_nonsense_is_an_error(tmp_path, multiscales):
    zarr.create_group(tmp_path / "a.zarr", attributes={"ome": {"multiscales": multiscales}})
    with pytest.raises(ReadError, match=r"a\.zarr"):
        read_image(tmp_path / "a.zarr")


def test_a_description_that_tells_nonsense_is_no_error(tmp_path):
    metadata = {"axes": "ZYX", "calibration": {"axes": "ZYX", "scale": "none"}}
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack", metadata=metadata)
    image = read_image(tmp_path / "a.tif")
    assert not image.calibration.measured
    np.testing.assert_array_equal(image.data[...], STACK)
