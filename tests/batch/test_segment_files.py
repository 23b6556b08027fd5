import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from napari_fastsam import Cleanup, ModelSpec
from napari_fastsam.batch import Done, Failed, Job, segment_files
from napari_fastsam.files.inputs import find_images
from napari_fastsam.files.outputs import plan_outputs
from napari_fastsam.files.readers import read_image

SCENE = np.zeros((60, 80), np.uint8)
SCENE[5:15, 5:25] = 200
SCENE[30:50, 40:70] = 250
SCENE[55:57, 3:5] = 220


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def segment(pattern, output, segmenter, *, several=False, overwrite=False, **asked):
    inputs = find_images([pattern])
    outputs = plan_outputs(inputs, output, several=several, overwrite=overwrite)
    return list(segment_files(inputs, outputs, segmenter, Job(**asked), overwrite=overwrite))


def save_stack(path, count=3):
    tifffile.imwrite(path, np.stack([SCENE] * count), photometric="minisblack")


def labels_of(path):
    return np.asarray(read_image(Path(path)).data[...])


SCALED = SCENE.astype(np.uint16) * 200


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.zarr"])
@pytest.mark.parametrize(
    "image",
    [
        pytest.param(SCENE, id="8 bit"),
        pytest.param(SCALED, id="16 bit"),
        pytest.param(np.stack([SCENE] * 3, -1), id="RGB"),
        pytest.param(np.stack([SCENE] * 3 + [255 - SCENE], -1), id="RGBA"),
    ],
)
def test_every_object_of_an_image_file_is_labelled(blobs, name, image):
    path = Path(name)
    if path.suffix == ".tif":
        tifffile.imwrite(path, image, photometric="rgb" if image.ndim == 3 else "minisblack")
    elif path.suffix == ".png":
        PIL.Image.fromarray(image).save(path)
    elif path.suffix == ".npy":
        np.save(path, image)
    else:
        zarr.create_array(path, data=image)
    (done,) = segment(name, "labels.tif", blobs)
    assert [found.area for found in done.objects] == [200, 600, 4]
    np.testing.assert_array_equal(labels_of("labels.tif") > 0, SCENE > 0)


@pytest.mark.parametrize("output", ["v.tif", "v.npy", "v.zarr"])
def test_a_stack_becomes_a_stack_of_its_planes_labels(blobs, output):
    save_stack("stack.tif")
    (done,) = segment("stack.tif", output, blobs)
    labels = labels_of(output)
    assert labels.shape == (3, 60, 80)
    assert (done.axes, blobs.calls, len(done.objects)) == ("ZYX", 3, 9)
    assert [len(np.unique(plane)) for plane in labels] == [4, 4, 4]


def test_linked_objects_have_one_label_through_the_stack(blobs):
    save_stack("stack.tif")
    (done,) = segment("stack.tif", "v.tif", blobs, link=True, axes="TYX")
    labels = labels_of("v.tif")
    assert (labels == labels[0]).all()
    assert [found.bbox for found in done.objects] == [
        (0, 5, 5, 3, 15, 25),
        (0, 30, 40, 3, 50, 70),
        (0, 55, 3, 3, 57, 5),
    ]


def test_linked_labels_keep_their_scores_when_cleanup_removes_objects(blobs):
    save_stack("stack.tif")
    (done,) = segment("stack.tif", "v.tif", blobs, link=True, cleanup=Cleanup(min_area=100))
    assert [(found.area, found.score) for found in done.objects] == [(600, 1.0), (1800, 1.0)]


def test_prompts_choose_and_say_which_found_nothing(blobs):
    np.save("a.npy", SCENE)
    (done,) = segment(
        "a.npy",
        "labels.npy",
        blobs,
        points=((40, 50), (0, 0)),
        boxes=((4, 4, 16, 26),),
    )
    labels = np.load("labels.npy")
    assert (labels[40, 50], labels[10, 10], labels[56, 4]) == (1, 3, 0)
    assert done.unanswered == ("point 0,0",)


def test_no_prompt_is_answered_by_an_object_that_holds_background(blobs):
    np.save("a.npy", SCENE)
    asked = {"points": ((40, 50),), "boxes": ((4, 4, 16, 26),), "background": ((10, 10),)}
    (done,) = segment("a.npy", "labels.npy", blobs, **asked)
    assert np.array_equal(np.unique(np.load("labels.npy")), [0, 1])
    assert done.unanswered == ("box 4,4,16,26",)


def test_prompts_on_a_stack_say_what_to_do_instead(blobs):
    save_stack("stack.tif")
    (failed,) = segment("stack.tif", "v.tif", blobs, points=((40, 50),))
    assert isinstance(failed, Failed)
    assert "a stack of shape (3, 60, 80), axes ZYX" in str(failed.error)
    assert "save the plane as an image of its own" in str(failed.error)
    assert not Path("v.tif").exists()


def test_a_prompt_outside_the_image_fails(blobs):
    np.save("a.npy", SCENE)
    (failed,) = segment("a.npy", "labels.npy", blobs, points=((60, 3),))
    assert "point 0 at (60, 3) outside the plane (60, 80)" in str(failed.error)


def test_a_damaged_image_among_others_is_reported_and_the_others_are_done(blobs):
    Path("in").mkdir()
    for name in ("a", "c"):
        tifffile.imwrite(f"in/{name}.tif", SCENE)
    Path("in/b.tif").write_bytes(Path("in/a.tif").read_bytes()[:900])
    outcomes = segment("in", "out", blobs, several=True)
    assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done]
    assert outcomes[1].path == Path("in/b.tif")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.tif", "c.tif"]


def test_coco_annotations_of_a_folder_are_one_file(blobs):
    Path("in").mkdir()
    np.save("in/a.npy", SCENE)
    save_stack("in/b.tif", count=2)
    Path("in/c.npy").write_bytes(b"nothing")
    segment("in", "all.json", blobs, several=True)
    content = json.loads(Path("all.json").read_text(encoding="utf-8"))
    assert [image["file_name"] for image in content["images"]] == ["a.npy", "b.tif", "b.tif"]
    assert [item["area"] for item in content["annotations"]] == [200, 600, 4] * 3


def test_annotations_tell_images_of_one_name_apart(blobs):
    for name in ("in/a.npy", "in/sub/a.npy"):
        Path(name).parent.mkdir()
        np.save(name, SCENE)
    segment("in/**/*.npy", "all.json", blobs, several=True)
    content = json.loads(Path("all.json").read_text(encoding="utf-8"))
    assert [image["file_name"] for image in content["images"]] == ["a.npy", "sub/a.npy"]


class Failing:
    """A segmenter whose second call fails."""

    def __init__(self, segmenter, error):
        self.segmenter, self.error = segmenter, error

    def segment(self, image):
        if self.segmenter.calls == 1:
            self.segmenter.shapes.append(image.shape)
            raise self.error
        return self.segmenter.segment(image)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error"), MemoryError()])
def test_the_networks_failure_on_one_image_is_reported_and_the_others_are_done(blobs, error):
    Path("in").mkdir()
    for name in "abc":
        np.save(f"in/{name}.npy", SCENE)
    outcomes = segment("in", "out", Failing(blobs, error), several=True)
    assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done]
    assert outcomes[1].error is error


def test_no_annotations_are_written_if_no_image_can_be_read(blobs):
    Path("a.npy").write_bytes(b"nothing")
    segment("a.npy", "all.json", blobs)
    assert not Path("all.json").exists()


def test_the_output_tells_how_it_was_made(blobs):
    np.save("a.npy", SCENE)
    segment("a.npy", "v.zarr", blobs, cleanup=Cleanup(opening=1))
    about = zarr.open("v.zarr", mode="r").attrs["napari_fastsam"]
    assert about["model"] == "blobs"
    assert about["job"]["cleanup"]["opening"] == 1


@pytest.mark.parametrize("output", ["v.npy", "v.json"])
def test_tiles_are_cut_when_the_model_asks_for_them(blobs, monkeypatch, output):
    monkeypatch.setattr(blobs, "spec", ModelSpec(model="blobs", tile=40), raising=False)
    np.save("a.npy", SCENE)
    (done,) = segment("a.npy", output, blobs)
    assert blobs.calls > 1
    assert max(max(shape[:2]) for shape in blobs.shapes) <= 40
    assert sorted(found.area for found in done.objects) == [4, 200, 600]


def test_progress_counts_the_planes_of_each_image(blobs):
    save_stack("stack.tif")
    inputs = find_images(["stack.tif"])
    seen = []
    list(
        segment_files(
            inputs, [Path("v.tif")], blobs, Job(), progress=lambda path, *at: seen.append(at)
        )
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
