from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fastsam.models.data import Pair, divide, find_pairs, read_pair, shares


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


def pairs_named(*names):
    return [Pair(name, None, None) for name in names]


def test_nested_files_are_matched_by_path_whatever_their_ending(tmp_path):
    for name in ("a/b/one.png", "a/two.tif", "three.npy"):
        write(tmp_path / "images" / name, np.zeros((8, 9), np.uint8))
    for name in ("a/b/one.tif", "a/two.png", "three.png", "a/unused.png"):
        write(tmp_path / "labels" / name, np.ones((8, 9), np.uint8))
    pairs = find_pairs(tmp_path / "images", tmp_path / "labels")
    assert [(pair.name, pair.domain) for pair in pairs] == [
        ("a/b/one", "a"),
        ("a/two", "a"),
        ("three", "images"),
    ]


def test_an_image_without_label_image_is_an_error_that_names_it(tmp_path):
    write(tmp_path / "images" / "cells.png", np.zeros((8, 9), np.uint8))
    write(tmp_path / "labels" / "other.png", np.zeros((8, 9), np.uint8))
    with pytest.raises(FileNotFoundError, match=r"Expected a label image.*'cells'.*To fix it"):
        find_pairs(tmp_path / "images", tmp_path / "labels")


@pytest.mark.parametrize("exists", [True, False], ids=["empty folder", "no folder"])
def test_a_folder_without_images_is_an_error(tmp_path, exists):
    if exists:
        (tmp_path / "images").mkdir()
    with pytest.raises(FileNotFoundError, match="folder with images"):
        find_pairs(tmp_path / "images", tmp_path)


def test_two_files_that_differ_in_their_ending_alone_are_an_error(tmp_path):
    for name in ("one.png", "one.tif"):
        write(tmp_path / name, np.zeros((8, 9), np.uint8))
    with pytest.raises(ValueError, match="one file for each name"):
        find_pairs(tmp_path, tmp_path)


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


def test_an_image_stays_on_its_side_when_others_come_or_its_folder_is_renamed():
    names = [f"{n:03}" for n in range(200)]
    _, held = divide(pairs_named(*(f"a/{n}" for n in names)), 0.2)
    _, again = divide(pairs_named(*(f"b/{n}" for n in names[::2])), 0.2)
    stems = {pair.name[2:] for pair in held}
    assert 20 < len(held) < 60
    assert {pair.name[2:] for pair in again} == stems & set(names[::2])


def test_every_domain_of_four_is_validated_and_none_without_a_share():
    pairs = pairs_named("a/1", "a/2", "a/3", "a/4", "b/1")
    learn, held = divide(pairs, 0.01)
    assert [pair.domain for pair in held] == ["a"]
    assert len(learn) + len(held) == len(pairs)
    assert divide(pairs, 0.0) == (pairs, [])


def test_domains_are_drawn_by_the_square_root_of_their_size_and_photographs_by_a_third():
    domains = ["a"] * 4 + ["b"] * 16 + ["c"] * 3
    chances = shares(domains[:20])
    assert chances[:4].sum() == pytest.approx(1 / 3)
    assert chances.sum() == pytest.approx(1)
    chances = shares(domains, ["c"])
    assert chances[20:].sum() == pytest.approx(1 / 3)
    assert chances[:4].sum() == pytest.approx(2 / 9)
    assert shares(["c"], ["c"]) == pytest.approx([1.0])
