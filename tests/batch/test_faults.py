"""What other programs, other runs, and the end of the power do to a run."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from batch_cases import kinds, segment
from napari_fastsam import ModelSpec, TextSpec
from napari_fastsam.batch import Done, Failed, Job, UpToDate
from napari_fastsam.batch.manifest import Manifest, stamp
from napari_fastsam.batch.tasks import Finish, Look, Whole, Work
from napari_fastsam.batch.workers import Cluster, Here, _perform

SCENE = np.zeros((60, 80), np.uint8)
SCENE[5:15, 5:25] = 200
SCENE[30:50, 40:70] = 250
STACK = np.stack([np.roll(SCENE, n, axis=1) for n in range(6)])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Repeating(Here):
    """Workers that die when a task is done, before anybody hears of it: it is done again."""

    def perform(self, tasks):
        def twice():
            task = tasks()
            if task is not None:
                task.perform(self)
            return task

        yield from super().perform(twice)


@pytest.mark.parametrize("output", ["v.tif", "v.zarr", "v.ome.zarr", "v.json"])
@pytest.mark.parametrize("large", [False, True], ids=["planes", "tiles"])
def test_each_task_can_be_done_again(blobs, monkeypatch, output, large):
    if large:
        monkeypatch.setattr("napari_fastsam.batch.tiles.IN_PARTS", 50)
        monkeypatch.setattr(blobs, "spec", ModelSpec(model="blobs", tile=40), raising=False)
    np.save("stack.npy", STACK)
    np.save("single.npy", SCENE)
    for name in ("stack", "single"):
        (done,) = segment(f"{name}.npy", f"{name}-{output}", blobs, workers=Repeating(blobs))
        assert isinstance(done, Done)
        assert done.summary.count == (12 if name == "stack" else 2)
        assert kinds(segment(f"{name}.npy", f"{name}-{output}", blobs)) == [UpToDate]


def test_a_table_without_room_is_made_by_the_same_command(blobs, monkeypatch):
    np.save("stack.npy", STACK)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("napari_fastsam.batch.tasks.write_measurements", full)
        with pytest.raises(OSError, match="room on the disk"):
            segment("stack.npy", "v.tif", blobs, tables=True)
    assert Path("v.tif").exists()
    assert kinds(segment("stack.npy", "v.tif", blobs, tables=True)) == [Done]
    assert Path("v.csv").exists()
    assert blobs.calls == 6


def test_an_output_that_appears_meanwhile_is_not_replaced(blobs):
    np.save("stack.npy", STACK)

    class Slow(Here):
        def perform(self, tasks):
            for outcome in super().perform(tasks):
                Path("v.tif").write_bytes(b"mine")
                yield outcome

    (failed,) = segment("stack.npy", "v.tif", blobs, workers=Slow(blobs))
    assert isinstance(failed.error, FileExistsError)
    assert Path("v.tif").read_bytes() == b"mine"


def test_images_that_come_or_go_before_unfinished_annotations_take_nobodys_labels(blobs):
    Path("in").mkdir()
    for n, name in enumerate("abcd"):
        stack = np.zeros((2, 60, 80), np.uint8)
        stack[:, : 10 * (n + 1), :10] = 200
        np.save(f"in/{name}.npy", stack)
    good = Path("in/b.npy").read_bytes()
    Path("in/b.npy").write_bytes(b"no array")
    assert Failed in kinds(segment("in", "all.json", blobs, several=True))
    os.remove("in/b.npy")
    segment("in", "all.json", blobs, several=True)
    Path("in/0.npy").write_bytes(good)
    segment("in", "all.json", blobs, several=True, overwrite=True)
    content = json.loads(Path("all.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    areas = {names[item["image_id"]]: item["area"] for item in content["annotations"]}
    assert areas == {"0.npy": 200, "a.npy": 100, "c.npy": 300, "d.npy": 400}


class Stopped(Here):
    def __init__(self, model, tasks):
        super().__init__(model)
        self.left = tasks

    def perform(self, tasks):
        for outcome in super().perform(tasks):
            yield outcome
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda: shutil.rmtree(".v.npy.work/labels/c/1"), id="lost chunk"),
        pytest.param(lambda: Path(".v.npy.work/objects/1.json").write_bytes(b""), id="empty rows"),
        pytest.param(lambda: os.remove(".v.npy.work/objects/1.json"), id="lost rows"),
        pytest.param(
            lambda: os.truncate(path := "v.npy.run.jsonl", os.path.getsize(path) + 600),
            id="zeros in the manifest",
        ),
    ],
)
def test_what_a_power_cut_takes_is_done_again(blobs, harm):
    np.save("stack.npy", STACK)
    segment("stack.npy", "whole.npy", blobs)
    with pytest.raises(KeyboardInterrupt):
        segment("stack.npy", "v.npy", blobs, workers=Stopped(blobs, 4))
    harm()
    assert kinds(segment("stack.npy", "v.npy", blobs)) == [Done]
    np.testing.assert_array_equal(np.load("v.npy"), np.load("whole.npy"))


def test_another_images_store_is_not_taken_over(blobs):
    np.save("a.npy", STACK)
    np.save("b.npy", STACK[::-1])
    with pytest.raises(KeyboardInterrupt):
        segment("a.npy", "v.npy", blobs, workers=Stopped(blobs, 3))
    with pytest.raises(KeyboardInterrupt):
        segment("b.npy", "v.npy", blobs, workers=Stopped(blobs, 3))
    segment("a.npy", "v.npy", blobs)
    np.testing.assert_array_equal(np.load("v.npy") > 0, STACK > 0)


def test_a_second_run_of_the_same_output_harms_nothing(blobs):
    np.save("stack.npy", STACK)

    class Rival(Here):
        tried = 0

        def perform(self, tasks):
            for outcome in super().perform(tasks):
                with pytest.raises(BlockingIOError, match="wait until it ends"):
                    segment("stack.npy", "v.npy", blobs)
                Rival.tried += 1
                yield outcome

    assert kinds(segment("stack.npy", "v.npy", blobs, workers=Rival(blobs))) == [Done]
    assert Rival.tried == 7
    assert kinds(segment("stack.npy", "v.npy", blobs)) == [UpToDate]


def test_a_run_that_began_meanwhile_is_not_joined(tmp_path):
    first, second = (Manifest(tmp_path / "run.jsonl", {}) for _ in range(2))
    np.save("a.npy", SCENE)
    first.add_planes("a", Path("a.npy"), [(0,)])
    with pytest.raises(BlockingIOError):
        second.claim()
    first.close()
    with pytest.raises(BlockingIOError):
        second.claim()  # it has not read what the first one noted
    second.close()
    third = Manifest(tmp_path / "run.jsonl", {})
    assert third.planes("a", Path("a.npy")) == {(0,)}
    third.close()


def test_a_work_folder_that_was_left_is_removed(blobs):
    np.save("stack.npy", STACK)
    segment("stack.npy", "v.npy", blobs)
    Path(".v.npy.work").mkdir()
    assert kinds(segment("stack.npy", "v.npy", blobs)) == [UpToDate]
    assert not Path(".v.npy.work").exists()


def zarr_of(path, data):
    shutil.rmtree(path, ignore_errors=True)
    return zarr.create_array(path, data=data, chunks=(1, *data.shape[1:]))


def test_a_zarr_whose_pixels_change_is_done_again(blobs):
    array = zarr_of("s.zarr", STACK)
    segment("s.zarr", "v.zarr", blobs)
    array[2] = 0
    with pytest.raises(FileExistsError):
        segment("s.zarr", "v.zarr", blobs)
    assert kinds(segment("s.zarr", "v.zarr", blobs, overwrite=True)) == [Done]


@pytest.mark.parametrize(
    "harm", [lambda: shutil.rmtree("v.zarr/c"), lambda: zarr.open_array("v.zarr").__setitem__(0, 7)]
)
def test_a_damaged_or_edited_zarr_output_is_not_taken_for_finished(blobs, harm):
    np.save("s.npy", STACK)
    segment("s.npy", "v.zarr", blobs)
    harm()
    with pytest.raises(FileExistsError):
        segment("s.npy", "v.zarr", blobs)


def test_labels_written_into_an_image_do_not_change_it(tmp_path):
    group = zarr.create_group("i.zarr")
    group.create_array("0", data=SCENE)
    before = stamp(Path("i.zarr"))
    group.create_group("labels").create_array("cells", data=SCENE)
    group.attrs["new"] = 1
    assert stamp(Path("i.zarr")) == before
    group["0"][:5] = 9
    assert stamp(Path("i.zarr")) != before


@pytest.mark.parametrize("output", ["out", "all.json"])
def test_an_image_without_planes_costs_that_image_only(blobs, output):
    Path("in").mkdir()
    np.save("in/a.npy", STACK)
    np.save("in/b.npy", STACK[:0])
    np.save("in/c.npy", STACK)
    results = segment("in", output, blobs, several=True)
    assert (
        sorted(kinds(results), key=str) == [Failed, Done, Done] or kinds(results).count(Done) == 2
    )
    (failed,) = (result for result in results if isinstance(result, Failed))
    assert "at least one pixel" in str(failed.error)


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def test_errors_of_any_kind_fail_their_image_only(blobs, monkeypatch):
    np.save("a.npy", SCENE)
    np.save("b.npy", SCENE)

    class Broken:
        spec = "broken"

        def segment(self, image):
            raise Odd("no", "way")

    results = []
    for pattern, model in (("a.npy", Broken()), ("b.npy", blobs)):
        results += segment(pattern, pattern.replace("npy", "tif"), model)
    failed, done = results
    assert (str(failed.error), type(done)) == ("Odd: no way", Done)


def test_an_error_that_cannot_be_sent_is_told_by_its_text():
    class Task:
        def perform(self, segmenter):
            raise Odd("no", "way")

    result, error = _perform(Task(), ModelSpec())
    assert result is None
    assert str(error) == "Odd: no way"


def test_bad_planes_at_the_start_do_not_hide_the_good_ones(blobs):
    array = zarr_of("s.zarr", np.stack([SCENE] * 16))
    for n in range(12):
        Path(f"s.zarr/c/{n}/0/0").write_bytes(b"no chunk")
    (failed,) = segment("s.zarr", "v.npy", blobs)
    assert array.shape[0] == 16
    assert failed.kept == 4
    assert len(failed.planes) == 12


def test_tasks_for_workers_elsewhere_find_the_files(tmp_path, monkeypatch, blobs):
    np.save("stack.npy", STACK)
    np.save("m.npy", SCENE)  # stands for a model's file
    models = Cluster(None, ModelSpec(model="m.npy"), TextSpec(model="m.npy"))._models
    assert (models.spec.model, models.text.model) == (str(tmp_path / "m.npy"),) * 2
    assert Cluster(None, ModelSpec())._models.spec.model == "starter"
    work = Work(
        name="stack.npy",
        path=Path("stack.npy"),
        output=Path("v.npy"),
        folder=Path(".v.npy.work"),
        job=Job(tables=True, link=True),
        provenance={},
    )
    from napari_fastsam.batch.store import Store

    Store(work.store, work.open().axes).make("stack.npy")
    sent = [
        piece.based(tmp_path) for piece in (Look(work, tuple((n,) for n in range(6))), Finish(work))
    ]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for piece in sent:
        piece.perform(Here(blobs))
    assert sorted(os.listdir(elsewhere)) == []
    assert (tmp_path / "v.npy").exists()
    assert (tmp_path / "v.csv").exists()
    assert (tmp_path / "v.lineage.csv").exists()


def test_a_single_image_is_done_elsewhere_too(tmp_path, monkeypatch, blobs):
    tifffile.imwrite("a.tif", SCENE)
    work = Work(
        name="a.tif",
        path=Path("a.tif"),
        output=Path("v.tif"),
        folder=Path(".v.tif.work"),
        job=Job(),
        provenance={},
    )
    sent = Whole(work).based(tmp_path)
    monkeypatch.chdir("/")
    sent.perform(Here(blobs))
    assert (tmp_path / "v.tif").exists()
