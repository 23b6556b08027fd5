"""Candidates are made better where that is worth its time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fastsam import Instances
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.quality import improved

SEEN = 64


@pytest.mark.parametrize(("side", "kept"), [(256, False), (1024, True)])
def test_masks_stay_as_they_are_where_the_network_saw_the_plane_far_too_small(side, kept):
    mask = np.zeros((side, side), bool)
    mask[: side // 2] = True
    mask[-4:, -4:] = True  # a scrap
    found = Instances.from_masks((side, side), [mask])
    frame = np.random.default_rng(0).integers(0, 256, (SEEN, SEEN, 3), np.uint8)
    letterbox = Letterbox.fit((side, side), SEEN)
    nothing = torch.zeros(32, SEEN // 4, SEEN // 4)
    after = improved(found, np.zeros((1, 32), np.float32), nothing, frame, letterbox)
    assert np.array_equal(after.mask(0), mask) == kept
