"""Words on the command line: what it says and prints, with a scorer that needs no network."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from fakes import BlobSegmenter, GreyScorer
from napari_fastsam import TextSpec
from napari_fastsam.cli import main
from test_matching import BRIGHT, GREY, scene

PLANE = scene()[..., 0]


@pytest.fixture(autouse=True)
def built(tmp_path, monkeypatch):
    """What knows words and was built, in a folder with an image and a stack."""
    monkeypatch.chdir(tmp_path)
    PIL.Image.fromarray(PLANE).save("scene.png")
    np.save("stack.npy", np.stack([PLANE] * 2))
    specs = []

    def build(spec):
        specs.append(spec)
        return GreyScorer()

    monkeypatch.setattr("napari_fastsam.batch.workers.build", lambda _: BlobSegmenter(80))
    monkeypatch.setattr("napari_fastsam.batch.workers.build_scorer", build)
    return specs


def test_a_table_says_which_words_describe_each_object(capsys):
    words = ["segment", "scene.png", "-o", "v.tif", "--text", "bright | dark"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert [row[2] for row in rows] == ["bright", "bright", "dark", "dark"]
    assert all(0.5 <= float(row[3]) <= 1 for row in rows)
    assert "Likeness" in out
    assert err == ""


def test_options_become_what_knows_words(built):
    words = "--text bright --text-model m.safetensors --text-mode dense --device cpu"
    assert main(["segment", "scene.png", "-o", "v.tif", *words.split()]) == 0
    assert built == [TextSpec(model="m.safetensors", mode="dense", device="cpu")]


def test_the_cores_defaults_are_the_command_lines(built):
    assert main(["segment", "scene.png", "-o", "v.tif", "--text", "bright"]) == 0
    assert built == [TextSpec()]
    assert main(["segment", "scene.png", "-o", "w.tif"]) == 0
    assert built == [TextSpec()]


def test_json_has_the_words_and_what_nothing_answers(capsys):
    words = ["--text", "grey|bright", "--box", "0,0,20,90", "--top", "1", "--json"]
    assert main(["segment", "scene.png", "-o", "v.npy", *words]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    (found,) = image["objects"]
    assert list(found)[:4] == ["label", "score", "text", "likeness"]
    assert found["text"] == "bright"
    assert image["unanswered"] == ["text grey"]


def test_words_that_describe_nothing_are_one_line(capsys):
    words = ["--text", "grey | bright", "--box", "40,0,60,90"]
    assert main(["segment", "scene.png", "-o", "v.npy", *words]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "napari-fastsam: warning: no object found for 'grey' in scene.png",
        "napari-fastsam: warning: no object found for 'bright' in scene.png",
    ]


def test_words_on_every_plane_with_a_box(capsys):
    words = "--axes ZYX --link --text bright --box 0,0,60,40 --threshold 0.6 --json"
    assert main(["segment", "stack.npy", "-o", "v.npy", *words.split()]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert [found["area"] for found in image["objects"]] == [2 * 14 * 20]
    assert (np.stack([PLANE] * 2)[np.load("v.npy") > 0] == BRIGHT).all()


def test_what_looks_like_an_example(capsys):
    words = "--point 28,10 --similar --threshold 0.99"
    assert main(["segment", "scene.png", "-o", "v.npy", *words.split()]) == 0
    out = capsys.readouterr().out
    assert "Likeness" in out
    assert "Text" not in out
    assert (PLANE[np.load("v.npy") > 0] == GREY).all()


def test_words_in_every_image_of_a_folder(capsys):
    Path("in").mkdir()
    for name in "ab":
        PIL.Image.fromarray(PLANE).save(f"in/{name}.png")
    assert main(["segment", "in", "-o", "out", "--text", "dark, not grey"]) == 0
    assert "2 images, 4 objects" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--text", ""], "words for what is wanted"),
        (["--text", "not"], "words for what is wanted"),
        (["--text", "a", "--top", "0"], "top_k 0"),
        (["--text", "a", "--threshold", "2"], "threshold 2.0, not from 0 to 1"),
        (["--text", "a", "--text-mode", "b"], "'b'"),
        (["--text", "a", "--similar", "--point", "8,8"], "both text and similar"),
        (["--similar"], "similar without"),
        (["--threshold", "0.5"], "a threshold without"),
        (["--text-model", "ViT-B-16"], "--text WORDS"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(capsys, words, said):
    assert main(["segment", "scene.png", "-o", "v.tif", *words]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)
    assert not list(Path().glob("*v.tif*"))


def test_examples_are_for_one_image(capsys):
    assert main(["segment", "stack.npy", "-o", "v.npy", "--similar", "--point", "8,8"]) == 2
    assert "one 2D image for points and boxes" in capsys.readouterr().err
    words = ["--similar", "--point", "8,8"]
    assert main(["segment", "scene.png", "stack.npy", "-o", "out", *words]) == 2
    assert "name one image" in capsys.readouterr().err


def test_a_clip_that_is_not_here_is_not_downloaded_but_explained(monkeypatch, tmp_path, capsys):
    from napari_fastsam.pipeline import build_scorer

    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("napari_fastsam.batch.workers.build_scorer", build_scorer)
    assert main(["segment", "scene.png", "-o", "v.tif", "--text", "bright"]) == 2
    err = capsys.readouterr().err
    assert "`napari-fastsam models fetch ViT-B-32`" in err
    assert err.count("\n") == 1
    assert not list(Path().glob("*v.tif*"))
