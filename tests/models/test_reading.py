from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fastsam.models import reading
from napari_fastsam.models.data import Pair
from napari_fastsam.models.reading import read_labels, read_pair


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


@pytest.mark.parametrize(
    "image",
    [
        np.arange(72, dtype=np.uint8).reshape(8, 9),
        np.arange(72, dtype=np.uint16).reshape(8, 9) * 500,
        np.linspace(-1, 1, 72, dtype=np.float32).reshape(8, 9),
        np.arange(216, dtype=np.uint8).reshape(8, 9, 3),
        np.arange(288, dtype=np.uint8).reshape(8, 9, 4),
    ],
    ids=["8-bit", "16-bit", "float", "RGB", "RGBA"],
)
def test_any_image_becomes_what_the_network_sees(tmp_path, image):
    write(tmp_path / "i.tif", image)
    labels = np.zeros((8, 9), np.uint16)
    labels[2:6, 2:6] = 1
    write(tmp_path / "l.tif", labels)
    seen, _ = read_pair(Pair("i", tmp_path / "i.tif", tmp_path / "l.tif"))
    assert seen.shape == (8, 9, 3)
    assert seen.dtype == np.uint8
    assert seen.max() > 200


def test_objects_are_numbered_from_one_and_specks_left_out(tmp_path):
    labels = np.zeros((8, 9), np.int32)
    labels[:3, :3], labels[5:, :3], labels[7, 8] = 70_000, 12, 500
    write(tmp_path / "i.png", np.zeros((8, 9), np.uint8))
    write(tmp_path / "l.tif", labels)
    _, found = read_pair(Pair("i", tmp_path / "i.png", tmp_path / "l.tif"))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found == 1, labels == 12)
    np.testing.assert_array_equal(found == 2, labels == 70_000)
    assert found.max() == 2


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (np.zeros((8, 8), np.uint8), r"one size for 'i'.*\(8, 9\) and \(8, 8\)"),
        (np.zeros((8, 9, 3), np.uint8), "label image of shape"),
        (np.zeros((8, 9), np.float32), "float32"),
    ],
    ids=["other size", "colour", "not whole numbers"],
)
def test_a_label_image_that_cannot_be_is_an_error(tmp_path, labels, fault):
    write(tmp_path / "i.png", np.zeros((8, 9), np.uint8))
    write(tmp_path / "l.tif", labels)
    with pytest.raises(ValueError, match=fault):
        read_pair(Pair("i", tmp_path / "i.png", tmp_path / "l.tif"))


def test_a_file_that_is_no_image_is_an_error_that_names_it(tmp_path):
    (tmp_path / "i.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"can be read at .*i\.png"):
        read_pair(Pair("i", tmp_path / "i.png", tmp_path / "i.png"))


def test_negative_numbers_are_background(tmp_path):
    labels = np.full((8, 9), -1, np.int16)
    labels[:4, :4] = 7
    write(tmp_path / "l.tif", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "l.tif"), labels == 7)


def test_numbers_are_the_same_looked_up_or_made_small_and_in_parts(tmp_path, monkeypatch):
    labels = np.random.default_rng(0).integers(-2, 9, (20, 21)).astype(np.int64)
    write(tmp_path / "small.tif", labels.astype(np.int16))
    np.save(tmp_path / "large.npy", np.where(labels > 0, labels * 2**40, labels))
    monkeypatch.setattr(reading, "_PART", 50)
    small = read_labels(tmp_path / "small.tif")
    np.testing.assert_array_equal(small, np.maximum(labels, 0))
    np.testing.assert_array_equal(small, read_labels(tmp_path / "large.npy"))


def test_an_axis_of_one_channel_is_no_axis(tmp_path):
    labels = np.zeros((8, 9, 1), np.uint8)
    labels[:3, :3] = 1
    np.save(tmp_path / "a.npy", labels)
    image, found = read_pair(Pair("a", tmp_path / "a.npy", tmp_path / "a.npy"))
    assert image.shape == (8, 9, 3)
    np.testing.assert_array_equal(found, labels[..., 0])


def test_a_palette_is_colours_in_an_image_and_numbers_in_a_label_image(tmp_path):
    numbers = np.zeros((8, 9), np.uint8)
    numbers[:3, :3] = 1
    image = Image.frombytes("P", (9, 8), numbers.tobytes())
    image.putpalette([0, 0, 0, 250, 120, 60])
    image.save(tmp_path / "p.png")
    seen, found = read_pair(Pair("p", tmp_path / "p.png", tmp_path / "p.png"))
    assert seen[0, 0].tolist() == [250, 120, 60]
    np.testing.assert_array_equal(found, numbers)


@pytest.mark.parametrize("name", ["cut.tif", "empty.npy", "cut.png", "bomb.png"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, monkeypatch, name):
    path = tmp_path / name
    if name == "bomb.png":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    if name == "empty.npy":
        path.touch()
    else:
        write(path, np.arange(4096, dtype=np.uint8).reshape(64, 64))
    if name.startswith("cut"):
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=rf"Expected an image.* at .*{name}\. Got .*To fix it"):
        read_labels(path)


def test_an_image_of_too_many_axes_is_an_error_that_names_it(tmp_path):
    np.save(tmp_path / "stack.npy", np.zeros((2, 3, 8, 9)))
    write(tmp_path / "l.tif", np.ones((8, 9), np.uint8))
    with pytest.raises(ValueError, match=r"stack\.npy: Expected"):
        read_pair(Pair("stack", tmp_path / "stack.npy", tmp_path / "l.tif"))
