"""Anything that a person may do in a viewer with a dock, in any order: nothing is lost or wrong."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from napari.layers import Labels, Points, Shapes
from qtpy.QtWidgets import QApplication

import napari_fastsam as fs
from napari_fastsam._napari.layer_boxes import layers_of
from napari_fastsam._napari.work import PROVENANCE

from .conftest import Nested

SHAPE = (3, 40, 60)
BRUSH = 200  # labels from here on are painted by hand

EXAMPLES, STEPS = 12, 12

PLANES = st.integers(0, SHAPE[0] - 1)
PLACES = st.tuples(st.integers(0, 19), st.integers(0, 29)).map(lambda at: (2 * at[0], 2 * at[1]))
SIGNS = st.sampled_from(["+", "+", "+", "-"])
GROUPS = st.sampled_from([np.nan, np.nan, 1.0, 2.0])
KINDS = st.sampled_from(["rectangle", "ellipse", "polygon", "path"])
MODIFIERS = st.sampled_from([(), (), ("Shift",), ("Control",)])


def picture() -> np.ndarray:
    """Return planes of clusters of objects with parts, each plane another."""
    image = np.full(SHAPE, 10, np.uint8)
    for n, plane in enumerate(image):
        plane[2 + n : 20, 4:28] = 100
        plane[4 + n : 16, 6:18] = 150
        plane[6 + n : 12, 8 : 12 + n] = 200
        plane[24:36, 10 + 4 * n : 26] = 150
        plane[24:38, 34:56] = 100
        plane[26 : 32 - n, 36:44] = 210
        plane[4:14, 40:52] = 200
    return image


class Actions(RuleBasedStateMachine):
    """A person at a viewer with a dock; `open_dock` gives one, which is closed in the end."""

    open_dock = None
    problems = None

    @initialize(flat=st.booleans(), prefetch=st.booleans(), closer=st.booleans())
    def begin(self, flat, prefetch, closer):
        self.viewer, self.dock, self.close = self.open_dock()
        self.dock.settings.prefetch.value, self.dock.settings.closer.value = prefetch, closer
        self.viewer.add_image(picture(), name="image", contrast_limits=(0, 255))
        self.dock.points.value = self.viewer.add_points(ndim=2 if flat else 3, name="points")
        self.dock.new_shapes()
        self.hurried = 0
        self.removed = []
        self.states = {}
        self.painted = None
        self.changing = False
        self.rest()

    def teardown(self):
        if hasattr(self, "close"):
            self.close()

    # What is there.

    @property
    def points(self) -> Points | None:
        return self.dock.points.value

    @property
    def shapes(self) -> Shapes | None:
        return self.dock.shapes.value

    @property
    def labels(self) -> Labels | None:
        return self.dock.output.value

    @property
    def plane(self) -> int:
        return int(self.viewer.dims.current_step[0])

    def rest(self):
        """Wait until nothing runs."""
        self.dock.settle()
        self.dock.prompting.draw()
        self.dock.settle()
        QApplication.processEvents()

    # What a person does.

    @precondition(lambda self: self.points is not None)
    @rule(plane=PLANES, place=PLACES, sign=SIGNS, group=GROUPS)
    def add_point(self, plane, place, sign, group):
        points = self.points
        if "polarity" in points.features:
            defaults = points.feature_defaults.iloc[0].to_dict()
            points.feature_defaults = defaults | {"polarity": sign, "group": group}
        points.add(place if points.ndim == 2 else (plane, *place))

    @precondition(lambda self: self.points is not None and len(self.points.data))
    @rule(data=st.data(), place=PLACES)
    def move_point(self, data, place):
        n = data.draw(st.integers(0, len(self.points.data) - 1))
        places = self.points.data.copy()
        places[n, -2:] = place
        self.points.data = places

    @precondition(lambda self: self.points is not None and len(self.points.data))
    @rule(data=st.data())
    def delete_points(self, data):
        rows = st.sets(st.integers(0, len(self.points.data) - 1), min_size=1)
        self.points.selected_data = data.draw(rows)
        self.points.remove_selected()

    @precondition(lambda self: self.points is not None and "polarity" in self.points.features)
    @rule(sign=SIGNS)
    def choose_polarity(self, sign):
        self.dock.polarity.value = sign

    @precondition(lambda self: self.shapes is not None)
    @rule(plane=PLANES, place=PLACES, kind=KINDS, size=st.integers(2, 24))
    def add_shape(self, plane, place, kind, size):
        (row, column), far = place, (place[0] + size, place[1] + size)
        corners = [(row, column), (row, far[1]), far, (far[0], column)]
        if kind == "path":
            corners = [(row, column), far]
        self.shapes.add(np.array([(plane, *corner) for corner in corners]), shape_type=kind)

    @precondition(lambda self: self.shapes is not None and len(self.shapes.data))
    @rule(data=st.data())
    def delete_shape(self, data):
        self.shapes.selected_data = {data.draw(st.integers(0, len(self.shapes.data) - 1))}
        self.shapes.remove_selected()

    @rule(place=PLACES, modifiers=MODIFIERS)
    def click(self, place, modifiers):
        self.changing |= "Control" in modifiers
        self.dock.pointing.click((self.plane, *place), modifiers)

    @rule(place=PLACES, steps=st.sampled_from([1, -1]))
    def hover_and_turn(self, place, steps):
        self.dock.pointing.hover((self.plane, *place), ())
        self.dock.pointing.turn(steps)

    @rule(place=PLACES, size=st.integers(6, 24))
    def drag_a_box(self, place, size):
        ends = [(self.plane, *at) for at in (place, (place[0] + size, place[1] + size))]
        self.dock.pointing.drag(*ends, done=True)

    @rule(grouping=st.sampled_from(["each", "one"]))
    def choose_grouping(self, grouping):
        self.dock.grouping.value = grouping
        self.dock.pointing.finish()

    @rule()
    def take_prompts(self):
        self.dock.segment_plane()

    @rule(least=st.sampled_from([0, 100]))
    def take_everything(self, least):
        self.dock.min_area.value = least
        self.dock.everything()

    @rule(linked=st.booleans(), prompts=st.booleans())
    def take_all_planes(self, linked, prompts):
        self.dock.linked.value = linked
        (self.dock.segment_stack if prompts else self.dock.everything_stack)()

    @rule()
    def cancel(self):
        self.dock.cancel()

    @rule(least=st.sampled_from([0, 40]), piece=st.booleans(), preview=st.booleans())
    def choose_cleanup(self, least, piece, preview):
        self.dock.cleanup.min_area.value = least
        self.dock.cleanup.largest_piece.value = piece
        self.dock.cleanup.preview.value = preview

    @rule()
    def tidy(self):
        self.changing = True
        self.dock.tidy()

    @rule(existing=st.sampled_from(["keep", "overwrite", "clear"]))
    def choose_existing(self, existing):
        self.changing = True
        self.dock.settings.existing.value = existing

    @rule(n=PLANES)
    def step(self, n):
        self.viewer.dims.set_point(0, n)

    @rule(times=st.integers(1, 3))
    def undo(self, times):
        self.changing = True
        for _ in range(times):
            self.dock.undo()

    @rule(times=st.integers(1, 3))
    def redo(self, times):
        self.changing = True
        for _ in range(times):
            self.dock.redo()

    @precondition(lambda self: self.labels is not None)
    @rule(plane=PLANES, place=PLACES, value=st.sampled_from([0, 1, BRUSH, BRUSH + 1]))
    def paint(self, plane, place, value):
        self.changing = True
        labels = self.labels
        labels.brush_size = 5
        before = labels.data.copy()
        with labels.block_history():
            for shift in (0, 3):
                labels.paint((plane, place[0], place[1] + shift), value)
        painted = labels.data != before
        assert (labels.data[painted] == value).all()

    @precondition(lambda self: self.labels is not None)
    @rule(place=PLACES)
    def fill(self, place):
        self.changing = True
        self.labels.fill((self.plane, *place), BRUSH + 2)

    @rule(tab=st.sampled_from(["click", "everything", "stack"]))
    def turn_to_tab(self, tab):
        self.dock.current_tab = tab

    @rule(volume=st.booleans())
    def show_volume(self, volume):
        self.viewer.dims.ndisplay = 3 if volume else 2

    @rule(data=st.data())
    def rename(self, data):
        layer = data.draw(st.sampled_from(list(self.viewer.layers)))
        layer.name = "another"

    @rule(data=st.data())
    def reorder(self, data):
        places = st.integers(0, len(self.viewer.layers) - 1)
        self.viewer.layers.move(data.draw(places), data.draw(places))

    @precondition(lambda self: not self.removed)
    @rule(data=st.data())
    def remove(self, data):
        layers = [layer for layer in self.viewer.layers if layer is not self.dock.preview.layer]
        if layers:
            layer = data.draw(st.sampled_from(layers))
            self.viewer.layers.remove(layer)
            self.removed.append(layer)

    @precondition(lambda self: self.removed)
    @rule(choose=st.booleans())
    def add_again(self, choose):
        layer = self.removed.pop()
        self.viewer.layers.append(layer)
        if choose and isinstance(layer, Labels):
            self.dock.output.value = layer

    @rule()
    def new_labels(self):
        self.dock.output.value = None

    @precondition(lambda self: self.points is None or self.shapes is None)
    @rule()
    def new_prompts(self):
        if self.points is None:
            self.dock.new_points()
        if self.shapes is None:
            self.dock.new_shapes()

    @rule(actions=st.integers(1, 3))
    def hurry(self, actions):
        """Do what follows without waiting for anything."""
        self.hurried = 1 + actions

    # What holds then.

    @invariant()
    def all_is_well(self):
        assert self.problems == []
        if self.hurried:
            self.hurried -= 1
        if self.hurried:
            return
        self.rest()
        assert self.problems == []
        for layer in layers_of(self.viewer, Labels):
            self.is_made_again(layer)
        if self.labels is not None:
            self.goes_back_and_forth(self.labels)
            self.keeps_what_was_painted(self.labels)
        given = [asked.label for asked in self.dock.live.ledger.objects.values()]
        given = [label for label in given if label is not None]
        assert len(given) == len(set(given)), "objects that are asked for share a label"

    def is_made_again(self, layer):
        """Labels are those that a script makes of what was done, step by step."""
        if PROVENANCE not in layer.metadata:
            assert not layer.data.any()
            return
        again = fs.replay(layer, picture(), model=Nested())
        np.testing.assert_array_equal(again, layer.data)

    def goes_back_and_forth(self, layer):
        """After a step was undone, and when it was done again, labels are as they were then."""
        work = self.dock.scene.written()
        if work is None:
            return
        last = work.history.last
        if last is not None and last.record["do"] == "run":
            return  # a run that goes on may have been undone in between
        before, data = self.states.setdefault(
            (id(work), id(last)), ((work, last, len(str(last and last.record))), layer.data.copy())
        )
        if before[2] == len(str(last and last.record)):
            np.testing.assert_array_equal(layer.data, data)
        else:  # a late answer is a part of the step that asked
            self.states[id(work), id(last)] = (
                (work, last, len(str(last and last.record))),
                layer.data.copy(),
            )

    def keeps_what_was_painted(self, layer):
        """What a person painted stays, but for actions that are meant to change it."""
        keep = self.dock.settings.existing.value == "keep"
        if self.painted is not None and self.painted[0] is layer and keep and not self.changing:
            there = self.painted[1] >= BRUSH
            np.testing.assert_array_equal(layer.data[there], self.painted[1][there])
        self.painted, self.changing = (layer, layer.data.copy()), False


@pytest.fixture
def open_dock(make_napari_viewer, make_dock):
    """Open a dock with the fake segmenter in a viewer that is used again and again."""
    viewer = make_napari_viewer()

    def opened():
        dock = make_dock(viewer, Nested())

        def close():
            viewer.window.remove_dock_widget(dock.native)
            viewer.dims.ndisplay = 2
            viewer.layers.clear()
            QApplication.processEvents()

        return viewer, dock, close

    return opened


def test_whatever_is_done_labels_are_what_a_script_makes_of_it(open_dock, notices, qtbot):
    with qtbot.capture_exceptions() as raised:

        class Here(Actions):
            pass

        Here.open_dock = staticmethod(open_dock)
        Here.problems = property(lambda _: [*notices, *(str(one[1]) for one in raised)])
        run_state_machine_as_test(
            Here,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert raised == []
