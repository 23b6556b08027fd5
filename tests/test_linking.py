"""Identities through planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_fastsam import link
from napari_fastsam._assignment import assign
from napari_fastsam.linking import Event, Linker


def plane(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (40, 40)) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        labels[top:bottom, left:right] = number
    return labels


LEFT, RIGHT = (5, 5, 15, 15), (5, 25, 15, 35)


def test_an_object_keeps_its_label_whatever_its_plane_calls_it() -> None:
    linked = link([plane(LEFT, RIGHT), plane(RIGHT, LEFT), plane(LEFT, RIGHT)])
    assert linked.dtype == np.uint32
    assert (linked == linked[0]).all()


def test_an_object_that_moves_by_less_than_its_diameter_keeps_its_label() -> None:
    linker = Linker()
    assert linker.push(plane((5, 5, 15, 15)))[1] == 1
    assert linker.push(plane((5, 15, 15, 25)))[1] == 1


def test_max_distance_zero_links_by_overlap_only() -> None:
    linker = Linker(max_distance=0)
    linker.push(plane((5, 5, 15, 15)))
    assert linker.push(plane((5, 15, 15, 25)))[1] == 2
    assert linker.push(plane((5, 17, 15, 27)))[1] == 2


def test_max_distance_in_pixels_reaches_as_far_as_it_says() -> None:
    near, far = Linker(max_distance=21), Linker(max_distance=19)
    for linker in (near, far):
        linker.push(plane((5, 5, 15, 15)))
    assert near.push(plane((5, 25, 15, 35)))[1] == 1
    assert far.push(plane((5, 25, 15, 35)))[1] == 2


def test_an_object_much_smaller_nearby_is_another() -> None:
    linker = Linker()
    linker.push(plane((5, 5, 15, 15)))
    assert linker.push(plane((8, 16, 11, 19)))[1] == 2


def test_a_cap_inside_the_cell_is_the_cell() -> None:
    linker = Linker(max_distance=0)
    linker.push(plane((5, 5, 35, 35)))
    assert linker.push(plane((6, 6, 9, 9)))[1] == 1


def test_min_iou_asks_for_more_overlap() -> None:
    shifted = plane((5, 12, 15, 22))  # IoU 3 / 17
    for min_iou, expected in ((0.1, 1), (0.3, 2)):
        linker = Linker(min_iou=min_iou, max_distance=0)
        linker.push(plane(LEFT))
        assert linker.push(shifted)[1] == expected


def test_the_whole_assignment_counts_not_the_best_pair() -> None:
    # all move by 6 of 10 px: each overlaps the place of its neighbour more than its own
    boxes = [(5, left, 15, left + 10) for left in (2, 14, 26)]
    moved = [(5, left + 6, 15, left + 16) for left in (2, 14)] + [(5, 32, 15, 40)]
    linker = Linker()
    linker.push(plane(*boxes))
    assert linker.push(plane(*moved)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("max_gap", [0, 1, 3])
def test_gaps_up_to_max_gap_are_closed_and_no_longer_ones(max_gap: int) -> None:
    empty = plane()
    for missing in range(5):
        linker = Linker(max_gap=max_gap)
        linker.push(plane(LEFT))
        for _ in range(missing):
            assert linker.push(empty).tolist() == [0]
        assert linker.push(plane(LEFT))[1] == (1 if missing <= max_gap else 2)
        assert [e.missed for e in linker.events] == [missing] * (0 < missing <= max_gap)


def test_a_neighbour_seen_last_comes_before_one_seen_earlier() -> None:
    linker = Linker(max_distance=0)
    linker.push(plane((5, 5, 15, 15)))
    linker.push(plane((30, 30, 35, 35)))
    linker.push(plane((5, 8, 15, 18)))  # 1 again
    linker.push(plane((5, 20, 15, 30)))
    assert linker.push(plane((5, 12, 15, 25))).tolist() == [0, 3]


def test_a_split_is_reported_and_the_larger_part_goes_on() -> None:
    linker = Linker()
    linker.push(plane((5, 5, 15, 30)))
    assert linker.push(plane((5, 5, 15, 22), (5, 23, 15, 30))).tolist() == [0, 1, 2]
    assert linker.events == [Event(1, "split", 1, 2)]


def test_a_merge_is_reported_and_the_larger_part_goes_on() -> None:
    linker = Linker()
    linker.push(plane((5, 23, 15, 30), (5, 5, 15, 22)))
    assert linker.push(plane((5, 5, 15, 30))).tolist() == [0, 2]
    assert linker.events == [Event(1, "merge", 2, 1)]


def test_objects_that_only_go_on_are_no_events() -> None:
    linker = Linker()
    for _ in range(3):
        linker.push(plane(LEFT, RIGHT))
    assert linker.events == []


def test_reset_forgets_objects_and_goes_on_counting() -> None:
    linker = Linker()
    assert linker.push(plane(LEFT))[1] == 1
    linker.reset()
    assert linker.push(plane(LEFT, shape=(50, 60)))[1] == 2


def test_labels_without_a_pixel_are_numbered_zero() -> None:
    assert Linker().push(np.array([[0, 3], [0, 5]])).tolist() == [0, 0, 0, 1, 0, 2]


def test_only_the_objects_of_the_last_planes_are_remembered() -> None:
    linker = Linker(max_gap=2)
    sizes = []
    for n in range(12):
        linker.push(plane((n * 3, 0, n * 3 + 2, 2), (0, 20, 20, 40)))
        assert linker._seen is not None
        sizes.append(linker._seen.masks.nbytes)
    assert len(set(sizes[3:])) == 1


def test_planes_are_read_one_at_a_time() -> None:
    pushed = []

    def planes():
        for n in range(3):
            pushed.append(n)
            yield plane(LEFT)

    assert (link(planes())[:, 10, 10] == 1).all()
    assert pushed == [0, 1, 2]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint32, np.int64])
def test_any_integer_dtype_will_do(dtype: type) -> None:
    assert link([plane(LEFT).astype(dtype)] * 2).max() == 1


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(np.uint8, (4, 7, 6), elements=st.integers(0, 4)),
    st.integers(0, 2),
    st.sampled_from([None, 0, 3.0]),
)
def test_identities_are_one_to_one_within_a_plane(
    planes: np.ndarray, max_gap: int, max_distance: float | None
) -> None:
    linked = link(planes, max_gap=max_gap, max_distance=max_distance)
    for labels, numbers in zip(planes, linked, strict=True):
        pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), numbers.ravel(), strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
        assert all((a == 0) == (b == 0) for a, b in pairs)
    used = np.unique(linked[linked > 0])
    assert used.tolist() == list(range(1, len(used) + 1))


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.float64, (5, 4), elements=st.integers(0, 9).map(float)))
def test_assignment_gains_as_much_as_the_dense_solution(table: np.ndarray) -> None:
    from scipy.optimize import linear_sum_assignment

    rows, cols = np.nonzero(table)
    chosen = assign(rows, cols, table[rows, cols])
    assert len(set(rows[chosen])) == len(chosen) == len(set(cols[chosen]))
    best = table[linear_sum_assignment(table, maximize=True)].sum()
    assert table[rows[chosen], cols[chosen]].sum() == best


def test_thousands_of_objects_are_linked() -> None:
    grid = np.kron(np.arange(1, 3601).reshape(60, 60), np.pad(np.ones((6, 6), int), 1))
    moved = np.roll(grid, (2, 1), (0, 1))
    shuffled = np.append(0, np.random.default_rng(0).permutation(3600) + 1)[moved]
    linked = link([grid, shuffled])
    assert (np.roll(linked[1], (-2, -1), (0, 1)) == linked[0]).mean() > 0.99


@pytest.mark.parametrize(
    ("labels", "arrived"),
    [
        (np.zeros((4, 4)), "float64"),
        (np.zeros((2, 4, 4), int), r"\(2, 4, 4\)"),
        (np.full((4, 4), -3), "-3"),
    ],
    ids=["floats", "not a plane", "negative"],
)
def test_what_is_no_plane_of_labels_is_refused(labels: np.ndarray, arrived: str) -> None:
    with pytest.raises(ValueError, match=rf"Expected .*Got .*{arrived}.*To fix it: "):
        link([labels])


def test_planes_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(40, 40\) so far.*\(40, 41\)"):
        link([plane(), plane(shape=(40, 41))])


def test_no_planes_are_refused() -> None:
    with pytest.raises(ValueError, match="one or more planes"):
        link([])


@pytest.mark.parametrize("options", [{"min_iou": 0}, {"max_distance": -1}, {"max_gap": -1}])
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Linker(**options)


def test_huge_labels_are_linked_as_small_ones() -> None:
    small = np.array([plane(LEFT, RIGHT), plane(RIGHT, LEFT)])
    huge = np.where(small, small.astype(np.int64) + 10**12, 0)
    np.testing.assert_array_equal(link(huge), link(small))
    with pytest.raises(ValueError, match="labels below"):
        Linker().push(huge[0])
