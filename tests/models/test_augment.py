from __future__ import annotations

import numpy as np
import pytest

from napari_fastsam.models.augment import _stain, view
from napari_fastsam.models.letterbox import FILL
from napari_fastsam.models.scenes import Scene


def scene(shape=(60, 90), upright=False):
    """Two bright discs on a dark ground."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint16)
    labels[(rows - 20) ** 2 + (cols - 20) ** 2 < 100] = 1
    labels[(rows - 40) ** 2 + (cols - 60) ** 2 < 144] = 2
    image = np.repeat(np.where(labels > 0, 200, 20)[..., None], 3, axis=2).astype(np.uint8)
    return Scene(image, labels, np.zeros(2, np.int64), upright)


def test_a_scene_knows_where_its_objects_are_and_how_wide():
    one = scene()
    np.testing.assert_allclose(one.centres, [[20.5, 20.5], [60.5, 40.5]])
    assert one.width == pytest.approx(np.sqrt(np.pi) * 11, rel=0.05)


@pytest.mark.parametrize("upright", [False, True])
def test_a_view_depends_on_the_random_state_alone(upright):
    first = view(scene(upright=upright), 64, 128, np.random.default_rng(3))
    again = view(scene(upright=upright), 64, 128, np.random.default_rng(3))
    other = view(scene(upright=upright), 64, 128, np.random.default_rng(4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])


def test_labels_lie_where_the_objects_are_seen(monkeypatch):
    monkeypatch.setattr("napari_fastsam.models.augment._LIGHTS", ())
    agreeing = []
    for seed in range(40):
        image, labels = view(scene(), 64, 128, np.random.default_rng(seed))
        assert image.shape == (64, 64, 3)
        assert labels.shape == (64, 64)
        bright = image[..., 0] > 160
        if labels.any():
            agreeing.append((bright & (labels > 0)).sum() / (bright | (labels > 0)).sum())
    assert len(agreeing) > 30
    assert np.mean(agreeing) > 0.9


def test_outside_the_image_is_the_letterbox_s_grey(monkeypatch):
    monkeypatch.setattr("napari_fastsam.models.augment._LIGHTS", ())
    small = scene((60, 70))
    image, labels = view(small, 256, 64, np.random.default_rng(0))
    assert (image == FILL).all(axis=2).mean() > 0.3
    assert not labels[(image == FILL).all(axis=2)].any()


def test_objects_come_in_many_sizes():
    widths = []
    for seed in range(60):
        _, labels = view(scene(), 128, 128, np.random.default_rng(seed))
        areas = np.bincount(labels.ravel())[1:]
        widths += list(np.sqrt(areas[areas > 0]))
    assert np.percentile(widths, 90) > 3 * np.percentile(widths, 10)


def test_photographs_are_not_turned_upside_down(monkeypatch):
    monkeypatch.setattr("napari_fastsam.models.augment._LIGHTS", ())
    one = scene(upright=True)
    one.labels[:] = 0
    one.image[:30], one.image[30:] = 255, 0  # sky above, ground below
    both = 0
    for seed in range(30):
        image, _ = view(one, 64, 90, np.random.default_rng(seed))
        column = image[:, 32, 0]
        sky, ground = np.flatnonzero(column == 255), np.flatnonzero(column == 0)
        if len(sky) and len(ground):
            both += 1
            assert sky.max() < ground.min()
    assert both > 10


@pytest.mark.parametrize("inverted", [False, True], ids=["bright on dark", "dark on bright"])
def test_a_stain_leaves_nuclei_darker_than_what_surrounds_them(inverted):
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:64, :64] - 32
    nucleus = rows**2 + cols**2 < 100
    image = np.repeat((nucleus ^ inverted)[..., None], 3, axis=2).astype(np.float32)
    for _ in range(20):
        stained = _stain(image, rng)
        assert stained.shape == image.shape
        assert 0 <= stained.min() <= stained.max() <= 1
        assert stained[nucleus].mean() < stained[~nucleus].mean()
