"""Words through all that a person uses: real files, the starter, a real CLIP, and processes."""

import csv
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import zarr
from skimage.draw import disk

from napari_fastsam.cli import main

RED, GREEN = (205, 35, 35), (40, 150, 50)
CIRCLES, SQUARES = ((50, 50), (50, 260), (180, 170)), ((60, 150), (170, 60), (170, 270))


def scene(shift=0):
    """Return three red circles and three green squares on grey, moved to the right."""
    image = np.full((240, 340, 3), 128, np.uint8)
    for n, (row, col) in enumerate(CIRCLES):
        image[disk((row, col + shift), 28 + 4 * n)] = RED
    for n, (row, col) in enumerate(SQUARES):
        half = 26 + 3 * n
        image[row - half : row + half, col + shift - half : col + shift + half] = GREEN
    return image


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a picture, and a stack in which everything drifts."""
    monkeypatch.chdir(tmp_path)
    PIL.Image.fromarray(scene()).save("scene.png")
    zarr.create_array("stack.zarr", data=np.stack([scene(3 * n) for n in range(2)]))


@pytest.fixture
def segment(small_clip):
    """Run the command line."""
    rest = ["--text-model", str(small_clip), "--device", "cpu", "--confidence", "0.1"]
    return lambda *words: main(["segment", *words, *rest])


def at(labels, places, shift=0):
    return [int(labels[row, col + shift]) for row, col in places]


def test_words_on_a_picture(segment, capsys):
    assert segment("scene.png", "-o", "v.npy", "--text", "red circle", "--json") == 0
    labels = np.load("v.npy")
    assert sorted(at(labels, CIRCLES)) == [1, 2, 3]
    assert at(labels, SQUARES) == [0, 0, 0]
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert {found["text"] for found in image["objects"]} == {"red circle"}
    assert segment("scene.png", "-o", "w.npy", "--text", "blue star") == 0
    assert "no object found for 'blue star' in scene.png" in capsys.readouterr().err
    assert not np.load("w.npy").any()


def test_what_looks_like_an_example(segment):
    assert segment("scene.png", "-o", "v.npy", "--point", "60,150", "--similar") == 0
    labels = np.load("v.npy")
    assert all(at(labels, SQUARES))
    assert at(labels, CIRCLES) == [0, 0, 0]


def test_words_through_a_stack_by_two_processes(segment, capsys):
    words = ["--axes", "ZYXC", "--link", "--tables", "--text", "green square | red circle"]
    assert segment("stack.zarr", "-o", "v.npy", "--workers", "2", *words) == 0
    labels = np.load("v.npy")
    first = at(labels[0], (*SQUARES, *CIRCLES))
    assert sorted(first) == [1, 2, 3, 4, 5, 6]
    assert all(at(plane, (*SQUARES, *CIRCLES), 3 * n) == first for n, plane in enumerate(labels))
    with Path("v.csv").open(encoding="utf-8", newline="") as file:
        told = {int(row["label"]): row["text"] for row in csv.DictReader(file)}
    assert [told[n] for n in first] == ["green square"] * 3 + ["red circle"] * 3
    assert segment("stack.zarr", "-o", "w.npy", *words) == 0
    np.testing.assert_array_equal(np.load("w.npy"), labels)
    assert segment("stack.zarr", "-o", "v.npy", *words) == 0
    assert "1 image up to date" in capsys.readouterr().out
