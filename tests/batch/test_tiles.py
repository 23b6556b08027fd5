"""Planes that are looked at tile by tile, each some task's own, and put together."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_fastsam import ModelSpec, Request, run
from napari_fastsam._packing import pack, unpack
from napari_fastsam.batch import Done, Failed, Job, UpToDate, manifest_path, segment_files
from napari_fastsam.batch.workers import Here
from napari_fastsam.files.inputs import find_images
from napari_fastsam.instances import Instances

SIDE = 400


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a plane of disks, some of which cross tiles, in 16 bit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("napari_fastsam.batch.tiles.IN_PARTS", 200)
    rng = np.random.default_rng(0)
    rows, cols = np.ogrid[:SIDE, :SIDE]
    plane = np.zeros((SIDE, SIDE), np.uint16)
    for row in range(25, SIDE, 50):
        for col in range(25, SIDE, 50):
            away = np.hypot(rows - row, cols - col)
            plane[away < rng.uniform(6, 18)] = 3000 + 50 * (row // 50)
    zarr.create_array("plane.zarr", data=plane, chunks=(100, 100))
    zarr.create_array(
        "stack.zarr", data=np.stack([plane, plane.T, plane[::-1]]), chunks=(1, 80, 80)
    )


@pytest.fixture
def tiled(blobs, monkeypatch):
    monkeypatch.setattr(blobs, "spec", ModelSpec(model="blobs", tile=128), raising=False)
    return blobs


def segment(path, output, segmenter, **options):
    inputs = find_images([path])
    asked = {"manifest": manifest_path(Path(output), folder=False)} | options
    job = asked.pop("job", Job())
    return list(segment_files(inputs, [Path(output)], segmenter, job, **asked))


def expected(path, segmenter):
    data = zarr.open_array(path)[...]
    planes = data if data.ndim == 3 else data[None]
    labels = [next(run(Request(data=plane), segmenter)).labels for plane in planes]
    return np.stack(labels) if data.ndim == 3 else labels[0]


@pytest.mark.parametrize("path", ["plane.zarr", "stack.zarr"])
@pytest.mark.parametrize("output", ["v.npy", "v.tif", "v.zarr"])
def test_labels_are_those_of_the_plane_at_once(tiled, path, output):
    (done,) = segment(path, output, tiled)
    from napari_fastsam.files.readers import read_image

    wanted = expected(path, tiled)
    np.testing.assert_array_equal(np.asarray(read_image(Path(output)).data[...]), wanted)
    planes = wanted if wanted.ndim == 3 else wanted[None]
    areas = [np.bincount(plane.ravel())[1:].tolist() for plane in planes]
    assert [found.area for found in done.objects] == [area for plane in areas for area in plane]
    assert not Path(f".{output}.work").exists()


def test_objects_are_told_with_their_places_on_the_whole_plane(tiled):
    (done,) = segment("plane.zarr", "v.npy", tiled)
    labels = np.load("v.npy")
    for found in done.objects[::7]:
        rows, cols = np.nonzero(labels == found.label)
        assert found.centroid == pytest.approx((rows.mean(), cols.mean()))
        assert found.bbox == (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)


class Stopping:
    """Workers that are gone after some tasks."""

    count = 1

    def __init__(self, model, tasks):
        self._here, self._left = Here(model), tasks
        self.done = []

    def perform(self, tasks):
        for outcome in self._here.perform(tasks):
            yield outcome
            self.done.append(type(outcome[0]).__name__)
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


def test_a_run_goes_on_in_the_middle_of_a_plane(tiled, monkeypatch):
    monkeypatch.setattr("napari_fastsam.batch.images._MOST_TILES", 2)
    whole = expected("plane.zarr", tiled)
    tiled.shapes.clear()
    workers = Stopping(tiled, 4)
    with pytest.raises(KeyboardInterrupt):
        segment("plane.zarr", "v.npy", tiled, workers=workers)
    assert (
        workers.done == ["Survey", "LookInTiles", "LookInTiles", "LookInTiles"][: len(workers.done)]
    )
    before = tiled.calls
    segment("plane.zarr", "v.npy", tiled)
    np.testing.assert_array_equal(np.load("v.npy"), whole)
    complete = tiled.calls
    tiled.shapes.clear()
    segment("plane.zarr", "w.npy", tiled)
    assert complete == tiled.calls  # nothing was looked at twice
    assert before > 1
    assert [type(found) for found in segment("plane.zarr", "v.npy", tiled)] == [UpToDate]


def test_with_other_settings_no_tile_is_taken_over(tiled):
    with pytest.raises(KeyboardInterrupt):
        segment("plane.zarr", "v.npy", tiled, workers=Stopping(tiled, 2))
    (done,) = segment("plane.zarr", "v.npy", tiled, job=Job(confidence=0.5))
    assert isinstance(done, Done)
    np.testing.assert_array_equal(np.load("v.npy"), expected("plane.zarr", tiled))


def test_progress_goes_from_tile_to_tile(tiled, monkeypatch):
    monkeypatch.setattr("napari_fastsam.batch.images._MOST_TILES", 3)
    seen = []
    segment("plane.zarr", "v.npy", tiled, progress=lambda path, *at: seen.append(at))
    steps = [at for at in seen if at[1] > 1]
    assert len({total for _, total in steps}) == 1
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert steps[-1][0] == steps[-1][1]
    assert len(steps) > 4


@pytest.mark.parametrize("point", [(25, 25), (375, 175)])
def test_prompts_choose_on_a_plane_in_tiles(tiled, point):
    (done,) = segment("plane.zarr", "v.npy", tiled, job=Job(points=(point, (0.0, 0.0))))
    labels = np.load("v.npy")
    whole = expected("plane.zarr", tiled)
    np.testing.assert_array_equal(labels > 0, whole == whole[point])
    assert done.unanswered == ("point 0,0",)


def test_a_plane_that_one_look_is_enough_for_has_no_tiles(blobs, monkeypatch):
    monkeypatch.setattr(blobs, "spec", ModelSpec(model="blobs", tile=500), raising=False)
    segment("plane.zarr", "v.npy", blobs)
    assert blobs.shapes == [(SIDE, SIDE, 3)]
    np.testing.assert_array_equal(np.load("v.npy"), expected("plane.zarr", blobs))


def test_an_unreadable_chunk_fails_its_plane_only(tiled):
    os.remove("stack.zarr/c/1/2/2")
    Path("stack.zarr/c/1/2/2").write_bytes(b"no chunk")
    (failed,) = segment("stack.zarr", "v.npy", tiled)
    assert isinstance(failed, Failed)
    assert (failed.planes, failed.kept) == (((1,),), 2)
    assert "1/2/2" in str(failed.error)
    assert not Path("v.npy").exists()


def test_colours_are_taken_as_they_are(tiled):
    plane = zarr.open_array("plane.zarr")[...]
    colour = np.stack([(plane > 0) * 200, (plane > 0) * 180, (plane > 0) * 160], -1)
    tifffile.imwrite("colour.tif", colour.astype(np.uint8), photometric="rgb", tile=(128, 128))
    (done,) = segment("colour.tif", "v.npy", tiled)
    assert done.summary.count == 64
    np.testing.assert_array_equal(np.load("v.npy") > 0, plane > 0)


def test_instances_survive_packing():
    labels = np.zeros((30, 40), int)
    labels[2:7, 3:30] = 1
    labels[20:29, 5] = 2
    found = Instances.from_labels(labels)
    again = unpack(pack(found))
    np.testing.assert_array_equal(again.to_labels(), found.to_labels())
    np.testing.assert_array_equal(again.scores, found.scores)
    assert len(unpack(pack(Instances.empty((5, 6))))) == 0
