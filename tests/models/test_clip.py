"""CLIP through its real code, on small networks with random weights that the tests write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_fastsam.instances import Instances
from napari_fastsam.models import clip_runtime
from napari_fastsam.models.clip import OpenClip
from napari_fastsam.models.clip_runtime import ClipRuntime
from napari_fastsam.segmenter import TextScorer, TextSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MODES = ("crops", "dense")


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def plane(rng: np.random.Generator) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (90, 140, 3), np.uint8)


@pytest.fixture(scope="module")
def objects() -> Instances:
    """Objects of many sizes, some at the border, one that fills the plane."""
    masks = []
    for top, left, height, width in (
        (0, 0, 90, 140),
        (0, 0, 20, 30),
        (70, 120, 20, 20),
        (30, 30, 8, 8),
        (30, 45, 9, 7),
        (50, 60, 40, 3),
        (40, 90, 1, 1),
    ):
        mask = np.zeros((90, 140), bool)
        mask[top : top + height, left : left + width] = True
        masks.append(mask)
    return Instances.from_masks((90, 140), masks)


@pytest.fixture(scope="module", params=MODES)
def clip(request: pytest.FixtureRequest, clip_file: Path) -> OpenClip:
    return OpenClip(clip_file, device="cpu", mode=request.param)


def test_it_is_a_scorer_that_its_spec_describes(clip: OpenClip, clip_file: Path) -> None:
    assert isinstance(clip, TextScorer)
    assert clip.spec == TextSpec(model=str(clip_file), device="cpu", mode=clip.spec.mode)
    assert OpenClip.from_spec(clip.spec).spec == clip.spec


def test_every_object_gets_a_vector_of_length_one(
    clip: OpenClip, plane: NDArray[np.uint8], objects: Instances
) -> None:
    told: list[tuple[int, int]] = []
    vectors = clip.embed(plane, objects, looked=lambda done, total: told.append((done, total)))
    assert vectors is not None
    assert vectors.dtype == np.float32
    assert vectors.shape == (7, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert told[-1] == (7, 7)
    assert told == sorted(told)


def test_no_objects_are_no_vectors_and_no_probabilities(
    clip: OpenClip, plane: NDArray[np.uint8]
) -> None:
    vectors = clip.embed(plane, Instances.empty((90, 140)))
    assert vectors is not None
    assert vectors.shape == (0, 32)
    assert clip.score(vectors, "cell | nucleus").shape == (0, 2)


def test_a_look_that_is_cancelled_returns_nothing(
    clip: OpenClip, plane: NDArray[np.uint8], objects: Instances
) -> None:
    assert clip.embed(plane, objects, cancelled=lambda: True) is None


def test_an_image_of_another_shape_is_refused(clip: OpenClip, objects: Instances) -> None:
    with pytest.raises(ValueError, match=r"shape \(90, 140, 3\).*to_rgb"):
        clip.embed(np.zeros((90, 141, 3), np.uint8), objects)


def test_a_later_question_looks_at_nothing(
    clip: OpenClip,
    plane: NDArray[np.uint8],
    objects: Instances,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = clip.embed(plane, objects)
    assert vectors is not None
    first = clip.score(vectors, "cell")
    clip.release()
    monkeypatch.setattr(clip, "_loaded", None)
    np.testing.assert_array_equal(clip.score(vectors, "cell"), first)


def test_wanted_phrases_do_not_compete_and_unwanted_ones_do(
    clip: OpenClip, plane: NDArray[np.uint8], objects: Instances
) -> None:
    vectors = clip.embed(plane, objects)
    assert vectors is not None
    both = clip.score(vectors, "red circle | green square")
    assert both.dtype == np.float32
    assert bool(((both >= 0) & (both <= 1)).all())
    turned = clip.score(vectors, "green square, red circle")
    np.testing.assert_allclose(turned, both[:, ::-1], rtol=1e-5)
    np.testing.assert_allclose(clip.score(vectors, "red circle"), both[:, :1], rtol=1e-5)
    assert bool((clip.score(vectors, "red circle, not blue star") < both[:, :1]).all())


def test_a_background_word_that_is_wanted_does_not_compete_with_itself(
    clip_file: Path, plane: NDArray[np.uint8], objects: Instances
) -> None:
    clip = OpenClip(clip_file, device="cpu", background=["Cell"])
    vectors = clip.embed(plane, objects)
    assert vectors is not None
    np.testing.assert_array_equal(clip.score(vectors, "cell"), 1)


def test_vectors_of_another_clip_are_refused(clip: OpenClip) -> None:
    with pytest.raises(ValueError, match="vectors of 32 numbers"):
        clip.score(np.zeros((2, 31), np.float32), "cell")


def words(clip: OpenClip, text: str) -> NDArray[np.float32]:
    """Return what a text is worth for two things that are nothing."""
    return clip.score(np.eye(2, 32, dtype=np.float32), text)


def test_a_phrase_that_is_too_long_is_cut_at_a_word_and_says_which(clip: OpenClip) -> None:
    long = " ".join(["large", "round", "red", "cell"] * 30)
    with pytest.warns(UserWarning, match="of which this was cut: '") as caught:
        found = words(clip, long)
    (told,) = (str(warning.message) for warning in caught)
    cut = told.split("this was cut: '")[1].split("'")[0]
    assert long.endswith(f" {cut}")
    np.testing.assert_array_equal(words(clip, long.removesuffix(f" {cut}")), found)


def test_a_text_without_spaces_is_cut_too(clip: OpenClip) -> None:
    with pytest.warns(UserWarning, match="this was cut: '細"):
        assert words(clip, "細" * 200).shape == (2, 1)


@pytest.mark.parametrize("text", ["细胞核", "клетка", "🔴", "الخلية", "cellule à noyau"])
def test_other_scripts_and_emoji_are_words(clip: OpenClip, text: str) -> None:
    found = words(clip, text)
    assert np.isfinite(found).all()
    assert bool((found != words(clip, "cell")).any())


@pytest.mark.parametrize("text", ["<end_of_text> é", "é <START_of_TEXT>"])
def test_what_would_end_a_text_is_no_word(clip: OpenClip, text: str) -> None:
    np.testing.assert_array_equal(words(clip, text), words(clip, "é"))


@pytest.mark.parametrize("text", ["\u00a0\u2003", "", " | ,"])
def test_nothing_to_read_is_told(clip: OpenClip, text: str) -> None:
    with pytest.raises(ValueError, match="Expected words"):
        words(clip, text)


def test_phrases_are_forgotten_in_the_end(clip_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_fastsam.models import clip as module

    monkeypatch.setattr(module, "_PHRASES", 10)
    clip = OpenClip(clip_file, device="cpu")
    first = words(clip, "cell")
    for n in range(12):
        words(clip, f"thing {n}")
    assert len(clip._phrases) == 10
    np.testing.assert_allclose(words(clip, "cell"), first, rtol=1e-5)


def test_released_weights_are_read_again(
    clip: OpenClip, plane: NDArray[np.uint8], objects: Instances
) -> None:
    before = clip.embed(plane, objects)
    clip.release()
    after = clip.embed(plane, objects)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before, after)


def test_batches_do_not_change_what_is_seen(
    clip: OpenClip,
    plane: NDArray[np.uint8],
    objects: Instances,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = clip.embed(plane, objects)
    sizes: list[int] = []

    def alone(self: ClipRuntime, pixels: torch.Tensor, *rest: Any) -> NDArray[np.float32]:
        sizes.append(len(pixels))
        return look(self, pixels, *rest)

    name = "pictures" if clip.spec.mode == "crops" else "regions"
    look = getattr(ClipRuntime, name)
    monkeypatch.setattr(ClipRuntime, name, alone)
    monkeypatch.setattr(clip_runtime, "_CPU_BYTES", 1)
    told: list[int] = []
    found = clip.embed(plane, objects, looked=lambda done, total: told.append(done))
    assert found is not None
    assert together is not None
    assert set(sizes) == {1}
    np.testing.assert_allclose(found, together, atol=1e-5)
    assert told == sorted(told)


def test_memory_for_a_batch_is_bounded(clip_file: Path) -> None:
    rng = np.random.default_rng(0)
    low = rng.integers(0, 230, (400, 2))
    boxes = np.concatenate([low, low + 20], axis=1)
    masks = [np.ones((20, 20), bool)] * 400
    many = Instances.from_masks((250, 250), masks, boxes)
    for mode in MODES:
        clip = OpenClip(clip_file, device="cpu", mode=mode)
        batches: list[int] = []
        clip._loaded()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clip_runtime, "_CPU_BYTES", 1 << 16)
            clip.embed(
                np.zeros((250, 250, 3), np.uint8),
                many,
                looked=lambda done, total, batches=batches: batches.append(done),
            )
        assert len(batches) > 10


def test_a_plane_that_can_only_be_sliced_is_read_in_small_parts(
    clip: OpenClip, plane: NDArray[np.uint8], objects: Instances
) -> None:
    class Read:
        shape = plane.shape

        def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.uint8]:
            return plane[window]

    np.testing.assert_array_equal(clip.embed(Read(), objects), clip.embed(plane, objects))


def test_objects_in_a_dense_look_do_not_see_each_other(
    clip_file: Path, plane: NDArray[np.uint8], objects: Instances
) -> None:
    """Only those that share no window: in one, each looks at what lies around the others too."""
    clip = OpenClip(clip_file, device="cpu", mode="dense")
    all_of_them, first = clip.embed(plane, objects), clip.embed(plane, objects[:1])
    assert all_of_them is not None
    assert first is not None
    np.testing.assert_allclose(all_of_them[:1], first, atol=1e-5)


def test_nothing_of_open_clip_is_imported_before_words_are_used(clip_file: Path) -> None:
    code = (
        "import sys, napari_fastsam as fs; fs.OpenClip; fs.FastSAM\n"
        f"fs.OpenClip({str(clip_file)!r}, device='cpu')\n"
        "print(*sorted({'open_clip', 'timm', 'huggingface_hub', 'transformers'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_reading_words_leaves_the_environment_alone(clip_file: Path) -> None:
    code = (
        "import os, warnings, numpy as np, torch, napari_fastsam as fs\n"
        "def state(): return dict(os.environ), torch.get_num_threads(), str(warnings.filters)\n"
        f"clip = fs.OpenClip({str(clip_file)!r}, device='cpu')\n"
        "before = state()\n"
        "clip.score(np.zeros((1, 32), np.float32), 'cell')\n"
        "print(before == state())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("mode", ["both", ""])
def test_modes_that_are_none_are_refused(mode: Any, clip_file: Path) -> None:
    with pytest.raises(ValueError, match='"crops" or "dense" as the mode'):
        OpenClip(clip_file, device="cpu", mode=mode)


def test_it_says_what_it_is(clip: OpenClip) -> None:
    assert repr(clip) == f"<OpenClip clip.safetensors · CPU · {clip.spec.mode}>"


def test_what_is_cut_is_said_each_time(clip: OpenClip) -> None:
    for _ in range(2):
        with pytest.warns(UserWarning, match="of which this was cut"):
            words(clip, " ".join(["cell"] * 90))


def test_other_weights_under_the_same_name_bring_their_own_words(
    clip_config: dict[str, Any], clip_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.safetensors"
    path.write_bytes(clip_file.read_bytes())
    scorer = OpenClip(path, device="cpu")
    before = words(scorer, "red cell")
    content = load_file(path)
    content["text_projection"] = content["text_projection"].flip(1).contiguous()
    save_file(content, path, {"model_cfg": json.dumps(clip_config)})
    os.utime(path, (0, 0))
    scorer.release()
    scorer.embed(np.zeros((4, 4, 3), np.uint8), Instances.empty((4, 4)))
    expected = words(OpenClip(path, device="cpu"), "red cell")
    assert not np.allclose(before, expected)
    np.testing.assert_array_equal(words(scorer, "red cell"), expected)


def test_a_scale_beyond_all_bounds_is_the_largest(
    clip_config: dict[str, Any], clip_file: Path, tmp_path: Path
) -> None:
    content = load_file(clip_file)
    content["logit_scale"] = torch.tensor(1000.0)
    path = tmp_path / "clip.safetensors"
    save_file(content, path, {"model_cfg": json.dumps(clip_config)})
    assert np.isfinite(words(OpenClip(path, device="cpu"), "red cell")).all()
