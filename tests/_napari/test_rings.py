import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from napari_fastsam._napari.rings import Ring

MASK = np.random.default_rng(1).random((13, 17)) > 0.3


@pytest.mark.parametrize("reach", [0, 1, 2, 5, 8])
def test_an_outline_is_the_edge_spread_to_both_sides(reach):
    ring = Ring.around(MASK, (20, 30, 33, 47), (60, 80), reach)
    expected = np.zeros((60, 80), bool)
    expected[20:33, 30:47] = MASK & ~binary_erosion(MASK)
    if reach:
        expected = binary_dilation(expected, np.ones((2 * reach + 1,) * 2))
    drawn = np.zeros((60, 80), bool)
    ring.draw(drawn, True)
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("reach", [0, 3, 50])
def test_an_outline_is_cut_off_at_the_planes_edges(reach):
    shape = (13, 17)
    ring = Ring.around(MASK, (0, 0, *shape), shape, reach)
    assert ring.pixels.shape == shape
    assert ring.pixels[0][MASK[0]].all()


def test_erasing_puts_back_what_was_there():
    plane = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80)
    before = plane.copy()
    ring = Ring.around(MASK, (20, 30, 33, 47), plane.shape, 2)
    ring.draw(plane, 7)
    assert (plane != before).sum() == ring.pixels.sum() > 0
    ring.erase(plane)
    np.testing.assert_array_equal(plane, before)


def test_an_outline_is_known_by_the_object_its_place_and_its_width():
    ring = Ring.around(MASK, (20, 30, 33, 47), (60, 80), 2)
    assert ring.is_around(MASK.copy(), (20, 30, 33, 47), 2)
    assert not ring.is_around(MASK, (20, 31, 33, 48), 2)
    assert not ring.is_around(MASK, (20, 30, 33, 47), 1)
    assert not ring.is_around(~MASK, (20, 30, 33, 47), 2)
