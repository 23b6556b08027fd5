from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.data import coins
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label

from napari_fastsam import FastSAM, Instances, Prompts, everything, select
from napari_fastsam.models.architecture import Architecture
from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.registry import MODELS

STARTER = MODELS["starter"]


@pytest.fixture(scope="module")
def starter():
    return FastSAM("starter", device="cpu")


def nuclei(dtype, inverted=False):
    """Blurred, noisy ellipses that do not touch, and their labels."""
    rng = np.random.default_rng(1)
    labels = np.zeros((256, 320), np.uint16)
    rows, cols = np.ogrid[:256, :320]
    for n in range(20):
        row, col = (np.array(divmod(n, 5)) + 0.5) * 64 + rng.uniform(-8, 8, 2)
        a, b = rng.uniform(9, 18, 2)
        labels[((rows - row) / a) ** 2 + ((cols - col) / b) ** 2 < 1] = n + 1
    image = ndimage.gaussian_filter((labels > 0) * rng.uniform(0.5, 1, 21)[labels], 1.5)
    image = image + rng.normal(0, 0.03, image.shape)
    image = 1 - image if inverted else image
    if dtype == np.uint8:
        return (np.clip(image, 0, 1) * 255).astype(dtype), labels
    return (image * 4000 + 8000).astype(dtype), labels


def test_the_file_is_small_and_tells_what_it_is():
    assert STARTER.path.stat().st_size <= 8_000_000
    checkpoint = load_checkpoint(STARTER.path)
    assert checkpoint.architecture == Architecture("n", reg_max=16, classes=80)
    assert checkpoint.image_size == STARTER.image_size
    assert checkpoint.metadata["name"] == "starter"
    assert checkpoint.metadata["licence"] == STARTER.licence


def test_it_finds_most_coins(starter):
    candidates = starter.segment(coins())
    smooth = gaussian(coins(), 2)
    rough = label(ndimage.binary_fill_holes(smooth > threshold_otsu(smooth) * 1.02))
    areas = np.bincount(rough.ravel())
    truth = Instances.from_labels(np.where((areas > 500) & (areas < 4000), 1, 0)[rough] * rough)
    assert len(truth) > 10
    found = everything(candidates).iou(truth).max(1) > 0.7
    assert found.mean() > 0.8


@pytest.mark.parametrize("inverted", [False, True], ids=["bright", "dark"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_it_finds_nuclei_of_any_dtype_bright_or_dark(starter, dtype, inverted):
    image, labels = nuclei(dtype, inverted)
    candidates = starter.segment(image)
    truth = Instances.from_labels(labels)
    chosen = everything(candidates)
    hits = chosen.iou(truth).max(1, initial=0) > 0.5
    assert hits.mean() >= 0.9
    assert len(chosen) < 1.5 * len(truth)


def test_a_click_takes_the_nucleus_under_it(starter):
    image, labels = nuclei(np.uint16)
    points = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, 21)))
    candidates = starter.segment(image)
    best = select(candidates, Prompts(points=points)).best
    assert (best >= 0).mean() >= 0.9
    iou = candidates.iou(Instances.from_labels(labels))
    answered = np.flatnonzero(best >= 0)
    assert iou[answered, best[answered]].mean() > 0.75
