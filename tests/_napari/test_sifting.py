import numpy as np
import pytest

from napari_fastsam import Instances
from napari_fastsam._napari.sifting import Sieve, Sifting

HERE = ("image", ())


@pytest.fixture
def candidates():
    """Two squares apart from each other, of 9 and of 25 pixels."""
    masks = [np.ones((3, 3), bool), np.ones((5, 5), bool)]
    boxes = [(1, 1, 4, 4), (10, 10, 15, 15)]
    return Instances.from_masks((20, 20), masks, boxes, np.array([0.9, 0.5], np.float32))


def test_what_was_sifted_so_is_not_sifted_again(candidates):
    sifting = Sifting()
    first = sifting.sift(candidates, Sieve(0.3), *HERE)
    assert sifting.sift(candidates, Sieve(0.3), *HERE) is first
    assert len(first) == 2


def test_another_sieve_or_other_candidates_are_sifted(candidates):
    sifting = Sifting()
    sifting.sift(candidates, Sieve(0.3), *HERE)
    assert len(sifting.sift(candidates, Sieve(0.7), *HERE)) == 1
    assert len(sifting.sift(candidates[:0], Sieve(0.7), *HERE)) == 0


def test_what_is_forgotten_is_sifted_again(candidates):
    sifting = Sifting()
    first = sifting.sift(candidates, Sieve(0.3), *HERE)
    sifting.forget()
    assert sifting.left is None
    assert sifting.sift(candidates, Sieve(0.3), *HERE) is not first


def test_what_is_clicked_away_stays_away_while_the_sieve_changes(candidates):
    sifting = Sifting()
    sifting.sift(candidates, Sieve(0.3), *HERE)
    assert sifting.toggle((2, 2))
    assert sifting.kept.areas.tolist() == [25]
    sifting.sift(candidates, Sieve(0.4), *HERE)
    assert sifting.kept.areas.tolist() == [25]
    assert not sifting.toggle((18, 2))
    sifting.sift(candidates, Sieve(0.4), "image", (1,))
    assert len(sifting.kept) == 2
