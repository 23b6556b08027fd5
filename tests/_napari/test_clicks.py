from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Points
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
    mouse_wheel_callbacks,
)

from napari_fastsam._napari.clicks import DRAG, ClickTool

from .test_keys import press as press_key


class Told:
    """Writes down what a tool tells."""

    def __init__(self) -> None:
        self.heard: list = []

    def __getattr__(self, name):
        return lambda *args, **more: self.heard.append((name, *args, *more.values()))


class Event(SimpleNamespace):
    """A mouse event as napari passes them to layers; the world is shown as it is."""

    def __init__(self, kind, place=(0, 0), *, button=1, modifiers=(), delta=(0, 0)):
        super().__init__(
            type=kind,
            pos=np.array(place[::-1]),
            position=tuple(map(float, place)),
            button=button,
            modifiers=modifiers,
            delta=np.array(delta),
            is_dragging=kind == "mouse_move" and button is not None,
            handled=False,
            view_direction=None,
            dims_displayed=[0, 1],
            native=None,
        )


def press(layer, start, *places, **more) -> None:
    """Press the mouse, drag it through places, and let it go at the last one."""
    event = ReadOnlyWrapper(Event("mouse_press", start, **more), exceptions=("handled",))
    mouse_press_callbacks(layer, event)
    for place in places:
        mouse_move_callbacks(layer, Event("mouse_move", place, **more))
    last = (start, *places)[-1]
    mouse_release_callbacks(layer, Event("mouse_release", last, **more))


@pytest.fixture
def layer() -> Points:
    return Points(ndim=2)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def tool(layer, told) -> ClickTool:
    tool = ClickTool(layer, told)
    layer.mode = "add"
    return tool


def test_a_click_is_told_and_adds_no_point(layer, told, tool):
    press(layer, (3, 4), modifiers=("Shift",))
    assert told.heard == [("click", (3.0, 4.0), ("Shift",))]
    assert len(layer.data) == 0


def test_a_hand_that_shakes_still_clicks(layer, told, tool):
    press(layer, (3, 4), (3, 4 + DRAG))
    assert told.heard == [("click", (3.0, 4.0), ())]


def test_a_drag_is_told_as_it_goes_on(layer, told, tool):
    press(layer, (3, 4), (3, 20), (9, 30))
    assert told.heard == [
        ("drag", (3.0, 4.0), (3.0, 20.0), False),
        ("drag", (3.0, 4.0), (9.0, 30.0), False),
        ("drag", (3.0, 4.0), (9.0, 30.0), True),
    ]


def test_a_drag_that_comes_back_is_no_click(layer, told, tool):
    press(layer, (3, 4), (30, 40), (3, 4))
    assert [name for name, *_ in told.heard] == ["drag"] * 3


@pytest.mark.parametrize("button", [2, 3])
def test_other_buttons_are_left_to_napari(layer, told, tool, button):
    press(layer, (3, 4), (30, 40), button=button)
    assert not told.heard


def test_hovering_is_told_with_its_modifiers(layer, told, tool):
    mouse_move_callbacks(layer, Event("mouse_move", (3, 4), button=None, modifiers=("Control",)))
    assert told.heard == [("hover", (3.0, 4.0), ("Control",))]


@pytest.mark.parametrize(
    ("delta", "modifiers", "turns"),
    [
        ((0, -1), ("Shift",), [1]),
        ((0, 1), ("Shift",), [-1]),
        ((2, 0), ("Shift",), [-1]),
        ((0, 0), ("Shift",), []),
        ((0, 1), (), []),
        ((0, 1), ("Shift", "Control"), []),
    ],
    ids=["down", "up", "sideways", "still", "zoom", "two keys"],
)
def test_the_wheel_turns_with_shift(layer, told, tool, delta, modifiers, turns):
    mouse_wheel_callbacks(layer, Event("mouse_wheel", delta=delta, modifiers=modifiers))
    assert told.heard == [("turn", steps) for steps in turns]


def test_keys_are_told(layer, told, tool):
    for key in ("N", "Control-Z", "Control-Shift-Z"):
        press_key(layer, key)
    assert told.heard == [("finish",), ("undo",), ("redo",)]


@pytest.mark.parametrize("mode", ["select", "pan_zoom"])
def test_other_modes_are_napari_s(layer, told, tool, mode):
    layer.mode = mode
    assert not tool.on
    press(layer, (3, 4))
    mouse_move_callbacks(layer, Event("mouse_move", (3, 4), button=None))
    mouse_wheel_callbacks(layer, Event("mouse_wheel", delta=(0, 1), modifiers=("Shift",)))
    assert not told.heard
    layer.mode = "add"
    press(layer, (3, 4))
    assert [name for name, *_ in told.heard] == ["click"]


def test_the_camera_stays_where_it_is_while_clicks_are_taken(layer, tool):
    assert not layer.mouse_pan
    layer.mode = "pan_zoom"
    assert layer.mouse_pan


@pytest.mark.parametrize("mode", ["add", "select", "pan_zoom"])
def test_a_closed_tool_leaves_the_layer_as_it_was(layer, told, mode):
    plain, tool = Points(ndim=2), ClickTool(layer, told)
    for one in (layer, plain):
        one.mode = "add"
        one.mode = mode
    tool.close()
    for name in ("mouse_drag_callbacks", "mouse_move_callbacks", "mouse_wheel_callbacks"):
        assert getattr(layer, name) == getattr(plain, name)
    assert layer.mouse_pan == plain.mouse_pan
    assert layer.keymap == {}
    assert len(layer.events.mode.callbacks) == len(plain.events.mode.callbacks)
    layer.mode = "add"
    press(layer, (3, 4))
    assert len(layer.data) == 1
    assert not told.heard


def test_a_layer_that_takes_points_already_takes_clicks_at_once(layer, told):
    layer.mode = "add"
    ClickTool(layer, told)
    press(layer, (3, 4))
    assert [name for name, *_ in told.heard] == ["click"]
    assert len(layer.data) == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("between", [False, True], ids=["at once", "modes between"])
def test_tools_of_several_docks_let_go_in_any_order(layer, order, between):
    heard = [Told() for _ in range(3)]
    tools = [ClickTool(layer, one) for one in heard]
    layer.mode = "add"
    left = [0, 1, 2]
    for n in order:
        press(layer, (3, 4))
        assert [len(one.heard) for one in heard] == [int(m == left[-1]) for m in range(3)]
        for one in heard:
            one.heard.clear()
        tools[n].close()
        left.remove(n)
        assert layer.mouse_pan == (not left)
        if between:
            layer.mode = "pan_zoom"
            layer.mode = "add"
    press(layer, (3, 4))
    assert len(layer.data) == 1
    assert not any(one.heard for one in heard)
