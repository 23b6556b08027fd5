import numpy as np

from napari_fastsam.composite import Channel, Composite, composites

STACK = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
WHOLE = slice(None)


def test_a_channel_is_one_position_of_an_axis():
    kept, dropped = (Channel(STACK, 1, 2, kept) for kept in (True, False))
    assert (kept.shape, dropped.shape) == ((2, 1, 4, 5), (2, 4, 5))
    np.testing.assert_array_equal(kept[1, 0, WHOLE, WHOLE], STACK[1, 2])
    np.testing.assert_array_equal(dropped[1, WHOLE, WHOLE], STACK[1, 2])


def test_parts_are_stacked_along_the_last_axis():
    both = Composite((STACK, None, STACK * 2.0))
    assert both.shape == (2, 3, 4, 5, 3)
    plane = both[0, 2, WHOLE, WHOLE, WHOLE]
    np.testing.assert_array_equal(plane[..., 2], 2 * STACK[0, 2])
    assert not plane[..., 1].any()
    np.testing.assert_array_equal(both[WHOLE, 1, 2, WHOLE, 0], STACK[:, 1, 2])


def test_composites_are_made_of_the_levels_that_all_have():
    half, odd = STACK[..., ::2, ::2], STACK[..., 1:, 1:]
    assert [c.shape for c in composites([[STACK, half], None, [STACK, half]])] == [
        (2, 3, 4, 5, 3),
        (2, 3, 2, 3, 3),
    ]
    assert len(composites([[STACK, half], [STACK]])) == 1
    assert len(composites([[STACK, half], [STACK, odd]])) == 1
