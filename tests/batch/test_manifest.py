import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_fastsam import ModelSpec
from napari_fastsam.batch import Job, _settings
from napari_fastsam.batch.manifest import Manifest, differences, stamp
from napari_fastsam.batch.places import manifest_path

SETTINGS = {"model": {"image_size": 640}, "job": {"link": False}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with an image and its labels."""
    monkeypatch.chdir(tmp_path)
    Path("a.tif").write_text("image")
    Path("labels.tif").write_text("labels")
    yield
    end()


A, LABELS, NOTES = Path("a.tif"), Path("labels.tif"), Path("labels.tif.run.jsonl")


OPEN = []


def notes(settings=SETTINGS):
    """Open the manifest as the next process does, when the one before has ended."""
    end()
    OPEN.append(Manifest(NOTES, settings))
    return OPEN[0]


def end():
    while OPEN:
        OPEN.pop().close()


def test_what_is_noted_is_known_to_the_next_process():
    first = notes()
    first.add_planes("a", A, [(0,), (2,)])
    first.add_planes("a", A, [(3,)])
    first.close()
    assert notes().planes("a", A) == {(0,), (2,), (3,)}
    assert not notes().is_done("a", A, LABELS)


def test_an_image_is_done_as_long_as_it_and_its_labels_are_as_they_were():
    first = notes()
    first.add_output("a", A, LABELS, 12)
    first.close()
    assert notes().is_done("a", A, LABELS)
    assert not notes().is_done("a", A, Path("other.tif"))
    LABELS.write_text("edited")
    assert not notes().is_done("a", A, LABELS)


def test_a_changed_image_is_not_done_nor_are_its_planes():
    first = notes()
    first.add_planes("a", A, [(0,)])
    first.add_output("b", A, LABELS, 1)
    first.close()
    A.write_text("another image")
    assert notes().planes("a", A) == set()
    assert not notes().is_done("b", A, LABELS)


def test_other_settings_know_nothing_and_say_what_differs_while_work_is_unfinished():
    first = notes()
    first.add_planes("a", A, [(0,)])
    first.add_output("b", A, LABELS, 1)
    first.close()
    other = notes({"model": {"image_size": 320}, "job": {"link": False}})
    assert other.planes("a", A) == set()
    assert not other.is_done("b", A, LABELS)
    other.require_same_settings(["b"])
    with pytest.raises(ValueError, match=r"model\.image_size was 640 and is 320"):
        other.require_same_settings(["a"])
    notes().require_same_settings(["a"])


def test_the_settings_of_each_line_are_those_before_it():
    first = notes()
    first.add_planes("a", A, [(0,)])
    first.close()
    second = notes({"job": 2})
    second.begin_anew("a")
    second.add_planes("a", A, [(1,)])
    second.close()
    third = notes()
    assert third.planes("a", A) == set()
    assert notes({"job": 2}).planes("a", A) == {(1,)}


def test_a_line_that_was_cut_off_counts_for_nothing_and_goes():
    first = notes()
    first.add_planes("a", A, [(0,)])
    first.close()
    NOTES.write_bytes(NOTES.read_bytes() + b'{"image": "a", "pla')
    second = notes()
    assert second.planes("a", A) == {(0,)}
    second.add_planes("a", A, [(1,)])
    second.close()
    assert notes().planes("a", A) == {(0,), (1,)}


@pytest.mark.parametrize("content", ["mine\n", '{"image": "a"}\n', "[1]\n"])
def test_another_file_of_that_name_is_not_touched(content):
    NOTES.write_text(content)
    with pytest.raises(ValueError, match="Expected a manifest"):
        notes()
    assert NOTES.read_text() == content


def test_nothing_is_written_before_there_is_something_to_note():
    notes().close()
    assert not NOTES.exists()


def test_no_manifest_notes_nothing():
    first = Manifest(None, SETTINGS)
    first.add_planes("a", A, [(0,)])
    assert first.planes("a", A) == {(0,)}
    assert sorted(os.listdir()) == ["a.tif", "labels.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks of this kind")
def test_two_processes_do_not_write_to_one_manifest():
    first = notes()
    first.add_planes("a", A, [(0,)])
    code = (
        "from pathlib import Path; from napari_fastsam.batch.manifest import Manifest\n"
        f"Manifest(Path('{NOTES}'), {SETTINGS}).add_planes('a', Path('a.tif'), [(1,)])"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "BlockingIOError: Expected no other run" in other.stderr
    first.close()
    assert notes().planes("a", A) == {(0,)}
    end()
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert notes().planes("a", A) == {(0,), (1,)}


def test_the_stamp_of_a_zarr_is_that_of_its_metadata():
    import zarr

    array = zarr.create_array("v.zarr", shape=(4,), dtype="u1")
    before = stamp(Path("v.zarr"))
    assert before
    array.attrs["made"] = "anew"
    assert stamp(Path("v.zarr")) != before
    assert stamp(Path("none")) is None


def test_it_lies_beside_the_output_or_in_the_folder_of_outputs():
    assert manifest_path(LABELS, folder=False) == NOTES
    assert manifest_path(Path("out"), folder=True) == Path("out/run.jsonl")


def test_differences_name_the_place():
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "d": 3}, "c": 2}) == [
        "a.d was None and is 3"
    ]


def test_work_begun_before_runtimes_could_be_chosen_goes_on():
    def told(**chosen):
        return _settings(ModelSpec(**chosen), Job(), None)["model"]

    assert "runtime" not in told()
    assert told(runtime="onnx") == told() | {"runtime": "onnx"}


def test_work_begun_before_edges_were_refined_goes_on_if_they_are_not_to_be():
    def told(**chosen):
        return _settings(ModelSpec(**chosen), Job(), None)["model"]

    assert not {"refine", "views"} & told(refine=False).keys()
    assert told(refine=True) == told(refine=False) | {"refine": True}
    assert told(views="flips") == told() | {"views": "flips"}
