"""What is worked out where the network's outputs are equals what NumPy says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import coins

from napari_fastsam import FastSAM
from napari_fastsam.models import candidates, decode, detect, on_device
from napari_fastsam.models.letterbox import Letterbox

# The pad is a whole number of prototype cells, of halves and of quarters, or none; images are
# smaller and larger than the network's, and as thin as can be.
SHAPES = [(48, 64), (40, 64), (64, 37), (50, 64), (123, 90), (700, 400), (1, 300), (333, 1), (9, 9)]


def boxes_inside(shape: tuple[int, int], count: int, rng: np.random.Generator) -> np.ndarray:
    """Return boxes with corners anywhere, some empty, and the whole image."""
    rows, cols = (np.sort(rng.integers(0, n + 1, (count, 2)), axis=1) for n in shape)
    boxes = np.stack([rows[:, 0], cols[:, 0], rows[:, 1], cols[:, 1]], 1)
    boxes[0] = (0, 0, *shape)
    return boxes.astype(np.int32)


def outputs(letterbox: Letterbox, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return prototypes and coefficients; those of every fifth object are below 0 everywhere."""
    cells = [side // decode.CELL for side in letterbox.frame]
    prototypes = rng.standard_normal((32, *cells)).astype(np.float32)
    prototypes[-1] = 1000
    coefficients = rng.standard_normal((count, 32)).astype(np.float32)
    coefficients[:, -1] = 0
    coefficients[::5, -1] = -1
    return prototypes, coefficients


def whole(found: np.ndarray, buffer: np.ndarray, bboxes: np.ndarray) -> np.ndarray:
    """Return the pixels of all boxes, those of objects without a pixel too."""
    areas = np.maximum(bboxes[:, 2:] - bboxes[:, :2], 0).prod(1)
    pixels = np.zeros(areas.sum(), bool)
    pixels[np.repeat(found, areas)] = buffer
    return pixels


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("most", [1 << 22, 50_001], ids=["at once", "in pieces"])
def test_masks_are_those_of_numpy(
    shape: tuple[int, int], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_device, "MOST_PIXELS", most)
    monkeypatch.setattr(on_device, "MOST_CELLS", 4 * most)
    rng = np.random.default_rng(1)
    letterbox = Letterbox.fit(shape, 64)
    prototypes, coefficients = outputs(letterbox, 30, rng)
    bboxes = boxes_inside(shape, 30, rng)
    expected = decode.decode(prototypes, coefficients, bboxes, letterbox)
    told = on_device.decode(torch.from_numpy(prototypes), coefficients, bboxes, letterbox)
    assert expected[0].any()
    assert not expected[0][::5].any()
    different = whole(*expected, bboxes) != whole(*told, bboxes)
    assert different.mean() < 1e-5
    np.testing.assert_array_equal(told[0], expected[0])


@pytest.mark.parametrize(
    "bboxes", [np.empty((0, 4), np.int32), np.array([[5, 5, 5, 9], [7, 3, 9, 3]], np.int32)]
)
def test_without_a_pixel_there_is_no_object(bboxes: np.ndarray) -> None:
    letterbox = Letterbox.fit((64, 64), 64)
    ones = np.ones((len(bboxes), 32), np.float32)
    found, buffer = on_device.decode(torch.ones(32, 16, 16), ones, bboxes, letterbox)
    assert found.shape == (len(bboxes),)
    assert not found.any()
    assert buffer.shape == (0,)


def test_half_precision_is_widened_first() -> None:
    rng = np.random.default_rng(2)
    letterbox = Letterbox.fit((60, 64), 64)
    prototypes, coefficients = outputs(letterbox, 9, rng)
    bboxes = boxes_inside((60, 64), 9, rng)
    half = torch.from_numpy(prototypes).half()
    told = on_device.decode(half, coefficients, bboxes, letterbox)
    expected = decode.decode(half.float().numpy(), coefficients, bboxes, letterbox)
    for one, other in zip(told, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=30)
@given(
    anchors=st.integers(0, 200),
    classes=st.integers(1, 3),
    most=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_boxes_are_those_of_numpy(anchors: int, classes: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictions = rng.random((4 + classes + 32, anchors)).astype(np.float32)
    predictions[:4] *= 100
    options: dict[str, Any] = {"confidence": 0.3, "iou": 0.6, "max_candidates": most}
    expected = detect.detect(predictions, **options) if anchors else None
    told = on_device.detect(torch.from_numpy(predictions), **options)
    if expected is None:
        assert not len(told.scores)
        return
    for name in ("boxes", "scores", "coefficients", "classes"):
        np.testing.assert_array_equal(getattr(told, name), getattr(expected, name))


def test_candidates_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    sam = FastSAM("starter", device="cpu", runtime="torch", image_size=320)
    for image in (coins(), coins()[40:241, 3:180]):
        expected = sam.segment(image)
        with monkeypatch.context() as patch:
            patch.setattr(candidates, "HOST_DEVICES", ())
            found = sam.segment(image)
        assert len(expected) > 5
        np.testing.assert_array_equal(found.bboxes, expected.bboxes)
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert (found.buffer != expected.buffer).mean() < 1e-5
