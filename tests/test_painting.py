"""Labels of a plane, painted window by window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fastsam import Cleanup, Instances, clean
from napari_fastsam._seams import Window
from napari_fastsam.painting import Painting

SHAPE = (40, 50)

cleanups = st.builds(
    Cleanup,
    opening=st.integers(0, 2),
    closing=st.integers(0, 3),
    smoothing=st.sampled_from([0.0, 1.0]),
    fill_holes=st.sampled_from([0, 9]),
    largest_piece=st.booleans(),
    min_area=st.sampled_from([0, 12]),
    clear_border=st.booleans(),
)


@st.composite
def objects(draw: st.DrawFn) -> Instances:
    """Objects that overlap, hide each other, have holes and leave pixels of their boxes empty."""
    masks = []
    for _ in range(draw(st.integers(1, 8))):
        rng = np.random.default_rng(draw(st.integers(0, 1000)))
        top, left = draw(st.integers(0, 36)), draw(st.integers(0, 46))
        height, width = draw(st.integers(2, 25)), draw(st.integers(2, 25))
        mask = np.zeros(SHAPE, bool)
        part = mask[top : top + height, left : left + width]
        part[:] = rng.random(part.shape) < draw(st.sampled_from([0.6, 1.0]))
        part[0, 0] = True
        masks.append(mask)
    return Instances.from_masks(SHAPE, masks)


def whole(found: Instances, values: np.ndarray, cleanup: Cleanup) -> np.ndarray:
    labels = np.zeros(found.shape, np.uint32)
    found.paint(labels, values)
    return clean(labels, cleanup)


@settings(max_examples=60, deadline=None)
@given(objects(), cleanups, st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_regions_make_up_the_plane_painted_and_cleaned_as_a_whole(
    found: Instances, cleanup: Cleanup, high: int, wide: int, seed: int
) -> None:
    values = 1 + np.random.default_rng(seed).permutation(len(found))
    expected = whole(found, values, cleanup)
    painting = Painting(found, values, cleanup)
    labels = np.full(SHAPE, 999, np.uint32)
    for window, part in painting.regions((high, wide)):
        assert part.dtype == np.uint32
        labels[window.slices] = part
    np.testing.assert_array_equal(labels, expected)
    assert sorted(painting.visible) == np.unique(expected[expected > 0]).tolist()


@given(objects(), st.data())
def test_any_window_shows_what_is_there(found: Instances, data: st.DataObject) -> None:
    values = np.arange(len(found)) + 5
    top, left = data.draw(st.integers(0, 39)), data.draw(st.integers(0, 49))
    window = Window(
        top, left, data.draw(st.integers(top + 1, 40)), data.draw(st.integers(left + 1, 50))
    )
    expected = whole(found, values, Cleanup())[window.slices]
    np.testing.assert_array_equal(Painting(found, values).labels(window), expected)


def test_objects_that_lie_in_several_cells_are_painted_in_each() -> None:
    shape = (600, 700)
    mask = np.zeros(shape, bool)
    mask[10:590, 100:650] = True
    small = np.zeros(shape, bool)
    small[255:258, 511:514] = True
    painting = Painting(Instances.from_masks(shape, [small, mask]), [3, 4])
    np.testing.assert_array_equal(painting.labels((0, 0, *shape)), np.where(small, 3, 4 * mask))
    assert painting.labels((256, 512, 257, 513)).tolist() == [[3]]


def test_a_plane_without_objects_is_background() -> None:
    painting = Painting(Instances.empty((5, 7)), [], Cleanup(opening=1))
    assert not painting.labels((0, 0, 5, 7)).any()
    assert painting.shape == (5, 7)
    assert painting.visible.size == 0


@pytest.mark.parametrize("side", [0, -3, (8, 0)])
def test_regions_without_a_length_are_refused(side: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"Expected regions of one pixel.*To fix it"):
        next(Painting(Instances.empty((5, 7)), []).regions(side))
