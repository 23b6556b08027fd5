import numpy as np
import pytest

from napari_fastsam._napari.drawn import LeftOut, groups_of, polarity_of, prompts_by_plane
from napari_fastsam.planes import PlaneAxes
from napari_fastsam.prompts import ALONE

STACK = PlaneAxes("ZYX", (5, 30, 40))
SQUARE = np.array([(2.5, 3.5), (2.5, 8.5), (9.5, 8.5), (9.5, 3.5)])


def on_plane(z, outline=SQUARE):
    return np.insert(outline, 0, z, axis=1)


def test_each_point_is_on_its_own_plane():
    found = prompts_by_plane(STACK, points=np.array([(0, 1, 2), (3.4, 5, 6), (2.6, 7, 8.0)]))
    assert sorted(found.planes) == [(0,), (3,)]
    np.testing.assert_array_equal(found.planes[0,].points, [(1, 2)])
    np.testing.assert_array_equal(found.planes[3,].points, [(5, 6), (7, 8)])
    assert found.left_out == 0


def test_points_follow_the_displayed_axes():
    axes = PlaneAxes("XZY", (30, 5, 40))
    found = prompts_by_plane(axes, points=np.array([(11, 3, 22.0)]))
    np.testing.assert_array_equal(found.planes[3,].points, [(22, 11)])


@pytest.mark.parametrize(
    "point",
    [(5, 1, 1), (-1, 1, 1), (0, -0.6, 1), (0, 29.5, 1), (0, 1, np.nan), (np.inf, 1, 1)],
    ids=["plane after", "plane before", "above", "below", "nan", "infinite"],
)
def test_point_outside_is_left_out(point):
    found = prompts_by_plane(STACK, points=np.array([point, (2, 4, 4)], float))
    assert list(found.planes) == [(2,)]
    assert found.left_out == 1


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [
        ("rectangle", "boxes"),
        ("ellipse", "masks"),
        ("polygon", "masks"),
        ("path", "scribbles"),
        ("line", "scribbles"),
    ],
)
def test_shape_becomes_its_prompt(kind, prompt):
    found = prompts_by_plane(STACK, shapes=[(kind, on_plane(1))])
    assert list(found.planes) == [(1,)]
    assert len(getattr(found.planes[1,], prompt)) == len(found.planes[1,]) == 1


def test_rotated_rectangle_is_a_rough_mask():
    diamond = np.array([(5, 10), (10, 15), (15, 10), (10, 5)], float)
    prompts = prompts_by_plane(STACK, shapes=[("rectangle", on_plane(0, diamond))]).planes[0,]
    assert len(prompts.boxes) == 0
    assert prompts.masks.contains([(10, 10), (6, 6)]).ravel().tolist() == [True, False]


@pytest.mark.parametrize("kind", ["rectangle", "ellipse", "polygon"])
@pytest.mark.parametrize(
    ("vertices", "reason"),
    [
        (np.column_stack([(0, 0, 1, 1), SQUARE]), LeftOut(across=1)),
        (on_plane(9), LeftOut(outside=1)),
        (on_plane(0, SQUARE + 500), LeftOut(outside=1)),
        (on_plane(0, SQUARE - 500), LeftOut(outside=1)),
        (on_plane(0, SQUARE * np.nan), LeftOut(outside=1)),
        (on_plane(0, SQUARE * (1, 0) + 0.25), LeftOut(empty=1)),
    ],
    ids=["across planes", "beyond the planes", "below", "above", "nan", "no area"],
)
def test_shape_without_pixels_is_left_out(kind, vertices, reason):
    assert prompts_by_plane(STACK, shapes=[(kind, vertices)]) == ({}, reason)


def test_negative_points_alone_ask_for_nothing():
    points = np.array([(0, 3, 3), (1, 4, 4.0)])
    found = prompts_by_plane(STACK, points=points, positive=np.array([False, False]))
    assert found == ({}, LeftOut(negative=2))


def test_negative_point_of_nobody_speaks_to_what_else_is_asked_for_on_its_plane():
    points = np.array([(0, 3, 3.0)])
    square = [("rectangle", on_plane(0))]
    found = prompts_by_plane(STACK, points=points, positive=np.array([False]), shapes=square)
    assert found.left_out == 0
    assert not found.planes[0,].positive.any()


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (LeftOut(), ""),
        (LeftOut(outside=1), "1 lies outside the image"),
        (
            LeftOut(across=2, negative=1),
            "2 lie across planes and 1 is negative without a positive one",
        ),
        (
            LeftOut(3, 1, 1, 2),
            "3 lie outside the image, 1 lies across planes, 1 covers no pixel and 2 are negative "
            "without a positive one",
        ),
    ],
    ids=["none", "one", "two", "all"],
)
def test_reasons_are_part_of_a_sentence(reasons, words):
    assert reasons.words() == words


def test_negative_of_a_group_without_positive_on_its_plane_is_left_out():
    points = np.array([(0, 3, 3), (0, 4, 4), (1, 4, 4.0)])
    found = prompts_by_plane(
        STACK, points=points, positive=np.array([True, False, False]), group=np.array([7, 7, 7])
    )
    assert list(found.planes) == [(0,)]
    assert found.left_out == 1


def test_polarity_is_read_as_people_write_it():
    values = ["+", "-", "Positive", "neg", True, False, 1, -1, 0, np.True_, None, np.nan, ""]
    expected = [1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1, 1, 1]
    np.testing.assert_array_equal(polarity_of(values), np.array(expected, bool))


def test_unknown_polarity_is_refused():
    with pytest.raises(ValueError, match=r"Expected.*'maybe'.*features"):
        polarity_of(["+", "maybe"])


def test_groups_are_names_or_numbers():
    values = ["cell", 4, "cell", None, np.nan, -1, 4.0, ""]
    assert groups_of(values).tolist() == [0, 1, 0, ALONE, ALONE, ALONE, 1, ALONE]
