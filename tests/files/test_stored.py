import multiprocessing
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
import zarr

from napari_fastsam.files.readers import ReadError, read_image

VOLUME = np.random.default_rng(0).integers(0, 4000, (6, 200, 300), np.uint16)


def save(folder, kind):
    """Save the volume as a file of some kind, and return its path."""
    path = folder / f"a.{kind.split()[0]}"
    if kind == "npy":
        np.save(path, VOLUME)
    elif kind == "zarr":
        zarr.create_array(path, data=VOLUME, chunks=(1, 64, 64))
    else:
        compression = None if kind == "tif plain" else "zlib"
        tile = (64, 64) if kind == "tif tiles" else None
        settings = {"photometric": "minisblack", "compression": compression, "tile": tile}
        tifffile.imwrite(path, VOLUME, metadata={"axes": "ZYX"}, **settings)
    return path


@pytest.fixture(params=["tif plain", "tif pages", "tif tiles", "npy", "zarr"])
def path(tmp_path, request):
    return save(tmp_path, request.param)


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        (2, slice(10, 50), slice(None, None, 3)),
        (slice(1, 4), 5),
        (..., slice(100, 130)),
        (np.int64(1), ..., 7),
        ...,
    ],
)
def test_any_part_is_read(path, key):
    data = read_image(path).data
    np.testing.assert_array_equal(data[key], VOLUME[key])
    assert (data.shape, data.ndim, data.size, len(data)) == (VOLUME.shape, 3, VOLUME.size, 6)


def test_opening_reads_no_pixels_and_a_plane_no_more_than_itself(path):
    read_image(path).data[0]  # imports
    tracemalloc.start()
    try:
        image = read_image(path)
        opening = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        plane = image.data[4]
        reading = tracemalloc.get_traced_memory()[1] - opening
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(plane, VOLUME[4])
    assert opening < VOLUME.nbytes / 2
    assert reading < 4 * VOLUME[0].nbytes


def test_a_copy_of_an_image_carries_no_pixels(path):
    image = read_image(path, "TYX")
    copied = pickle.dumps((image, image.data))
    assert len(copied) < 2000
    again, data = pickle.loads(copied)
    assert (again.path, again.axes, again.calibration) == (
        image.path,
        image.axes,
        image.calibration,
    )
    np.testing.assert_array_equal(again.data[2], VOLUME[2])
    np.testing.assert_array_equal(data[2], VOLUME[2])


def _sum_of(data, n):
    return int(data[n].sum(dtype=int))


SUMS = VOLUME.sum(axis=(1, 2), dtype=int).tolist()


def test_threads_read_side_by_side(path):
    data = read_image(path).data
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda n: _sum_of(data, n), list(range(6)) * 4)) == SUMS * 4


def test_another_process_reads_too(tmp_path):
    kinds = ["tif plain", "tif tiles", "npy", "zarr"]
    arrays = []
    for n, kind in enumerate(kinds):
        (tmp_path / f"{n}").mkdir()
        arrays.append(read_image(save(tmp_path / f"{n}", kind)).data)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.starmap(_sum_of, [(data, 3) for data in arrays]) == [SUMS[3]] * len(kinds)


def test_what_is_not_there_is_an_index_error(path):
    with pytest.raises(IndexError):
        read_image(path).data[6]


@pytest.mark.parametrize("kind", ["tif pages", "tif tiles"])
def test_a_broken_page_is_named_and_the_others_are_read(tmp_path, kind):
    path = save(tmp_path, kind)
    with tifffile.TiffFile(path) as file:
        offset = file.pages[3].dataoffsets[-1]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 64)
    data = read_image(path).data
    with pytest.raises(ReadError, match=r"a whole image in .*a\.tif.*page 4 of 6"):
        data[3]
    np.testing.assert_array_equal(data[2], VOLUME[2])
    np.testing.assert_array_equal(data[4:], VOLUME[4:])


@pytest.mark.parametrize("contiguous", [True, False])
def test_a_file_that_ends_too_early_names_the_page(tmp_path, contiguous):
    path = tmp_path / "a.tif"
    kind = None if contiguous else "zlib"
    tifffile.imwrite(path, VOLUME, photometric="minisblack", compression=kind, metadata=None)
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        start = series.dataoffset + 3 * VOLUME[0].nbytes if contiguous else 0
        start = start or file.pages[3].dataoffsets[0]
    content = path.read_bytes()
    path.write_bytes(content[: start + 1000])
    with pytest.raises(ReadError, match=rf"a\.tif.*page {2 if contiguous else 5}"):
        read_image(path)


@pytest.mark.parametrize("version", [2, 3])
def test_a_broken_chunk_is_named_and_the_others_are_read(tmp_path, version):
    path = tmp_path / "a.zarr"
    separator = {"name": "v2" if version == 2 else "default", "separator": "/"}
    zarr.create_array(
        path,
        data=VOLUME,
        chunks=(1, 128, 128),
        zarr_format=version,
        chunk_key_encoding=separator,
    )
    chunk = path / ("2/1/0" if version == 2 else "c/2/1/0")
    chunk.write_bytes(b"no chunk")
    data = read_image(path).data
    with pytest.raises(ReadError, match=rf"a\.zarr.*chunk {chunk.relative_to(path).as_posix()}: "):
        data[2]
    np.testing.assert_array_equal(data[3], VOLUME[3])
    np.testing.assert_array_equal(data[2, :128], VOLUME[2, :128])
