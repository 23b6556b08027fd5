import json
import math
import multiprocessing
import os
import sys
import warnings

import numpy as np
import pytest
import yaozarrs
import zarr
from omezarr import ome_zarr, scale, translation

from napari_fastsam import PlaneAxes
from napari_fastsam.files import chunks, ome_zarr_writer
from napari_fastsam.files.calibration import Calibration
from napari_fastsam.files.readers import Image, read_image
from napari_fastsam.files.writers import write_labels

ABOUT = {"napari_fastsam": {"version": "1"}}


@pytest.fixture(params=["0.4", "0.5"])
def image(tmp_path, request):
    """An image of two resolutions and two channels."""
    ome_zarr(
        tmp_path / "a.ome.zarr",
        request.param,
        [
            [scale(1, 1, 0.5, 0.25), translation(0, 0, 8, 4)],
            [scale(1, 1, 1.0, 0.5), translation(0, 0, 8, 4)],
        ],
        [("t", 3), ("c", 2), ("y", 41), ("x", 60)],
        units=["second", None, "micrometer", "micrometer"],
    )
    return read_image(tmp_path / "a.ome.zarr")


def noise(shape):
    return np.random.default_rng(0).integers(0, 2**32, shape, np.uint32)


def content(folder):
    """Return every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def attributes(group):
    found = dict(zarr.open_group(group, mode="r").attrs)
    return found.get("ome", found)


def test_labels_go_into_the_image_with_its_axes_resolutions_and_calibration(image):
    before = content(image.path)
    labels = noise((3, 41, 60))
    target = image.path / "labels" / "cells"
    rows = [{"label": 7, "area": 12}, {"label": 9, "area": 3}]
    write_labels(target, labels, image, provenance=ABOUT, objects=rows)
    written = read_image(target)
    assert written.axes.axes == "TYX"
    assert written.calibration == image.calibration.on("TYX")
    np.testing.assert_array_equal(written.data[...], labels)
    assert [level.shape for level in written.levels] == [(3, 21, 30)]
    rows_near, columns_near = np.arange(21) * 41 // 21, np.arange(30) * 2
    np.testing.assert_array_equal(written.levels[0][...], labels[:, rows_near][:, :, columns_near])
    told = attributes(target)
    assert told["image-label"]["source"] == {"image": "../../"}
    assert told["image-label"]["properties"] == [
        {"label-value": 7, "area": 12},
        {"label-value": 9, "area": 3},
    ]
    assert told["multiscales"][0]["axes"] == [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    assert zarr.open_group(target, mode="r").attrs["napari_fastsam"] == {"version": "1"}
    assert attributes(image.path / "labels")["labels"] == ["cells"]
    assert before.items() <= content(image.path).items()
    yaozarrs.validate_zarr_store(image.path)


def test_labels_of_another_name_are_listed_beside_those_that_are_there(image):
    for name in ("cells", "nuclei"):
        write_labels(image.path / "labels" / name, noise((3, 41, 60)), image, provenance={})
    assert attributes(image.path / "labels")["labels"] == ["cells", "nuclei"]
    yaozarrs.validate_zarr_store(image.path)


def add_eight(path, mark, barrier):
    """Write labels of eight names into an image, as soon as others are as far."""
    image = read_image(path)
    for n in range(8):
        barrier.wait(60)
        name = path / "labels" / f"{mark}{n}"
        write_labels(name, np.ones((3, 41, 60), np.uint32), image, provenance={})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_two_processes_list_all_their_labels(image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's own, that zarr 3 does not specify it
        zarr.consolidate_metadata(image.path)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    writers = [context.Process(target=add_eight, args=(image.path, mark, barrier)) for mark in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    names = {f"{mark}{n}" for mark in "ab" for n in range(8)}
    assert sorted(attributes(image.path / "labels")["labels"]) == sorted(names)
    assert not list(image.path.rglob(".lock"))
    members = dict(zarr.open_group(image.path, mode="r").members(max_depth=None))
    assert {f"labels/{name}/0" for name in names} <= set(members)


def test_labels_that_are_there_are_replaced_only_if_asked(image):
    target = image.path / "labels" / "cells"
    write_labels(target, noise((3, 41, 60)), image, provenance={})
    before = content(image.path)
    with pytest.raises(FileExistsError, match=r"cells.*--overwrite"):
        write_labels(target, np.ones((3, 41, 60), int), image, provenance={})
    assert content(image.path) == before
    write_labels(target, np.ones((3, 41, 60), int), image, provenance={}, overwrite=True)
    assert (read_image(target).data[...] == 1).all()
    assert attributes(image.path / "labels")["labels"] == ["cells"]


class Broken:
    """Labels that cannot be read to their end."""

    shape = (3, 41, 60)

    def __getitem__(self, key):
        if key[0].start == 2:
            raise OSError("gone")
        return np.ones(self.shape, np.uint32)[key]


@pytest.mark.parametrize("listed", [True, False])
def test_a_failure_leaves_the_image_as_it_was(image, listed):
    if listed:
        write_labels(image.path / "labels" / "cells", noise((3, 41, 60)), image, provenance={})
    before = content(image.path)
    with pytest.raises(OSError, match="gone"):
        write_labels(image.path / "labels" / "new", Broken(), image, provenance={})
    assert content(image.path) == before
    assert (image.path / "labels").exists() == listed


def test_labels_that_cannot_be_listed_are_removed(image, monkeypatch):
    write_labels(image.path / "labels" / "cells", noise((3, 41, 60)), image, provenance={})
    before = content(image.path)

    def fail(*_):
        raise OSError("read-only")

    monkeypatch.setattr(ome_zarr_writer, "_list", fail)
    with pytest.raises(OSError, match="read-only"):
        write_labels(image.path / "labels" / "new", noise((3, 41, 60)), image, provenance={})
    assert content(image.path) == before


def test_a_copy_of_all_metadata_is_brought_up_to_date(image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's own, that zarr 3 does not specify it
        zarr.consolidate_metadata(image.path)
    write_labels(image.path / "labels" / "cells", noise((3, 41, 60)), image, provenance={})
    assert "labels/cells/0" in dict(zarr.open_group(image.path, mode="r").members(max_depth=None))


def test_labels_do_not_go_into_another_image(image, tmp_path):
    ome_zarr(tmp_path / "b.zarr", "0.5", [[scale(1, 1)]], [("y", 41), ("x", 60)])
    target = tmp_path / "b.zarr" / "labels" / "cells"
    with pytest.raises(ValueError, match=r"a\.ome\.zarr.labels.cells.*Got .*b\.zarr"):
        write_labels(target, noise((3, 41, 60)), image, provenance={})


def test_labels_do_not_go_into_a_zarr_without_axes(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((4, 5), np.uint8))
    image = read_image(tmp_path / "a.zarr")
    with pytest.raises(ValueError, match=r"an OME-Zarr that names its axes.*labels\.ome\.zarr"):
        write_labels(tmp_path / "a.zarr/labels/x", noise((4, 5)), image, provenance={})


def test_channels_that_the_user_takes_for_planes_stay(image):
    renamed = read_image(image.path, "TZYX")
    target = image.path / "labels" / "cells"
    write_labels(target, noise((3, 2, 41, 60)), renamed, provenance={})
    assert read_image(target).axes.axes == "TCYX"
    yaozarrs.validate_zarr_store(image.path)


def test_an_ome_zarr_of_its_own_has_the_labels_of_an_ome_zarr(image, tmp_path):
    labels = noise((3, 41, 60))
    write_labels(tmp_path / "b.ome.zarr", labels, image, provenance=ABOUT)
    for path in (tmp_path / "b.ome.zarr", tmp_path / "b.ome.zarr/labels/objects"):
        written = read_image(path)
        np.testing.assert_array_equal(written.data[...], labels)
        assert written.calibration == image.calibration.on("TYX")
        assert [level.shape for level in written.levels] == [(3, 21, 30)]
    formats = {zarr.open_group(path, mode="r").metadata.zarr_format for path in (image.path, path)}
    assert len(formats) == 1
    yaozarrs.validate_zarr_store(tmp_path / "b.ome.zarr")


def image_of(path, axes, shape):
    known = dict.fromkeys("XY", (0.5, "micrometer")) | {"T": (3.0, "minute")}
    return Image(path, None, PlaneAxes(axes, shape), Calibration.of(axes, known))


def test_labels_of_any_image_become_an_ome_zarr_with_resolutions(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_fastsam.files.ome_plan.CHUNK", 16)
    image = image_of(tmp_path / "a.tif", "ZTYX", (2, 3, 40, 50))
    labels = noise((2, 3, 40, 50))
    write_labels(tmp_path / "b.ome.zarr", labels, image, provenance=ABOUT)
    written = read_image(tmp_path / "b.ome.zarr")
    assert written.axes.axes == "TZYX"  # OME-Zarr wants time first
    np.testing.assert_array_equal(written.data[...], labels.swapaxes(0, 1))
    assert [level.shape[2:] for level in written.levels] == [(20, 25), (10, 13)]
    np.testing.assert_array_equal(written.levels[0][...], labels.swapaxes(0, 1)[:, :, ::2, ::2])
    assert written.calibration.scale == (3.0, 1.0, 0.5, 0.5)
    yaozarrs.validate_zarr_store(tmp_path / "b.ome.zarr")


def test_axes_that_ome_zarr_cannot_hold_are_refused(tmp_path):
    image = image_of(tmp_path / "a.tif", "QRYX", (2, 3, 40, 50))
    with pytest.raises(ValueError, match=r"at most one more, for OME-Zarr.*'QRYX'.*\.zarr"):
        write_labels(tmp_path / "b.ome.zarr", noise((2, 3, 40, 50)), image, provenance={})
    assert os.listdir(tmp_path) == []


def test_lower_resolutions_are_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "_WINDOW", 100)
    labels = noise((2, 33, 47))
    sizes = []

    class Watched:
        shape = labels.shape

        def __getitem__(self, key):
            sizes.append(math.prod(labels[key].shape))
            return labels[key]

    target = chunks.new_array(tmp_path / "a", (2, 9, 12), (1, 9, 12), "zyx")
    chunks.copy_nearest(Watched(), target)
    near = np.ix_(range(2), np.arange(9) * 33 // 9, np.arange(12) * 47 // 12)
    np.testing.assert_array_equal(target[...], labels[near])
    assert max(sizes) <= 100


def test_files_of_the_group_are_json_that_others_read(image):
    write_labels(image.path / "labels" / "cells", noise((3, 41, 60)), image, provenance={})
    for path in image.path.rglob("*"):
        if path.name in ("zarr.json", ".zattrs", ".zgroup"):
            json.loads(path.read_text(encoding="utf-8"))
