import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from labelling_cases import AS_IS, SHAPE, Pool, numbered, stroke
from napari_fastsam import Cleanup, Instances, Labelling, PlaneAxes, Prompts, provenance, replay
from napari_fastsam.canvas import ArrayCanvas
from napari_fastsam.history import Edit
from napari_fastsam.labelling import Outcome, run_record
from napari_fastsam.looking import Looking
from napari_fastsam.origins import KEY
from napari_fastsam.pipeline import run

CLEANUPS = st.sampled_from(
    [Cleanup(), Cleanup(min_area=4), Cleanup(opening=1), Cleanup(fill_holes=3, closing=1)]
)
EXISTING = st.sampled_from(["keep", "overwrite"])
WINDOWS = st.tuples(
    st.integers(0, 7), st.integers(0, 10), st.integers(1, 4), st.integers(1, 4)
).map(lambda at: (slice(at[0], min(9, at[0] + at[2])), slice(at[1], min(12, at[1] + at[3]))))
POINTS = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))


class Session(RuleBasedStateMachine):
    """Everything that a person may do, in any order; what holds after each step is an invariant."""

    existing = None

    @initialize(
        axes=st.sampled_from(["YX", "XY", "ZYX", "XZY", "TYZX"]),
        dtype=st.sampled_from([np.uint8, np.int32, np.uint64]),
        filled=st.booleans(),
    )
    def begin(self, axes, dtype, filled):
        sizes = {"Y": SHAPE[0], "X": SHAPE[1], "Z": 2, "T": 1}
        layout = PlaneAxes(axes, tuple(sizes[letter] for letter in axes))
        self.planes = list(layout.indices())
        self.image, self.model = numbered(layout), Pool(len(self.planes))
        looking = Looking(self.image, self.model, axes=axes, display=AS_IS)
        array = np.zeros(layout.shape, dtype)
        canvas = ArrayCanvas(array, layout)
        if filled:
            canvas.write(self.planes[0], (slice(2, 5), slice(3, 6)), np.full((3, 3), 3))
        self.original = array.copy()
        self.work = Labelling(canvas, looking, first=4)
        self.work.sources.append(looking.record())

    def labels(self):
        return self.work.canvas.array.copy()

    @rule(data=st.data(), points=st.lists(POINTS, max_size=3), existing=EXISTING, cleanup=CLEANUPS)
    def take(self, data, points, existing, cleanup):
        plane = data.draw(st.sampled_from(self.planes))
        before = self.labels()
        outcomes = self.work.take(
            Prompts(points=np.reshape(points, (-1, 2))),
            plane=plane,
            choices=[data.draw(st.integers(-1, 3)) for _ in points],
            existing=self.existing or existing,
            cleanup=cleanup,
        )
        new = [outcome.label for outcome in outcomes if outcome.state == "new"]
        assert len(set(new)) == len(new)
        assert not np.isin(before, new).any()

    @precondition(lambda self: self.work.objects)
    @rule(data=st.data(), point=POINTS, existing=EXISTING, cleanup=CLEANUPS)
    def move_the_prompt(self, data, point, existing, cleanup):
        label = data.draw(st.sampled_from(sorted(self.work.objects)))
        plane = data.draw(st.sampled_from(self.planes))
        (outcome,) = self.work.take(
            Prompts(points=[point]),
            plane=plane,
            labels=[label],
            existing=self.existing or existing,
            cleanup=cleanup,
        )
        assert outcome.label == label
        assert (label in self.work.objects) == (outcome.state not in ("none", "taken"))

    @precondition(lambda self: self.work.objects)
    @rule(data=st.data())
    def remove(self, data):
        labels = data.draw(st.lists(st.sampled_from(sorted(self.work.objects)), max_size=3))
        self.work.remove(labels)
        assert not set(labels) & set(self.work.objects)

    @rule(data=st.data())
    def give_back(self, data):
        plane = data.draw(st.sampled_from(self.planes))
        there = np.unique(self.work.canvas.read(plane))
        label = int(data.draw(st.sampled_from(there.tolist())))
        assert self.work.give_back(label, plane=plane) == (label > 0)
        assert label == 0 or not (self.work.canvas.read(plane) == label).any()

    @rule(
        data=st.data(),
        confidence=st.floats(0, 1),
        existing=st.sampled_from(["keep", "overwrite", "clear"]),
        cleanup=CLEANUPS,
    )
    def everything(self, data, confidence, existing, cleanup):
        plane = data.draw(st.sampled_from(self.planes))
        self.work.everything(
            plane=plane, confidence=confidence, existing=self.existing or existing, cleanup=cleanup
        )

    @rule(data=st.data(), existing=EXISTING, cleanup=CLEANUPS, link=st.booleans())
    def segment(self, data, existing, cleanup, link):
        planes = data.draw(st.lists(st.sampled_from(self.planes), unique=True))
        self.work.segment(
            planes, existing=self.existing or existing, cleanup=cleanup, link=link, confidence=0.3
        )

    @rule(data=st.data(), point=POINTS, existing=EXISTING)
    def take_while_a_run_goes_on(self, data, point, existing):
        work, looking = self.work, self.work.candidates
        request = looking.request()
        step = work.begin(run_record(request, existing))
        for result in run(request, self.model):
            planned = work.plan(result.index, result.labels, existing, {})
            plane = data.draw(st.sampled_from(self.planes))
            work.take(Prompts(points=[point]), plane=plane, existing=existing)
            work.write(planned, step=step)

    @rule(data=st.data(), cleanup=CLEANUPS)
    def clean(self, data, cleanup):
        self.work.clean(cleanup, plane=data.draw(st.sampled_from(self.planes)))

    @rule(data=st.data(), window=WINDOWS, label=st.integers(0, 12))
    def paint(self, data, window, label):
        stroke(self.work, data.draw(st.sampled_from(self.planes)), window, label)

    @rule()
    def fail_half_way(self):
        before, objects = self.labels(), dict(self.work.objects)

        def fail():
            with self.work.together():
                self.work.take(Prompts(points=[(4, 4), (5, 8)]), plane=self.planes[0])
                self.work.remove(list(objects))
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        np.testing.assert_array_equal(self.labels(), before)
        assert self.work.objects == objects

    @rule()
    def undo(self):
        before, objects = self.labels(), dict(self.work.objects)
        if self.work.undo() is not None:
            self.work.redo()
            np.testing.assert_array_equal(self.labels(), before)
            assert self.work.objects == objects
            self.work.undo()

    @rule()
    def redo(self):
        before, objects = self.labels(), dict(self.work.objects)
        if self.work.redo() is not None:
            self.work.undo()
            np.testing.assert_array_equal(self.labels(), before)
            assert self.work.objects == objects
            self.work.redo()

    @rule()
    def undo_all(self):
        steps = 0
        before = self.labels()
        while self.work.undo() is not None:
            steps += 1
        np.testing.assert_array_equal(self.labels(), self.original)
        assert not self.work.objects
        for _ in range(steps):
            self.work.redo()
        np.testing.assert_array_equal(self.labels(), before)

    @invariant()
    def the_records_make_the_same_labels(self):
        if hasattr(self, "work"):
            untouched = self.original.copy()
            axes = self.work.canvases[0].axes
            for start in self.work.start:
                axes.write(untouched, tuple(start["plane"]), np.array(77))
            layer = SimpleNamespace(
                data=untouched, metadata={KEY: json.loads(json.dumps(provenance(self.work)))}
            )
            made = replay(layer, self.image, model=self.model)
            np.testing.assert_array_equal(made, self.labels())

    @invariant()
    def numbers_that_are_there_are_not_given_again(self):
        if hasattr(self, "work"):
            assert self.work.next_label > self.labels().max()


TestSession = Session.TestCase
TestSession.settings = settings(
    max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)


def squares(*corners, side=3, shape=(12, 12)) -> Instances:
    """Return squares, the best first."""
    masks = np.zeros((len(corners), *shape), bool)
    for mask, (row, column) in zip(masks, corners, strict=True):
        mask[row : row + side, column : column + side] = True
    return Instances.from_masks(shape, list(masks), scores=np.linspace(0.9, 0.5, len(masks)))


def at(*points) -> Prompts:
    return Prompts(points=points)


@pytest.fixture
def work() -> Labelling:
    """Return a labelling of three squares: the second lies on a corner of the first."""
    found = squares((1, 1), (3, 3), (8, 8))
    return Labelling(ArrayCanvas(np.zeros((12, 12), np.uint16)), lambda plane, prompts: found)


def test_each_click_takes_an_object_with_a_number_of_its_own(work):
    assert work.take(at((1, 1))) == [Outcome("new", 1)]
    assert work.take(at((9, 9), (0, 0))) == [Outcome("new", 2), Outcome("none", None)]
    assert np.unique(work.labels).tolist() == [0, 1, 2]
    assert len(work.history) == 2


def test_a_prompt_that_moves_keeps_its_number(work):
    work.take(at((1, 1)))
    assert work.take(at((9, 9)), labels=[1]) == [Outcome("changed", 1)]
    np.testing.assert_array_equal(work.labels == 1, squares((8, 8)).to_labels() == 1)


def test_the_same_answer_again_is_no_step(work):
    work.take(at((1, 1)))
    assert work.take(at((2, 1)), labels=[1]) == [Outcome("same", 1)]
    assert len(work.history) == 1


def test_no_answer_takes_the_object_away(work):
    work.take(at((1, 1)))
    assert work.take(at((0, 11)), labels=[1]) == [Outcome("none", 1)]
    assert not work.labels.any()
    work.undo()
    assert np.count_nonzero(work.labels == 1) == 9


def test_what_cleanup_drops_has_no_answer_until_it_is_let_through(work):
    assert work.take(at((1, 1)), cleanup=Cleanup(min_area=10)) == [Outcome("none", None)]
    work.take(at((1, 1)))
    assert work.take(at((1, 1)), labels=[1], cleanup=Cleanup(min_area=10))[0].state == "none"
    assert work.take(at((1, 1)), labels=[1], cleanup=Cleanup(min_area=9)) == [Outcome("new", 1)]


def test_one_object_asked_for_twice_is_there_once(work):
    for existing in ("keep", "overwrite"):
        outcomes = work.take(at((1, 1), (2, 2)), existing=existing)
        assert sorted(outcome.state for outcome in outcomes) == ["new", "taken"]
        work.undo()


def test_an_object_whose_place_is_taken_is_left_out(work):
    work.canvas.write((), (slice(0, 5), slice(0, 3)), np.full((5, 3), 7))
    work.skip(7)
    assert work.take(at((1, 1))) == [Outcome("taken", None)]
    assert work.take(at((1, 1)), existing="overwrite") == [Outcome("new", 8)]


def test_no_prompts_are_no_step(work):
    assert work.take(Prompts()) == []
    assert work.undo() is None


def test_cycling_takes_the_next_answer(work):
    work.take(at((3, 3)))
    first = work.labels.copy()
    work.take(at((3, 3)), labels=[1], choices=[1])
    assert (work.labels != first).any()
    work.take(at((3, 3)), labels=[1], choices=[2])
    np.testing.assert_array_equal(work.labels, first)


def test_covered_pixels_come_back_with_what_covers_them_gone(work):
    work.take(at((1, 1)))
    before = work.labels.copy()
    work.take(at((5, 5)), existing="overwrite")
    assert work.labels[3, 3] == 2
    work.remove([2])
    np.testing.assert_array_equal(work.labels, before)


@pytest.mark.parametrize("leave", ["remove", "give back", "move"])
def test_what_left_from_beneath_does_not_come_back(work, leave):
    work.take(at((1, 1)))
    work.take(at((5, 5)), existing="overwrite")
    if leave == "remove":
        work.remove([1])
    elif leave == "give back":
        assert work.give_back(1)
    else:
        work.take(at((9, 9)), labels=[1])
    work.remove([2])
    assert not (work.labels[:6, :6] > 0).any()


def test_what_lies_two_deep_comes_back_when_the_middle_left():
    found = squares((1, 1), (2, 2), (3, 3))
    work = Labelling(ArrayCanvas(np.zeros((12, 12), int)), lambda plane, prompts: found)
    work.take(at((1, 1)))
    bottom = work.labels.copy()
    work.take(at((4, 2)), existing="overwrite")
    work.take(at((5, 5)), existing="overwrite")
    assert work.labels[3, 3] == 3
    work.remove([2])
    work.remove([3])
    np.testing.assert_array_equal(work.labels, bottom)


def test_objects_removed_together_leave_nothing_of_each_other(work):
    for order in ([1, 2], [2, 1]):
        work.take(at((1, 1)))
        work.take(at((5, 5)), existing="overwrite")
        work.remove(order)
        assert not work.labels.any()
        while work.undo():
            pass


def test_removing_leaves_what_a_person_painted_with_the_same_label(work):
    work.take(at((1, 1)))
    stroke(work, (), (slice(1, 3), slice(4, 6)), 1)
    work.remove([1])
    assert np.argwhere(work.labels == 1).tolist() == [[1, 4], [1, 5], [2, 4], [2, 5]]


def test_a_stroke_that_the_object_grows_over_stays_when_it_is_removed():
    sizes = Instances.concatenate([squares((1, 1)), squares((0, 0), side=6)])
    work = Labelling(ArrayCanvas(np.zeros((12, 12), int)), lambda plane, prompts: sizes)
    work.take(at((2, 2)))
    stroke(work, (), (slice(1, 2), slice(4, 6)), 1)
    work.take(at((2, 2)), labels=[1], choices=[1])
    assert np.count_nonzero(work.labels == 1) == 36
    work.remove([1])
    assert np.argwhere(work.labels).tolist() == [[1, 4], [1, 5]]


def test_giving_back_takes_strokes_too(work):
    work.take(at((1, 1)))
    stroke(work, (), (slice(6, 8), slice(4, 6)), 1)
    assert work.give_back(1)
    assert not work.labels.any()
    assert not work.give_back(1)
    assert not work.give_back(0)


def test_a_stroke_in_between_survives_undoing_what_was_before(work):
    work.take(at((1, 1)))
    work.take(at((9, 9)))
    work.canvas.write((), (slice(8, 9), slice(8, 11)), np.full((1, 3), 9))  # nobody was told
    work.undo()
    assert (work.labels == 9).sum() == 3
    assert (work.labels == 2).sum() == 0


def test_a_number_is_free_again_once_undone_but_not_while_promised(work):
    work.take(at((1, 1)))
    work.undo()
    assert work.next_label == 1
    assert work.reserve(2) == 2, "redo may still bring 1"
    work.redo()
    assert work.take(at((9, 9))) == [Outcome("new", 4)]


def test_a_number_promised_to_a_run_is_not_given_after_undo(work):
    work.take(at((1, 1)))
    promised = work.reserve(3)
    work.undo()
    assert work.take(at((1, 1)))[0].label not in range(promised, promised + 3)


def test_a_label_asked_for_by_number_is_not_given_again(work):
    assert work.take(at((1, 1)), labels=[5]) == [Outcome("new", 5)]
    assert work.take(at((9, 9))) == [Outcome("new", 6)]


def test_undoing_everything_gives_its_numbers_back(work):
    work.everything()
    assert work.next_label == 4
    work.undo()
    assert work.next_label == 1


def test_the_first_number_is_asked_for_once_it_is_needed(work):
    asked = []
    later = Labelling(work.canvas, work.candidates, first=lambda: asked.append(1) or 12)
    later.skip(3)
    assert asked == []
    assert later.take(at((1, 1))) == [Outcome("new", 12)]
    later.undo()
    assert later.next_label == 12
    assert later.reserve(1) == 13, "redo may still bring 12"
    assert asked == [1]


def test_numbers_run_out_without_leaving_half_a_step():
    found = squares((1, 1), (5, 5), (8, 8))
    work = Labelling(
        ArrayCanvas(np.zeros((12, 12), np.uint8)), lambda plane, prompts: found, first=255
    )
    work.take(at((1, 1)))
    before = work.labels.copy()
    with pytest.raises(ValueError, match="labels up to 255"):
        work.take(Prompts(points=[(0, 0), (9, 9)]), labels=[255, None])
    np.testing.assert_array_equal(work.labels, before)
    assert set(work.objects) == {255}
    assert len(work.history) == 1


def test_labels_and_choices_have_to_fit_the_questions(work):
    with pytest.raises(ValueError, match=r"1 questions.*2 labels and 1 choices"):
        work.take(at((1, 1)), labels=[1, 2])
    with pytest.raises(ValueError, match=r"different labels.*\[3, 3\]"):
        work.take(at((1, 1), (9, 9)), labels=[3, 3])
    with pytest.raises(ValueError, match=r"from 1 to 65535.*\[70000\]"):
        work.take(at((1, 1)), labels=[70000])


def test_a_plane_that_does_not_exist_is_refused(work):
    with pytest.raises(ValueError, match="a plane inside"):
        work.take(at((1, 1)), plane=(3,))
    assert work.undo() is None


def test_a_number_names_a_plane_where_one_axis_is_stepped():
    work = Labelling(
        ArrayCanvas(np.zeros((2, 12, 12), int)), lambda plane, prompts: squares((1, 1))
    )
    work.take(at((1, 1)), plane=1)
    assert not work.labels[0].any()
    work.clean(Cleanup(min_area=100), plane=np.int64(1))
    assert not work.labels.any()
    work.everything(plane=[1])
    assert work.give_back(2, plane=1)
    assert json.dumps(provenance(work))


@pytest.mark.parametrize("word", ["Keep", "overwrit", ""])
def test_a_word_that_is_misspelt_writes_over_nothing(word, blobs):
    work = Labelling.of(np.full((8, 8), 255, np.uint8), blobs, labels=np.eye(8, dtype=int))
    calls = (
        lambda: work.take(at((1, 3)), existing=word),
        lambda: work.everything(existing=word),
        lambda: work.segment(existing=word),
        lambda: work.plan((), np.ones((8, 8), int), word),
    )
    for call in calls:
        with pytest.raises(ValueError, match=rf'"keep", "overwrite" or "clear".*{word!r}'):
            call()
    assert (len(work.history), blobs.calls) == (0, 0)


def test_what_makes_no_sense_is_refused_in_words(work):
    cases = [
        (TypeError, r"Expected Prompts\. Got a list", lambda: work.take([(1, 1)])),
        (ValueError, "leave the plane out", lambda: work.take(at((1, 1)), plane=0)),
        (ValueError, r"different labels.*\[1\.5\]", lambda: work.take(at((1, 1)), labels=[1.5])),
        (ValueError, "whole numbers as choices", lambda: work.take(at((1, 1)), choices=["next"])),
        (ValueError, r"from 0 to 2.*\[3\]", lambda: work.everything(without=[3])),
        (ValueError, r"from 0 to 1\. Got 25", lambda: work.everything(confidence=25)),
        (ValueError, r"from 0 to 1\. Got nan", lambda: work.everything(confidence=float("nan"))),
        (
            ValueError,
            r"plane of \(12, 12\)",
            lambda: work.everything(squares((1, 1), shape=(9, 9))),
        ),
        (ValueError, "strokes with plane, corner", lambda: work.paint([{"plane": []}])),
    ]
    for error, words, call in cases:
        with pytest.raises(error, match=words):
            call()
    assert not work.labels.any()
    assert len(work.history) == 0


def test_strokes_beyond_the_plane_are_refused(work):
    edit = Edit.between((), (slice(10, 14), slice(0, 2)), np.zeros((4, 2)), np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"inside a plane of 12 x 12.*\(10, 0\)"):
        work.paint([edit])
    with pytest.raises(ValueError, match="only one"):
        work.paint([replace(edit, index=(1,), corner=(0, 0))])
    assert not work.labels.any()


def test_labels_that_are_there_are_gone_on_with(blobs):
    image = np.zeros((12, 12), np.uint8)
    image[1:4, 1:4] = image[8:11, 8:11] = 255
    there = np.zeros((12, 12), np.uint16)
    there[1:4, 1:4] = 7
    work = Labelling.of(image, blobs, axes="YX", labels=there)
    assert work.take(at((2, 2), (9, 9))) == [Outcome("taken", None), Outcome("new", 8)]
    assert work.labels is there
    assert (
        Labelling(ArrayCanvas(np.full((2, 3, 3), 4)), lambda plane, prompts: None).next_label == 5
    )


def test_runs_and_undoing_stand_alone(work):
    def together(call):
        with work.together():
            work.take(at((9, 9)))
            call()

    work.take(at((1, 1)))
    before = work.labels.copy()
    for call in (work.undo, work.redo, work.segment, lambda: work.begin({"do": "run"})):
        with pytest.raises(ValueError, match="end the with block"):
            together(call)
        np.testing.assert_array_equal(work.labels, before)
    assert len(work.history) == 1


def test_a_run_that_fails_keeps_what_was_done_as_one_step(blobs):
    class Torn:
        """A stack whose second plane cannot be read."""

        shape, dtype = (2, 8, 8), np.dtype(np.uint8)

        def __getitem__(self, key):
            if key[0]:
                raise OSError("unreadable")
            return np.pad(np.full((4, 4), 255, np.uint8), 2)

    work = Labelling.of(Torn(), blobs, axes="ZYX", display=AS_IS)
    with pytest.raises(OSError, match="unreadable"):
        work.segment([1])
    assert len(work.history) == 0
    with pytest.raises(OSError, match="unreadable"):
        work.segment()
    assert (len(work.history), work.labels[0].any()) == (1, True)
    work.undo()
    assert not work.labels.any()


def test_what_is_planned_is_shown_in_short(work):
    assert repr(work.everything()) == "Planned(plane=(), new=3, taken=0)"


def test_a_prompt_that_went_to_another_plane_takes_its_object_along():
    found = squares((1, 1), (8, 8))
    stack = ArrayCanvas(np.zeros((2, 12, 12), np.uint8))
    work = Labelling(stack, lambda plane, prompts: found)
    work.take(at((1, 1)), plane=(0,))
    (outcome,) = work.take(at((1, 1)), plane=(1,), labels=[1])
    assert outcome.label == 1
    assert not work.labels[0].any()
    assert np.count_nonzero(work.labels[1] == 1) == 9
    assert len(work.history) == 2
    work.undo()
    assert np.count_nonzero(work.labels[0] == 1) == 9
    assert not work.labels[1].any()


def test_a_label_is_given_back_on_its_plane_only():
    stack = ArrayCanvas(np.ones((2, 12, 12), np.uint8))
    work = Labelling(stack, lambda plane, prompts: squares((1, 1)), first=2)
    assert work.give_back(1, plane=(0,))
    assert not work.labels[0].any()
    assert work.labels[1].all()


def test_failing_together_takes_all_of_it_back(work):
    work.take(at((1, 1)))
    before, numbers = work.labels.copy(), work.next_label

    def fail():
        with work.together("note"):
            work.take(at((9, 9)))
            work.remove([1])
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    np.testing.assert_array_equal(work.labels, before)
    assert (set(work.objects), work.next_label, len(work.history)) == ({1}, numbers, 1)


def test_a_failure_that_is_caught_inside_leaves_the_rest_of_the_step(work):
    with work.together():
        work.take(at((1, 1)))
        with pytest.raises(ValueError, match="different labels"):
            work.take(at((9, 9), (3, 3)), labels=[4, 4])
        work.take(at((9, 9)))
    assert len(work.history) == 1
    work.undo()
    assert not work.labels.any()


def test_a_step_with_a_note_counts_though_nothing_changed(work):
    with work.together("moved"):
        work.remove([4])
    assert work.undo().note == "moved"
    assert work.undo() is None


def test_a_late_answer_joins_the_step_it_belongs_to(work):
    with work.together("click") as step:
        work.take(at((1, 1)))
    with work.together("late", onto=step):
        work.take(at((9, 9)))
    assert len(work.history) == 1
    assert work.undo().note == "click"
    assert not work.labels.any()
    work.redo()
    work.take(at((5, 5)))
    with work.together("too late", onto=step):
        work.remove([1])
    assert len(work.history) == 3


def test_everything_leaves_out_what_is_said():
    found = squares((1, 1), (5, 5), (8, 1))
    work = Labelling(ArrayCanvas(np.zeros((12, 12), int)), lambda plane, prompts: found)
    planned = work.everything(confidence=0.6, without=[0])
    assert planned.new == 1
    assert work.labels[6, 6] == 1
    assert not work.labels[1, 1]


def test_what_changed_since_a_plan_stays(work):
    labels = squares((1, 1), (8, 8)).to_labels()
    planned = work.plan((), labels, "keep")
    stroke(work, (), (slice(1, 2), slice(1, 4)), 9)
    work.write(planned)
    assert (work.labels[1, 1:4] == 9).all()
    assert (work.labels[2:4, 1:4] > 0).all()
    work.undo()
    assert np.unique(work.labels).tolist() == [0, 9]


def test_a_run_is_one_step_unless_others_come_in_between():
    layout = PlaneAxes("ZYX", (3, 12, 12))
    work = Labelling(
        ArrayCanvas(np.zeros(layout.shape, int)), lambda plane, prompts: squares((8, 8))
    )
    step = work.begin({"do": "run"}, note="run")
    labels = squares((1, 1)).to_labels()
    for plane in layout.indices():
        work.write(work.plan(plane, labels, "keep"), step=step)
        if plane == (1,):
            work.take(at((9, 9)), plane=(2,))
    assert [record["do"] for record in work.history.records] == ["run", "take", "run"]
    assert [record.get("planes") for record in work.history.records][2] == [[0], [1], [2]]
    assert [record.get("numbers") for record in work.history.records] == [
        [[[1, 1]], [[1, 2]]],
        None,
        [None, None, [[1, 4]]],
    ]
    work.undo()
    work.undo()
    assert np.count_nonzero(work.labels) == 18
    assert work.undo().note == "run"
    assert not work.labels.any()


def test_steps_keep_to_the_axes_they_were_made_with():
    labels = np.zeros((3, 12, 12), np.uint16)
    work = Labelling(
        ArrayCanvas(labels, PlaneAxes("ZYX", labels.shape)), lambda plane, prompts: squares((8, 8))
    )
    work.take(at((9, 9)), plane=(2,))
    before = labels.copy()
    work.canvas = ArrayCanvas(labels, PlaneAxes("YZX", labels.shape))
    work.candidates = lambda plane, prompts: squares((0, 1), side=2, shape=(3, 12))
    assert work.take(at((1, 1)), plane=(2,)) == [Outcome("new", 2)]
    assert np.argwhere(labels == 2).tolist() == [[0, 2, 1], [0, 2, 2], [1, 2, 1], [1, 2, 2]]
    both = labels.copy()
    work.remove([1])
    assert np.unique(labels).tolist() == [0, 2]
    work.undo()
    np.testing.assert_array_equal(labels, both)
    work.undo()
    np.testing.assert_array_equal(labels, before)
    work.undo()
    assert not labels.any()
    assert work.redo().record.get("axes") is None
    assert work.redo().record["axes"] == "YZX"
    np.testing.assert_array_equal(labels, both)


def test_a_zarr_array_is_written_in_place(tmp_path):
    array = zarr.create_array(
        tmp_path / "labels.zarr", shape=(2, 12, 12), chunks=(1, 6, 6), dtype="uint32", fill_value=0
    )
    work = Labelling(ArrayCanvas(array), lambda plane, prompts: squares((1, 1), (5, 5)))
    work.take(at((2, 2)), plane=(1,))
    work.everything(plane=(1,))
    assert np.unique(array[1]).tolist() == [0, 1, 2]
    assert not array[0].any()
    while work.undo():
        pass
    assert not array[:].any()


def test_replaced_labels_start_without_a_past(work):
    work.take(at((1, 1)))
    work.forget(7)
    assert work.undo() is None
    assert not work.objects
    assert work.take(at((9, 9))) == [Outcome("new", 7)]


def test_only_a_labelling_of_an_image_segments_planes(work):
    with pytest.raises(ValueError, match=r"Labelling\.of"):
        work.segment()


def test_any_object_that_finds_instances_is_a_model():
    @dataclass
    class Bright:
        """Cannot be hashed, as dataclasses cannot."""

        above: int = 127

        def segment(self, image):
            return Instances.from_labels((image[..., 0] > self.above).astype(int))

    image = np.zeros((8, 8), np.uint8)
    image[2:5, 2:5] = 255
    work = Labelling.of(image, Bright(), display=AS_IS)
    assert work.take(at((3, 3))) == [Outcome("new", 1)]
    assert work.take(at((2, 3)), labels=[1]) == [Outcome("same", 1)]
    assert len(work.candidates.cache) == 1


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (np.zeros((8, 8)), r"Instances on a plane of \(8, 8\) from Wrong.*Got a ndarray"),
        (squares((0, 0), shape=(4, 4)), r"Got Instances on one of \(4, 4\)"),
    ],
    ids=["a mask", "another plane"],
)
def test_a_model_that_returns_something_else_is_refused(returned, words):
    class Wrong:
        def segment(self, image):
            return returned

    work = Labelling.of(np.zeros((8, 8), np.uint8), Wrong())
    for call in (lambda: work.take(at((1, 1))), work.everything, work.segment):
        with pytest.raises(TypeError, match=words):
            call()
    assert len(work.history) == 0


def test_what_is_no_model_or_display_is_refused_at_once():
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(TypeError, match=r"a model: a name.*Got a int"):
        Labelling.of(image, 3)
    with pytest.raises(TypeError, match=r"a Display, or None.*Got a tuple"):
        Labelling.of(image, display=(0, 255))
