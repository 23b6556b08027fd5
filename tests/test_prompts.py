import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam import Instances, Prompts


def kinds(prompts):
    return [question.kind for question in prompts.questions]


def test_points_are_positive_and_on_their_own_unless_said():
    prompts = Prompts(points=[(1, 2), (3, 4)])
    assert prompts.positive.all()
    assert [question.members for question in prompts.questions] == [(0,), (1,)]


def test_questions_come_as_points_boxes_masks_scribbles():
    region = np.eye(8, dtype=bool)
    prompts = Prompts(
        scribbles=[region], masks=[region], boxes=[(0, 0, 2, 2)], points=[(1, 1)], shape=(8, 8)
    )
    assert kinds(prompts) == ["points", "box", "mask", "scribble"]
    assert len(prompts) == 4


def test_a_group_asks_once_where_its_first_point_stands():
    prompts = Prompts(points=[(0, 0), (1, 1), (2, 2), (3, 3)], group=[7, -1, 7, 2])
    assert [question.members for question in prompts.questions] == [(0, 2), (1,), (3,)]


def test_a_negative_point_on_its_own_asks_nothing():
    assert len(Prompts(points=[(0, 0)], positive=[False])) == 0


def test_no_prompts_ask_nothing():
    assert len(Prompts()) == 0
    assert len(Prompts(points=[], boxes=[], masks=[])) == 0


@given(st.lists(st.tuples(st.integers(-1, 3), st.booleans()), max_size=12))
def test_every_point_of_a_group_is_asked_about_exactly_once(points):
    groups = [group for group, _ in points]
    positive = [sign or group != -1 for group, sign in points]
    prompts = Prompts(points=np.zeros((len(points), 2)), positive=positive, group=groups)
    members = [n for question in prompts.questions for n in question.members]
    wanted = [n for n, group in enumerate(groups) if group != -1 or positive[n]]
    assert sorted(members) == wanted
    firsts = [question.members[0] for question in prompts.questions]
    assert firsts == sorted(firsts)


def test_all_faults_are_told_at_once():
    with pytest.raises(ValueError, match=r"row 1 is not finite.*box 0 .* without area") as error:
        Prompts(points=[(0, 0), (np.nan, 1)], boxes=[(5, 5, 5, 9)])
    assert "Expected" in str(error.value)
    assert "To fix it" in str(error.value)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"points": [(1, 2, 3)]}, r"points \(P, 2\): shape \(1, 3\)"),
        ({"points": "here"}, "not an array of numbers"),
        ({"points": [(1, 2)], "positive": [True, True]}, "positive: shape"),
        ({"points": [(1, 2)], "group": [1, 2]}, "group: shape"),
        ({"points": [(1, 2)], "group": [0.7]}, "group: shape"),
        ({"points": [(1, 2)], "group": ["a"]}, "group: shape"),
        ({"points": [(1, 2)], "group": [-2]}, "point 0 in group -2"),
        ({"points": [(1, 2)], "positive": [-1]}, "positive: shape"),
        ({"points": [(1, 2)], "positive": ["-"]}, "positive: shape"),
        ({"points": [(1, 2)], "positive": [False], "group": [3]}, "group 3 without a positive"),
        ({"points": [(-1, 2)], "shape": (5, 5)}, "point 0 at .* outside the plane"),
        ({"points": [(4.6, 2)], "shape": (5, 5)}, "outside the plane"),
        ({"boxes": [(9, 9, 12, 12)], "shape": (5, 5)}, "box 0 .* without area"),
        ({"masks": [np.zeros((4, 4), bool)]}, "masks: number 0"),
        ({"masks": Instances.from_labels(np.ones((3, 3), int)), "shape": (5, 5)}, "made for a"),
    ],
    ids=[
        "columns",
        "text",
        "positive",
        "group",
        "fractional group",
        "worded group",
        "group below -1",
        "number for a sign",
        "word for a sign",
        "negative group",
        "outside",
        "past the last pixel",
        "box outside",
        "empty mask",
        "other plane",
    ],
)
@pytest.mark.filterwarnings("ignore:Boxes that reach")
def test_bad_prompts_are_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        Prompts(**fields)


def test_boxes_that_leave_the_plane_are_clipped_with_a_warning():
    with pytest.warns(UserWarning, match="clipped"):
        prompts = Prompts(boxes=[(-3, 1, 4, 99)], shape=(10, 10))
    assert prompts.boxes.tolist() == [[0, 1, 4, 10]]


def test_the_callers_arrays_stay_his():
    points = np.zeros((1, 2))
    prompts = Prompts(points=points)
    points[0] = 5
    assert prompts.points.tolist() == [[0, 0]]
    with pytest.raises(ValueError, match="read-only"):
        prompts.points[0] = 1
