"""Identities on real volumes whose truth is known, and what the measures of them mean."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from napari_fastsam import Linker, link

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def measures():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return import_module("_identity")


@pytest.fixture(scope="module")
def moving():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return import_module("_moving")


@pytest.mark.parametrize("speed", [1, 2])
def test_nuclei_that_move_keep_one_identity(shared_data, moving, measures, speed: int) -> None:
    crops = moving.fluorescence(shared_data)[::12]
    film = moving.moving_nuclei(crops, planes=16, speed=speed, seed=3)
    assert len(film.images) == len(film.truth) == 16
    assert len(np.unique(film.truth)) > 100
    linked = link(measures.shuffled(film.truth))
    kept = measures.identities(film.truth, linked, film.dividing)
    assert min(kept.one, kept.unbroken) >= 0.95
    assert measures.idf1(film.truth, linked) >= 0.95


def test_nuclei_that_divide_are_reported_as_splits(shared_data, moving, measures) -> None:
    film = moving.moving_nuclei(moving.fluorescence(shared_data)[::12], planes=16, seed=3)
    linker = Linker()
    linked = np.stack([linker.push(plane)[plane] for plane in measures.shuffled(film.truth)])
    reported = {
        frozenset(
            np.unique(film.truth[event.plane][linked[event.plane] == label])[0]
            for label in (event.label, event.other)
        )
        for event in linker.events
        if event.kind == "split"
    }
    pairs = {}
    for daughter, mother in film.mothers.items():
        pairs.setdefault(mother, set()).add(daughter)
    seen = [
        frozenset(pair)
        for mother, pair in pairs.items()
        if (first := births(film.truth, pair)) is not None
        and (film.truth[first - 1] == mother).any()
    ]
    assert len(seen) >= 5
    assert len(reported & set(seen)) >= 0.8 * len(seen)
    assert len(reported) <= 1.5 * len(seen)


def births(truth: np.ndarray, pair: set[int]) -> int | None:
    """Return the plane on which both of a pair are there first, if it is the same for both."""
    firsts = {int(np.flatnonzero((truth == n).any((1, 2)))[0]) for n in pair if (truth == n).any()}
    return firsts.pop() if len(firsts) == 1 else None


def test_true_cells_of_a_volume_keep_one_identity(shared_data, measures) -> None:
    named = imread(next((shared_data / "plant3d/masks").iterdir()))
    linked = link(measures.shuffled(named))
    assert len(np.unique(named)) == 1 + 106
    assert measures.identities(named, linked).unbroken >= 0.95


def test_true_cells_keep_one_identity_in_every_direction(shared_data, measures) -> None:
    # walls that lie in the plane are not to be seen in its labels: cells above each other are one
    named = imread(next((shared_data / "plant3d/masks").iterdir()))
    cells = measures.named_as_neighbours(named)
    assert len(np.unique(cells)) == 1 + 76
    for axis, one, unbroken in ((0, 0.70, 0.92), (1, 0.85, 0.93), (2, 0.85, 0.95)):
        truth = np.moveaxis(cells, axis, 0)
        kept = measures.identities(truth, link(measures.shuffled(truth)))
        assert kept.one >= one
        assert kept.unbroken >= unbroken


def test_an_identity_that_two_objects_share_is_none(measures) -> None:
    truth = np.repeat([[[1] * 10 + [2] * 10]], 4, axis=0)
    linked = truth.copy()
    assert measures.identities(truth, linked) == (1, 1, 1)
    assert measures.identities(truth, np.ones_like(truth)) == (0, 1, 1)
    linked[0, 0, 0] = 7  # 1 of 40 voxels
    assert measures.identities(truth, linked) == (1, 1, 0.5)
    linked[:2, 0, :10] = 7
    assert measures.identities(truth, linked) == (0.5, 0.5, 0.5)
    assert measures.identities(truth, linked, left_out=[1]) == (1, 1, 1)


def test_what_is_scored_does_not_depend_on_names(measures) -> None:
    rng = np.random.default_rng(0)
    truth = np.kron(np.arange(12).reshape(3, 4), np.ones((5, 5), int))
    truth = np.stack([truth] * 4)
    assert measures.ap50(truth, truth * 3) == measures.idf1(truth, truth * 3) == 1
    linked = measures.shuffled(truth)
    assert measures.idf1(truth, linked) < 1
    renamed = np.append(0, rng.permutation(11) + 1)[linked]
    assert measures.ap50(truth, linked) == measures.ap50(truth, renamed)
    assert measures.idf1(truth, linked) == measures.idf1(truth, renamed)
