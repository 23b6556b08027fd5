import json
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from skimage.data import coins

import napari_fastsam as fs
from labelling_cases import AS_IS, stroke
from napari_fastsam import (
    CandidateCache,
    Cleanup,
    Labelling,
    PlaneAxes,
    Prompts,
    provenance,
    replay,
)
from napari_fastsam.canvas import ArrayCanvas
from napari_fastsam.labelling import run_record
from napari_fastsam.looking import Looking
from napari_fastsam.origins import KEY
from napari_fastsam.sources import model_hash, source_record


def spots(*places, shape=(48, 64), size=6) -> np.ndarray:
    """Return a dark image with bright squares."""
    image = np.zeros(shape, np.uint8)
    for row, column in places:
        image[row : row + size, column : column + size] = 255
    return image


def told(work) -> dict:
    """Return the provenance as a file would keep it."""
    return json.loads(json.dumps(provenance(work)))


IMAGE = spots((4, 4), (4, 30), (30, 10))


@pytest.fixture
def work(blobs) -> Labelling:
    return Labelling.of(IMAGE, blobs, axes="YX", display=AS_IS)


def do_all(work, plane=()):
    """Do one of everything."""
    work.take(Prompts(points=[(6, 6), (6, 32)]), plane=plane, cleanup=Cleanup(opening=1))
    work.take(Prompts(boxes=[(29, 9, 37, 17)]), plane=plane)
    stroke(work, plane, (slice(5, 20), slice(6, 9)), 9)
    work.give_back(2, plane=plane)
    work.undo()
    work.remove([1])
    with work.together():
        work.everything(plane=plane, without=[0], existing="overwrite")
        work.clean(Cleanup(min_area=10, closing=1), plane=plane)


def test_labels_come_back_from_json(work, blobs):
    do_all(work)
    assert len(np.unique(work.labels)) > 3
    np.testing.assert_array_equal(replay(told(work), IMAGE, model=blobs), work.labels)


def test_replaying_neither_needs_nor_changes_the_labels(work, blobs):
    do_all(work)
    layer = SimpleNamespace(name="mine", metadata={KEY: told(work)}, data=np.zeros_like(IMAGE))
    np.testing.assert_array_equal(replay(layer, IMAGE, model=blobs), work.labels)
    assert not layer.data.any()


@pytest.mark.parametrize("axes", ["ZYX", "XYZ", "YZXC"])
def test_stacks_come_back_with_what_was_there_before(blobs, axes):
    sizes = {"Z": 3, "Y": 48, "X": 64, "C": 3}
    layout = PlaneAxes(axes, tuple(sizes[letter] for letter in axes))
    image = np.zeros(layout.shape, np.uint8)
    turned = [axes.index(letter) for letter in "ZYXC" if letter in axes]
    np.transpose(image, turned)[...] = IMAGE[None, ..., None] if "C" in axes else IMAGE
    letters = axes.replace("C", "")
    canvas = ArrayCanvas(
        np.zeros(layout.label_shape, np.uint16), PlaneAxes(letters, layout.label_shape)
    )
    for plane in ((0,), (1,)):
        canvas.write(plane, (slice(0, 6), slice(0, 6)), np.full((6, 6), 3))
    work = Labelling(canvas, Looking(image, blobs, axes=axes, display=AS_IS), first=4)
    work.sources.append(work.candidates.record())
    do_all(work, (1,))
    layer = SimpleNamespace(data=canvas.array.copy(), metadata={KEY: told(work)})
    np.testing.assert_array_equal(replay(layer, image, model=blobs), canvas.array)
    alone = replay(told(work), image, model=blobs)
    assert alone.dtype == np.uint16
    assert not ArrayCanvas(alone, canvas.axes).read((0,)).any(), "no step touched it"
    np.testing.assert_array_equal(ArrayCanvas(alone, canvas.axes).read((1,)), canvas.read((1,)))


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("existing", ["keep", "overwrite"])
def test_runs_over_planes_come_back(blobs, link, existing):
    stack = np.stack([IMAGE, np.roll(IMAGE, 2, 1), IMAGE * 0])
    work = Labelling.of(stack, blobs, axes="ZYX", display=AS_IS)
    work.take(Prompts(points=[(6, 8)]), plane=(1,))
    work.segment(link=link, existing=existing, min_area=3)
    assert np.unique(work.labels).size > 3
    np.testing.assert_array_equal(replay(told(work), stack, model=blobs), work.labels)


def test_prompts_on_many_planes_come_back(blobs):
    stack = np.stack([IMAGE] * 3)
    work = Labelling.of(stack, blobs, axes="ZYX", display=AS_IS)
    asked = {(2,): Prompts(points=[(6, 6), (47, 0)]), (0,): Prompts(points=[(31, 11)])}
    work.segment([(2,), (0,)], prompts=asked)
    assert np.unique(work.labels).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(replay(told(work), stack, model=blobs), work.labels)


def test_an_interrupted_run_comes_back(blobs):
    stack = np.stack([IMAGE] * 3)
    work = Labelling.of(stack, blobs, axes="ZYX", display=AS_IS)
    looking = work.candidates
    step, numbers = work.begin({"do": "run", "existing": "keep", "link": True}), {}
    for result in fs.run(looking.request(link=True), blobs):
        planned = work.plan(result.index, result.labels, "keep", numbers)
        if result.index == (1,):
            work.take(Prompts(points=[(6, 6)]), plane=(2,))
            stroke(work, (1,), (slice(5, 7), slice(5, 60)), 33)
        work.write(planned, step=step)
    assert len(work.history) == 4
    np.testing.assert_array_equal(replay(told(work), stack, model=blobs), work.labels)


def test_runs_come_back_with_little_memory(blobs, monkeypatch):
    """What was found closer on one plane has left the cache before the next one is done."""
    stack = np.stack([spots((20, 20), (100, 100), shape=(256, 256))] * 3)
    work = Labelling.of(stack, Eyes(blobs), axes="ZYX", display=AS_IS)
    work.segment(prompts={n: Prompts(points=[(22, 22)]) for n in range(3)})
    assert np.unique(work.labels).tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(CandidateCache.__init__, "__defaults__", (1,))
    np.testing.assert_array_equal(replay(told(work), stack, model=Eyes(blobs)), work.labels)


def test_a_run_that_failed_comes_back_as_far_as_it_went(blobs):
    stack = np.stack([IMAGE] * 3)
    work = Labelling.of(stack, blobs, axes="ZYX", display=AS_IS)
    asked = {(n,): Prompts(points=[(6, 6)]) for n in range(3)}
    request = work.candidates.request(prompts=asked)
    step = work.begin(run_record(request, "keep"))
    for result in islice(fs.run(request, blobs), 2):
        work.write(work.plan(result.index, result.labels, "keep"), step=step)
    blobs.shapes.clear()
    np.testing.assert_array_equal(replay(told(work), stack, model=blobs), work.labels)
    assert blobs.calls == 2, "the third plane was not done then, and is not now"


def test_turned_stacks_come_back(blobs):
    stack = np.stack([IMAGE] * 12)
    work = Labelling.of(stack, blobs, axes="ZYX", display=AS_IS)
    work.take(Prompts(points=[(6, 6)]), plane=(5,))
    work.see(stack, blobs, axes="YZX", display=AS_IS)
    work.take(Prompts(points=[(3, 32)]), plane=(6,), existing="overwrite")
    work.see(stack, blobs, axes="ZYX", display=AS_IS)
    work.take(Prompts(points=[(31, 11)]), plane=(0,))
    assert len(provenance(work)["sources"]) == 2
    assert np.unique(work.labels).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(replay(told(work), stack, model=blobs), work.labels)


def test_several_images_come_back_each_from_its_own(blobs):
    other = spots((20, 20)).astype(np.uint16)
    work = Labelling.of(IMAGE, blobs, axes="YX", display=AS_IS)
    work.take(Prompts(points=[(6, 6)]))
    work.see(other, blobs, axes="YX", display=AS_IS)
    work.take(Prompts(points=[(22, 22)]))
    np.testing.assert_array_equal(replay(told(work), [IMAGE, other], model=blobs), work.labels)
    with pytest.raises(ValueError, match="uint16"):
        replay(told(work), IMAGE, model=blobs)


class Eyes:
    """Sees bright objects, and small ones only in windows: counts its looks."""

    spec = "eyes"
    image_size = 1024

    def __init__(self, blobs) -> None:
        self.blobs = blobs

    def segment(self, image):
        found = self.blobs.segment(image)
        return found if len(image) < 100 else found[found.areas > 100]


def test_what_a_closer_look_found_for_something_else_comes_back(blobs):
    image = spots((20, 20), (20, 34), (100, 100), shape=(256, 256))
    image[200:220, 200:220] = 255
    work = Labelling.of(image, Eyes(blobs), axes="YX", display=AS_IS)
    assert work.take(Prompts(points=[(28, 28)]))[0].state == "none", "but it shows the squares"
    assert work.candidates((), Prompts()).windows
    work.everything()
    work.take(Prompts(points=[(103, 103)]))
    assert np.unique(work.labels).tolist() == [0, 1, 2, 3, 4]
    record = told(work)
    np.testing.assert_array_equal(replay(record, image, model=Eyes(blobs)), work.labels)
    script = fs.as_script(record)
    assert "work.candidates.look([" in script


def test_looking_at_the_same_windows_again_costs_nothing(blobs):
    image = spots((20, 20), shape=(256, 256))
    looking = Looking(image, Eyes(blobs), axes="YX", display=AS_IS)
    windows = looking((), Prompts(points=[(22, 22)])).windows
    calls = blobs.calls
    looking.look(windows)
    assert blobs.calls == calls
    looking.look([])
    assert looking((), Prompts()).windows == ()
    assert len(looking((), Prompts()).candidates) == 0
    looking.look(windows)
    assert looking((), Prompts()).windows == windows
    assert len(looking((), Prompts()).candidates) == 1


def test_the_starter_makes_the_same_labels_again():
    work = Labelling.of(coins())
    work.take(Prompts(points=[(56, 101)]))
    work.everything(confidence=0.3, min_area=20)
    record = told(work)
    assert record["sources"][0]["model"]["model"] == "starter"
    assert len(record["sources"][0]["sha256"]) == 64
    np.testing.assert_array_equal(replay(record, coins()), work.labels)


def test_an_image_layer_and_a_pyramid_are_images(blobs):
    from napari.layers import Image

    levels = [IMAGE, IMAGE[::2, ::2]]
    plain, multiscale = Image(IMAGE, name="cells"), Image(levels, multiscale=True)
    work = Labelling.of(plain, blobs, axes="YX", display=AS_IS)
    work.everything()
    assert work.sources[0]["image"]["name"] == "cells"
    for image in (plain, IMAGE, multiscale, levels):
        np.testing.assert_array_equal(replay(told(work), image, model=blobs), work.labels)
    work = Labelling.of(multiscale, blobs, axes="YX", display=AS_IS)
    work.everything()
    assert work.sources[0]["image"]["levels"] == [[24, 32]]
    np.testing.assert_array_equal(replay(told(work), levels, model=blobs), work.labels)
    with pytest.raises(ValueError, match=r"\(48, 64\), \(24, 32\).*shape \(48, 64\) and"):
        replay(told(work), plain, model=blobs)


def test_a_model_that_has_no_name_has_to_be_passed(work):
    work.everything()
    with pytest.raises(ValueError, match="model=…"):
        replay(told(work), IMAGE)


def test_another_file_of_the_same_name_is_refused_unless_passed(work, blobs):
    work.everything()
    record = told(work)
    source = source_record(
        work.candidates, fs.ModelSpec(model="starter", image_size=64), closer=False
    )
    assert source["sha256"] == model_hash(fs.ModelSpec())
    record["sources"] = [{**source, "sha256": "0" * 64}]
    with pytest.raises(ValueError, match=r"starter with SHA-256 000.*pass model="):
        replay(record, IMAGE)
    with pytest.warns(UserWarning, match="another model than starter"):
        replay(record, IMAGE, model=fs.ModelSpec(image_size=64))


def test_a_layer_whose_labels_were_cut_since_is_refused(work, blobs):
    work.everything()
    layer = SimpleNamespace(metadata={KEY: told(work)}, data=work.labels[:9])
    with pytest.raises(ValueError, match=r"of shape \(48, 64\), as they were.*\(9, 64\)"):
        replay(layer, IMAGE, model=blobs)


def test_another_model_gives_no_number_that_is_in_use(work, blobs):
    """What had no place then may have one now."""
    work.labels[3:11, 3:11] = 40
    work.skip(40)
    assert work.take(Prompts(points=[(6, 6)]))[0].state == "taken"
    work.take(Prompts(points=[(6, 32), (6, 6)]))
    record = told(work)
    made = replay(record, IMAGE, model=blobs)
    np.testing.assert_array_equal(made, work.labels)
    assert (made[6, 6], made[6, 32]) == (40, 41)


def test_a_pyramid_is_one_image_for_all_sources(blobs):
    levels = [IMAGE, IMAGE[::2, ::2]]
    work = Labelling.of(levels, blobs, axes="YX", display=AS_IS)
    work.take(Prompts(points=[(6, 6)]))
    work.see(levels, blobs, axes="YX", display=AS_IS, closer=False)
    work.take(Prompts(points=[(6, 32)]))
    assert len(told(work)["sources"]) == 2
    np.testing.assert_array_equal(replay(told(work), levels, model=blobs), work.labels)
