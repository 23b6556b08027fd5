"""Identities through planes that come in pieces, from any process, with planes left out."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_fastsam import Linker, link

PLANES = arrays.arrays(np.uint8, (6, 9, 8), elements=st.integers(0, 5))
OPTIONS = st.fixed_dictionaries(
    {
        "max_gap": st.integers(0, 2),
        "max_distance": st.sampled_from([None, 0, 3.0]),
        "min_iou": st.sampled_from([0.01, 0.4]),
    }
)


def box(top: int, left: int, side: int = 8) -> np.ndarray:
    plane = np.zeros((40, 40), np.uint8)
    plane[top : top + side, left : left + side] = 1
    return plane


def saved_and_read(linker: Linker) -> Linker:
    file = io.BytesIO()
    np.savez(file, **linker.state())
    file.seek(0)
    return Linker.from_state(np.load(file))


def pickled_and_read(linker: Linker) -> Linker:
    return pickle.loads(pickle.dumps(linker))


@settings(max_examples=60, deadline=None)
@given(PLANES, OPTIONS, st.integers(0, 6), st.sampled_from([saved_and_read, pickled_and_read]))
def test_stopping_at_any_plane_and_going_on_changes_nothing(planes, options, stop, again) -> None:
    whole, stopped = Linker(**options), Linker(**options)
    expected = [whole.push(plane) for plane in planes]
    found = [stopped.push(plane) for plane in planes[:stop]]
    stopped = again(stopped)
    found += [stopped.push(plane) for plane in planes[stop:]]
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert stopped.events == whole.events
    for name, column in whole.lineage().items():
        np.testing.assert_array_equal(stopped.lineage()[name], column)


def test_a_linker_that_was_reset_goes_on_after_it_was_saved() -> None:
    linker = Linker()
    linker.push(box(5, 5))
    linker.reset()
    again = saved_and_read(linker)
    assert again.push(box(5, 5), plane=0)[1] == 2
    assert again.lineage()["series"].tolist() == [0, 1]


@settings(max_examples=60, deadline=None)
@given(PLANES, OPTIONS, st.integers(2, 4))
def test_every_nth_plane_is_linked_as_neighbours_are(planes, options, step) -> None:
    near, far = Linker(**options), Linker(**options, step=step)
    for n, plane in enumerate(planes):
        np.testing.assert_array_equal(near.push(plane), far.push(plane, plane=n * step))
    assert [(e.plane * step, *e[1:]) for e in near.events] == [tuple(e) for e in far.events]


@settings(max_examples=60, deadline=None)
@given(PLANES, OPTIONS, st.sets(st.integers(0, 5)))
def test_a_plane_left_out_is_a_plane_without_objects(planes, options, left_out) -> None:
    all_of_them, some = Linker(**options), Linker(**options)
    for n, plane in enumerate(planes):
        if n in left_out:
            all_of_them.push(np.zeros_like(plane), plane=n)
        else:
            numbers = all_of_them.push(plane, plane=n)
            np.testing.assert_array_equal(numbers, some.push(plane, plane=n))


@settings(max_examples=100, deadline=None)
@given(PLANES, OPTIONS, st.lists(st.permutations(range(1, 6)), min_size=6, max_size=6))
def test_what_a_plane_calls_its_objects_changes_no_identity(planes, options, names) -> None:
    called = [np.array([0, *name])[plane] for name, plane in zip(names, planes, strict=True)]
    pairs = np.unique([link(planes, **options).ravel(), link(called, **options).ravel()], axis=1)
    for labels in pairs:
        assert len(np.unique(labels)) == pairs.shape[1]


def test_positions_go_up() -> None:
    linker = Linker(step=2)
    linker.push(box(5, 5), plane=4)
    for plane in (4, 3):
        with pytest.raises(ValueError, match=rf"the next after 4.*{plane}"):
            linker.push(box(5, 5), plane=plane)
    assert linker.push(box(5, 5), plane=6)[1] == 1


@pytest.mark.parametrize(("plane", "expected"), [(3, 1), (4, 1), (5, 1), (6, 2), (60, 2)])
def test_positions_between_count_as_missed(plane: int, expected: int) -> None:
    linker = Linker(max_gap=3)
    linker.push(box(5, 5), plane=1)
    assert linker.push(box(5, 5), plane=plane)[1] == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3), st.integers(1, 6), st.integers(0, 32), st.integers(0, 32))
def test_no_identity_is_carried_across_an_empty_region(max_gap, missing, row, col) -> None:
    # empty in z: more planes than may be missed; empty in the plane: farther than the diameter
    linker = Linker(max_gap=max_gap)
    linker.push(box(0, 0))
    for _ in range(missing):
        linker.push(np.zeros((40, 40), np.uint8))
    same = linker.push(box(row, col))[1] == 1
    reach = np.sqrt(64 * 4 / np.pi)
    overlap = row < 8 and col < 8
    assert same == (missing <= max_gap and (overlap or np.hypot(row, col) < reach))
