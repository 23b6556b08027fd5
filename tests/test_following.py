"""One object through the planes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fastsam import Instances, follow

SHAPE = (60, 80)


def disk(row: float, col: float, radius: float = 8) -> np.ndarray:
    rows, cols = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def stack(*planes: list[np.ndarray]):
    """Return the planes' candidates as a function of the plane that notes what it was asked."""
    asked = []

    def candidates(plane: int) -> Instances:
        asked.append(plane)
        return Instances.from_masks(SHAPE, planes[plane])

    return candidates, asked


def test_an_object_is_followed_both_ways_and_its_ends_are_told() -> None:
    candidates, _ = stack(*[[disk(30, 20 + 3 * n), disk(10, 60)] for n in range(5)])
    steps = list(follow(candidates, {2: disk(30, 26)}, range(5)))
    assert [step.plane for step in steps] == [3, 4, 1, 0]
    assert [step.end for step in steps] == ["", "end of stack", "", "end of stack"]
    for step in steps:
        assert step.instance is not None
        assert step.instance.iou(Instances.from_masks(SHAPE, [disk(30, 20 + 3 * step.plane)])) == 1


def test_planes_from_the_known_one_on_are_followed_in_one_direction() -> None:
    candidates, asked = stack(*[[disk(30, 20)]] * 5)
    assert [step.plane for step in follow(candidates, {2: disk(30, 20)}, range(2, 5))] == [3, 4]
    assert set(asked) == {2, 3, 4}


def test_planes_are_asked_for_when_their_turn_comes() -> None:
    candidates, asked = stack(*[[disk(30, 20)]] * 9)
    steps = follow(candidates, {0: disk(30, 20)}, range(9))
    next(steps)
    assert set(asked) == {0, 1}


@pytest.mark.parametrize("max_gap", [0, 1, 2])
def test_gaps_up_to_max_gap_are_bridged_and_longer_ones_lose_the_object(max_gap: int) -> None:
    here = [disk(30, 20)]
    for missing in (1, 2, 3):
        candidates, _ = stack(here, *[[]] * missing, here)
        steps = list(follow(candidates, {0: here[0]}, range(missing + 2), max_gap=max_gap))
        if missing <= max_gap:
            assert steps[-1].instance is not None
            assert steps[-1].end == "end of stack"
        else:
            assert (steps[-1].end, steps[-1].lost_at) == ("no candidate", 1)
            assert len(steps) == max_gap + 1


def test_what_is_too_different_is_not_taken() -> None:
    candidates, _ = stack([disk(30, 20)], [disk(30, 20, 25)], [disk(30, 20, 25)])
    steps = list(follow(candidates, {0: disk(30, 20)}, range(3)))
    assert [step.instance for step in steps] == [None, None]
    assert (steps[-1].end, steps[-1].lost_at) == ("too different", 1)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_a_neighbour_that_moves_in_is_not_taken() -> None:
    gone, neighbour, moved = box(20, 10, 40, 30), box(20, 30, 40, 50), box(20, 17, 40, 50)
    candidates, _ = stack([gone, neighbour], [moved])
    steps = list(follow(candidates, {0: gone}, range(2), max_gap=0))
    assert [step.reason for step in steps] == ["touches other object"]


def test_the_better_fit_goes_to_the_neighbour_if_that_explains_both() -> None:
    # both shrink to the right: the first one's best fit is what is left of the second
    first, second = box(20, 10, 40, 30), box(20, 30, 40, 60)
    now, other = box(20, 12, 40, 19), box(20, 19, 40, 60)
    candidates, _ = stack([first, second], [now, other])
    steps = list(follow(candidates, {0: first}, range(2)))
    assert steps[0].instance is not None
    assert steps[0].instance.bboxes.tolist() == [[20, 12, 40, 19]]


def test_a_candidate_that_holds_two_objects_is_not_taken() -> None:
    pair = disk(30, 20) | disk(30, 36)
    candidates, _ = stack([disk(30, 20), disk(30, 36)], [pair], [disk(30, 20), disk(30, 36)])
    steps = list(follow(candidates, {0: disk(30, 20)}, range(3)))
    assert steps[0].reason == "touches other object"
    assert steps[1].instance is not None
    assert steps[1].instance.areas == disk(30, 20).sum()


def test_motion_so_far_says_where_to_look() -> None:
    # steps of 12 of 16 pixels; from plane 2 on, the place of before belongs to another
    places = [10, 22, 34, 46, 58]
    planes = [[disk(30, place), disk(30, place - 17)] for place in places]
    candidates, _ = stack(*planes)
    steps = list(follow(candidates, {0: planes[0][0], 1: planes[1][0]}, range(5)))
    assert [step.instance is not None for step in steps] == [True] * 3
    for step in steps:
        assert step.instance.iou(Instances.from_masks(SHAPE, [planes[step.plane][0]])) == 1


def test_known_planes_are_met_from_both_sides() -> None:
    # two ways lead on from plane 0; only one ends at the mask known on plane 4
    up = [disk(30 - 3 * n, 20) for n in range(5)]
    down = [disk(30 + 3 * n, 20) for n in range(5)]
    candidates, _ = stack(*[[b, a] for a, b in zip(up, down, strict=True)])
    for way in (up, down):
        steps = list(follow(candidates, {0: way[0], 4: way[4]}, range(5)))
        assert [step.plane for step in steps] == [1, 2, 3]
        assert [step.end for step in steps] == ["", "", "known"]
        for step in steps:
            assert step.instance.iou(Instances.from_masks(SHAPE, [way[step.plane]])) == 1


def test_where_no_way_leads_from_one_known_plane_to_the_next_what_is_sure_is_kept() -> None:
    first, last = disk(15, 15), disk(45, 60)
    candidates, _ = stack([first], [first], [], [], [], [last], [last])
    steps = list(follow(candidates, {0: first, 6: last}, range(7)))
    assert [step.instance is not None for step in steps] == [True, False, False, False, True]
    assert steps[-1].end != "known"
    assert steps[-1].lost_at == 2


def test_a_correction_keeps_what_is_known_before_it() -> None:
    candidates, _ = stack(*[[disk(30, 20)]] * 6)
    known = {plane: disk(30, 20) for plane in (0, 1, 2, 3)}
    assert [step.plane for step in follow(candidates, known, range(6))] == [4, 5]


@pytest.mark.parametrize(
    ("known", "planes", "message"),
    [
        ({}, range(3), "a plane where the object is known"),
        ({5: disk(30, 20)}, range(3), "a plane where the object is known"),
        ({0: np.zeros(SHAPE, bool)}, range(3), "0 True pixels"),
        ({0: Instances.from_masks(SHAPE, [disk(9, 9), disk(30, 30)])}, range(3), "2 objects"),
        ({0: disk(30, 20)}, [2, 1, 0], "ascending"),
    ],
    ids=["nothing known", "known elsewhere", "empty mask", "two objects", "descending"],
)
def test_what_cannot_be_followed_is_refused_at_once(known, planes, message) -> None:
    candidates, _ = stack(*[[disk(30, 20)]] * 3)
    with pytest.raises(ValueError, match=message):
        follow(candidates, known, planes)


def test_candidates_of_another_shape_are_refused():
    mask = np.zeros((40, 40), bool)
    mask[5:9, 5:9] = True
    small = Instances.from_labels(np.ones((20, 20), int))
    with pytest.raises(ValueError, match="pass masks and candidates of the same planes"):
        list(follow(lambda plane: small, {0: mask}, range(3)))
