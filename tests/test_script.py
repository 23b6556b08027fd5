import json

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.data import coins

from fakes import BlobSegmenter, GreyScorer
from labelling_cases import AS_IS, stroke
from napari_fastsam import (
    Cleanup,
    Display,
    Labelling,
    ModelSpec,
    Prompts,
    TextSpec,
    as_script,
    provenance,
)
from test_matching import DARK, scene
from test_replaying import IMAGE, do_all, spots


def run_script(work, tmp_path, images=(), model=None) -> np.ndarray:
    """Run the script of a labelling; images and a model without a file are filled in."""
    script = as_script(
        json.loads(json.dumps(provenance(work))), output=str(tmp_path / "labels.tif")
    )
    names = {}
    for n, image in enumerate(images):
        name = f"image_{n + 1}" if n else "image"
        names[f"given_{n}"] = image
        script = script.replace(f"\n{name} = ...", f"\n{name} = given_{n}")
    if model is not None:
        names["model"] = model
        script = script.replace("model=...", "model=model")
    exec(compile(script, "script", "exec"), names)
    return tifffile.imread(tmp_path / "labels.tif")


def test_a_script_makes_the_same_labels(blobs, tmp_path):
    work = Labelling.of(IMAGE, blobs, axes="YX", display=AS_IS)
    do_all(work)
    np.testing.assert_array_equal(run_script(work, tmp_path, [IMAGE], blobs), work.labels)


def test_a_script_reads_as_it_was_done(tmp_path):
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, coins())
    work = Labelling.of(coins(), "starter", axes="YX", display=Display(contrast_limits=(0, 255)))
    work.sources[0]["image"]["path"] = str(path)
    work.take(Prompts(points=[(56, 101.5)]))
    work.everything(confidence=0.3, min_area=20, cleanup=Cleanup(opening=1))
    first, _, *rest = as_script(provenance(work)).splitlines()
    assert first.startswith('"""Labels made with napari-fastsam')
    assert rest == [
        "import napari_fastsam as fs",
        "import tifffile",
        "",
        f'image = tifffile.imread("{path}")',
        "",
        'work = fs.Labelling.of(image, "starter", axes="YX", '
        "display=fs.Display(contrast_limits=(0, 255)), closer=False)",
        "work.take(fs.Prompts(points=[(56, 101.5)]))",
        "work.everything(confidence=0.3, min_area=20, cleanup=fs.Cleanup(opening=1))",
        "",
        'tifffile.imwrite("labels.tif", work.labels, photometric="minisblack")',
    ]


@pytest.mark.parametrize("ending", [".npy", ".png", ".zarr"])
def test_a_script_opens_the_file(blobs, tmp_path, ending):
    path = tmp_path / f"cells{ending}"
    if ending == ".npy":
        np.save(path, IMAGE)
    elif ending == ".png":
        from skimage.io import imsave

        imsave(path, IMAGE, check_contrast=False)
    else:
        import zarr

        zarr.save(path, IMAGE)
    work = Labelling.of(IMAGE, blobs, axes="YX", display=AS_IS)
    work.sources[0]["image"]["path"] = str(path)
    work.take(Prompts(points=[(6, 6)]))
    np.testing.assert_array_equal(run_script(work, tmp_path, [], blobs), work.labels)


def test_regions_strokes_and_what_was_there_before_are_data(blobs, tmp_path):
    work = Labelling.of(IMAGE, blobs, axes="YX", display=AS_IS)
    work.labels[40:44, 50:60] = 4
    work.skip(4)
    work.take(Prompts(masks=[IMAGE[:, ::-1] == 1, IMAGE > 0][1:]))
    stroke(work, (), (slice(0, 2), slice(0, 64)), 7)
    work.take(Prompts(scribbles=[spots((5, 5), size=2) > 0]))
    np.testing.assert_array_equal(run_script(work, tmp_path, [IMAGE], blobs), work.labels)


def test_numbers_that_were_undone_are_left_out(blobs, tmp_path):
    work = Labelling.of(IMAGE, blobs, axes="YX", display=AS_IS)
    work.take(Prompts(points=[(6, 6)]))
    work.reserve(4)
    work.take(Prompts(points=[(6, 32)]))
    work.take(Prompts(points=[(31, 11)]), labels=[1])
    assert "work.skip(5)" in as_script(provenance(work))
    np.testing.assert_array_equal(run_script(work, tmp_path, [IMAGE], blobs), work.labels)


def test_runs_turned_stacks_and_several_images(blobs, tmp_path):
    stack = np.stack([IMAGE] * 12)
    other = stack[..., ::-1].copy().astype(np.uint16)
    work = Labelling.of(stack, blobs, axes="ZYX", display=AS_IS)
    work.segment([(0,), (1,)], link=True)
    work.segment(prompts={(3,): Prompts(points=[(6, 6)])}, existing="overwrite")
    work.see(stack, blobs, axes="YZX", display=AS_IS)
    work.take(Prompts(points=[(3, 32)]), plane=(6,))
    work.see(other, blobs, axes="ZYX", display=AS_IS)
    with work.together():
        work.everything(plane=(5,))
        work.clean(Cleanup(min_area=3, clear_border=True), plane=(5,))
    work.give_back(2, plane=(0,))
    made = run_script(work, tmp_path, [stack, other], blobs)
    np.testing.assert_array_equal(made, work.labels)


def test_an_interrupted_run_is_in_the_script_as_it_was(blobs, tmp_path):
    from napari_fastsam import run

    stack = np.stack([IMAGE] * 3)
    work = Labelling.of(stack, blobs, axes="ZYX", display=AS_IS)
    step = work.begin({"do": "run", "existing": "keep"})
    for result in run(work.candidates.request(), blobs):
        work.write(work.plan(result.index, result.labels, "keep"), step=step)
        work.take(Prompts(points=[(6, 6)]), plane=(2,))
    assert "run_again(" in as_script(provenance(work))
    np.testing.assert_array_equal(run_script(work, tmp_path, [stack], blobs), work.labels)


def test_a_model_is_told_as_it_was_chosen():
    work = Labelling.of(IMAGE, ModelSpec(device="cpu", image_size=64), axes="YX", closer=False)
    script = as_script(provenance(work))
    assert 'of(image, fs.ModelSpec(device="cpu", image_size=64), axes="YX", closer=False)' in script


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "move", "remove", "give", "everything", "stroke", "undo"]),
        st.integers(0, 47),
        st.integers(0, 63),
        st.sampled_from(["keep", "overwrite"]),
    ),
    max_size=12,
)


@given(ACTIONS)
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_session_is_a_script(tmp_path, actions):
    blobs = BlobSegmenter()
    places = [(r, c) for r in (2, 14, 26, 38) for c in (2, 18, 34, 50)]
    image = spots(*places, size=9)
    work = Labelling.of(image, blobs, axes="YX", display=AS_IS)
    for do, row, column, existing in actions:
        point = Prompts(points=[(row, column)])
        labels = sorted(work.objects)
        if do == "take":
            work.take(point, existing=existing)
        elif do == "move" and labels:
            work.take(point, labels=[labels[row % len(labels)]], existing=existing)
        elif do == "remove" and labels:
            work.remove(labels[: 1 + row % 2])
        elif do == "give":
            work.give_back(int(work.labels[row, column]))
        elif do == "everything":
            work.everything(existing=existing, min_area=row)
        elif do == "stroke":
            stroke(work, (), (slice(row, row + 1), slice(0, column + 1)), column)
        else:
            work.undo()
    np.testing.assert_array_equal(run_script(work, tmp_path, [image], blobs), work.labels)


@pytest.fixture
def scorer(monkeypatch):
    """What knows words without a network, whatever is to be built."""

    def build(given):
        spec = TextSpec(model=given) if isinstance(given, str) else given
        return GreyScorer(spec) if isinstance(spec, TextSpec) else given

    monkeypatch.setattr("napari_fastsam.looking.build_scorer", build)
    return TextSpec(model="grey")


def test_searches_by_words_and_examples_are_in_the_script(scorer, tmp_path):
    image, model = scene(), BlobSegmenter(80)
    work = Labelling.of(image, model, scorer=scorer)
    work.take(Prompts(text="bright | dark, not grey", threshold=0.25), without=[1])
    work.undo()
    work.take(Prompts(text="bright", boxes=[(0, 0, 60, 40)], top_k=1))
    work.take(Prompts(points=[(28, 10)], similar=True, threshold=0.99), cleanup=Cleanup(opening=1))
    work.reserve(4)
    work.take(Prompts(text="dark", masks=[image[..., 0] == DARK]), without=[0])
    script = as_script(provenance(work))
    assert 'scorer="grey"' in script
    take = 'work.take(fs.Prompts(boxes=[(0, 0, 60, 40)], text="bright", threshold=0.5, top_k=1))'
    assert take in script
    assert "similar=True, threshold=0.99" in script
    assert "without=[0]" in script
    np.testing.assert_array_equal(run_script(work, tmp_path, [image], model), work.labels)


def test_searches_over_planes_and_with_another_clip_are_in_the_script(scorer, tmp_path):
    stack, model = np.stack([scene(), np.roll(scene(), 3, 1)]), BlobSegmenter(80)
    work = Labelling.of(stack, model, axes="ZYXC", scorer=scorer)
    words = Prompts(text="dark | bright")
    work.segment(prompts={0: words, 1: words}, link=True)
    other = TextSpec(model="grey", mode="dense", background=("sky",))
    work.see(stack, model, axes="ZYXC", scorer=other)
    work.take(Prompts(text="grey"), plane=1)
    script = as_script(provenance(work))
    assert 'scorer=fs.TextSpec(model="grey", mode="dense", background=("sky",))' in script
    np.testing.assert_array_equal(run_script(work, tmp_path, [stack], model), work.labels)
