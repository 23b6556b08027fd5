"""Runs that stop and go on: by choice, by kill -9, with other settings, after faults."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from batch_cases import kinds, segment
from napari_fastsam import Cleanup
from napari_fastsam.batch import Done, Failed, UpToDate
from napari_fastsam.batch.manifest import Manifest
from napari_fastsam.files.readers import read_image

SCENE = np.zeros((60, 80), np.uint8)
SCENE[5:15, 5:25] = 200
SCENE[30:50, 40:70] = 250

STACK = np.stack([np.roll(SCENE, n, axis=1) for n in range(6)])

OUTPUTS = ["v.tif", "v.npy", "v.zarr", "v.json"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a stack."""
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("stack.tif", STACK, photometric="minisblack", metadata={"axes": "ZYX"})


def content(path):
    path = Path(path)
    if path.suffix == ".json":
        return path.read_text()
    return np.asarray(read_image(path).data[...]).tolist()


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_same_again_does_nothing(blobs, output):
    (first,) = segment("stack.tif", output, blobs, link=True)
    state, calls = os.stat(output), blobs.calls
    again = segment("stack.tif", output, blobs, link=True)
    assert kinds(again) == [UpToDate]
    assert (blobs.calls, os.stat(output)) == (calls, state)
    assert sorted(os.listdir()) == ["stack.tif", output, f"{output}.run.jsonl"]
    assert first.summary.count == 2


@pytest.mark.parametrize("output", ["v.tif", "v.json"])
def test_what_is_there_with_other_settings_is_asked_about(blobs, output):
    segment("stack.tif", output, blobs)
    before = content(output)
    with pytest.raises(FileExistsError, match="--overwrite"):
        segment("stack.tif", output, blobs, cleanup=Cleanup(min_area=300))
    assert content(output) == before
    assert kinds(segment("stack.tif", output, blobs)) == [UpToDate]
    redone = segment("stack.tif", output, blobs, cleanup=Cleanup(min_area=300), overwrite=True)
    assert kinds(redone) == [Done]
    assert content(output) != before


def test_labels_that_were_edited_are_not_replaced_unasked(blobs):
    segment("stack.tif", "v.npy", blobs)
    labels = np.load("v.npy")
    labels[0] = 7
    np.save("v.npy", labels)
    with pytest.raises(FileExistsError, match=r"v\.npy"):
        segment("stack.tif", "v.npy", blobs)
    assert (np.load("v.npy")[0] == 7).all()


def test_an_output_of_another_shape_is_replaced_only_when_asked(blobs):
    np.save("v.npy", np.zeros((2, 3), np.uint32))
    with pytest.raises(FileExistsError):
        segment("stack.tif", "v.npy", blobs)
    assert np.load("v.npy").shape == (2, 3)
    segment("stack.tif", "v.npy", blobs, overwrite=True)
    assert np.load("v.npy").shape == STACK.shape


class Stopping:
    """A segmenter that is interrupted at a call."""

    spec = "blobs"

    def __init__(self, segmenter, at):
        self.segmenter, self.at = segmenter, at

    def segment(self, image):
        if self.segmenter.calls == self.at:
            raise KeyboardInterrupt
        return self.segmenter.segment(image)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("link", [True, False])
def test_a_run_that_was_stopped_looks_at_the_other_planes_only(blobs, output, link):
    segment("stack.tif", f"whole-{output}", blobs, link=link)
    blobs.shapes.clear()
    with pytest.raises(KeyboardInterrupt):
        segment("stack.tif", output, Stopping(blobs, 4), link=link)
    assert not Path(output).exists()
    (done,) = segment("stack.tif", output, blobs, link=link)
    assert blobs.calls == 6
    assert content(output) == content(f"whole-{output}")
    assert done.summary.count == (2 if link else 12)
    assert not list(Path().glob(".*"))


def test_unfinished_work_is_not_dropped_by_other_settings_unasked(blobs):
    with pytest.raises(KeyboardInterrupt):
        segment("stack.tif", "v.tif", Stopping(blobs, 4))
    with pytest.raises(ValueError, match=r"job\.confidence was None and is 0\.5"):
        segment("stack.tif", "v.tif", blobs, confidence=0.5)
    segment("stack.tif", "v.tif", blobs)
    assert blobs.calls == 6


def test_unfinished_work_with_other_settings_begins_anew_when_asked(blobs):
    with pytest.raises(KeyboardInterrupt):
        segment("stack.tif", "v.tif", Stopping(blobs, 4))
    (done,) = segment("stack.tif", "v.tif", blobs, cleanup=Cleanup(min_area=300), overwrite=True)
    assert blobs.calls == 4 + 6
    assert done.summary.count == 6


def test_what_is_up_to_date_stays_with_overwrite_too(blobs):
    segment("stack.tif", "v.tif", blobs)
    assert kinds(segment("stack.tif", "v.tif", blobs, overwrite=True)) == [UpToDate]


def test_a_changed_image_begins_anew(blobs):
    with pytest.raises(KeyboardInterrupt):
        segment("stack.tif", "v.tif", Stopping(blobs, 4))
    tifffile.imwrite("stack.tif", STACK[::-1, :50], metadata={"axes": "ZYX"})
    segment("stack.tif", "v.tif", blobs)
    assert blobs.calls == 4 + 6
    assert tifffile.imread("v.tif").shape == (6, 50, 80)


def test_labels_that_no_line_of_the_manifest_speaks_of_are_made_again(blobs):
    with pytest.raises(KeyboardInterrupt):
        segment("stack.tif", "v.npy", Stopping(blobs, 3))
    half = zarr.open_array(".v.npy.work/labels", mode="r+")
    half[3, :30] = 99  # as by a worker that was killed while it wrote
    segment("stack.tif", "v.npy", blobs)
    assert 99 not in np.load("v.npy")
    assert blobs.calls == 6


def test_a_store_that_is_gone_is_made_anew(blobs):
    with pytest.raises(KeyboardInterrupt):
        segment("stack.tif", "v.npy", Stopping(blobs, 3))
    shutil.rmtree(".v.npy.work")
    segment("stack.tif", "v.npy", blobs)
    assert blobs.calls == 3 + 6


def test_of_a_folder_only_what_is_new_is_done(blobs):
    Path("in").mkdir()
    for name in "ab":
        np.save(f"in/{name}.npy", SCENE)
    assert kinds(segment("in", "out", blobs, several=True)) == [Done, Done]
    np.save("in/c.npy", SCENE)
    assert kinds(segment("in", "out", blobs, several=True)) == [UpToDate, UpToDate, Done]
    assert blobs.calls == 3
    assert sorted(os.listdir("out")) == ["a.tif", "b.tif", "c.tif", "run.jsonl"]


def test_annotations_of_a_folder_are_made_again_when_an_image_is_new(blobs):
    Path("in").mkdir()
    np.save("in/a.npy", SCENE)
    segment("in", "all.json", blobs, several=True)
    np.save("in/b.npy", SCENE)
    with pytest.raises(FileExistsError):
        segment("in", "all.json", blobs, several=True)
    done = segment("in", "all.json", blobs, several=True, overwrite=True)
    assert kinds(done) == [Done, Done]


def test_annotations_without_a_bad_image_are_completed_when_it_is_good(blobs):
    Path("in").mkdir()
    for name in "abc":
        np.save(f"in/{name}.npy", SCENE)
    whole = Path("in/b.npy").read_bytes()
    Path("in/b.npy").write_bytes(b"nothing")
    assert set(kinds(segment("in", "all.json", blobs, several=True))) == {Failed, Done}
    assert '"b.npy"' not in Path("all.json").read_text()
    Path("in/b.npy").write_bytes(whole)
    assert kinds(segment("in", "all.json", blobs, several=True)) == [Done] * 3
    assert '"b.npy"' in Path("all.json").read_text()
    assert blobs.calls == 3
    assert kinds(segment("in", "all.json", blobs, several=True)) == [UpToDate] * 3


def test_a_plane_that_cannot_be_read_costs_that_plane_only(blobs):
    source = zarr.create_array("stack.zarr", data=STACK, chunks=(1, 60, 80))
    chunk = Path("stack.zarr/c/3/0/0")
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:9])
    (failed,) = segment("stack.zarr", "v.npy", blobs, axes="ZYX")
    assert isinstance(failed, Failed)
    assert (failed.planes, failed.kept, blobs.calls) == (((3,),), 5, 5)
    assert not Path("v.npy").exists()
    chunk.write_bytes(whole)  # which makes it another image
    (done,) = segment("stack.zarr", "v.npy", blobs, axes="ZYX")
    assert blobs.calls == 5 + 6
    assert done.summary.count == 12
    assert source.shape == np.load("v.npy").shape


def test_a_plane_that_failed_is_the_only_one_that_is_looked_at_again(blobs):
    class Unlucky:
        spec, calls = "blobs", 0

        def segment(self, image):
            self.calls += 1
            if self.calls == 4:
                raise RuntimeError("CUDA error")
            return blobs.segment(image)

    model = Unlucky()
    (failed,) = segment("stack.tif", "v.npy", model)
    assert (failed.planes, failed.kept, model.calls) == (((3,),), 5, 6)
    (done,) = segment("stack.tif", "v.npy", model)
    assert (done.summary.count, model.calls) == (12, 7)


def test_an_image_that_always_fails_does_not_try_all_its_planes(blobs):
    class Failing:
        spec, calls = "blobs", 0

        def segment(self, image):
            self.calls += 1
            raise RuntimeError("CUDA error")

    np.save("long.npy", np.zeros((40, 8, 8), np.uint8))
    network = Failing()
    (failed,) = segment("long.npy", "v.npy", network)
    assert network.calls == 10
    assert str(failed.error) == "CUDA error"
    assert sorted(os.listdir()) == ["long.npy", "stack.tif"]


SCRIPT = """
    import os, signal, sys
    from pathlib import Path

    sys.path.insert(0, {tests!r})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from fakes import BlobSegmenter
    from napari_fastsam.batch import workers
    from napari_fastsam.cli import main

    class Deadly(BlobSegmenter):
        def segment(self, image):
            seen = Path("seen").read_text() if Path("seen").exists() else ""
            if len(seen) == {at}:
                Path("seen").write_text(seen + "!")
                os.kill(os.getpid(), signal.{how})
            Path("seen").write_text(seen + ".")
            return super().segment(image)

    workers.build = lambda spec: Deadly()
    sys.exit(main(["segment", "stack.tif", "-o", "{output}", "--link"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("how", "output"),
    [("SIGKILL", "v.tif"), ("SIGKILL", "v.json"), ("SIGTERM", "v.zarr"), ("SIGINT", "v.npy")],
)
def test_a_process_that_was_killed_goes_on_with_the_same_command(blobs, output, how):
    segment("stack.tif", f"whole-{output}", blobs, link=True)
    tests = str(Path(__file__).parents[1])
    code = textwrap.dedent(SCRIPT).format(tests=tests, at=4, how=how, output=output)
    run = [sys.executable, "-c", code]
    killed = subprocess.run(run, capture_output=True, text=True)
    assert killed.returncode == {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}[how]
    assert "Traceback" not in killed.stderr
    assert not Path(output).exists()
    again = subprocess.run(run, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert Path("seen").read_text() == "....!.."
    labels, whole = content(output), content(f"whole-{output}")
    if output == "v.json":
        labels, whole = (text.partition('"images"')[2] for text in (labels, whole))
    assert labels == whole
    third = subprocess.run(run, capture_output=True, text=True)
    assert "1 image up to date, nothing to do" in third.stdout


class Killed(BaseException):
    """Ends a run like kill -9: nothing tidies up after it."""


@pytest.mark.parametrize("output", ["v.tif", "v.npy", "v.zarr", "v.ome.zarr", "v.json"])
def test_labels_that_were_written_just_before_the_end_are_written_again(blobs, monkeypatch, output):
    def end(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "add_output", end)
        patch.setattr(Manifest, "close", lambda self: self._file.close())
        with pytest.raises(Killed):
            segment("stack.tif", output, blobs)
    assert Path(output).exists()
    assert kinds(segment("stack.tif", output, blobs)) == [Done]
    assert blobs.calls == 6
    assert kinds(segment("stack.tif", output, blobs)) == [UpToDate]


def test_what_a_killed_process_left_half_written_is_cleared(blobs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "close", lambda self: self._file.close())
        patch.setattr("napari_fastsam.batch.tasks.write_labels", _killed_halfway)
        with pytest.raises(Killed):
            segment("stack.tif", "v.npy", blobs)
    assert list(Path().glob(".v.npy-*.part"))
    segment("stack.tif", "v.npy", blobs)
    assert sorted(os.listdir()) == ["stack.tif", "v.npy", "v.npy.run.jsonl"]


def _killed_halfway(path, *_, **__):
    path.with_name(f".{path.name}-0123abcd.part").write_bytes(b"half")
    raise Killed


def test_an_image_that_fails_leaves_no_manifest(blobs):
    Path("bad.png").write_bytes(b"no picture")
    assert kinds(segment("bad.png", "v.npy", blobs)) == [Failed]
    assert sorted(os.listdir()) == ["bad.png", "stack.tif"]
