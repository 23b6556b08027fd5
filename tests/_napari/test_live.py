import numpy as np
import pytest

from labelling_cases import nested
from napari_fastsam import Cleanup, Instances, Prompts
from napari_fastsam._napari.live import MANY_LATE
from napari_fastsam.closer import Seen

from .live_cases import LARGE, SMALL, Ground, Person, copy_of, middle, painted

SOMEWHERE = (90, 5)
"""Background, far from all objects."""


@pytest.fixture
def person() -> Person:
    """Return a person before two planes that were looked at."""
    return Person(Ground(known=[(0,), (1,)]))


class TestAsking:
    """Each prompt has its own object."""

    def test_a_point_takes_its_object(self, person):
        person.click(middle(1))
        assert person.is_object(1) == 1
        assert (person.last.new, person.last.label) == (1, 1)

    def test_each_point_gets_another_number(self, person):
        person.click(middle(1))
        person.click(middle(2))
        person.add(person.shape(LARGE[3]))
        assert [person.is_object(n) for n in (1, 2, 3)] == [1, 2, 3]

    def test_points_of_a_group_describe_one_object(self, person):
        person.click(middle(1), group=1)
        person.click(middle(1), group=1)
        assert person.is_object(1) == 1
        assert len(person.work.objects) == 1

    def test_a_point_that_moves_takes_its_number_along(self, person):
        person.click(middle(1))
        person.click(middle(2))
        person.move(0, middle(3))
        assert [person.is_object(n) for n in (1, 2, 3)] == [0, 2, 1]

    def test_a_point_that_is_deleted_takes_its_object_along(self, person):
        person.click(middle(1))
        person.click(middle(2))
        person.remove(0)
        assert [person.is_object(n) for n in (1, 2)] == [0, 2]

    def test_a_point_on_nothing_is_told(self):
        person = Person(Ground(known=[(0,)], closer=False))
        person.click(SOMEWHERE)
        assert person.last.none == 1
        assert person.ground.labelling is None, "no labels are made for nothing"

    def test_labels_that_are_there_are_not_numbered_again(self):
        array = np.zeros((2, 96, 96), np.uint32)
        array[1, 90, 90] = 7
        person = Person(Ground(known=[(0,)], array=array))
        person.click(middle(1))
        assert person.is_object(1) == 8

    def test_a_negative_point_takes_the_object_away(self, person):
        person.click(middle(1))
        person.click(middle(2))
        person.click((10, 10), positive=False)
        assert [person.is_object(n) for n in (1, 2)] == [0, 2]
        person.remove(2)
        assert [person.is_object(n) for n in (1, 2)] == [1, 2]

    def test_a_point_that_turns_negative_leaves_its_object(self, person):
        person.click(middle(1))
        person.points[0] = person.points[0]._replace(positive=False)
        person.ask()
        assert not person.labels.any()
        person.points[0] = person.points[0]._replace(positive=True)
        person.ask()
        assert person.is_object(1)

    def test_what_was_drawn_before_is_left_alone_until_it_changes(self, person):
        person.points = [person.point(middle(1)), person.point(middle(2))]
        person.live.adopt(person.drawing())
        person.click(middle(3))
        assert [bool(person.is_object(n)) for n in (1, 2, 3)] == [False, False, True]
        person.click(SOMEWHERE, positive=False)
        assert not person.is_object(1), "a negative point asks for nothing"
        person.move(0, np.add(middle(1), 1))
        assert person.is_object(1)
        person.live.ask_all((0,))
        assert person.is_object(2)

    def test_points_go_on_with_their_objects_when_shapes_come(self, person):
        person.click(middle(1))
        person.live.adopt(person.drawing(), points=True)
        person.move(0, middle(2))
        assert [person.is_object(n) for n in (1, 2)] == [0, 1]

    def test_the_same_rows_are_no_step(self, person):
        person.click(middle(1))
        person.points.reverse()
        person.ask()
        assert len(person.work.history) == 1


class TestCrowded:
    """Several prompts may ask for one object."""

    def test_the_second_prompt_waits_until_the_first_one_leaves(self, person):
        person.click(middle(1))
        person.click(np.add(middle(1), 1))
        assert person.last.taken == 1
        person.move(0, middle(2))
        assert [person.is_object(n) for n in (1, 2)] == [2, 1]

    def test_the_object_is_there_as_long_as_one_prompt_asks_for_it(self, person):
        for n in range(3):
            person.click(np.add(middle(1), n))
        for _ in range(2):
            person.remove(0)
            assert person.is_object(1)
        person.remove(0)
        assert not person.labels.any()

    def test_deleting_one_and_the_other_taking_over_is_one_step(self, person):
        person.click(middle(1))
        person.click(np.add(middle(1), 1))
        person.remove(0)
        assert person.is_object(1) == 2
        person.undo()
        assert person.is_object(1) == 1
        assert [asked.label for asked in person.live.ledger.objects.values()] == [1, None]

    def test_what_is_given_back_is_not_taken_again_by_another_prompt(self, person):
        person.click(middle(1))
        person.click(np.add(middle(1), 1))
        person.click(middle(2))
        assert person.give_back(1, (0,))
        person.remove(1)
        assert not person.labels.any()
        person.move(0, middle(1))
        assert person.is_object(1), "until it changes"

    def test_a_prompt_whose_object_was_painted_by_hand_says_so(self, person):
        person.click(middle(2))
        painted(person.work, (0,), (slice(0, 40), slice(0, 40)), 9)
        person.click(middle(1))
        assert person.last.taken == 1
        assert (person.labels[0, :40, :40] == 9).all()


class TestHands:
    """What a person paints stays, and undoing knows of it."""

    def test_a_label_that_was_erased_comes_back_where_its_prompt_goes(self, person):
        person.click(middle(1))
        painted(person.work, (0,), (slice(0, 40), slice(0, 40)), 0)
        assert not person.labels.any()
        person.move(0, middle(2))
        assert [person.is_object(n) for n in (1, 2)] == [0, 1]

    def test_painting_survives_undoing_what_was_before(self, person):
        person.click(middle(1))
        painted(person.work, (0,), (slice(90, 92), slice(0, 4)), 9)
        person.undo()
        assert not (person.labels == 9).any()
        person.redo()
        person.undo()
        person.undo()
        assert not person.labels.any()
        assert not person.points

    def test_labels_replaced_by_others_share_no_number_with_prompts(self, person):
        person.click(middle(1))
        person.labels[:] = 0
        person.labels[1, :3, :3] = 1
        person.ground.labelling = None
        person.move(0, middle(2))
        assert person.is_object(2) == 2
        assert (person.labels == 1).sum() == 9


class TestUndo:
    """Labels and prompts go back together."""

    def test_each_click_is_a_step(self, person):
        person.click(middle(1))
        before = copy_of(person.live.ledger)
        person.click(middle(2))
        after, labels = copy_of(person.live.ledger), person.labels.copy()
        person.undo()
        assert copy_of(person.live.ledger) == before
        assert [person.is_object(n) for n in (1, 2)] == [1, 0]
        assert len(person.points) == 1
        person.redo()
        assert copy_of(person.live.ledger) == after
        np.testing.assert_array_equal(person.labels, labels)

    def test_giving_back_can_be_undone_with_its_prompts(self, person):
        person.click(middle(1), group=1)
        person.click(middle(1), group=1)
        person.click(middle(2))
        assert person.give_back(1, (0,))
        assert (len(person.points), person.is_object(1)) == (1, 0)
        person.undo()
        assert (len(person.points), person.is_object(1)) == (3, 1)
        person.redo()
        assert (len(person.points), person.is_object(1)) == (1, 0)

    def test_a_prompt_without_an_answer_is_a_step_too(self, person):
        person.ground.closer = False
        person.click(middle(1))
        person.click(SOMEWHERE)
        person.undo()
        assert (len(person.points), person.is_object(1)) == (1, 1)

    def test_prompts_go_on_with_their_objects_after_undo(self, person):
        person.click(middle(1))
        person.click(middle(2))
        person.remove(0)
        person.undo()
        person.move(0, middle(3))
        assert [person.is_object(n) for n in (1, 2, 3)] == [0, 2, 1]


class TestLate:
    """Planes may be looked at after prompts were drawn on them."""

    def test_a_prompt_waits_for_its_plane(self):
        person = Person(Ground())
        person.click(middle(1))
        assert (person.last.waiting, person.ground.wanted) == (1, [(0,)])
        person.arrive()
        assert person.is_object(1)
        assert (person.last.new, person.last.waiting) == (1, 0)

    def test_a_plane_that_comes_answers_its_own_prompts_only(self):
        person = Person(Ground())
        person.add(person.point(middle(1)), person.point(middle(2), (1,)))
        person.arrive((1,))
        assert [person.is_object(1), person.is_object(2, (1,))] == [0, 1]
        person.arrive((0,))
        assert person.is_object(1) == 2

    def test_what_is_deleted_meanwhile_is_not_asked(self):
        person = Person(Ground())
        person.click(middle(1))
        person.remove(0)
        person.arrive((0,))
        assert not person.labels.any()

    def test_the_first_clicks_are_undone_with_their_answers(self):
        person = Person(Ground())
        person.click(middle(1))
        person.click(middle(2))
        person.arrive()
        assert len(person.work.history) == 1
        person.undo()
        assert not person.points
        assert not person.labels.any()
        person.redo()
        assert len(person.points) == 2
        assert person.is_object(2)

    def test_a_late_answer_is_a_part_of_the_step_that_asked(self):
        person = Person(Ground(known=[(1,)]))
        person.click(middle(2), (1,))
        person.click(middle(1), (0,))
        person.arrive()
        assert len(person.work.history) == 2
        person.undo()
        assert len(person.points) == 1
        assert not person.labels[0].any()

    def test_a_late_answer_that_is_undone_does_not_come_back_by_itself(self):
        person = Person(Ground(known=[(1,)]))
        person.click(middle(2), (1,))
        person.click(middle(1), (0,))
        person.click(middle(3), (1,))
        person.arrive()
        assert person.is_object(1)
        person.undo()
        assert not person.is_object(1)
        person.click(middle(2), (0,))
        assert [person.is_object(n) for n in (1, 2)] == [0, 3]

    def test_undoing_while_something_waits_drops_it(self):
        person = Person(Ground(known=[(1,)]))
        person.click(middle(2), (1,))
        person.click(middle(1), (0,))
        person.undo()
        person.arrive((0,))
        assert not person.labels[0].any()
        person.redo()
        assert person.is_object(1), "it came while the click was undone"

    def test_redoing_while_it_still_waits_asks_for_the_plane_again(self):
        person = Person(Ground(known=[(1,)]))
        person.click(middle(2), (1,))
        person.click(middle(1), (0,))
        person.undo()
        person.ground.wanted.clear()
        person.redo()
        assert person.ground.wanted == [(0,)]
        person.arrive()
        assert person.is_object(1)

    def test_nothing_found_late_is_told_and_is_no_step(self):
        person = Person(Ground(known=[(1,)], closer=False))
        person.click(middle(2), (1,))
        person.click(SOMEWHERE, (0,))
        person.arrive()
        assert person.last.none == 1
        assert len(person.work.history) == 2


class TestCloser:
    """A prompt without an answer has its plane looked at closer."""

    def test_a_small_object_is_found(self, person):
        person.click(middle(4))
        assert (person.last.looking, person.last.none) == (1, 0)
        person.arrive_closer()
        assert person.is_object(4)
        assert (person.last.new, person.ground.queue) == (1, [])

    def test_if_there_is_nothing_it_is_told(self, person):
        person.click(SOMEWHERE)
        person.arrive_closer()
        assert (person.last.none, person.last.looking) == (1, 0)
        assert not person.ground.queue

    def test_each_of_several_looks_answers_its_own_prompt(self, person):
        person.click(middle(4))
        person.click(middle(5))
        assert len(person.ground.queue) == 2
        while person.ground.queue:
            person.arrive_closer()
        assert [bool(person.is_object(n)) for n in (4, 5)] == [True, True]

    def test_other_prompts_meanwhile_do_not_matter(self, person):
        person.click(middle(4))
        person.click(middle(1))
        person.live.drawn(person.drawing())
        person.arrive_closer()
        assert [bool(person.is_object(n)) for n in (1, 4)] == [True, True]

    def test_a_plane_that_comes_for_another_reason_ends_no_closer_look(self, person):
        person.click(middle(4))
        person.live.arrived((0,))
        assert person.last.looking == 1
        while person.ground.queue:
            person.arrive_closer()
        assert person.is_object(4)

    def test_what_moves_meanwhile_is_asked_where_it_is(self, person):
        person.click(middle(4))
        person.move(0, middle(1))
        while person.ground.queue:
            person.arrive_closer()
        assert [bool(person.is_object(n)) for n in (1, 4)] == [True, False]

    def test_what_was_found_is_undone_with_the_click(self, person):
        person.click(middle(1))
        person.click(middle(4))
        person.arrive_closer()
        assert len(person.work.history) == 2
        person.undo()
        assert (len(person.points), person.is_object(4)) == (1, 0)
        person.redo()
        assert (len(person.points), bool(person.is_object(4))) == (2, True)

    def test_undoing_while_it_is_looked_at_drops_it_until_it_is_redone(self, person):
        person.click(middle(1))
        person.click(middle(4))
        person.undo()
        person.arrive_closer()
        assert not person.is_object(4)
        person.redo()
        assert person.is_object(4)

    def test_undoing_another_step_does_not_end_it(self, person):
        person.click(middle(1))
        person.click(middle(4))
        person.click(middle(2))
        person.undo()
        person.arrive_closer()
        assert [bool(person.is_object(n)) for n in (1, 2, 4)] == [True, False, True]

    def test_the_first_object_may_come_of_a_closer_look(self, person):
        person.click(middle(4))
        assert person.ground.labelling is None
        person.arrive_closer()
        assert person.is_object(4) == 1
        person.undo()
        assert not person.points

    def test_what_one_look_finds_answers_others_too(self, person):
        person.ground.closer = False
        person.click(middle(5))
        assert person.last.none == 1
        person.ground.closer = True
        person.click(np.add(middle(5), 1))
        person.arrive_closer()
        assert person.is_object(5)
        assert len(person.work.objects) == 1

    def test_what_cleanup_takes_away_is_asked_once(self):
        person = Person(Ground(known=[(0,)]), cleanup=Cleanup(min_area=100))
        person.click(middle(4))
        person.arrive_closer()
        assert person.last.none == 1
        steps = len(person.work.history)
        person.live.arrived((0,))
        assert len(person.work.history) == steps


def at_hand(pool: Instances) -> Ground:
    """Return ground of one plane whose candidates are these."""
    ground = Ground(np.zeros(pool.shape, np.uint8), axes="YX", closer=False)
    ground.known[()] = Seen(pool, 0)
    return ground


@pytest.fixture
def boxes() -> Person:
    """Return a person before three squares that lie in each other, and one beside them."""
    masks = np.zeros((4, 20, 30), bool)
    for n, size in enumerate((4, 8, 12)):
        masks[n, :size, :size] = True
    masks[3, 15:, 20:] = True
    return Person(at_hand(Instances.from_masks((20, 30), list(masks), scores=[0.9, 0.8, 0.7, 0.9])))


class TestCycle:
    """Nested candidates."""

    def area(self, person, label=1):
        return np.count_nonzero(person.labels == label)

    def name(self, person, label=1):
        return person.live.ledger.owner(label, ())

    def test_cycling_goes_round_the_answers(self, boxes):
        boxes.click((1, 1))
        areas = [self.area(boxes)]
        for _ in range(3):
            assert boxes.live.cycle(self.name(boxes))
            areas.append(self.area(boxes))
        assert areas == [16, 64, 144, 16]
        boxes.undo()
        assert self.area(boxes) == 144
        assert boxes.live.cycle(self.name(boxes), -1)
        assert self.area(boxes) == 64

    def test_one_answer_cannot_be_cycled(self, boxes):
        boxes.click((18, 25))
        assert not boxes.live.cycle(self.name(boxes))
        assert not boxes.live.cycle(("nobody",))

    def test_a_choice_may_come_with_the_click(self, boxes):
        boxes.add(boxes.point((1, 1), group=1), choices={("group", 1, ()): 2})
        assert self.area(boxes) == 144
        boxes.live.drawn(boxes.drawing())
        boxes.click((18, 25))
        assert self.area(boxes) == 144

    def test_a_choice_stays_when_a_negative_point_speaks_to_all(self, boxes):
        boxes.click((1, 1))
        boxes.live.cycle(self.name(boxes))
        boxes.click((18, 2), positive=False)
        assert self.area(boxes) == 64
        boxes.move(1, (10, 10))
        assert self.area(boxes) == 64
        boxes.move(1, (6, 6))
        assert self.area(boxes) == 16

    def test_a_prompt_that_moves_asks_for_its_best_answer(self, boxes):
        boxes.click((1, 1))
        boxes.live.cycle(self.name(boxes))
        boxes.move(0, (2, 2))
        assert self.area(boxes) == 16


class TestFailures:
    """An error is told, nothing is lost, and the next action works."""

    @pytest.fixture
    def full(self) -> Person:
        """Return a person who has one number left."""
        array = np.zeros((2, 96, 96), np.uint8)
        array[1, 90, 90] = 254
        return Person(Ground(known=[(0,), (1,)], array=array))

    def test_numbers_that_run_out_are_told_and_the_rest_goes_on(self, full):
        full.click(middle(1))
        with pytest.raises(ValueError, match="255, the largest of uint8"):
            full.click(middle(2))
        assert [full.is_object(n) for n in (1, 2)] == [255, 0]
        full.move(0, middle(3))
        assert [full.is_object(n) for n in (1, 2, 3)] == [0, 0, 255]
        with pytest.raises(ValueError, match="255"):
            full.move(1, np.add(middle(2), 1))
        full.remove(1)
        full.remove(0)
        assert np.unique(full.labels).tolist() == [0, 254]

    def test_what_another_finds_no_number_for_is_undone_as_well(self, full):
        full.click(middle(1), group=1)
        full.points[0] = full.points[0]._replace(group=2)
        with pytest.raises(ValueError, match="255"):
            full.ask()
        assert not full.labels[0].any()
        full.undo()
        assert full.is_object(1) == 255
        assert len(full.points) == 1

    def test_numbers_that_run_out_late_leave_the_plane_as_it_is(self):
        array = np.zeros((2, 96, 96), np.uint8)
        array[1, 90, 90] = 255
        person = Person(Ground(array=array))
        person.click(middle(1))
        with pytest.raises(ValueError, match="255"):
            person.arrive()
        assert not person.labels[0].any()
        person.live.arrived((0,))
        assert person.last.none == 0

    def test_labels_that_cannot_be_worked_on_change_nothing(self, person):
        person.click(middle(1))
        person.ground.refusal = ValueError("labels that lie elsewhere")
        with pytest.raises(ValueError, match="elsewhere"):
            person.click(middle(2))
        person.ground.refusal = None
        person.click(middle(3))
        assert [person.is_object(n) for n in (1, 2, 3)] == [1, 2, 3]

    def test_a_write_that_fails_takes_all_of_it_back(self, person, monkeypatch):
        person.click(middle(1))
        before, ledger = person.labels.copy(), copy_of(person.live.ledger)
        write = person.work.canvas.write

        def fail(index, window, values):
            write(index, window, values)
            monkeypatch.undo()
            raise OSError("the disk is full")

        monkeypatch.setattr(person.work.canvas, "write", fail)
        person.points[0] = person.point(middle(2))
        with pytest.raises(OSError, match="full"):
            person.ask()
        np.testing.assert_array_equal(person.labels, before)
        assert copy_of(person.live.ledger) == ledger
        person.ask()
        assert [person.is_object(n) for n in (1, 2)] == [0, 1]


class TestFlat:
    """Prompts in layers without stepped axes."""

    def test_they_stay_on_the_plane_where_they_were_drawn(self):
        person = Person(Ground(known=[(0,), (1,)]), flat=True)
        person.click(middle(2))
        person.view = (1,)
        person.click(middle(3))
        assert [person.is_object(2), person.is_object(3, (1,))] == [1, 2]
        person.remove(0)
        assert [person.is_object(2), person.is_object(3, (1,))] == [0, 2]


def test_overlapping_objects_are_written_as_labelling_says():
    pool = nested()
    person = Person(at_hand(pool))
    for place in [(2, 3), (4, 5), (6, 8)]:
        person.click(place)
    plain = at_hand(pool).work(make=True)
    for place in [(2, 3), (4, 5), (6, 8)]:
        plain.take(Prompts(points=[place]))
    np.testing.assert_array_equal(person.labels, plain.labels)


def test_all_that_is_asked_for_is_told_by_plane(person):
    person.add(person.point(middle(1)), person.point(middle(2), (1,)), person.shape(SMALL[4]))
    asked = {index: len(one.prompts) for index, one in person.live.by_plane().items()}
    assert asked == {(0,): 1}, "the others have their objects"
    (name,) = [name for name, asked in person.live.ledger.objects.items() if asked.index == (1,)]
    np.testing.assert_array_equal(person.live.prompts(name).points, [middle(2)])
    assert person.live.prompts(("nobody",)) is None


class TestMemory:
    """What a step keeps of the prompts is bounded with the steps."""

    def test_the_history_counts_what_is_drawn(self, person):
        person.click(middle(1))
        few = person.work.history.last.nbytes
        for _ in range(50):
            person.points.append(person.point(SOMEWHERE))
        person.click(middle(2))
        assert person.work.history.last.nbytes > few + 50 * 100

    def test_old_steps_leave_with_their_prompts(self, person):
        person.click(middle(1))
        person.work.history.max_bytes = 100_000
        for n in range(100):
            person.move(0, middle(1 + n % 3))
            person.points.append(person.point(SOMEWHERE))
        assert person.work.history.nbytes <= 100_000
        assert 1 <= len(person.work.history) < 50

    def test_what_is_asked_no_more_does_not_pile_up(self):
        person = Person(Ground(known=[(0,)], closer=False))
        for n in range(5 * MANY_LATE):
            person.click((90, n % 90))
            person.remove(0)
        assert len(person.live._late) <= 2 * MANY_LATE
