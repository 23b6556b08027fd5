"""What of a plane CLIP is shown: nothing of an object is lost, nothing is stretched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fastsam.instances import Instances
from napari_fastsam.models import _crops, _windows
from napari_fastsam.models._crops import box_shares, picture, shares, squares
from napari_fastsam.models._windows import MOST, cover, surroundings

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPES = st.tuples(st.integers(1, 300), st.integers(1, 300))


@st.composite
def boxes_on_planes(draw: st.DrawFn) -> tuple[tuple[int, int], NDArray[np.int32]]:
    """A plane's shape and boxes on it."""
    shape = draw(SHAPES)
    boxes = []
    for _ in range(draw(st.integers(1, 12))):
        low = [draw(st.integers(0, side - 1)) for side in shape]
        high = [draw(st.integers(at + 1, side)) for at, side in zip(low, shape, strict=True)]
        boxes.append([*low, *high])
    return shape, np.array(boxes, np.int32)


def inside(boxes: NDArray[np.int64], square: NDArray[np.int64]) -> bool:
    """Say whether boxes (K, 4) lie in a square."""
    top, left, side = square
    low, high = boxes[:, :2] >= (top, left), boxes[:, 2:] <= (top + side, left + side)
    return bool(low.all() and high.all())


@given(boxes_on_planes(), st.floats(1, 3))
def test_no_pixel_of_an_object_is_outside_its_square(
    drawn: tuple[tuple[int, int], NDArray[np.int32]], factor: float
) -> None:
    shape, boxes = drawn
    for box, square in zip(boxes, squares(boxes, factor, shape), strict=True):
        assert inside(box[None].astype(np.int64), square)
        for axis in (0, 1):  # inside the plane where it fits there
            if square[2] <= shape[axis]:
                assert 0 <= square[axis] <= shape[axis] - square[2]


@settings(deadline=None)
@given(boxes_on_planes())
def test_each_object_lies_with_its_surroundings_in_one_window_that_suits_it(
    drawn: tuple[tuple[int, int], NDArray[np.int32]],
) -> None:
    shape, boxes = drawn
    windows = cover(boxes, shape, spread=(2.5, 5.0))
    rows = np.concatenate([window.rows for window in windows])
    assert sorted(rows) == list(range(len(boxes)))
    around = surroundings(boxes, shape)
    longest = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(1), _crops.LEAST_SIDE)
    for window in windows:
        assert inside(around[window.rows], window.square)
        side = window.square[2]
        assert side <= max(shape)
        least = np.minimum(np.ceil(2.5 * longest[window.rows]), max(shape))
        assert bool((side >= least).all())
        assert bool((side <= np.ceil(5 * longest[window.rows])).all())


def test_neighbours_share_windows() -> None:
    grid = np.array([(r, c, r + 20, c + 20) for r in range(0, 400, 25) for c in range(0, 400, 25)])
    windows = cover(grid.astype(np.int32), (400, 400))
    assert len(windows) < len(grid) / 4


def test_a_window_is_for_no_more_objects_than_memory_has_room_for() -> None:
    boxes = np.tile(np.array([[10, 10, 30, 30]], np.int32), (1000, 1))
    assert max(len(window.rows) for window in cover(boxes, (200, 200))) == MOST


def test_thousands_of_objects_are_covered_at_once() -> None:
    rng = np.random.default_rng(0)
    low = rng.integers(0, 4000, (16_384, 2))
    boxes = np.concatenate([low, low + rng.integers(4, 90, (16_384, 2))], 1).astype(np.int32)
    windows = cover(boxes, (4096, 4096))
    assert sum(len(window.rows) for window in windows) == 16_384
    assert len(windows) < 4096


def plane(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A plane whose red grows downwards and whose green grows to the right."""
    rows, cols = np.indices(shape)
    ramp = [rows * 255 // max(shape[0] - 1, 1), cols * 255 // max(shape[1] - 1, 1)]
    return np.stack([*ramp, np.full(shape, 7)], -1).astype(np.uint8)


@pytest.mark.parametrize("side", [16, 32, 50, 200, 900])
def test_a_square_is_shown_whole_and_unstretched(side: int) -> None:
    image = plane((1000, 1000))
    shown = picture(image, np.array([30, 60, side]), 32).numpy()
    expected = image[30 : 30 + side, 60 : 60 + side]
    assert shown.shape == (3, 32, 32)
    for channel in (0, 1):
        assert abs(float(shown[channel].mean()) - float(expected[..., channel].mean())) < 2
        steps = np.diff(shown[channel].astype(int), axis=channel)
        assert bool((steps >= -1).all()), "enlarged or shrunk smoothly"


def test_beyond_the_plane_its_border_goes_on() -> None:
    shown = picture(plane((10, 40)), np.array([-15, 0, 40]), 40).numpy()
    assert bool((shown[0, :15] == 0).all())
    assert bool((shown[0, -15:] == 255).all())
    np.testing.assert_array_equal(shown[1, 0], shown[1, -1])


def test_a_large_plane_is_read_in_parts() -> None:
    class Read:
        """A plane that is only there where it is looked at."""

        shape = (40_000, 40_000, 3)
        largest = 0

        def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.uint8]:
            height, width = (part.stop - part.start for part in window)
            self.largest = max(self.largest, height * width)
            return np.full((height, width, 3), 9, np.uint8)

    image = Read()
    shown = picture(image, np.array([0, 0, 20_000]), 32)
    assert bool((shown == 9).all())
    assert image.largest <= _crops._MOST_PIXELS


@settings(deadline=None)
@given(boxes_on_planes(), st.integers(1, 9), st.floats(1, 4), st.randoms(use_true_random=False))
def test_shares_add_up_to_the_object(
    drawn: tuple[tuple[int, int], NDArray[np.int32]], grid: int, factor: float, random: object
) -> None:
    shape, boxes = drawn
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    masks = [rng.random((b[2] - b[0], b[3] - b[1])) < 0.7 for b in boxes]
    objects = Instances.from_masks(shape, masks, boxes)
    for n, square in enumerate(squares(boxes, factor, shape)):
        cell = (square[2] / grid) ** 2
        part = shares(objects, n, square, grid)
        assert float(part.min()) >= 0
        assert float(part.max()) <= 1 + 1e-5
        np.testing.assert_allclose(part.sum() * cell, objects.areas[n], rtol=1e-4, atol=1e-3)
        whole = box_shares(boxes[n].astype(np.int64), square, grid)
        area = float((boxes[n, 2:] - boxes[n, :2]).prod())
        np.testing.assert_allclose(whole.sum() * cell, area, rtol=1e-4)


def test_large_masks_are_measured_in_steps() -> None:
    mask = np.zeros((5000, 5000), bool)
    mask[:2500] = True
    objects = Instances.from_masks((5000, 5000), [mask], [(0, 0, 5000, 5000)])
    np.testing.assert_allclose(
        shares(objects, 0, np.array([0, 0, 5000]), 4), [[1] * 4] * 2 + [[0] * 4] * 2, atol=0.01
    )


def test_windows_reach_as_far_as_surroundings_do() -> None:
    assert _windows.SPREAD[0] >= _windows.REACH


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("length", [1000, 2050, 4180, 8192])
def test_long_thin_objects_are_shown(width: int, length: int) -> None:
    shape = (width + 4, length + 10)
    mask = np.zeros(shape, bool)
    mask[2 : 2 + width, 5 : 5 + length] = True
    (square,) = squares([(2, 5, 2 + width, 5 + length)], 1.1, shape)
    covered = shares(Instances.from_masks(shape, [mask]), 0, square, 7)
    assert covered.sum() * (square[2] / 7) ** 2 == pytest.approx(width * length, rel=1e-4)
