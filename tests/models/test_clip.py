"""CLIP through its real code, on small networks with random weights that the tests write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fastsam.instances import Instances
from napari_fastsam.models.clip import OpenClip
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
