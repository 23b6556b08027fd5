"""The prompt layers that a dock uses: what changes in them is asked, what is asked is drawn."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_fastsam._napari.clicks import Clicked, ClickTool
from napari_fastsam._napari.drawing import Memo, drawing_of, erase, redraw
from napari_fastsam._napari.keys import bound
from napari_fastsam._napari.prompt_layers import ready_for_clicks
from napari_fastsam._napari.views import carry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Layer, Points, Shapes
    from numpy.typing import NDArray

    from napari_fastsam._napari.asked import Drawing, PointRow
    from napari_fastsam._napari.live import Live
    from napari_fastsam._napari.scene import Scene

_DONE = {"added", "removed", "changed"}
AFTER_PAINT = 30
"""Milliseconds after which the labels that a click changed have been repainted."""


class Prompting:
    """Keeps a Points and a Shapes layer and what is asked for in step.

    Parameters
    ----------
    scene, live
        What prompts are asked on, and what they ask for.
    clicked
        What clicks on the Points layer go to.
    failed
        Called with what is wrong with the layers.
    narrowing
        Whether shapes say where something is looked for: those drawn then ask for no object.
    """

    def __init__(
        self,
        scene: Scene,
        live: Live,
        clicked: Clicked,
        *,
        failed: Callable[[Exception], None],
        narrowing: Callable[[], bool] = lambda: False,
    ) -> None:
        self.points: Points | None = None
        self.shapes: Shapes | None = None
        self.tool: ClickTool | None = None
        self._scene, self._live, self._clicked, self._failed = scene, live, clicked, failed
        self._narrowing = narrowing
        self._muted = False
        self._undrawn: list[PointRow] = []
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(AFTER_PAINT)
        self._soon.timeout.connect(self.draw)
        self._release: list[Callable[[], None]] = []

    def use(self, points: Points | None, shapes: Shapes | None) -> None:
        """Ask what these layers ask from now on; what is drawn in them already is left alone."""
        if (points, shapes) == (self.points, self.shapes):
            return
        same = (points is self.points, shapes is self.shapes)
        self.release()
        self.points, self.shapes = points, shapes
        if points is not None:
            self.tool = ClickTool(points, self._clicked)
            self._follow(points, "features")
        if shapes is not None:
            keys = {"Control-Z": self._clicked.undo, "Control-Shift-Z": self._clicked.redo}
            self._release.append(bound(shapes, keys))
            self._follow(shapes)
        self.adopt(points=same[0], shapes=same[1])

    def release(self) -> None:
        """Let go of the layers."""
        self.draw()
        if self.tool is not None:
            self.tool.close()
            self.tool = None
        for release in self._release:
            release()
        self._release = []
        self.points = self.shapes = None

    def adopt(self, *, points: bool = False, shapes: bool = False) -> None:
        """Leave what is drawn alone until it changes, but in layers that are those of before."""
        drawing = self.drawing()
        if drawing is not None:
            self._live.adopt(drawing, points=points, shapes=shapes)

    def changed(self) -> None:
        """Ask what is drawn now."""
        drawing = None if self._muted else self.drawing()
        if drawing is not None:
            try:
                self._live.changed(drawing)
            except (ValueError, TypeError) as error:
                self._failed(error)

    def drawing(self) -> Drawing | None:
        """Return what is drawn, None if nothing can be asked."""
        self.draw()
        source, view = self._scene.source, self._scene.view
        if source is None or view is None:
            return None
        try:
            return drawing_of(self.points, self.shapes, source, view)
        except (ValueError, TypeError) as error:
            self._failed(error)
            return None

    def add_point(self, row: PointRow, choice: int) -> None:
        """Take what a point asks for at once, then draw it."""
        self.draw()  # what was clicked before belongs to the step before
        drawing = self._live.ledger.drawing
        name = ("group", row.group, row.plane)
        # The labels first: what a click takes is seen before the point is drawn, which takes napari
        # several times as long.
        try:
            self._live.changed(replace(drawing, points=(*drawing.points, row)), {name: choice})
        except (ValueError, TypeError) as error:
            self._failed(error)
        if row in self._live.ledger.drawing.points:
            self._undrawn.append(row)
            self._soon.start()

    def add_box(self, box: tuple[float, float, float, float]) -> None:
        """Draw a half-open box on the plane in view, which asks for its object."""
        if self.shapes is not None:
            top, left, bottom, right = (side - 0.5 for side in box)
            corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
            places = self._places(np.array(corners), self.shapes)
            self.shapes.add(places, shape_type="rectangle")
            self.shapes.selected_data = set()

    def give_back(self, label: int) -> bool:
        """Take an object off the labels, and its prompts off the layers."""
        self.draw()
        view = self._scene.view
        assert view is not None
        before = self._live.ledger
        name = before.owner(label, view.index)
        found = self._live.give_back(label, view.index)
        if name is not None:
            with self._quietly():
                erase(before.drawing, *before.rows_of(name))
            self._drawn()
        return found

    def redraw(self, drawing: Drawing | None) -> None:
        """Draw what was drawn at another time, also in layers that were in use then."""
        if drawing is None:
            return
        with self._quietly():
            redraw(drawing)
        memo, view = drawing.memo, self._scene.view
        points = isinstance(memo, Memo) and memo.points is self.points
        shapes = isinstance(memo, Memo) and memo.shapes is self.shapes
        same = view is not None and isinstance(memo, Memo) and memo.axes == view.axes
        if not (same and points and shapes):
            self.adopt(points=same and points, shapes=same and shapes)

    def draw(self) -> None:
        """Draw the points that were asked for and are not drawn yet."""
        self._soon.stop()
        rows, self._undrawn = self._undrawn, []
        for row in rows:
            self._draw_point(row)
        if rows:
            self._drawn()

    def _draw_point(self, row: PointRow) -> None:
        """Draw a point that was asked for already."""
        points = self.points
        if points is None:
            return
        with self._quietly():
            ready_for_clicks(points)
            defaults = points.feature_defaults.iloc[0].to_dict()
            group = np.nan if row.group is None else row.group
            polarity = "+" if row.positive else "-"
            points.feature_defaults = defaults | {"polarity": polarity, "group": group}
            points.add(self._places(np.array([row.place]), points)[0])
            points.feature_defaults = defaults
            points.selected_data = set()

    def _drawn(self) -> None:
        """Take note of what the layers show now."""
        drawing = self.drawing()
        if drawing is not None:
            try:
                self._live.drawn(drawing)
            except (ValueError, TypeError) as error:
                self._failed(error)

    def _places(self, plane: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
        """Return positions (V, 2) on the plane in view as data coordinates (V, D) of a layer."""
        source, view = self._scene.source, self._scene.view
        assert source is not None
        assert view is not None
        full = np.zeros((len(plane), source.grid.ndim))
        full[:, list(view.axes.steps)] = view.index
        full[:, list(view.displayed)] = plane
        extra = layer.ndim - source.grid.ndim
        if extra <= 0:
            return carry(full, source.grid, layer)
        # Axes that only the layer has: where the sliders are.
        there = np.array(layer.world_to_data(view.point[-layer.ndim :]))
        own = np.array(layer.data_to_world(there))
        world = np.tile(own, (len(full), 1))
        world[:, extra:] = [source.grid.data_to_world(position) for position in full]
        return np.array([layer.world_to_data(position) for position in world])

    def _follow(self, layer: Layer, *more: str) -> None:
        """Ask again what changes in a layer, or where it lies."""
        moves = ("scale", "translate", "rotate", "shear", "affine", "units", *more)
        for event in (getattr(layer.events, name) for name in moves):
            event.connect(self._moved)
            self._release.append(partial(event.disconnect, self._moved))
        layer.events.data.connect(self._edited)
        self._release.append(partial(layer.events.data.disconnect, self._edited))

    def _moved(self, event: Any) -> None:
        if event.source is self.shapes and self._narrowing():
            self.adopt(points=True, shapes=True)
        else:
            self.changed()

    def _edited(self, event: Any) -> None:
        """Ask again once an edit is done; napari announces each beforehand."""
        action = str(getattr(event.action, "value", event.action)).lower()
        if action in _DONE:
            self._moved(event)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change layers without asking anew."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False
