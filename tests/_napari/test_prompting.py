"""Layers and what is asked of them, in a viewer's model: `Scene` and `Live`, without a window."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from fakes import BlobSegmenter
from napari_fastsam import Cleanup
from napari_fastsam._napari.asked import PointRow
from napari_fastsam._napari.live import Live
from napari_fastsam._napari.prompt_layers import points_layer, shapes_layer
from napari_fastsam._napari.prompting import Prompting
from napari_fastsam._napari.scene import Scene
from napari_fastsam._napari.source import source_in_view

from .conftest import CENTRES, OBJECTS

CALLBACKS = (
    "data features mode scale translate rotate shear affine units paint set_data contrast_limits"
)


class Desk:
    """A viewer's model with an image, labels, prompt layers, and all that is between them."""

    def __init__(self, image, qtbot, labels=None, **placed) -> None:
        self.qtbot = qtbot
        self.viewer = ViewerModel()
        self.image = self.viewer.add_image(image, contrast_limits=(0, 255), rgb=False, **placed)
        self.told, self.errors = [], []
        self.scene = Scene(
            self.viewer,
            BlobSegmenter(),
            came=lambda index: self.live.arrived(index),
            looking=lambda *_: None,
            made=lambda layer: setattr(self, "output", layer),
            stepped=lambda: None,
            undo=self.undo,
            redo=self.redo,
        )
        self.output = labels
        self.live = Live(self.scene, lambda: ("keep", Cleanup()), self.told.append)
        keys = dict.fromkeys(("finish", "follow", "similar", "go_back"), lambda: None)
        clicked = SimpleNamespace(undo=self.undo, redo=self.redo, **keys)
        self.prompting = Prompting(self.scene, self.live, clicked, failed=self.errors.append)
        self.look()
        self.points = points_layer(self.image, (60, 80))
        self.shapes = shapes_layer(self.image, (60, 80))
        for layer in (self.points, self.shapes):
            self.viewer.add_layer(layer)
        self.prompting.use(self.points, self.shapes)

    def look(self, *, adopt=False) -> None:
        """Look at what is in view, as a dock does, and wait until it is known."""
        self.prompting.draw()
        self.scene.see(
            *source_in_view(self.image, self.viewer.dims), spec="blobs", labels=self.output
        )
        if adopt:
            self.prompting.adopt()
        self.settle()

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.scene.looks.worker.busy)

    @property
    def work(self):
        return self.scene.work_on(make=False)

    def click(self, place, *, positive=True, group=None, choice=0) -> None:
        rows = self.live.ledger.drawing.points
        group = 1 + max((row.group or 0 for row in rows), default=0) if group is None else group
        place = tuple(map(float, place))
        row = PointRow(self.scene.view.index, place, positive, group)
        self.prompting.add_point(row, choice)

    def undo(self) -> None:
        self.prompting.draw()
        self.prompting.redraw(self.live.undo(self.work.labelling.undo()))

    def redo(self) -> None:
        self.prompting.draw()
        self.prompting.redraw(self.live.undo(self.work.labelling.redo(), back=False))

    def taken(self, plane=None) -> list[int]:
        """Return the labels of the three objects; 0 for those that are not taken."""
        data = self.output.data if plane is None else self.output.data[plane]
        labels = [np.unique(data[where]) for where in OBJECTS.values()]
        assert all(len(found) == 1 for found in labels)
        return [int(found[0]) for found in labels]

    def close(self) -> None:
        self.prompting.release()
        self.scene.close()
        self.settle()


@pytest.fixture
def make_desk(qtbot):
    desks = []

    def make(image, **options) -> Desk:
        desks.append(Desk(image, qtbot, **options))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture
def desk(make_desk, plane) -> Desk:
    return make_desk(plane)


class TestLayers:
    """What is done to layers is asked."""

    def test_points_of_napari_s_own_take_their_objects(self, desk):
        desk.points.add(CENTRES[2])
        desk.points.add(CENTRES[1])
        assert desk.taken() == [2, 1, 0]

    def test_a_moved_point_takes_its_number_along(self, desk):
        desk.points.add([CENTRES[1], CENTRES[2]])
        desk.points.data = [CENTRES[3], CENTRES[2]]
        assert desk.taken() == [0, 2, 1]

    def test_a_removed_point_takes_its_object_along(self, desk):
        desk.points.add([CENTRES[1], CENTRES[2]])
        desk.points.selected_data = {0}
        desk.points.remove_selected()
        assert desk.taken() == [0, 2, 0]

    @pytest.mark.parametrize("kind", ["rectangle", "ellipse", "polygon"])
    def test_shapes_take_their_objects(self, desk, kind):
        rows, columns = OBJECTS[2]
        low, high = (rows.start, columns.start), (rows.stop, columns.stop)
        corners = [low, (low[0], high[1]), high, (high[0], low[1])]
        desk.shapes.add(np.array(corners) - 0.5, shape_type=kind)
        assert desk.taken() == [0, 1, 0]
        desk.shapes.selected_data = {0}
        desk.shapes.remove_selected()
        assert desk.taken() == [0, 0, 0]

    def test_groups_changed_by_hand_are_other_objects(self, desk):
        near = np.add(CENTRES[1], 1)
        desk.points.add([CENTRES[1], CENTRES[2], near])
        desk.points.features = {"polarity": ["+"] * 3, "group": [1, 2, 1]}
        assert [bool(label) for label in desk.taken()] == [True, True, False]
        desk.points.features = {"polarity": ["+"] * 3, "group": [1, 1, 1]}
        assert [bool(label) for label in desk.taken()] == [True, False, False]
        assert not desk.errors

    def test_a_point_that_turns_negative_leaves_its_object(self, desk):
        desk.points.add([CENTRES[1], CENTRES[2]])
        desk.points.features = {"polarity": ["-", "+"], "group": [np.nan, np.nan]}
        assert desk.taken() == [0, 2, 0]

    def test_words_that_are_no_polarity_are_told_and_change_nothing(self, desk):
        desk.points.add([CENTRES[1], CENTRES[2]])
        desk.points.features = {"polarity": ["perhaps", "+"], "group": [np.nan, np.nan]}
        assert "'perhaps'" in str(desk.errors[0])
        assert desk.taken() == [1, 2, 0]
        desk.points.features = {"polarity": ["+", "+"], "group": [np.nan, np.nan]}
        desk.points.data = [CENTRES[3], CENTRES[2]]
        assert desk.taken() == [0, 2, 1]

    def test_a_layer_that_is_moved_takes_other_objects(self, desk):
        desk.points.add(CENTRES[1])
        desk.points.translate = np.subtract(CENTRES[2], CENTRES[1])
        assert desk.taken() == [0, 1, 0]

    def test_what_was_drawn_before_is_left_alone(self, desk):
        other = points_layer(desk.image, (60, 80))
        other.data = [CENTRES[1], CENTRES[2]]
        desk.prompting.use(other, desk.shapes)
        other.add(CENTRES[3])
        assert desk.taken() == [0, 0, 1]
        other.data = [np.add(CENTRES[1], 1), CENTRES[2], CENTRES[3]]
        assert desk.taken() == [2, 0, 1]


class TestClicks:
    """Clicks take objects first and become points then."""

    def test_a_click_becomes_a_point(self, desk, qtbot):
        desk.click(CENTRES[1])
        assert desk.taken() == [1, 0, 0]
        assert len(desk.points.data) == 0
        qtbot.waitUntil(lambda: len(desk.points.data) == 1)
        assert desk.points.features["polarity"].tolist() == ["+"]
        assert len(desk.work.history) == 1

    def test_clicks_that_follow_at_once_are_steps_of_their_own(self, desk):
        for n in (1, 2, 3):
            desk.click(CENTRES[n])
        desk.undo()
        assert (desk.taken(), len(desk.points.data)) == ([1, 2, 0], 2)
        desk.undo()
        assert (desk.taken(), len(desk.points.data)) == ([1, 0, 0], 1)
        desk.redo()
        desk.redo()
        assert (desk.taken(), len(desk.points.data)) == ([1, 2, 3], 3)
        desk.points.remove([0])
        assert desk.taken() == [0, 2, 3]

    def test_undoing_what_was_painted_after_a_click_leaves_its_point(self, desk):
        desk.click(CENTRES[1])
        desk.output.paint((50, 70), 9)
        desk.undo()
        desk.undo()
        assert (desk.taken(), len(desk.points.data)) == ([0, 0, 0], 0)
        desk.redo()
        assert (desk.taken(), len(desk.points.data)) == ([1, 0, 0], 1)
        desk.points.data = [CENTRES[2]]
        assert desk.taken() == [0, 1, 0]

    @pytest.mark.parametrize("groups", [["a", "b"], [True, False], [1.5, 2.5]], ids=str)
    def test_clicks_go_with_groups_of_any_kind(self, make_desk, plane, groups):
        desk = make_desk(plane)
        features = {"polarity": ["+", "+"], "group": np.array(groups)}
        desk.points = desk.viewer.add_points([CENTRES[1], CENTRES[2]], features=features)
        desk.prompting.use(desk.points, None)
        desk.click(CENTRES[3], group=7)
        desk.prompting.draw()
        desk.points.data = [CENTRES[1], CENTRES[2], np.add(CENTRES[3], 1)]
        assert desk.taken() == [0, 0, 1]
        assert not desk.live.ledger.pending()

    def test_giving_back_takes_the_points_along(self, desk):
        for n in (1, 2):
            desk.click(CENTRES[n])
        assert desk.prompting.give_back(1)
        assert desk.taken() == [0, 2, 0]
        assert desk.points.data.tolist() == [list(CENTRES[2])]
        desk.undo()
        assert desk.taken() == [1, 2, 0]
        assert len(desk.points.data) == 2

    def test_numbers_that_run_out_are_told_and_the_next_action_works(self, make_desk, plane):
        labels = Labels(np.zeros(plane.shape, np.uint8))
        labels.data[59, 79] = 254
        desk = make_desk(plane, labels=labels)
        desk.viewer.add_layer(labels)
        desk.click(CENTRES[1])
        desk.click(CENTRES[2])
        assert "255, the largest of uint8" in str(desk.errors[0])
        desk.prompting.draw()
        assert (desk.taken(), len(desk.points.data)) == ([255, 0, 0], 2)
        desk.points.data = [CENTRES[3], CENTRES[2]]
        assert desk.taken() == [0, 0, 255]
        desk.points.data = np.empty((0, 2))
        desk.undo()
        desk.undo()
        assert (desk.taken(), len(desk.points.data)) == ([255, 0, 0], 2)
        desk.undo()
        assert (desk.taken(), len(desk.points.data)) == ([255, 0, 0], 1)
        assert len(desk.errors) == 1


class TestOtherLayers:
    """Layers that are chosen or leave in the middle."""

    def test_points_go_on_with_their_objects_when_shapes_are_chosen(self, desk):
        desk.prompting.use(desk.points, None)
        desk.click(CENTRES[1])
        desk.prompting.use(desk.points, desk.shapes)
        desk.prompting.add_box((20.0, 50.0, 34.0, 70.0))
        desk.points.data = [CENTRES[3]]
        assert desk.taken() == [0, 2, 1]

    def test_undoing_past_the_choice_of_a_layer_leaves_both_usable(self, desk):
        desk.prompting.use(desk.points, None)
        for n in (1, 2):
            desk.click(CENTRES[n])
        desk.prompting.use(desk.points, desk.shapes)
        desk.prompting.add_box((36.0, 8.0, 56.0, 24.0))
        assert desk.taken() == [1, 2, 3]
        desk.undo()
        assert len(desk.shapes.data) == 0
        desk.undo()
        assert (desk.taken(), len(desk.points.data)) == ([1, 0, 0], 1)
        desk.points.data = [CENTRES[2]]
        assert desk.taken() == [0, 1, 0]

    def test_undoing_what_other_points_asked_for_leaves_these_alone(self, desk):
        desk.click(CENTRES[1])
        desk.prompting.draw()
        other = points_layer(desk.image, (60, 80))
        desk.prompting.use(other, desk.shapes)
        desk.click(CENTRES[2])
        desk.undo()
        desk.undo()
        assert desk.taken() == [0, 0, 0]
        assert (len(desk.points.data), len(other.data)) == (0, 0)
        other.add(CENTRES[3])
        assert [bool(label) for label in desk.taken()] == [False, False, True]

    def test_undoing_what_was_asked_along_other_axes_asks_nothing_anew(self, make_desk, stack):
        desk = make_desk(stack)
        desk.viewer.dims.set_point(0, 3)
        desk.look()
        desk.click(CENTRES[2])
        desk.click(CENTRES[3])
        before = desk.output.data.copy()
        desk.viewer.dims.order = (1, 0, 2)
        desk.look(adopt=True)
        desk.undo()
        labels = desk.output.data.copy()
        assert np.unique(labels).tolist() == [0, 1]
        desk.points.add((3, 1, 1))
        np.testing.assert_array_equal(desk.output.data, labels)
        desk.undo()
        desk.redo()
        desk.viewer.dims.order = (0, 1, 2)
        desk.look(adopt=True)
        assert (before > 0).sum() > (labels > 0).sum()

    def test_other_labels_have_a_past_of_their_own(self, desk):
        desk.click(CENTRES[1])
        first, second = desk.output, Labels(np.zeros((60, 80), np.uint16))
        desk.output = desk.viewer.add_layer(second)
        desk.look(adopt=True)
        desk.click(CENTRES[2])
        assert desk.taken() == [0, 1, 0]
        desk.undo()
        assert not second.data.any()
        desk.output = first
        desk.look(adopt=True)
        assert desk.taken() == [1, 0, 0]
        desk.undo()
        assert not first.data.any()
        desk.redo()
        assert desk.taken() == [1, 0, 0]

    def test_labels_that_are_replaced_share_no_number_with_prompts(self, desk):
        desk.click(CENTRES[1])
        data = np.zeros((60, 80), np.uint32)
        data[58:, 70:] = 1
        desk.output.data = data
        desk.prompting.draw()
        desk.points.data = [CENTRES[2]]
        assert desk.taken() == [0, 2, 0]
        assert (desk.output.data[58:, 70:] == 1).all()
        desk.undo()
        np.testing.assert_array_equal(desk.output.data, data)

    def test_labels_that_no_longer_fit_are_told(self, desk):
        desk.click(CENTRES[1])
        for place in ((3, 3), (0, 0)):
            desk.output.translate = place
            desk.look()
            desk.click(CENTRES[2 if any(place) else 3])
        assert "translation" in str(desk.errors[0])
        desk.prompting.draw()
        assert (len(desk.errors), len(desk.points.data)) == (1, 2)
        assert desk.taken() == [1, 0, 2]

    def test_nothing_is_left_on_layers_that_are_let_go(self, desk):
        plain = desk.viewer.__class__()
        fresh = [plain.add_image(desk.image.data), plain.add_labels(np.zeros((60, 80), int))]
        fresh += [plain.add_points(), plain.add_shapes()]
        desk.click(CENTRES[1])
        desk.prompting.draw()
        desk.close()
        layers = (desk.image, desk.output, desk.points, desk.shapes)
        for layer, other in zip(layers, fresh, strict=True):
            for name in CALLBACKS.split():
                if hasattr(layer.events, name):
                    mine = getattr(layer.events, name).callbacks
                    assert len(mine) == len(getattr(other.events, name).callbacks), (layer, name)
            assert not layer.keymap
            for name in ("mouse_drag_callbacks", "mouse_move_callbacks", "mouse_wheel_callbacks"):
                assert len(getattr(layer, name)) <= len(getattr(other, name)) + 1
        desk.points.add(CENTRES[2])
        assert desk.taken() == [1, 0, 0]


class TestPlaces:
    """Prompts are where they are seen, however layers lie."""

    @pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
    def test_clicks_and_boxes_are_drawn_on_the_plane_in_view(self, make_desk, stack, order):
        shape = tuple(int(n) for n in np.argsort(order))
        turned = np.transpose(stack, shape)
        desk = make_desk(turned, scale=(2, 3, 0.5), translate=(5, 1, 7))
        desk.viewer.dims.order = order
        desk.viewer.dims.set_point(order[0], desk.image.data_to_world((3, 3, 3))[order[0]])
        desk.look(adopt=True)
        assert desk.scene.view.index == (3,)
        desk.click(CENTRES[1])
        desk.prompting.add_box((20.0, 50.0, 34.0, 70.0))
        desk.prompting.draw()
        data = np.transpose(desk.output.data, order)
        assert (data[3][OBJECTS[1]] == 1).all()
        assert (data[3][OBJECTS[2]] == 2).all()
        (place,) = desk.points.data
        np.testing.assert_allclose(place[list(order)], (3, *CENTRES[1]), atol=1e-6)
        assert not desk.live.ledger.pending()
        desk.undo()
        desk.undo()
        assert not desk.output.data.any()

    def test_flat_points_stay_on_the_plane_where_they_were_clicked(self, make_desk, stack):
        desk = make_desk(stack)
        flat = desk.viewer.add_points(ndim=2)
        desk.viewer.dims.set_point(0, 1)
        desk.look(adopt=True)
        desk.prompting.use(flat, None)
        desk.click(CENTRES[1])
        desk.viewer.dims.set_point(0, 2)
        desk.look()
        desk.click(CENTRES[2])
        desk.prompting.draw()
        assert [desk.taken(n) for n in (1, 2)] == [[1, 0, 0], [0, 2, 0]]
        flat.data = flat.data[:1]
        assert [desk.taken(n) for n in (1, 2)] == [[1, 0, 0], [0, 0, 0]]
