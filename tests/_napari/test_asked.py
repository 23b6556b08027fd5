from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fastsam import PlaneAxes
from napari_fastsam._napari.asked import (
    Drawing,
    Ledger,
    joined,
    matched,
    point_rows,
    read,
    shape_row,
)

AXES = PlaneAxes("ZYX", (3, 20, 30))
SQUARE = np.array([(0, 0), (0, 4), (4, 4), (4, 0)], float)
OUTSIDE = 40


def point(row, column=0, *, plane=0, positive=True, group=None):
    (found,) = point_rows(AXES, np.array([(plane, row, column)], float), [positive], [group])
    return found


def box(row, column=0, *, plane=0, kind="rectangle"):
    corners = SQUARE + np.array([row + 0.5, column + 0.5])
    return shape_row(AXES, kind, np.insert(corners, 0, plane, axis=1))


def drawing(points=(), shapes=(), *, flat=(False, False)):
    return Drawing(tuple(points), tuple(shapes), flat)


def ask(*points, shapes=(), flat=(False, False)):
    return read(Ledger(), drawing(points, shapes, flat=flat))[0]


def answered(ledger):
    """Give each object that was asked for a label of its own."""
    labels = {
        name: replace(asked, label=n, settled=True)
        for n, (name, asked) in enumerate(ledger.objects.items(), 1)
    }
    return ledger.settled(labels)


def by_label(ledger):
    return {asked.label: asked for asked in ledger.objects.values()}


class TestMatched:
    """Rows are found again without names."""

    @pytest.mark.parametrize(
        ("before", "now", "found"),
        [
            ("abc", "abc", [0, 1, 2]),
            ("abc", "cab", [2, 0, 1]),
            ("abc", "axc", [0, 1, 2]),
            ("abc", "abcd", [0, 1, 2, None]),
            ("abc", "dabc", [None, 0, 1, 2]),
            ("abc", "b", [1]),
            ("aab", "aba", [0, 2, 1]),
            ("", "ab", [None, None]),
        ],
        ids=["same", "order", "change", "more", "before", "less", "equal", "first"],
    )
    def test_rows_are_those_that_they_were(self, before, now, found):
        assert matched(before, now) == found

    @given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
    def test_no_row_is_two(self, before, now):
        found = matched(before, now)
        known = [n for n in found if n is not None]
        assert len(found) == len(now)
        assert len(set(known)) == len(known)

    @given(st.lists(st.integers(0, 9), unique=True), st.randoms())
    def test_order_does_not_matter_to_rows_that_differ(self, before, random):
        now = random.sample(before, len(before))
        assert [before[n] for n in matched(before, now)] == now

    @given(st.lists(st.integers(0, 9), unique=True, min_size=1), st.data())
    def test_a_row_that_changes_alone_stays_the_same(self, before, data):
        at = data.draw(st.integers(0, len(before) - 1))
        now = [*before]
        now[at] = 10
        assert matched(before, now) == list(range(len(before)))


class TestRead:
    """Which object each row asks for."""

    def test_each_point_and_shape_asks_for_an_object_of_its_own(self):
        ledger = ask(point(1), point(2), shapes=[box(3)])
        assert len(ledger.objects) == 3
        assert not any(asked.settled for asked in ledger.objects.values())

    def test_points_of_a_group_ask_for_one_object_on_each_plane(self):
        ledger = ask(point(1, group=7), point(2, group=7), point(1, group=7, plane=1))
        assert set(ledger.objects) == {("group", 7, (0,)), ("group", 7, (1,))}
        assert len(ledger.objects["group", 7, (0,)].rows) == 2

    def test_only_what_has_a_positive_point_asks(self):
        ledger = ask(point(1, positive=False), point(2, positive=False, group=1))
        assert not ledger.objects
        np.testing.assert_array_equal(ledger.against[(0,)], [(1, 0)])

    def test_what_lies_outside_asks_nothing_until_it_comes_in(self):
        ledger = ask(point(OUTSIDE), point(1, plane=5), shapes=[box(OUTSIDE)])
        assert not ledger.objects
        ledger, lost = read(ledger, drawing([point(3), point(1)], [box(5)]))
        assert len(ledger.objects) == 3
        assert not lost

    def test_a_position_that_is_no_number_asks_nothing_and_stays_the_same(self):
        rows = [point(np.nan), point(1, plane=np.inf), point(2)]
        ledger = ask(*rows)
        assert len(ledger.objects) == 1
        again, _ = read(ledger, drawing([point(np.nan), point(1, plane=np.inf), point(2)]))
        assert again.drawing.points == ledger.drawing.points

    def test_an_object_whose_rows_stay_is_left_as_it_is(self):
        ledger = answered(ask(point(1), point(2, group=3), shapes=[box(9)]))
        after, lost = read(
            ledger, drawing([point(5), point(2, group=3), point(1)], [box(12), box(9)])
        )
        assert not lost
        for name, asked in ledger.objects.items():
            assert after.objects[name] is asked

    def test_a_prompt_that_moves_asks_anew_for_its_object(self):
        ledger = answered(ask(point(1), point(2)))
        after, lost = read(ledger, drawing([point(1), point(7)]))
        assert not lost
        moved = by_label(after)[2]
        assert (moved.settled, moved.rows) == (False, (point(7),))
        assert by_label(after)[1] is by_label(ledger)[1]

    def test_a_prompt_that_goes_loses_its_object(self):
        ledger = answered(ask(point(1), point(2), shapes=[box(3), box(9)]))
        after, lost = read(ledger, drawing([point(2)], [box(9)]))
        assert sorted(asked.label for asked in lost) == [1, 3]
        assert sorted(by_label(after)) == [2, 4]

    def test_a_prompt_that_goes_to_another_plane_leaves_its_object_behind(self):
        ledger = answered(ask(point(1)))
        after, (lost,) = read(ledger, drawing([point(1, plane=2)]))
        assert lost.label == 1
        (asked,) = after.objects.values()
        assert (asked.index, asked.label) == ((2,), None)

    def test_another_group_is_another_object(self):
        ledger = answered(ask(point(1, group=1), point(2, group=1)))
        after, lost = read(ledger, drawing([point(1, group=1), point(2, group=2)]))
        assert not lost
        assert [asked.label for asked in after.objects.values()] == [1, None]
        alone, lost = read(after, drawing([point(1, group=2), point(2, group=2)]))
        assert [asked.label for asked in lost] == [1]
        assert set(alone.objects) == {("group", 2, (0,))}

    def test_leaving_a_group_asks_for_an_object_of_its_own(self):
        ledger = answered(ask(point(1, group=1), point(2, group=1)))
        after, lost = read(ledger, drawing([point(1), point(2, group=1)]))
        assert not lost
        assert sorted(name[0] for name in after.objects) == ["group", "own"]

    def test_the_last_positive_point_that_turns_negative_loses_the_object(self):
        ledger = answered(ask(point(1), point(2)))
        after, (lost,) = read(ledger, drawing([point(1, positive=False), point(2)]))
        assert lost.label == 1
        assert list(after.against) == [(0,)]
        assert not by_label(after)[2].settled, "the negative point speaks to it"

    def test_a_negative_point_alone_speaks_to_objects_of_its_plane_only(self):
        ledger = answered(ask(point(1), point(1, plane=1)))
        after, _ = read(ledger, drawing([*ledger.drawing.points, point(5, positive=False)]))
        assert [asked.settled for asked in after.objects.values()] == [False, True]

    def test_a_negative_point_does_not_ask_for_what_is_left_alone(self):
        ledger, _ = read(Ledger(), drawing([point(1)]), settled=True)
        after, _ = read(ledger, drawing([point(1), point(5, positive=False)]))
        (asked,) = after.objects.values()
        assert asked.settled
        moved, _ = read(after, drawing([point(2), point(5, positive=False)]))
        (asked,) = moved.objects.values()
        assert not asked.settled

    def test_what_was_drawn_before_is_left_alone(self):
        ledger, _ = read(Ledger(), drawing([point(1)], [box(1)]), settled=True)
        assert all(asked.settled and asked.left for asked in ledger.objects.values())


class TestFlat:
    """Layers without stepped axes: prompts stay on the plane where they were drawn."""

    flat = (True, True)

    def seen_from(self, rows, plane):
        return tuple(row._replace(plane=(plane,)) for row in rows)

    def test_prompts_stay_where_they_were_drawn(self):
        rows = (point(1), point(2, group=4))
        ledger = answered(ask(*rows, shapes=[box(9)], flat=self.flat))
        seen = drawing(self.seen_from(rows, 2), self.seen_from([box(9)], 2), flat=self.flat)
        after, lost = read(ledger, seen)
        assert not lost
        assert after.objects == ledger.objects
        assert after.drawing.points == ledger.drawing.points

    def test_new_prompts_are_on_the_plane_in_view(self):
        ledger = answered(ask(point(1, group=4), flat=self.flat))
        seen = [point(1, group=4, plane=2), point(5, group=4, plane=2)]
        after, _ = read(ledger, drawing(seen, flat=self.flat))
        assert set(after.objects) == {("group", 4, (0,)), ("group", 4, (2,))}

    def test_a_prompt_that_is_moved_comes_to_the_plane_in_view(self):
        rows = (point(1, group=4), point(2, group=4))
        ledger = answered(ask(*rows, flat=self.flat))
        seen = [point(1, group=4, plane=2), point(8, group=4, plane=2)]
        after, lost = read(ledger, drawing(seen, flat=self.flat))
        assert not lost
        stays, came = after.objects["group", 4, (0,)], after.objects["group", 4, (2,)]
        assert (stays.label, stays.rows) == (1, rows[:1])
        assert (came.label, came.rows) == (None, (point(8, group=4, plane=2),))


PLACES = st.tuples(st.integers(0, 19), st.integers(0, 25), st.integers(0, 2))
GROUPS = st.sampled_from([None, None, 1, 2, "a"])


@settings(deadline=None, max_examples=150)
@given(data=st.data(), flat=st.booleans())
def test_whatever_is_done_to_a_row_others_stay_as_they_are(data, flat):
    """Add, move, remove, regroup and turn rows, one at a time, from any plane."""

    def fresh():
        row, column, plane = data.draw(PLACES)
        return point(
            row,
            column + next(numbers) / 1000,  # flat rows that are equal cannot be told apart
            plane=view if flat else plane,
            positive=data.draw(st.sampled_from([True, True, False])),
            group=data.draw(GROUPS),
        )

    ledger, rows, view, numbers = Ledger(), [], 0, count()
    for _ in range(data.draw(st.integers(1, 12))):
        kind = data.draw(st.sampled_from(["add", "remove", "move", "group", "turn", "view"]))
        if kind == "view":
            view = data.draw(st.integers(0, 2))
            touched = []
        elif kind == "add" or not rows:
            rows.append(fresh())
            touched = rows[-1:]
        else:
            at = data.draw(st.integers(0, len(rows) - 1))
            was = rows[at]
            if kind == "move":
                rows[at] = fresh()._replace(group=was.group, positive=was.positive)
            elif kind == "group":
                rows[at] = was._replace(group=data.draw(GROUPS))
            elif kind == "turn":
                rows[at] = was._replace(positive=not was.positive)
            touched = [was, rows[at]]
            if kind == "remove":
                del rows[at]
        seen = [row._replace(plane=(view,)) for row in rows] if flat else rows
        before = ledger
        ledger, lost = read(before, drawing(seen, flat=(flat, flat)))
        rows = list(ledger.drawing.points)  # with their planes, where the layer is flat

        asking = {name for name, row in zip(ledger.names[0], rows, strict=True) if row.positive}
        assert set(ledger.objects) == asking
        for name, asked in ledger.objects.items():
            mine = [row for owner, row in zip(ledger.names[0], rows, strict=True) if owner == name]
            assert sorted(map(repr, asked.rows)) == sorted(map(repr, mine))
            assert {row.plane for row in mine} == {asked.index}
        assert {id(asked) for asked in lost} >= {
            id(old) for name, old in before.objects.items() if name not in ledger.objects
        }
        groups = {row.group for row in touched} - {None}
        planes = {row.plane for row in touched if row.group is None and not row.positive}
        planes |= {(view,)} if flat and planes else set()
        for name, old in before.objects.items():
            mine = set(touched) & set(old.rows) or old.rows[0].group in groups
            if not mine and old.index not in planes:
                assert ledger.objects[name] is old
        labels = {asked.label for asked in ledger.objects.values()} - {None}
        assert len(labels) == sum(asked.label is not None for asked in ledger.objects.values())
        ledger = _labelled(ledger)


def _labelled(ledger):
    """Give what is asked for anew a label, as far as it has none."""
    taken = max((asked.label or 0 for asked in ledger.objects.values()), default=0)
    changes = {}
    for name, asked in ledger.objects.items():
        if not asked.settled:
            taken += asked.label is None
            changes[name] = replace(asked, label=asked.label or taken, settled=True)
    return ledger.settled(changes)


class TestJoined:
    """Questions of several objects at once."""

    def test_questions_know_what_they_are_about(self):
        shapes = [box(9), box(3, kind="ellipse"), box(1, kind="path"), box(5)]
        ledger = ask(point(1), point(2, group=1), point(3, group=1), shapes=shapes)
        parts = list(ledger.objects.values())[::-1]
        prompts, order = joined(parts, np.array([(7.0, 7.0)]))
        assert len(prompts) == len(order) == len(parts)
        assert sorted(order) == list(range(len(parts)))
        for question, n in zip(prompts.questions, order, strict=True):
            rows = parts[n].rows
            if question.kind == "points":
                asked = [tuple(place) for place in prompts.points[list(question.members)]]
                assert sorted(asked) == sorted(row.place for row in rows)
            else:
                assert (
                    rows.kind
                    == {
                        "box": "rectangle",
                        "mask": "ellipse",
                        "scribble": "path",
                    }[question.kind]
                )
        assert not prompts.positive[-1]

    def test_nothing_is_asked_by_nobody(self):
        prompts, order = joined([], np.empty((0, 2)))
        assert (len(prompts), order) == (0, [])


class TestLedger:
    """What is known by name."""

    def test_rows_and_owners_are_found(self):
        ledger = answered(ask(point(1), point(2, group=1), point(3, group=1), shapes=[box(9)]))
        names = list(ledger.objects)
        assert ledger.rows_of(names[1]) == ([1, 2], [])
        assert ledger.rows_of(names[2]) == ([], [0])
        assert ledger.owner(2, (0,)) == names[1]
        assert ledger.owner(2, (1,)) is None

    def test_what_waits_is_told_by_plane(self):
        ledger = ask(point(1), point(2, plane=1), point(3, plane=1))
        waiting = {index: len(names) for index, names in ledger.pending().items()}
        assert waiting == {(0,): 1, (1,): 2}
        assert not answered(ledger).pending()

    def test_an_object_goes_with_its_own_rows_and_not_with_others_that_look_the_same(self):
        ledger = answered(ask(point(1), point(1), point(2)))
        second = list(ledger.objects)[1]
        after = ledger.without(second)
        assert [asked.label for asked in after.objects.values()] == [1, 3]
        assert after.drawing.points == (point(1), point(2))
        assert after.names[0] == (ledger.names[0][0], ledger.names[0][2])

    def test_points_go_on_when_shapes_are_others(self):
        ledger = answered(ask(point(1), point(4, positive=False), shapes=[box(9)]))
        points = ledger.only(points=True, shapes=False)
        assert [asked.label for asked in points.objects.values()] == [1]
        after, lost = read(points, drawing(ledger.drawing.points, [box(3)]), settled=True)
        assert not lost
        assert [asked.label for asked in after.objects.values()] == [1, None]
        nothing = ledger.only(points=False, shapes=False)
        assert not nothing.objects
        assert nothing.count == ledger.count, "names are not given twice"


def test_positions_that_differ_by_rounding_errors_are_the_same():
    assert point(1 + 1e-9) == point(1)
    assert box(1 + 1e-9)[:3] == box(1)[:3]
