import csv
import math
from pathlib import Path

import numpy as np
import pytest
from skimage.measure import label, regionprops_table

from napari_fastsam import PlaneAxes
from napari_fastsam.files import neighbours
from napari_fastsam.files.calibration import Calibration
from napari_fastsam.files.measurements import measure, write_measurements
from napari_fastsam.files.readers import Image

NOISE = np.random.default_rng(0)
VOLUME = label(NOISE.random((4, 30, 40)) > 0.75, connectivity=1)
INTENSITY = NOISE.random((4, 30, 40))
BOX = [("min", "y"), ("min", "x"), ("max", "y"), ("max", "x")]
MICROMETERS = {"Z": (2000.0, "nanometer"), "Y": (0.5, "micrometer"), "X": (0.25, "micrometer")}


def image_of(data, axes, known=None, channels=()):
    calibration = Calibration.of(axes, known or {})
    return Image(Path("a.tif"), data, PlaneAxes(axes, data.shape), calibration, channels=channels)


def column(rows, key):
    return [row[key] for row in rows]


def test_a_plane_is_measured_as_scikit_image_does():
    plane, intensity = VOLUME[0], INTENSITY[0]
    rows = list(measure(image_of(intensity, "YX", MICROMETERS), plane, name="a.tif"))
    said = regionprops_table(
        plane,
        intensity,
        properties=(
            *("label", "num_pixels", "area", "centroid", "bbox", "eccentricity", "solidity"),
            *("intensity_mean", "intensity_min", "intensity_max"),
        ),
        spacing=(0.5, 0.25),
    )
    ours = {
        "label": "label",
        "area": "num_pixels",
        "area_um2": "area",
        "centroid_y_um": "centroid-0",
        "centroid_x_um": "centroid-1",
        "bbox_min_y": "bbox-0",
        "bbox_max_x": "bbox-3",
        "eccentricity": "eccentricity",
        "solidity": "solidity",
        "intensity_mean": "intensity_mean",
        "intensity_min": "intensity_min",
        "intensity_max": "intensity_max",
    }
    for key, other in ours.items():
        np.testing.assert_allclose(column(rows, key), said[other], rtol=1e-9)
    np.testing.assert_allclose(column(rows, "centroid_x"), said["centroid-1"] / 0.25)
    assert set(column(rows, "image")) == {"a.tif"}
    assert not {"score", "z"} & set(rows[0])


@pytest.mark.parametrize("axes", ["ZYX", "ZXY"])
def test_linked_objects_are_summed_up_to_what_the_whole_volume_says(axes):
    turned = axes == "ZXY"
    image = image_of(INTENSITY.swapaxes(1, 2) if turned else INTENSITY, axes, MICROMETERS)
    labels = VOLUME.swapaxes(1, 2) if turned else VOLUME
    rows = list(measure(image, labels, name="a", linked=True))
    said = regionprops_table(
        VOLUME,
        INTENSITY,
        properties=(
            *("label", "num_pixels", "area", "centroid", "bbox"),
            *("intensity_mean", "intensity_min", "intensity_max"),
        ),
        spacing=(2.0, 0.5, 0.25),
    )
    ours = {
        "label": "label",
        "area": "num_pixels",
        "volume_um3": "area",
        "intensity_mean": "intensity_mean",
        "intensity_min": "intensity_min",
        "intensity_max": "intensity_max",
    }
    ours |= {f"centroid_{a}_um": f"centroid-{n}" for n, a in enumerate("zyx")}
    ours |= {f"bbox_min_{a}": f"bbox-{n}" for n, a in enumerate("zyx")}
    ours |= {f"bbox_max_{a}": f"bbox-{n + 3}" for n, a in enumerate("zyx")}
    for key, other in ours.items():
        np.testing.assert_allclose(column(rows, key), said[other], rtol=1e-9)


class Watched:
    """An array that keeps the most pixels that were asked of it at once."""

    def __init__(self, data):
        self.data, self.shape, self.most = data, data.shape, 0

    def __getitem__(self, key):
        part = self.data[key]
        self.most = max(self.most, math.prod(part.shape))
        return part


@pytest.mark.parametrize("linked", [True, False])
def test_one_plane_is_read_at_a_time(linked):
    image, labels = Watched(INTENSITY), Watched(VOLUME)
    assert list(measure(image_of(image, "ZYX"), labels, name="a", linked=linked))
    assert image.most == labels.most == 30 * 40


@pytest.fixture
def large(monkeypatch):
    """A plane of many chunks and its labels: small objects, and some that cross many chunks."""
    monkeypatch.setattr(neighbours, "AT_ONCE", 32)
    monkeypatch.setattr(neighbours, "CHUNK", 16)
    plane = np.zeros((70, 90), np.uint32)
    plane[5:60, 40:44] = 1
    plane[30:33, 2:88] = 500
    small = label(NOISE.random(plane.shape) > 0.8, connectivity=2)
    plane[plane == 0] = 2 * small[plane == 0]
    return NOISE.random((*plane.shape, 2)), plane


@pytest.mark.parametrize("shift", [0, 4_000_000_000])
def test_a_large_plane_is_measured_in_parts_as_scikit_image_does_the_whole(large, shift):
    data, plane = large
    labels = np.where(plane > 0, plane + np.uint32(shift), 0).astype(np.uint32)
    pixels, seen = Watched(data), Watched(labels)
    rows = list(measure(image_of(pixels, "YXC", MICROMETERS), seen, name="a"))
    said = regionprops_table(
        plane,
        data,
        properties=(
            *("label", "num_pixels", "area", "centroid", "bbox", "eccentricity", "solidity"),
            *("intensity_mean", "intensity_min", "intensity_max"),
        ),
        spacing=(0.5, 0.25),
    )
    assert column(rows, "label") == [n + shift for n in said["label"].tolist()]
    ours = {"area": "num_pixels", "area_um2": "area", "eccentricity": "eccentricity"}
    ours |= {"centroid_y_um": "centroid-0", "centroid_x_um": "centroid-1", "solidity": "solidity"}
    ours |= {f"bbox_{end}_{a}": f"bbox-{n}" for n, (end, a) in enumerate(BOX)}
    ours |= {
        f"intensity_{of}_c{n}": f"intensity_{of}-{n}"
        for of in ("mean", "min", "max")
        for n in range(2)
    }
    for key, other in ours.items():
        np.testing.assert_allclose(column(rows, key), said[other], rtol=1e-9)
    assert pixels.most == 2 * seen.most < data.size / 4


def test_a_large_plane_of_a_volume_is_summed_up_in_parts(large):
    data, plane = large
    stack, labels = np.stack([data, data]), np.stack([plane, np.zeros_like(plane)])
    pixels, seen = Watched(stack), Watched(labels)
    rows = list(measure(image_of(pixels, "ZYXC"), seen, name="a", linked=True))
    flat = list(measure(image_of(data, "YXC"), plane, name="a"))
    assert column(rows, "label") == column(flat, "label")
    for key in set(rows[0]) & set(flat[0]) - {"image"}:
        np.testing.assert_allclose(column(rows, key), column(flat, key), rtol=1e-9)
    assert pixels.most == 2 * seen.most == 2 * 16 * 16


class Unreadable:
    """An array of which one plane cannot be read."""

    def __init__(self, data, bad):
        self.data, self.shape, self.bad = data, data.shape, bad

    def __getitem__(self, key):
        if key[0] == self.bad:
            raise OSError("unreadable")
        return self.data[key]


@pytest.mark.parametrize("linked", [True, False])
def test_pixels_of_planes_without_labels_are_not_read(linked):
    labels = VOLUME.copy()
    labels[1] = 0
    image = image_of(Unreadable(INTENSITY, bad=1), "ZYX")
    rows = list(measure(image, labels, name="a", linked=linked))
    assert rows == list(measure(image_of(INTENSITY, "ZYX"), labels, name="a", linked=linked))
    with pytest.raises(OSError, match="unreadable"):
        list(measure(image, VOLUME, name="a", linked=linked))


@pytest.mark.parametrize("linked", [True, False])
def test_planes_that_are_not_wanted_are_not_looked_at(linked):
    wanted = [(0,), (2,)]
    labels = Unreadable(VOLUME, bad=1)
    rows = list(
        measure(image_of(INTENSITY, "ZYX"), labels, name="a", linked=linked, indices=wanted)
    )
    only = np.where(np.isin(np.arange(4), (0, 2))[:, None, None], VOLUME, 0)
    assert rows == list(measure(image_of(INTENSITY, "ZYX"), only, name="a", linked=linked))


def test_each_plane_has_its_own_rows_without_links():
    known = MICROMETERS | {"T": (3.0, "second")}
    rows = list(measure(image_of(INTENSITY, "TYX", known), VOLUME, name="a"))
    pairs = [(t, n) for t in range(4) for n in np.unique(VOLUME[t]) if n]
    assert list(zip(column(rows, "t"), column(rows, "label"), strict=True)) == pairs
    assert column(rows, "t_s") == [3.0 * t for t, _ in pairs]
    areas = [int((VOLUME[t] == n).sum()) for t, n in pairs]
    assert column(rows, "area") == areas


def test_objects_that_are_linked_through_time_keep_a_row_for_each_frame():
    image = image_of(INTENSITY, "TYX")
    assert list(measure(image, VOLUME, name="a", linked=True)) == list(
        measure(image, VOLUME, name="a")
    )


def test_each_time_has_its_own_volumes():
    data, labels = np.stack([INTENSITY] * 2), np.stack([VOLUME] * 2)
    rows = list(measure(image_of(data, "TZYX"), labels, name="a", linked=True))
    assert column(rows, "t") == [0] * VOLUME.max() + [1] * VOLUME.max()
    assert column(rows, "label") == [*range(1, VOLUME.max() + 1)] * 2
    assert "volume_um3" not in rows[0]


@pytest.mark.parametrize(
    ("channels", "names"), [(("DAPI", "GFP"), ["DAPI", "GFP"]), ((), ["c0", "c1"])]
)
@pytest.mark.parametrize("linked", [True, False])
def test_each_channel_is_measured(channels, names, linked):
    data = np.stack([INTENSITY, 2 * INTENSITY], axis=1)
    image = image_of(data, "ZCYX", channels=channels)
    rows = list(measure(image, VOLUME, name="a", linked=linked))
    one, other = (column(rows, f"intensity_mean_{name}") for name in names)
    np.testing.assert_allclose(other, 2 * np.array(one))


def test_large_labels_cost_no_more_than_small_ones():
    plane = np.where(VOLUME[0] > 0, VOLUME[0].astype(np.uint32) + np.uint32(4_000_000_000), 0)
    rows = list(measure(image_of(INTENSITY[0], "YX"), plane.astype(np.uint32), name="a"))
    assert column(rows, "label") == [int(n) for n in np.unique(plane) if n]
    assert sum(column(rows, "area")) == (VOLUME[0] > 0).sum()


def test_scores_are_those_of_the_labels_and_a_volume_s_is_its_best():
    scores = {(z,): {int(n): (z + 1) / 10 for n in np.unique(VOLUME[z]) if n} for z in range(4)}
    image = image_of(INTENSITY, "ZYX")
    flat = list(measure(image, VOLUME, name="a", scores=scores.__getitem__))
    assert all(row["score"] == (row["z"] + 1) / 10 for row in flat)
    linked = measure(image, VOLUME, name="a", linked=True, scores=scores.__getitem__)
    assert all(row["score"] == row["bbox_max_z"] / 10 for row in linked)


@pytest.mark.parametrize("linked", [True, False])
def test_planes_without_objects_or_of_nan_are_no_error(linked):
    data, labels = INTENSITY.copy(), VOLUME.copy()
    labels[1], data[2] = 0, np.nan
    image = image_of(data, "ZYX")
    assert list(measure(image, labels, name="a", linked=linked))
    assert list(measure(image, np.zeros_like(labels), name="a", linked=linked)) == []


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_has_a_line_for_each_row_and_the_columns_of_all(tmp_path):
    rows = [
        {"image": 'a, "b".tif', "label": 1, "area": 12345678, "mean": 1 / 3},
        {"image": "µ.tif", "label": 2, "z": 0, "area": 2, "mean": float("nan")},
    ]
    write_measurements(tmp_path / "a.csv", iter(rows))
    assert (tmp_path / "a.csv").read_bytes().startswith(b"image,label,z,area,mean\r\n")
    first, second = read(tmp_path / "a.csv")
    assert first == {
        "image": 'a, "b".tif',
        "label": "1",
        "z": "",
        "area": "12345678",
        "mean": "0.33333333",
    }
    assert (second["image"], second["mean"]) == ("µ.tif", "")


def test_a_table_of_nothing_has_its_head(tmp_path):
    write_measurements(tmp_path / "a.csv", [])
    assert (tmp_path / "a.csv").read_text() == "image,label\n"


def test_a_table_that_breaks_off_leaves_the_old_one(tmp_path):
    write_measurements(tmp_path / "a.csv", [{"image": "a", "label": 1}])

    def broken():
        yield {"image": "b", "label": 2}
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_measurements(tmp_path / "a.csv", broken(), overwrite=True)
    with pytest.raises(FileExistsError, match=r"a\.csv"):
        write_measurements(tmp_path / "a.csv", [])
    assert [row["image"] for row in read(tmp_path / "a.csv")] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
