import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_fastsam._napari.outlines import box_of, ellipse_mask, polygon_mask, stroke_mask

PLANE = (30, 40)


def rectangle(low, high):
    return np.array([low, (low[0], high[1]), high, (high[0], low[1])], float)


def full(crop):
    mask, (top, left, bottom, right) = crop
    plane = np.zeros(PLANE, bool)
    plane[top:bottom, left:right] = mask
    return plane


@given(
    rows=st.tuples(st.integers(0, 29), st.integers(1, 15)),
    columns=st.tuples(st.integers(0, 39), st.integers(1, 15)),
)
def test_box_covers_the_pixels_whose_centres_it_holds(rows, columns):
    low = np.array([rows[0], columns[0]])
    high = low + np.array([rows[1], columns[1]])
    box = box_of(rectangle(low - 0.5, high - 0.5), PLANE)
    assert box == (*low, *np.minimum(high, PLANE))


def test_box_is_clipped_to_the_plane():
    assert box_of(rectangle((-9, -9), (99, 99)), PLANE) == (0, 0, *PLANE)


def test_rotated_rectangle_is_no_box():
    assert box_of(np.array([(5, 10), (10, 15), (15, 10), (10, 5)], float), PLANE) is None


@pytest.mark.parametrize("turns", range(4))
def test_box_does_not_depend_on_the_first_corner(turns):
    corners = np.roll(rectangle((2.5, 3.5), (9.5, 8.5)), turns, axis=0)
    assert box_of(corners, PLANE) == (3, 4, 10, 9)


def test_polygon_covers_its_pixels():
    mask = full(polygon_mask(rectangle((2.5, 3.5), (9.5, 8.5)), PLANE))
    assert mask[3:10, 4:9].all()
    assert mask.sum() == 7 * 5


@pytest.mark.parametrize("angle", [0, 0.6, np.pi / 2])
def test_ellipse_is_exact_when_rotated(angle):
    radii = np.array([9.0, 4.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = rectangle(-radii, radii) @ turn.T + (15, 20)
    rows, columns = np.mgrid[: PLANE[0], : PLANE[1]]
    own = (np.stack([rows - 15, columns - 20], -1) @ turn) / radii
    np.testing.assert_array_equal(full(ellipse_mask(corners, PLANE)), (own**2).sum(-1) <= 1)


@given(st.lists(st.floats(-30, 60), min_size=6, max_size=6))
def test_ellipse_is_exact_in_any_parallelogram(numbers):
    centre, one, other = np.round(numbers, 2).reshape(3, 2)
    radii = np.stack([one, other], axis=1) / 2
    assume(abs(np.linalg.det(radii)) > 1)
    corners = centre + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) @ radii.T
    grid = np.moveaxis(np.mgrid[: PLANE[0], : PLANE[1]], 0, -1) - centre
    distance = ((grid @ np.linalg.inv(radii).T) ** 2).sum(-1)
    crop = ellipse_mask(corners, PLANE)
    mask = np.zeros(PLANE, bool) if crop is None else full(crop)
    certain = abs(distance - 1) > 1e-6
    np.testing.assert_array_equal(mask[certain], distance[certain] <= 1)


@pytest.mark.parametrize("draw", [ellipse_mask, polygon_mask])
def test_memory_follows_what_an_outline_covers_of_the_plane(draw):
    shape, size = (1500, 2000), 1500 * 2000
    tracemalloc.start()
    draw(rectangle((-900, -900), (9000, 9000)), shape)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * size  # bytes; a table of positions alone takes 16 a pixel


def test_stroke_is_connected_and_clipped():
    path = np.array([(5, -10), (5, 10), (12, 10)], float)
    mask = full(stroke_mask(path, PLANE))
    assert mask.sum() == 11 + 7
    assert mask[5, :11].all()
    assert mask[5:13, 10].all()


@pytest.mark.parametrize("draw", [polygon_mask, ellipse_mask, stroke_mask])
def test_outline_beside_the_plane_is_nothing(draw):
    assert draw(rectangle((100, 100), (110, 120)), PLANE) is None


def test_flat_ellipse_is_nothing():
    assert ellipse_mask(rectangle((5, 5), (5, 9)), PLANE) is None
