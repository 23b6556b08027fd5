"""One object through real masks whose truth is known, and what holds of any way."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.io import imread

from napari_fastsam import Instances, follow

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def helpers():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return {name: import_module(name) for name in ("_identity", "_moving", "following")}


def scores(helpers, truth: np.ndarray, labels: list[int]) -> tuple[float, float]:
    """Return the mean IoU and the share of masks that are wrong, the true planes as candidates."""
    true = cache(lambda plane: Instances.from_labels(truth[plane]))
    found = [helpers["following"].followed(truth, true, label) for label in labels]
    found = [score for score in found if score is not None]
    assert len(found) >= 15
    masks = sum(score.right + score.wrong for score in found)
    return np.mean([score.volume_iou for score in found]), sum(s.wrong for s in found) / masks


@pytest.mark.parametrize("speed", [1, 2])
def test_nuclei_that_move_are_followed_from_one_click(shared_data, helpers, speed) -> None:
    moving = helpers["_moving"]
    film = moving.moving_nuclei(
        moving.fluorescence(shared_data)[::12], planes=10, speed=speed, seed=3
    )
    labels = sorted(set(np.unique(film.truth[film.truth > 0]).tolist()) - film.dividing)[::6]
    iou, wrong = scores(helpers, film.truth, labels)
    assert iou >= 0.9
    assert wrong <= 0.03


def test_true_cells_are_followed_from_one_click(shared_data, helpers) -> None:
    named = imread(next((shared_data / "plant3d/masks").iterdir()))
    cells = helpers["_identity"].named_as_neighbours(named)
    iou, wrong = scores(helpers, cells, np.unique(cells[cells > 0])[::4].tolist())
    assert iou >= 0.75
    assert wrong <= 0.15  # walls that lie in the plane are not to be seen in its labels


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(np.uint8, (5, 8, 9), elements=st.integers(0, 4)),
    st.integers(0, 4),
    st.integers(0, 2),
)
def test_every_plane_is_told_once_with_a_candidate_or_a_reason(labels, start, max_gap) -> None:
    planes = [Instances.from_labels(plane) for plane in labels]
    if not len(planes[start]):
        return
    steps = list(
        follow(lambda n: planes[n], {start: planes[start][[0]]}, range(5), max_gap=max_gap)
    )
    told = [step.plane for step in steps]
    assert len(set(told)) == len(told)
    assert start not in told
    assert all(b - a in (1, -1) or b < start for a, b in pairwise(told))
    for step in steps:
        assert (step.instance is None) == bool(step.reason)
        if step.instance is not None:
            assert planes[step.plane].iou(step.instance).max() == 1
            assert 0 < step.fit <= 1
    ends = [step for step in steps if step.end]
    assert len(ends) == (start > 0) + (start < 4)
