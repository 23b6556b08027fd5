from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fastsam.models.data import Pair, divide, find_pairs, require_numbered, shares


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


def masks(folder, *arrays):
    pairs = []
    for n, array in enumerate(arrays):
        write(folder / f"{n}.png", np.asarray(array, np.uint8))
        pairs.append(Pair(str(n), folder / f"{n}.png", folder / f"{n}.png"))
    return pairs


def test_masks_are_not_taken_for_label_images(tmp_path):
    mask = np.zeros((8, 20))
    one = mask.copy()
    one[2:6, 2:6] = 255
    two = one.copy()
    two[2:6, 10:14] = 255
    with pytest.raises(ValueError, match=r"(?s)number for each.*1\.png, 2 pieces.*measure\.label"):
        require_numbered(masks(tmp_path / "masks", one, two))
    require_numbered(masks(tmp_path / "one object each", mask, one, one))
    require_numbered(masks(tmp_path / "numbered", two, np.where(one, 1, two / 255 * 2)))


def test_label_images_that_were_compressed_with_loss_are_refused(tmp_path):
    for name in ("images/a.jpg", "labels/a.jpg"):
        write(tmp_path / name, np.zeros((8, 9), np.uint8))
    with pytest.raises(ValueError, match=r"(?s)keeps every number.*a\.jpg.*PNG or TIFF"):
        find_pairs(tmp_path / "images", tmp_path / "labels")


def test_pairs_of_the_same_file_name_are_not_all_on_one_side():
    pairs = pairs_named(*(f"s{n}/{kind}" for n in range(40) for kind in ("raw", "blurred")))
    _, held = divide(pairs, 0.2)
    assert 5 < len(held) < 30
    assert len({pair.domain for pair in held}) < 30


def test_a_domain_is_never_held_back_whole():
    learn, held = divide(pairs_named("a/1", *(f"b/{n}" for n in range(9))), 0.999)
    assert {pair.domain for pair in learn} == {"a", "b"}
    assert {pair.domain for pair in held} == {"b"}
    assert divide(pairs_named("only"), 0.999) == (pairs_named("only"), [])
