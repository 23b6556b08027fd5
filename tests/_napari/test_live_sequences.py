"""Anything that a person may do to prompts, in any order: labels are what is asked for now."""

import json
from types import SimpleNamespace

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from labelling_cases import SHAPE, Pool, numbered
from napari_fastsam import Cleanup, PlaneAxes, provenance, replay, select
from napari_fastsam._napari.asked import joined
from napari_fastsam.canvas import ArrayCanvas
from napari_fastsam.origins import KEY

from .live_cases import LARGE, LAYOUT, SMALL, Ground, Person, copy_of, middle, painted

BACKGROUND = (slice(88, 96), slice(0, 60))
"""Rows and columns without an object."""

GROUPS = st.sampled_from([None, None, None, 1, 2])
SIGNS = st.sampled_from([True, True, True, False])


class Sequences(RuleBasedStateMachine):
    """What holds for any ground; `places` are where prompts are drawn."""

    places: st.SearchStrategy
    existing = "keep"
    cleanup = Cleanup()

    def begin(self, ground, *, flat=False):
        self.person = Person(ground, existing=self.existing, cleanup=self.cleanup, flat=flat)
        self.original = ground.array.copy()
        self.planes = list(ground.looking.axes.indices())
        self.steps: list = []
        self.undone: list = []
        self.back: set[int] = set()  # what was asked for before, and is again

    def step(self, action):
        """Do something, and remember what it changed if that is a step."""
        person = self.person
        count = self.count
        before = (person.labels.copy(), person.live.ledger)
        action()
        if self.count > count:
            self.steps.append(before)
            self.undone.clear()
        elif before[0].tobytes() != person.labels.tobytes():
            assert self.count == count > 0, "what changes labels is a step"
            self.undone.clear()

    @property
    def count(self):
        work = self.person.ground.labelling
        return 0 if work is None else len(work.history)

    @property
    def label_there(self):
        return self.person.ground.labelling is not None

    def drawn(self):
        self.person.live.drawn(self.person.drawing())

    @rule(data=st.data(), positive=SIGNS, group=GROUPS)
    def add_point(self, data, positive, group):
        plane = self.person.view if self.person.flat else data.draw(st.sampled_from(self.planes))
        place = data.draw(self.places)
        self.step(lambda: self.person.click(place, plane, positive=positive, group=group))
        self.drawn()

    @rule(data=st.data(), count=st.integers(2, 4))
    def paste_points(self, data, count):
        planes = [self.person.view] if self.person.flat else self.planes
        rows = [
            self.person.point(data.draw(self.places), data.draw(st.sampled_from(planes)))
            for _ in range(count)
        ]
        self.step(lambda: self.person.add(*rows))

    @rule(data=st.data(), kind=st.sampled_from(["rectangle", "ellipse", "line"]))
    def add_shape(self, data, kind):
        plane = self.person.view if self.person.flat else data.draw(st.sampled_from(self.planes))
        row, column = data.draw(self.places)
        height, width = (data.draw(st.integers(2, 16)) for _ in "hw")
        box = (row, column, row + height, column + width)
        self.step(lambda: self.person.add(self.person.shape(box, plane, kind)))

    @precondition(lambda self: self.person.points)
    @rule(data=st.data())
    def move_point(self, data):
        n = data.draw(st.integers(0, len(self.person.points) - 1))
        place = data.draw(self.places)
        self.step(lambda: self.person.move(n, place))

    @precondition(lambda self: self.person.points)
    @rule(data=st.data(), group=GROUPS, positive=SIGNS)
    def change_features(self, data, group, positive):
        n = data.draw(st.integers(0, len(self.person.points) - 1))
        row = self.person.points[n]._replace(group=group, positive=positive)
        self.person.points[n] = row
        self.step(self.person.ask)

    @precondition(lambda self: self.person.points or self.person.shapes)
    @rule(data=st.data())
    def delete(self, data):
        rows = [("points", n) for n in range(len(self.person.points))]
        rows += [("shapes", n) for n in range(len(self.person.shapes))]
        kind, n = data.draw(st.sampled_from(rows))
        del getattr(self.person, kind)[n]
        self.step(self.person.ask)

    @precondition(lambda self: self.person.live.ledger.objects)
    @rule(data=st.data(), steps=st.sampled_from([1, -1]))
    def cycle(self, data, steps):
        objects = self.person.live.ledger.objects
        name = list(objects)[data.draw(st.integers(0, len(objects) - 1))]
        self.step(lambda: self.person.live.cycle(name, steps))

    @precondition(lambda self: self.label_there and self.person.work.objects)
    @rule(data=st.data())
    def give_back(self, data):
        label = data.draw(st.sampled_from(sorted(self.person.work.objects)))
        plane = self.person.work.objects[label].index
        if (self.person.work.canvas.read(plane) == label).any():
            self.step(lambda: self.person.give_back(label, plane))

    @rule()
    def ask_for_all(self):
        self.step(lambda: self.person.live.ask_all())

    @rule(data=st.data())
    def look_elsewhere(self, data):
        self.person.view = data.draw(st.sampled_from(self.planes))

    @precondition(lambda self: self.person.ground.wanted)
    @rule()
    def plane_comes(self):
        self.step(self.person.arrive)

    @precondition(lambda self: self.person.ground.queue)
    @rule()
    def closer_look_comes(self):
        self.step(self.person.arrive_closer)

    @precondition(lambda self: self.label_there and self.person.work.history.last)
    @rule()
    def undo(self):
        before, ledger = self.steps.pop()
        labels, objects = self.person.labels.copy(), copy_of(self.person.live.ledger)
        step = self.person.undo()
        np.testing.assert_array_equal(self.person.labels, before)
        if step.note is not None:
            for name, asked in self.person.live.ledger.objects.items():
                old = step.note.before.objects[name]
                assert asked is old or (asked.left and not old.settled)
        self.back |= set(map(id, self.person.live.ledger.objects.values()))
        self.undone.append((before, ledger, labels, objects))

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self):
        before, ledger, labels, objects = self.undone.pop()
        self.steps.append((before, ledger))
        step = self.person.work.redo()
        np.testing.assert_array_equal(self.person.labels, labels)
        if step.note is not None:
            assert copy_of(step.note.after) == objects
        self.step(lambda: self.person.follow(step, back=False))  # what came meanwhile is a step
        assert len(self.steps) == self.count
        self.back |= set(map(id, self.person.live.ledger.objects.values()))

    @invariant()
    def the_records_make_the_same_labels(self):
        if not hasattr(self, "person") or not self.label_there:
            return
        ground, work = self.person.ground, self.person.work
        layer = SimpleNamespace(
            data=self.original.copy(), metadata={KEY: json.loads(json.dumps(provenance(work)))}
        )
        made = replay(layer, ground.image, model=ground.model)
        np.testing.assert_array_equal(made, self.person.labels)

    @invariant()
    def each_object_has_a_label_of_its_own(self):
        if not hasattr(self, "person"):
            return
        objects = self.person.live.ledger.objects.values()
        labels = [asked.label for asked in objects if asked.label is not None]
        assert len(set(labels)) == len(labels)
        if self.label_there:
            assert set(self.person.work.objects) <= set(labels)

    @invariant()
    def what_is_drawn_is_known(self):
        if not hasattr(self, "person"):
            return
        ledger, person = self.person.live.ledger, self.person
        assert len(ledger.drawing.points) == len(person.points)
        assert len(ledger.drawing.shapes) == len(person.shapes)

    @invariant()
    def what_waits_will_be_looked_at(self):
        if hasattr(self, "person"):
            ground = self.person.ground
            assert set(self.person.live.ledger.pending()) <= set(ground.wanted)
            assert not set(ground.wanted) & set(ground.known)


class Apart(Sequences):
    """Objects that do not overlap, looked at closer and late: labels follow from what is asked."""

    places = st.one_of(
        st.sampled_from([*LARGE, *SMALL]).map(middle),
        st.tuples(st.integers(0, 95), st.integers(0, 95)),
    )

    @initialize(known=st.sampled_from([(), ((0,),), ((0,), (1,))]), flat=st.booleans())
    def start(self, known, flat):
        self.begin(Ground(known=known), flat=flat)
        self.pools: dict[int, tuple] = {}

    @precondition(lambda self: self.label_there)
    @rule(data=st.data(), value=st.sampled_from([0, 900, 901]))
    def paint_background(self, data, value):
        plane = data.draw(st.sampled_from(self.planes))
        if (self.person.work.canvas.read(plane, BACKGROUND) != value).any():
            self.step(lambda: painted(self.person.work, plane, BACKGROUND, value))

    @invariant()
    def labels_are_what_prompts_ask_for_now(self):
        if not hasattr(self, "person"):
            return
        ground, ledger = self.person.ground, self.person.live.ledger
        expected = np.zeros(LAYOUT.shape, np.int64)
        crowded = []
        for asked in ledger.objects.values():
            pool = ground.candidates(asked.index)
            if not asked.settled or pool is None:
                assert asked.label is None or not self._has_object(asked)
                continue
            # Answers are ranked among what was known when they were asked for.
            _, count = self.pools.setdefault(id(asked), (asked, len(pool)))
            against = ledger.against.get(asked.index, np.empty((0, 2)))
            (ranked,) = select(pool[:count], joined([asked], against)[0]).ranked
            mine = pool[:0] if not len(ranked) else pool[[ranked[asked.choice % len(ranked)]]]
            if asked.left:
                assert not self._has_object(asked)
            elif asked.crowded:
                assert not self._has_object(asked)
                crowded.append((asked.index, mine))
            elif len(mine):
                assert self._has_object(asked)
                mine.paint(expected[asked.index], [asked.label])
            else:
                assert not self._has_object(asked)
                now = select(pool, joined([asked], against)[0])
                assert len(now.unanswered) or id(asked) in self.back
        for index, mine in crowded:
            place = mine.mask(0)
            top, left, bottom, right = mine.bboxes[0]
            assert (expected[index][top:bottom, left:right][place] > 0).all()
        labels = self.person.labels.copy()
        labels[:, *BACKGROUND] = 0  # painted by hand
        np.testing.assert_array_equal(labels, expected)

    def _has_object(self, asked):
        return self.label_there and asked.label in self.person.work.objects


class Nested(Sequences):
    """Objects in and on each other: labels are those that the records of the steps make again."""

    places = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))

    @initialize(
        axes=st.sampled_from(["ZYX", "XZY", "YX"]),
        existing=st.sampled_from(["keep", "overwrite"]),
        cleanup=st.sampled_from([Cleanup(), Cleanup(min_area=4), Cleanup(closing=1)]),
        filled=st.booleans(),
    )
    def start(self, axes, existing, cleanup, filled):
        sizes = {"Y": SHAPE[0], "X": SHAPE[1], "Z": 2}
        layout = PlaneAxes(axes, tuple(sizes[letter] for letter in axes))
        planes = list(layout.indices())
        array = np.zeros(layout.shape, np.uint16)
        if filled:
            ArrayCanvas(array, layout).write(
                planes[0], (slice(2, 5), slice(3, 6)), np.full((3, 3), 3)
            )
        self.existing, self.cleanup = existing, cleanup
        model = Pool(len(planes))
        self.begin(
            Ground(numbered(layout), model, axes=axes, known=planes, array=array, closer=False)
        )

    @precondition(lambda self: self.label_there)
    @rule(data=st.data(), place=places, value=st.sampled_from([0, 1, 2, 40]))
    def paint_anywhere(self, data, place, value):
        plane = data.draw(st.sampled_from(self.planes))
        rows, columns = (slice(at, at + 3) for at in place)
        window = (slice(rows.start, min(rows.stop, 9)), slice(columns.start, min(columns.stop, 12)))
        if (self.person.work.canvas.read(plane, window) != value).any():
            self.step(lambda: painted(self.person.work, plane, window, value))


LIMITS = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestApart = Apart.TestCase
TestApart.settings = LIMITS
TestNested = Nested.TestCase
TestNested.settings = LIMITS
