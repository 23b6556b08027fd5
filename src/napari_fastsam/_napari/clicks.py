"""Clicks, drags and keys on a Points layer in its *add* mode: what they are, not what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_fastsam._napari.keys import bound

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari.layers import Points

DRAG = 5
"""Screen pixels that the mouse moves at least in a drag."""

_LEFT = 1


class Clicked(Protocol):
    """What is told of the mouse and of keys. Positions are world coordinates."""

    def hover(self, position: Sequence[float], modifiers: Sequence[str]) -> None:
        """Say what is under the mouse."""
        ...

    def click(self, position: Sequence[float], modifiers: Sequence[str]) -> None:
        """Take a click, with the modifiers held when it began."""
        ...

    def drag(self, start: Sequence[float], position: Sequence[float], *, done: bool) -> None:
        """Take a drag from `start`, as it goes on and when it is `done`."""
        ...

    def turn(self, steps: int) -> None:
        """Go to the next (1) or the one before (-1) of what is under the mouse."""
        ...

    def finish(self) -> None:
        """Finish the object that clicks describe."""
        ...

    def follow(self) -> None:
        """Follow an object through the stack."""
        ...

    def similar(self) -> None:
        """Find what looks like an object."""
        ...

    def go_back(self) -> None:
        """Go to the one before of what was found."""
        ...

    def undo(self) -> None:
        """Take back the last step."""
        ...

    def redo(self) -> None:
        """Do again what was taken back."""
        ...


class ClickTool:
    """Takes the place of napari's own *add points* on one layer.

    Clicks reach `target` instead of becoming points at once, drags do not move the camera (hold the
    space bar for that, as in napari's other tools), and the wheel with Shift turns. The layer's
    other modes are untouched, and `close` gives everything back.
    """

    def __init__(self, layer: Points, target: Clicked) -> None:
        self.layer = layer
        self._target = target
        layer.mouse_move_callbacks.append(self._move)
        layer.mouse_wheel_callbacks.append(self._wheel)
        layer.events.mode.connect(self._mode_changed)
        self._own: list[Any] = []
        self._closed = False
        self._unbind = bound(
            layer,
            {
                "N": target.finish,
                "Shift-N": target.go_back,
                "F": target.follow,
                "L": target.similar,
                "Control-Z": target.undo,
                "Control-Shift-Z": target.redo,
            },
        )
        self._mode_changed()

    @property
    def on(self) -> bool:
        """Whether the layer takes clicks, if it is the active one."""
        return bool(self.layer.mode == "add")

    def close(self) -> None:
        """Give the layer back its own clicks and keys, or those of another tool."""
        layer = self.layer
        self._closed = True
        layer.events.mode.disconnect(self._mode_changed)
        for callbacks, mine in (
            (layer.mouse_move_callbacks, self._move),
            (layer.mouse_wheel_callbacks, self._wheel),
        ):
            if mine in callbacks:
                callbacks.remove(mine)
        callbacks = layer.mouse_drag_callbacks
        if self._press in callbacks:
            at = callbacks.index(self._press)
            callbacks[at : at + 1] = back = self._given_back()
            layer.mouse_pan = not any(_tool(one) for one in back)
        self._unbind()

    def _given_back(self) -> list[Any]:
        """Return the callbacks that were here before, but not those of tools that are closed."""
        found: list[Any] = []
        for one in self._own:
            tool = _tool(one)
            found += tool._given_back() if tool is not None and tool._closed else [one]
        return found

    def _mode_changed(self, _: Any = None) -> None:
        """Take the place of napari's callback, which each change of mode puts there."""
        callbacks = self.layer.mouse_drag_callbacks
        if self.on:
            self._own = [one for one in callbacks if one != self._press]
            callbacks[:] = [self._press]
            self.layer.mouse_pan = False
        elif self._press in callbacks:
            callbacks.remove(self._press)

    def _move(self, _: Points, event: Any) -> None:
        if self.on:
            self._target.hover(event.position, event.modifiers)

    def _wheel(self, _: Points, event: Any) -> None:
        """Turn with Shift held, which napari uses for nothing; some systems swap the axes then."""
        if self.on and list(event.modifiers) == ["Shift"]:
            step = event.delta[1] or event.delta[0]
            if step:
                self._target.turn(1 if step < 0 else -1)

    def _press(self, _: Points, event: Any) -> Generator[None, None, None]:
        """Tell a click from a drag."""
        if event.button != _LEFT:
            return
        start, position = np.array(event.pos), tuple(event.position)
        modifiers = tuple(event.modifiers)
        dragged = False
        yield
        while event.type == "mouse_move":
            dragged |= bool(np.linalg.norm(np.array(event.pos) - start) > DRAG)
            if dragged:
                self._target.drag(position, event.position, done=False)
            event.handled = True
            yield
        if dragged:
            self._target.drag(position, event.position, done=True)
        else:
            self._target.click(position, modifiers)


def _tool(callback: Any) -> ClickTool | None:
    """Return the tool that a callback is of."""
    tool = getattr(callback, "__self__", None)
    return tool if isinstance(tool, ClickTool) else None
