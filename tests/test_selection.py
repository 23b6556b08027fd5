import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam import Instances, Prompts, everything, fastsam_mask, select
from napari_fastsam.selection import box_fit

SHAPE = (40, 60)


def rectangle(top, left, bottom, right):
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


PART, WHOLE, OTHER = rectangle(5, 5, 10, 10), rectangle(2, 2, 20, 20), rectangle(22, 30, 38, 50)


@pytest.fixture
def nested():
    """A part inside a whole, and another object: candidates 0, 1 and 2."""
    return Instances.from_masks(SHAPE, [PART, WHOLE, OTHER], scores=[0.6, 0.9, 0.5])


def test_each_positive_point_asks_for_its_own_object(nested):
    assert select(nested, Prompts(points=[(30, 40), (15, 15)])).best.tolist() == [2, 1]


def test_a_point_on_nothing_has_no_answer(nested):
    selection = select(nested, Prompts(points=[(0, 0), (30, 40)]))
    assert selection.best.tolist() == [-1, 2]
    assert selection.unanswered.tolist() == [0]
    assert np.unique(selection.to_labels()).tolist() == [0, 2]


def test_nested_candidates_all_answer_and_can_be_cycled(nested):
    selection = select(nested, Prompts(points=[(7, 7)]))
    assert sorted(selection.ranked[0].tolist()) == [0, 1]
    assert selection.cycle(0).best[0] == selection.ranked[0][1]
    assert selection.cycle(0, 2).best[0] == selection.best[0]


def test_of_nested_candidates_of_like_scores_the_smaller_comes_first():
    alike = Instances.from_masks(SHAPE, [WHOLE, PART], scores=[0.8, 0.7])
    assert select(alike, Prompts(points=[(7, 7)])).ranked[0].tolist() == [1, 0]
    doubtful = Instances.from_masks(SHAPE, [WHOLE, PART], scores=[0.8, 0.1])
    assert select(doubtful, Prompts(points=[(7, 7)])).ranked[0].tolist() == [0, 1]


def test_a_negative_point_of_the_group_excludes_what_holds_it(nested):
    points, positive = [(7, 7), (15, 15)], [True, False]
    assert select(nested, Prompts(points=points, positive=positive, group=[0, 0])).best == [0]


def test_a_negative_point_on_its_own_speaks_to_all(nested):
    prompts = Prompts(points=[(7, 7), (15, 15)], positive=[True, False], boxes=[(2, 2, 20, 20)])
    assert select(nested, prompts).best.tolist() == [0, -1]


def test_a_negative_point_of_one_group_says_nothing_to_another(nested):
    prompts = Prompts(
        points=[(7, 7), (15, 15), (16, 16)], positive=[True, False, True], group=[0, 0, 1]
    )
    assert select(nested, prompts).best.tolist() == [0, 1]


def test_more_positives_held_beat_a_better_score(nested):
    better = Instances.from_masks(SHAPE, [PART, WHOLE], scores=[0.99, 0.1])
    assert select(better, Prompts(points=[(7, 7), (15, 15)], group=[1, 1])).best == [1]


@given(st.permutations(range(6)))
def test_the_order_of_clicks_in_a_group_does_not_matter(order):
    candidates = Instances.from_masks(SHAPE, [PART, WHOLE, OTHER], scores=[0.6, 0.9, 0.5])
    points = np.array([(7, 7), (8, 8), (15, 15), (30, 40), (6, 9), (3, 3)])
    positive = np.array([True, True, False, True, True, True])
    group = np.zeros(6, int)
    want = select(candidates, Prompts(points=points, positive=positive, group=group))
    order = list(order)
    got = select(candidates, Prompts(points=points[order], positive=positive[order], group=group))
    assert [r.tolist() for r in got.ranked] == [r.tolist() for r in want.ranked]


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 59)), min_size=1, max_size=30))
def test_many_points_answer_as_one_by_one(points):
    candidates = Instances.from_masks(SHAPE, [PART, WHOLE, OTHER], scores=[0.6, 0.9, 0.5])
    together = select(candidates, Prompts(points=points)).best
    assert together.tolist() == [select(candidates, Prompts(points=[p])).best[0] for p in points]


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 59)), min_size=1, max_size=30))
def test_grouped_and_single_points_go_through_the_same_rules(points):
    candidates = Instances.from_masks(SHAPE, [PART, WHOLE, OTHER], scores=[0.6, 0.9, 0.5])
    alone = select(candidates, Prompts(points=points)).best
    # One pair makes the groups unequal in size, and so takes the general path.
    doubled = [*points, points[0]]
    groups = [*range(len(points)), 0]
    grouped = select(candidates, Prompts(points=doubled, group=groups)).best
    assert grouped.tolist() == alone.tolist()


def test_a_box_takes_the_object_that_fills_it(nested):
    prompts = Prompts(boxes=[(4, 4, 11, 11), (1, 1, 21, 21)])
    assert select(nested, prompts).best.tolist() == [0, 1]


def test_a_box_around_nothing_has_no_answer(nested):
    assert select(nested, Prompts(boxes=[(30, 0, 39, 20), (0, 0, 40, 60)])).best.tolist() == [
        -1,
        -1,
    ]


def test_a_slender_object_fits_its_own_box_better_than_a_blob_does():
    slender = np.eye(40, 60, dtype=bool)
    blob = rectangle(10, 10, 30, 30)
    candidates = Instances.from_masks(SHAPE, [slender, blob])
    assert box_fit(candidates, np.array([[0.0, 0, 40, 40]]))[0].argmax() == 0


def test_several_boxes_keep_their_order(nested):
    boxes = [(22, 30, 38, 50), (2, 2, 20, 20), (22, 30, 38, 50)]
    assert select(nested, Prompts(boxes=boxes)).best.tolist() == [2, 1, 2]


def test_a_rough_mask_takes_what_overlaps_it_most(nested):
    rough = [rectangle(3, 0, 22, 18), rectangle(4, 4, 9, 11), rectangle(30, 0, 35, 5)]
    assert select(nested, Prompts(masks=rough)).best.tolist() == [1, 0, -1]


def test_a_scribble_takes_what_covers_it(nested):
    strokes = [rectangle(15, 3, 16, 19), rectangle(30, 25, 31, 32), rectangle(24, 31, 25, 49)]
    assert select(nested, Prompts(scribbles=strokes)).best.tolist() == [1, -1, 2]


def test_labels_count_prompts_and_small_objects_stay_visible(nested):
    labels = select(
        nested, Prompts(points=[(15, 15), (30, 40)], boxes=[(5, 5, 10, 10)])
    ).to_labels()
    assert (labels[15, 15], labels[30, 40], labels[7, 7]) == (1, 2, 3)
    assert labels.dtype == np.uint32


def test_two_prompts_for_one_candidate_share_the_first_label(nested):
    assert np.unique(select(nested, Prompts(points=[(15, 15), (16, 16)])).to_labels()).tolist() == [
        0,
        1,
    ]


def test_confidence_filters_candidates(nested):
    assert select(nested, Prompts(points=[(30, 40)]), confidence=0.55).best.tolist() == [-1]


def test_no_candidates_answer_nothing():
    region = [PART]
    prompts = Prompts(points=[(1, 1)], boxes=[(0, 0, 5, 5)], masks=region, scribbles=region)
    selection = select(Instances.empty(SHAPE), prompts)
    assert selection.best.tolist() == [-1] * 4
    assert not selection.to_labels().any()
    assert len(selection.chosen) == 0


def test_no_prompts_choose_nothing(nested):
    selection = select(nested, Prompts())
    assert len(selection) == 0
    assert not selection.to_labels().any()


def test_masks_of_another_plane_are_refused(nested):
    with pytest.raises(ValueError, match="candidates' plane"):
        select(nested, Prompts(masks=[np.ones((3, 3), bool)]))


def test_everything_filters_by_score_and_size(nested):
    assert everything(nested, confidence=0.55).scores.tolist() == pytest.approx([0.9])
    assert everything(nested, min_area=100, max_area=320).areas.tolist() == [320]


def test_everything_leaves_out_what_better_candidates_have_taken(nested):
    assert everything(nested).scores.tolist() == pytest.approx([0.9, 0.5])


def test_everything_keeps_a_better_part_and_the_whole_around_it(nested):
    parts_first = Instances.from_masks(SHAPE, [PART, WHOLE, OTHER], scores=[0.9, 0.6, 0.5])
    assert len(everything(parts_first)) == 3


@pytest.mark.parametrize(("covered", "answers"), [(9, False), (10, True)])
def test_a_scribble_must_be_covered_by_half(covered, answers):
    candidate = Instances.from_masks(SHAPE, [rectangle(0, 0, 5, covered)])
    stroke = rectangle(2, 0, 3, 20)
    assert (select(candidate, Prompts(scribbles=[stroke])).best[0] == 0) == answers


def test_fastsams_own_way_unites_what_is_hit_and_removes_what_holds_a_negative(nested):
    points, positive = [(15, 15), (30, 40), (7, 7)], [True, True, False]
    mask = fastsam_mask(nested, Prompts(points=points, positive=positive))
    np.testing.assert_array_equal(mask, OTHER)
    united = fastsam_mask(nested, Prompts(points=points))
    np.testing.assert_array_equal(united, WHOLE | OTHER)


def test_fastsams_own_way_depends_on_the_order_of_clicks(nested):
    points, positive = [(7, 7), (15, 15)], [False, True]
    assert fastsam_mask(nested, Prompts(points=points, positive=positive))[15, 15]
    reverse = Prompts(points=points[::-1], positive=positive[::-1])
    assert not fastsam_mask(nested, reverse)[15, 15]
