from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_fastsam.files.inputs import file_names, find_images, stem


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Images, other files and folders, in the working folder."""
    for name in ("b.tif", "a.PNG", "notes.txt", ".hidden.png", "sub/a.png", "sub/deep/c.npy"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    zarr.create_array(tmp_path / "images" / "d.zarr", data=np.zeros((4, 4), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*patterns):
    return [item.name for item in find_images(patterns)]


def test_a_file_is_taken_as_it_is(tree):
    (item,) = find_images(["images/notes.txt"])
    assert (item.path, item.name) == (Path("images/notes.txt"), "notes")


def test_a_folder_stands_for_the_images_directly_in_it(tree):
    assert names("images") == ["a", "b", "d"]


def test_a_glob_names_images_by_their_place_below_its_fixed_part(tree):
    assert names("images/**/*.*") == ["a", "b", "d", "sub/a", "sub/deep/c"]
    assert names("images/sub/*.png") == ["a"]
    assert names(f"{tree}/images/s*/*.png") == ["sub/a"]


def test_an_image_that_is_named_twice_comes_once(tree):
    assert names("images/b.tif", "images") == ["b", "a", "d"]


def test_a_zarr_folder_is_an_image(tree):
    assert names("images/d.zarr") == ["d"]


def test_a_glob_that_matches_a_zarr_leaves_out_the_arrays_inside_it(tree):
    group = zarr.create_group("images/e.zarr")
    group.create_array("0", shape=(4, 4), dtype="uint8")
    assert names("images/**/*") == ["a", "b", "d", "e", "sub/a", "sub/deep/c"]
    assert names("images/e.zarr/*") == ["0"]


def test_file_names_tell_the_images_apart(tree):
    assert file_names(find_images(["images/**/*.*"])) == [
        "a.PNG",
        "b.tif",
        "d.zarr",
        "sub/a.png",
        "sub/deep/c.npy",
    ]
    Path("images/deep").mkdir()
    Path("images/deep/a.png").touch()
    assert file_names(find_images(["images/sub/a.png", "images/deep/a.png", "images/b.tif"])) == [
        "images/sub/a.png",
        "images/deep/a.png",
        "b.tif",
    ]


def test_a_file_whose_name_looks_like_a_glob_is_found(tree):
    Path("scan[1].tif").touch()
    assert names("scan[1].tif") == ["scan[1]"]


@pytest.mark.parametrize("pattern", ["missing.tif", "images/*.jpg", "images/sub/deep/no*"])
def test_what_stands_for_nothing_is_refused(tree, pattern):
    with pytest.raises(FileNotFoundError, match=r"where there is nothing.*check the path"):
        find_images(["images", pattern])


@pytest.mark.parametrize("pattern", ["images/**/*.*", "images/**/*.tif", "images"])
def test_labels_of_an_earlier_run_are_left_out_of_the_folders_around_them(tree, pattern):
    output = Path("images/labels")
    before = [item.path for item in find_images([pattern], output=output)]
    for name in ("b.tif", "sub/a.tif"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).touch()
    found = find_images([pattern], output=output.absolute(), written=True)
    assert [item.path for item in found] == before
    assert names("images/labels/b.tif") == ["b"]
    (named,) = find_images(["images/labels/b.tif"], output=output, written=True)
    assert named.path == output / "b.tif"


@pytest.mark.parametrize(
    ("pattern", "output"),
    [
        pytest.param("images", "images", id="the folder itself"),
        pytest.param("images/", "images/sub/..", id="the same by another name"),
        pytest.param("images/**/*.*", "images", id="the root of the glob"),
        pytest.param("images/**/*.png", "images/sub", id="a folder of some"),
    ],
)
def test_labels_do_not_go_among_the_images(tree, pattern, output):
    with pytest.raises(ValueError, match=r"apart from the images.*Got images.*choose another f"):
        find_images([pattern], output=Path(output))


def test_labels_may_lie_where_they_are_never_taken_for_images(tree):
    for pattern, output in (
        ("images/*.PNG", "images"),
        ("images/a.PNG", "images"),
        ("images/sub", "images"),
        ("images/sub/*", "."),
    ):
        for written in (False, True):
            found = find_images([pattern], output=Path(output), written=written)
            assert len(found) == 1


def test_a_folder_without_images_is_refused(tree):
    Path("empty").mkdir()
    Path("empty/notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="'empty', where there is no such image"):
        find_images(["empty"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tif", "a"),
        ("a.OME.TIF", "a"),
        ("a.ome.zarr", "a"),
        ("a.b.png", "a.b"),
        ("plain", "plain"),
    ],
)
def test_the_ending_is_not_part_of_a_name(name, expected):
    assert stem(Path("folder") / name) == expected
