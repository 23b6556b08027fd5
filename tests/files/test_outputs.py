import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from napari_fastsam.files.inputs import find_images
from napari_fastsam.files.outputs import plan_outputs, whole


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Three images in the folder `in` of the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.tif", "sub/a.png"):
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        Path("in", name).touch()
    return find_images(["in/**/*.*"])


def everything_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*"))


def test_several_images_go_into_a_folder_each_named_after_its_image(images):
    assert plan_outputs(images, "out", several=True) == [
        Path("out/a.tif"),
        Path("out/b.tif"),
        Path("out/sub/a.tif"),
    ]


@pytest.mark.parametrize("ending", [".tif", ".ome.TIFF", ".npy", ".zarr", ".ome.zarr", ".json"])
def test_the_ending_of_one_output_is_its_format(images, ending):
    assert plan_outputs(images[:1], f"new{ending}", several=False) == [Path(f"new{ending}")]


def test_several_images_share_one_json(images):
    assert plan_outputs(images, "all.json", several=True) == [Path("all.json")] * 3


def test_one_image_may_go_into_a_folder(images):
    Path("out.d").mkdir()
    assert plan_outputs(images[:1], "new", several=False) == [Path("new/a.tif")]
    assert plan_outputs(images[:1], "out.d", several=False) == [Path("out.d/a.tif")]


@pytest.mark.parametrize("output", ["out.tif", "out.npy", "out.zarr", "out.png"])
def test_several_images_do_not_go_into_one_label_image(images, output):
    with pytest.raises(ValueError, match=rf"a folder as OUTPUT.*Got {output}.*leave out the end"):
        plan_outputs(images, output, several=True)


def test_a_format_that_cannot_hold_labels_is_refused(images):
    with pytest.raises(ValueError, match=r"\.tif, .*\.json.*Got out\.png"):
        plan_outputs(images[:1], "out.png", several=False)


def test_images_of_one_name_are_refused(images):
    Path("in/a.npy").touch()
    with pytest.raises(ValueError, match=r"in.a\.npy and in.a\.png, both for out.a\.tif"):
        plan_outputs(find_images(["in"]), "out", several=True)


def test_an_image_is_never_its_own_output(images):
    with pytest.raises(ValueError, match=r"in.b\.tif, which is or holds an input"):
        plan_outputs(images, "in", several=True, overwrite=True)
    assert everything_below("in") == ["a.png", "b.tif", "sub", "sub/a.png"]


@pytest.mark.parametrize(
    ("image", "output", "said"),
    [
        pytest.param("in.zarr/0", "in.zarr", "is or holds an input", id="the group around it"),
        pytest.param("in.zarr", "in.zarr/0.zarr", "is part of an input", id="an array inside it"),
    ],
)
def test_an_image_is_not_replaced_as_a_part_or_the_whole(images, image, output, said):
    for name in ("0", "0.zarr"):
        Path("in.zarr", name).mkdir(parents=True)
        Path("in.zarr", name, "zarr.json").touch()
    Path("in.zarr", "zarr.json").touch()
    with pytest.raises(ValueError, match=f"{Path(output).name}, which {said}"):
        plan_outputs(find_images([image]), output, several=False, overwrite=True)


def test_labels_go_into_the_zarr_that_is_their_image(images):
    Path("in.zarr").mkdir()
    Path("in.zarr", "zarr.json").touch()
    image = find_images(["in.zarr"])
    for exists in (False, True):
        planned = plan_outputs(image, "in.zarr/labels/cells", several=False, overwrite=exists)
        assert planned == [Path("in.zarr/labels/cells")]
        Path("in.zarr/labels/cells").mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileExistsError, match=r"cells.*--overwrite"):
        plan_outputs(image, "in.zarr/labels/cells", several=False)
    with pytest.raises(ValueError, match=r"one image for labels in in\.zarr"):
        plan_outputs(images, "in.zarr/labels/cells", several=True)


def test_labels_that_are_segmented_are_not_replaced(images):
    Path("in.zarr/labels/cells").mkdir(parents=True)
    Path("in.zarr", "zarr.json").touch()
    Path("in.zarr/labels/cells/zarr.json").touch()
    image = find_images(["in.zarr/labels/cells"])
    with pytest.raises(ValueError, match="cells, which is or holds an input"):
        plan_outputs(image, "in.zarr/labels/cells", several=False, overwrite=True)


def test_a_plan_makes_no_folder(images):
    assert plan_outputs(images, "new/out", several=True)[0] == Path("new/out/a.tif")
    assert not Path("new").exists()


def test_existing_outputs_are_refused_unless_told_otherwise(images):
    Path("out").mkdir()
    for name in ("a.tif", "b.tif"):
        Path("out", name).touch()
    with pytest.raises(FileExistsError, match=r"out.a\.tif and 1 more.*--overwrite"):
        plan_outputs(images, "out", several=True)
    assert len(plan_outputs(images, "out", several=True, overwrite=True)) == 3


def test_a_folder_that_is_a_file_is_an_error_before_the_work(images):
    Path("taken").touch()
    for output in ("taken/a.tif", "taken/new/a.tif"):
        with pytest.raises(OSError, match=r"a folder to write to.*taken.*choose another"):
            plan_outputs(images[:1], output, several=False)


@contextmanager
def without_privileges():
    """Be nobody for a while where the tests run as root, who may write anywhere."""
    if os.geteuid():
        yield
        return
    nobody = 65534
    os.setresuid(nobody, nobody, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no read-only folders")
def test_a_read_only_folder_is_an_error_before_the_work(images):
    Path("locked").mkdir(mode=0o555)
    Path().chmod(0o755)
    with without_privileges(), pytest.raises(PermissionError, match="locked"):
        plan_outputs(images[:1], "locked/a.tif", several=False)


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.tif"
    with whole(path) as partial:
        partial.write_text("text")
        assert not path.exists()
        assert partial.parent == path.parent
    assert path.read_text() == "text"
    assert everything_below(tmp_path) == ["new", "new/a.tif"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.tif"
    path.write_text("old")
    with pytest.raises(error), whole(path, overwrite=True) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert everything_below(tmp_path) == ["a.tif"]


def test_a_failure_leaves_nothing_of_a_folder(tmp_path):
    with pytest.raises(ValueError, match="stop"), whole(tmp_path / "a.zarr") as partial:
        partial.mkdir()
        (partial / "chunk").touch()
        raise ValueError("stop")
    assert everything_below(tmp_path) == []


def test_a_folder_replaces_another_as_a_whole(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()
    with whole(path, overwrite=True) as partial:
        partial.mkdir()
        (partial / "new").touch()
        assert (path / "old").exists()
    assert everything_below(tmp_path) == ["a.zarr", "a.zarr/new"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(FileNotFoundError), whole(path, overwrite=True):
        pass  # nothing is written, so there is nothing to put in place
    assert everything_below(tmp_path) == ["a.zarr", "a.zarr/old"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "a.tif"
    with pytest.raises(FileExistsError, match=r"a\.tif"), whole(path) as partial:
        partial.write_text("ours")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert everything_below(tmp_path) == ["a.tif"]
