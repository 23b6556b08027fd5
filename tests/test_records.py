import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam import Cleanup, Display, Prompts
from napari_fastsam.history import Edit
from napari_fastsam.records import (
    cleanup_from_json,
    display_from_json,
    display_to_json,
    edit_from_json,
    edit_to_json,
    plain,
    prompts_from_json,
    prompts_to_json,
)

SHAPE = (9, 11)
coordinates = st.floats(0, 8, allow_nan=False)
regions = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 8), st.integers(1, 3), st.integers(1, 3)),
    max_size=2,
).map(lambda boxes: [region(*box) for box in boxes])


def region(top, left, height, width):
    mask = np.zeros(SHAPE, bool)
    mask[top : top + height, left : left + width] = True
    mask[top, left] = height * width == 1
    mask[min(top + height - 1, 8), left] = True
    return mask


def through_json(value):
    return json.loads(json.dumps(value))


@given(
    points=st.lists(st.tuples(coordinates, coordinates, st.booleans(), st.integers(-1, 2))),
    boxes=st.lists(st.tuples(coordinates, coordinates)),
    masks=regions,
    scribbles=regions,
)
def test_prompts_come_back_as_they_were(points, boxes, masks, scribbles):
    asked = Prompts(
        points=[point[:2] for point in points],
        # a group has to have a positive point
        positive=[point[2] or point[3] >= 0 for point in points],
        group=[point[3] for point in points],
        boxes=[(row, column, row + 1.5, column + 0.1) for row, column in boxes],
        masks=masks,
        scribbles=scribbles,
    )
    again = prompts_from_json(through_json(prompts_to_json(asked)))
    assert again.questions == asked.questions
    for name in ("points", "positive", "group", "boxes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(asked, name))
        assert getattr(again, name).dtype == getattr(asked, name).dtype
    for name in ("masks", "scribbles"):
        one, other = getattr(asked, name), getattr(again, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one.bboxes, other.bboxes)
            np.testing.assert_array_equal(one.buffer, other.buffer)
            assert one.shape == other.shape


def test_kinds_that_do_not_occur_are_left_out():
    assert prompts_to_json(Prompts(points=[(1, 2)])) == {"points": [[1.0, 2.0]]}
    assert prompts_to_json(Prompts()) == {}


@pytest.mark.parametrize(
    "display",
    [
        Display(),
        Display(contrast_limits=(3, 90), gamma=0.5),
        Display(contrast_limits=((3.5, 90), None), gamma=(1.0, 2.0)),
        Display(percentiles=(1, 99)),
    ],
)
def test_a_display_comes_back_as_it_was(display):
    again = display_from_json(through_json(display_to_json(display)))
    assert again == display
    assert hash(again) == hash(display)


@pytest.mark.parametrize("cleanup", [Cleanup(), Cleanup(opening=1, smoothing=0.5, min_area=9)])
def test_a_cleanup_comes_back_as_it_was(cleanup):
    assert cleanup_from_json(through_json(plain(cleanup=cleanup)).get("cleanup")) == cleanup


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_an_edit_comes_back_as_it_was(dtype):
    before = np.array([[0, 1], [1, 1]], dtype)
    after = np.array([[2, 2], [np.iinfo(dtype).max, 1]], dtype)
    edit = Edit.between((4, 2), (slice(3, 5), slice(6, 8)), before, after)
    again = edit_from_json(through_json(edit_to_json(edit)))
    assert (again.index, again.corner, again.window) == ((4, 2), (3, 6), edit.window)
    assert again.onto(before).tolist() == after.tolist()
    assert again.onto(before).dtype == dtype


def test_what_says_nothing_is_left_out():
    assert plain(plane=(1,), labels=[None, np.int64(3)], how=None, cleanup=Cleanup()) == {
        "plane": [1],
        "labels": [None, 3],
    }
