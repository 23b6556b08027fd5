import numpy as np
import pytest
import tifffile
import zarr
from omezarr import ome_zarr, scale, translation

from napari_fastsam.files.calibration import Calibration, unit_name
from napari_fastsam.files.readers import read_image

STACK = np.zeros((3, 20, 30), np.uint16)
VOXEL = Calibration("ZYX", (2.0, 0.5, 0.25), (0.0,) * 3, ("micrometer",) * 3)


def test_imagej_tells_the_size_of_a_voxel(tmp_path):
    metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, resolution=(4, 2), metadata=metadata)
    assert read_image(tmp_path / "a.tif").calibration == VOXEL


@pytest.mark.parametrize("unit", ["\\u00B5m", "micron"])
def test_imagej_spells_micrometers_in_many_ways(tmp_path, unit):
    metadata = {"axes": "TYX", "finterval": 0.5, "unit": unit}
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, resolution=(4, 2), metadata=metadata)
    found = read_image(tmp_path / "a.tif").calibration
    assert (found.scale, found.units) == ((0.5, 0.5, 0.25), ("second", "micrometer", "micrometer"))


def test_ome_tiff_tells_the_size_of_a_voxel(tmp_path):
    metadata = {
        "axes": "TCYX",
        "PhysicalSizeX": 250,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.5,
        "TimeIncrement": 3,
        "TimeIncrementUnit": "min",
        "Channel": {"Name": ["DAPI", "GFP"]},
    }
    data = np.zeros((3, 2, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata=metadata)
    image = read_image(tmp_path / "a.ome.tif")
    assert image.calibration.scale == (3, 1, 0.5, 250)
    assert image.calibration.units == ("minute", None, "micrometer", "nanometer")
    assert image.channels == ("DAPI", "GFP")


@pytest.mark.parametrize(("unit", "known"), [("CENTIMETER", True), ("INCH", False)])
def test_a_printers_resolution_is_no_calibration(tmp_path, unit, known):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(100, 200), resolutionunit=unit)
    found = read_image(tmp_path / "a.tif").calibration
    assert found.measured == known
    if known:
        assert found == Calibration("YX", (0.005, 0.01), (0.0, 0.0), ("centimeter",) * 2)


@pytest.mark.parametrize("ending", [".npy", ".png"])
def test_a_file_that_tells_nothing_counts_pixels(tmp_path, ending):
    if ending == ".npy":
        np.save(tmp_path / "a.npy", STACK)
    else:
        import PIL.Image

        PIL.Image.fromarray(STACK[0]).save(tmp_path / "a.png")
    image = read_image(tmp_path / f"a{ending}")
    assert image.calibration == Calibration.pixels(image.axes.axes)
    assert not image.calibration.measured


def test_an_axis_that_the_user_names_otherwise_measures_nothing_known(tmp_path):
    metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, resolution=(4, 2), metadata=metadata)
    found = read_image(tmp_path / "a.tif", "TYX").calibration
    assert (found.scale, found.units) == ((1, 0.5, 0.25), (None, "micrometer", "micrometer"))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_tells_scale_translation_units_levels_and_channels(tmp_path, version):
    ome_zarr(
        tmp_path / "a.ome.zarr",
        version,
        [
            [scale(1, 1, 0.5, 0.25), translation(0, 0, 8, 4)],
            [scale(1, 1, 1.0, 0.5), translation(0, 0, 8.25, 4.125)],
        ],
        [("t", 3), ("c", 2), ("y", 40), ("x", 60)],
        units=["second", None, "micrometer", "micrometer"],
        image={"coordinateTransformations": [scale(5, 1, 2, 2)]},
        omero={"channels": [{"label": "DAPI"}, {"label": "GFP"}]},
    )
    image = read_image(tmp_path / "a.ome.zarr")
    assert image.axes.axes == "TCYX"
    assert image.calibration == Calibration(
        "TCYX", (5, 1, 1, 0.5), (0, 0, 16, 8), ("second", None, "micrometer", "micrometer")
    )
    assert [level.shape for level in image.levels] == [(3, 2, 20, 30)]
    assert image.channels == ("DAPI", "GFP")
    assert image.label_axes == "TYX"


def test_axes_of_more_than_one_letter_are_known_by_their_type(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", shape=(3, 2, 20, 30), dtype="uint8")
    axes = [{"name": "time", "type": "time"}, {"name": "channel", "type": "channel"}]
    axes += [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    assert read_image(tmp_path / "a.zarr").axes.axes == "TCYX"


def test_of_a_converted_file_the_first_image_is_read(tmp_path):
    root = zarr.create_group(tmp_path / "a.zarr", attributes={"bioformats2raw.layout": 3})
    for name in "01":
        ome_zarr(
            tmp_path / "a.zarr" / name,
            "0.5",
            [[scale(0.5, 0.5)]],
            [("y", 40), ("x", 60)],
            units=[None, None],
        )
    assert sorted(root.group_keys()) == ["0", "1"]
    with pytest.warns(UserWarning, match=r"Of the 2 images in .*a\.zarr the first was read; name"):
        assert read_image(tmp_path / "a.zarr").calibration.scale == (0.5, 0.5)


def test_a_plate_says_how_to_name_a_field(tmp_path):
    zarr.create_group(tmp_path / "a.zarr", attributes={"plate": {"wells": []}})
    with pytest.raises(ValueError, match=r"a plate of wells.*a\.zarr/A/1/0"):
        read_image(tmp_path / "a.zarr")


def test_the_pyramid_of_a_tiff_is_its_levels(tmp_path):
    data = np.arange(3 * 64 * 96, dtype=np.uint16).reshape(3, 64, 96)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(data, subifds=2, tile=(32, 32), metadata={"axes": "ZYX"})
        for step in (2, 4):
            file.write(data[:, ::step, ::step], subfiletype=1, tile=(32, 32))
    image = read_image(tmp_path / "a.ome.tif")
    assert [level.shape for level in image.levels] == [(3, 32, 48), (3, 16, 24)]
    np.testing.assert_array_equal(image.levels[1][2], data[2, ::4, ::4])


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [
        ("Micrometer", "micrometer"),
        ("μm", "micrometer"),
        ("mm", "millimeter"),
        ("sec", "second"),
        ("pixel", None),
        (None, None),
        ("furlong", "furlong"),
    ],
)
def test_units_are_known_by_their_spellings(spelling, unit):
    assert unit_name(spelling) == unit


@pytest.mark.parametrize("scale", [(1.0,), (0.0, 1.0), (float("nan"), 1.0), (-1.0, 1.0)])
def test_a_scale_that_cannot_be_is_refused(scale):
    with pytest.raises(ValueError, match="for each axis a scale above 0"):
        Calibration("YX", scale, (0.0, 0.0), (None, None))


def test_what_was_saved_of_a_calibration_comes_back():
    assert Calibration.from_json(VOXEL.as_json()) == VOXEL
    assert Calibration.from_json({"axes": "ZYX", "scale": [1]}) is None
