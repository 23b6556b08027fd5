"""Words and examples in batches: stacks, tiles, processes, resuming, and every kind of file."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from batch_cases import kinds
from batch_cases import segment as segment_pattern
from fakes import BlobSegmenter, GreyScorer
from napari_fastsam import ModelSpec, Request, TextSpec, run
from napari_fastsam.batch import Done, Failed, Job, UpToDate, manifest_path, segment_files
from napari_fastsam.batch.workers import Here
from napari_fastsam.files.inputs import find_images
from napari_fastsam.files.readers import read_image
from test_matching import BRIGHT, DARK, GREY, scene

PLANE = scene()[..., 0]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with an image of six objects, and a stack in which they drift."""
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", PLANE)
    stack = np.stack([np.roll(PLANE, n, 1) for n in range(4)])
    tifffile.imwrite("stack.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path


@pytest.fixture
def scorer():
    return GreyScorer()


class Levels(BlobSegmenter):
    """Finds what is brighter than the background."""

    def __init__(self):
        super().__init__(80)


def segment(path, output, scorer, *, workers=None, overwrite=False, model=None, **asked):
    inputs = find_images([path])
    return list(
        segment_files(
            inputs,
            [Path(output)] * len(inputs),
            model or Levels(),
            Job(**asked),
            scorer=scorer,
            workers=workers,
            overwrite=overwrite,
            manifest=manifest_path(Path(output), folder=False),
        )
    )


def labels_of(path):
    return np.asarray(read_image(Path(path)).data[...])


def rows_of(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_object_that_words_describe_is_labelled(scorer):
    (done,) = segment("a.tif", "v.tif", scorer, text="bright | dark")
    labels = labels_of("v.tif")
    assert [int(PLANE[labels == n][0]) for n in range(1, 5)] == [BRIGHT] * 2 + [DARK] * 2
    assert [found.found.text for found in done.objects] == ["bright"] * 2 + ["dark"] * 2
    assert done.unanswered == ()


def test_words_that_describe_nothing_are_told(scorer):
    tifffile.imwrite("bright.tif", np.where(PLANE == BRIGHT, PLANE, 0).astype(np.uint8))
    (done,) = segment("bright.tif", "v.tif", scorer, text="bright | dark")
    assert done.unanswered == ("text dark",)
    (done,) = segment("stack.tif", "w.tif", scorer, text="dark", boxes=((0, 0, 20, 90),))
    assert done.unanswered == ("text dark",)


def test_words_count_as_answered_if_one_plane_has_them(scorer):
    lone = np.where(PLANE == BRIGHT, PLANE, 0).astype(np.uint8)
    stack = np.stack([PLANE * 0, lone, PLANE * 0])
    np.save("one.npy", stack)
    (done,) = segment("one.npy", "v.npy", scorer, text="dark | bright", axes="ZYX")
    assert done.unanswered == ("text dark",)


@pytest.mark.parametrize("output", ["v.tif", "v.npy", "v.zarr"])
@pytest.mark.parametrize("link", [False, True])
def test_each_plane_of_a_stack_is_searched(scorer, output, link):
    (done,) = segment("stack.tif", output, scorer, text="grey", link=link)
    labels, stack = labels_of(output), labels_of("stack.tif")
    assert (stack[labels > 0] == GREY).all()
    assert np.count_nonzero(labels) == np.count_nonzero(stack == GREY)
    assert [np.unique(plane).tolist() for plane in labels] == [[0, 1, 2]] * 4
    assert len(done.objects) == (2 if link else 8)
    assert {found.found.text for found in done.objects} == {"grey"}


def test_boxes_and_points_narrow_words_on_every_plane(scorer):
    asked = {"text": "bright | grey", "boxes": ((0, 0, 60, 40),), "background": ((28.0, 10.0),)}
    (done,) = segment("stack.tif", "v.tif", scorer, **asked)
    labels, stack = labels_of("v.tif"), labels_of("stack.tif")
    assert (stack[labels > 0] == BRIGHT).all()
    assert [found.area for found in done.objects] == [14 * 20] * 4
    assert done.unanswered == ("text grey",)


def test_points_without_words_still_need_a_plane(scorer):
    (failed,) = segment("stack.tif", "v.tif", scorer, points=((8, 10),), similar=True)
    assert isinstance(failed, Failed)
    assert "one 2D image for points and boxes" in str(failed.error)


def test_what_looks_like_an_example_is_labelled(scorer):
    asked = {"points": ((28.0, 10.0), (0.0, 0.0)), "similar": True, "threshold": 0.99}
    (done,) = segment("a.tif", "v.tif", scorer, **asked)
    labels = labels_of("v.tif")
    assert (PLANE[labels > 0] == GREY).all()
    assert [found.told for found in done.objects] == [{"likeness": pytest.approx(1, abs=1e-3)}] * 2
    assert done.unanswered == ("point 0,0",)


def test_the_best_so_many_and_a_threshold(scorer):
    (done,) = segment("a.tif", "v.tif", scorer, text="bright", top_k=1)
    assert done.summary.count == 1
    (done,) = segment("a.tif", "w.tif", scorer, text="bright", threshold=0.0)
    assert done.summary.count == 6


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"text": " "}, "words for what is wanted"),
        ({"threshold": 0.5}, "a threshold without text"),
        ({"similar": True}, "similar without"),
        ({"text": "a", "top_k": 0}, "top_k 0"),
    ],
)
def test_what_is_no_search_is_refused_at_once(asked, fault):
    with pytest.raises(ValueError, match=fault):
        Job(**asked)


def test_nothing_that_knows_words_is_built_without_words(monkeypatch):
    def build(_):
        pytest.fail("nobody asked for words")

    monkeypatch.setattr("napari_fastsam.batch.workers.build_scorer", build)
    segment("a.tif", "v.tif", None)
    segment("a.tif", "w.tif", TextSpec(), points=((8.0, 10.0),))


def test_it_is_built_once_for_all_images(monkeypatch):
    specs = []

    def build(spec):
        specs.append(spec)
        return GreyScorer()

    monkeypatch.setattr("napari_fastsam.batch.workers.build_scorer", build)
    segment("stack.tif", "v.tif", TextSpec(model="mine"), text="dark")
    assert specs == [TextSpec(model="mine")]


@pytest.mark.parametrize("link", [False, True])
def test_tables_say_what_was_found_and_how_well(scorer, link):
    segment("stack.tif", "v.tif", scorer, text="dark | grey", link=link, tables=True)
    rows = rows_of("v.csv")
    assert [row["text"] for row in rows] == ["dark", "dark", "grey", "grey"] * (1 if link else 4)
    assert all(0.5 <= float(row["likeness"]) <= 1 for row in rows)
    assert list(rows[0])[:2] == ["image", "label"]
    assert list(rows[0]).index("likeness") == list(rows[0]).index("score") + 2


def test_tables_say_nothing_of_what_was_not_asked(scorer):
    (done,) = segment("stack.tif", "v.tif", scorer, tables=True)
    assert not {"text", "likeness"} & set(rows_of("v.csv")[0])
    assert not {"text", "likeness"} & set(done.objects[0].as_json())
    settings = json.loads(Path("v.tif.run.jsonl").read_text().splitlines()[0])["settings"]
    assert not {"text", "similar", "threshold", "top_k"} & set(settings["job"])
    assert "scorer" not in settings


@pytest.mark.parametrize("path", ["a.tif", "stack.tif"])
def test_the_words_are_the_categories_of_annotations(scorer, path):
    segment(path, "v.json", scorer, text="dark | grey", tables=True)
    content = json.loads(Path("v.json").read_text())
    names = {item["id"]: item["name"] for item in content["categories"]}
    assert list(names.values()) == ["object", "dark", "grey"]
    found = content["annotations"]
    assert [names[item["category_id"]] for item in found] == [item["text"] for item in found]
    assert [item["text"] for item in found[:4]] == ["dark", "dark", "grey", "grey"]
    assert rows_of("v.csv")[0]["text"] == "dark"


def test_ome_zarr_keeps_them_with_the_labels(scorer):
    segment("a.tif", "v.ome.zarr", scorer, text="bright")
    (about,) = [
        json.loads(path.read_text())["attributes"]["ome"]
        for path in Path("v.ome.zarr").rglob("zarr.json")
        if "image-label" in path.read_text()
    ]
    properties = about["image-label"]["properties"]
    assert [row["text"] for row in properties] == ["bright", "bright"]
    assert all(row["likeness"] >= 0.5 for row in properties)


class Stopping(Here):
    """Workers that are gone after some tasks."""

    def __init__(self, scorer, tasks, model=None):
        super().__init__(model or Levels(), scorer)
        self._left = tasks

    def perform(self, tasks):
        for outcome in super().perform(tasks):
            yield outcome
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


@pytest.mark.parametrize("link", [False, True])
def test_a_search_goes_on_where_it_was_stopped(scorer, link):
    asked = {
        "text": "dark | bright | grey",
        "link": link,
        "boxes": ((0, 0, 20, 90), (40, 0, 60, 90)),
    }
    with pytest.raises(KeyboardInterrupt):
        segment("stack.tif", "v.npy", scorer, workers=Stopping(scorer, 2), **asked)
    before = len(scorer.looks)
    (done,) = segment("stack.tif", "v.npy", scorer, **asked)
    assert (before, len(scorer.looks)) == (2, 4)
    assert done.unanswered == ("text grey",)
    segment("stack.tif", "w.npy", scorer, **asked)
    np.testing.assert_array_equal(np.load("v.npy"), np.load("w.npy"))
    assert kinds(segment("stack.tif", "v.npy", scorer, **asked)) == [UpToDate]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"text": "bright"}, "job.text was 'dark' and is 'bright'"),
        ({"text": "dark", "threshold": 0.9}, "job.threshold"),
        ({"text": "dark", "spec": TextSpec(model="other")}, "scorer.model was 'grey'"),
    ],
)
def test_other_words_or_another_clip_are_another_job(scorer, other, said):
    with pytest.raises(KeyboardInterrupt):
        segment("stack.tif", "v.npy", scorer, workers=Stopping(scorer, 2), text="dark")
    another = GreyScorer(other.pop("spec", None))
    with pytest.raises(ValueError, match=said):
        segment("stack.tif", "v.npy", another, **other)
    (done,) = segment("stack.tif", "v.npy", another, overwrite=True, **other)
    assert (isinstance(done, Done), len(another.looks)) == (True, 4)


def test_another_file_of_the_same_name_is_another_clip(monkeypatch):
    monkeypatch.setattr("napari_fastsam.batch.workers.build_scorer", lambda _: GreyScorer())
    Path("clip.safetensors").write_bytes(b"one")
    spec = TextSpec(model="clip.safetensors")
    segment("a.tif", "v.npy", spec, text="dark")
    assert kinds(segment("a.tif", "v.npy", spec, text="dark")) == [UpToDate]
    Path("clip.safetensors").write_bytes(b"two")
    again = segment("a.tif", "v.npy", spec, text="dark", overwrite=True)
    assert kinds(again) == [Done]


def test_a_folder_is_searched_image_by_image(scorer, monkeypatch):
    Path("in").mkdir()
    for name in "ab":
        tifffile.imwrite(f"in/{name}.tif", PLANE)
    outcomes = segment_pattern(
        "in", "out", Levels(), several=True, workers=Here(Levels(), scorer), text="bright"
    )
    assert [done.summary.count for done in outcomes] == [2, 2]


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("tile", [48, 500])
def test_large_planes_are_searched_tile_by_tile(scorer, monkeypatch, stacked, tile):
    monkeypatch.setattr("napari_fastsam.batch.tiles.IN_PARTS", 50)
    model = Levels()
    model.spec = ModelSpec(model="levels", tile=tile)
    plane = np.tile(PLANE, (2, 3))
    planes = np.stack([plane, plane[::-1]]) if stacked else plane
    path = f"large-{stacked}-{tile}.zarr"  # as zarrs of a name are kept open
    zarr.create_array(path, data=planes)
    asked = {"text": "bright | dark", "boxes": ((0, 0, 120, 200),)}
    (done,) = segment(path, "v.npy", scorer, model=model, **asked)
    if planes.ndim == 2:
        job = Job(**asked)
        request = Request(data=plane, prompts={(): job.prompts(plane.shape)})
        (whole,) = run(request, model, scorer=GreyScorer())
        np.testing.assert_array_equal(np.load("v.npy"), whole.labels)
    labels = np.load("v.npy")
    assert set(np.unique(planes[labels > 0])) == {BRIGHT, DARK}
    assert not labels[..., 208:].any()
    assert {found.found.text for found in done.objects} == {"bright", "dark"}


def test_a_large_plane_goes_on_in_the_middle(scorer, monkeypatch):
    monkeypatch.setattr("napari_fastsam.batch.tiles.IN_PARTS", 50)
    monkeypatch.setattr("napari_fastsam.batch.images._MOST_TILES", 1)
    model = Levels()
    model.spec = ModelSpec(model="levels", tile=48)
    zarr.create_array("middle.zarr", data=PLANE)
    stopping = Stopping(scorer, 3, model)
    with pytest.raises(KeyboardInterrupt):
        segment("middle.zarr", "v.npy", scorer, model=model, workers=stopping, text="dark")
    assert scorer.looks == []
    segment("middle.zarr", "v.npy", scorer, model=model, text="dark")
    assert len(scorer.looks) == 1
    assert (PLANE[np.load("v.npy") > 0] == DARK).all()
