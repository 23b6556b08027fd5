"""What a dock shows over an image without it being anybody's data: an outline, objects to come.

It always belongs to the plane in view, and is emptied as soon as another one comes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.caption import Caption
from napari_fastsam._napari.grid import unit_factors
from napari_fastsam._napari.preview_layer import (
    OUTLINE,
    is_preview,
    lie_at,
    preview_layer,
    raise_above_data,
    write_objects,
)
from napari_fastsam._napari.rings import Ring
from napari_fastsam._napari.views import displayed_axes, plane_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_fastsam._napari.grid import Grid
    from napari_fastsam._napari.rings import Window
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes

__all__ = ["WIDTH", "Preview", "is_preview"]

WIDTH = 2.0
"""Of outlines, at the least, in pixels of the screen."""

_MOST_REACH = 50  # pixels of the image that an outline spreads to either side at the most


class Preview:
    """A layer that a dock draws on: one candidate's outline, and objects that are not taken yet.

    The layer is made when there is something to show, and again if it was deleted. It lies above
    all images and labels and below the prompts; what was selected stays selected. In 3D nothing is
    shown.

    Parameters
    ----------
    viewer
        Where it is shown. Several previews in one viewer do not disturb each other.

    Attributes
    ----------
    layer
        The layer, while it is in the viewer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.layer: Labels | None = None
        self._viewer = viewer
        self._on: tuple[Image, Grid | Image, PlaneAxes] | None = None
        self._index: Index | None = None  # the plane that what is shown belongs to
        self._plane = np.zeros((0, 0), np.uint8)
        self._ring: Ring | None = None
        self._filled = self._hidden = False
        self._caption = Caption(viewer)
        events = viewer.dims.events
        for event in (events.point, events.current_step, events.order, events.ndisplay):
            event.connect(self._leave)
        events.ndisplay.connect(self._show_or_hide)
        viewer.layers.events.removed.connect(self._removed)

    def place(self, image: Image, axes: PlaneAxes, grid: Grid | Image | None = None) -> None:
        """Lie on the planes of an image; quick if nothing has changed.

        Parameters
        ----------
        image
            A layer of the viewer.
        axes
            How it falls into planes, of which those on the screen are meant.
        grid
            Whose pixels labels are in, if not those of `image`. Its transform is copied.
        """
        grid = image if grid is None else grid
        axes = replace(axes, axes=axes.axes.translate(_NO_CHANNELS), shape=axes.label_shape)
        if self._on is None or self._on[0] is not image or self._on[2] != axes:
            self.clear()
        if self._on is not None and self._on[2] != axes:
            self.remove()
        self._on = (image, grid, axes)
        if self.layer is not None and self._index is not None:
            lie_at(self.layer, grid, axes, self._index)

    def prepare(self) -> None:
        """Make the layer now, which takes napari a tenth of a second, and not with the mouse."""
        self._ready()

    def outline(
        self,
        mask: NDArray[np.bool_] | None,
        bbox: Sequence[int] | None = None,
        *,
        score: float | None = None,
        text: str = "",
    ) -> None:
        """Outline one object, in place of the one before; nothing is drawn if it is the same.

        Parameters
        ----------
        mask
            (h, w), cropped to `bbox`; ``None`` for no outline.
        bbox
            Half-open ``(min_row, min_col, max_row, max_col)`` in the plane; ``None`` if the mask
            is the whole plane's.
        score, text
            What is said about it in the corner of the canvas.
        """
        if mask is None or not self._ready():
            self._erase()
            self._caption.say("")
            return
        height, width = self._plane.shape
        top, left, bottom, right = (0, 0, height, width) if bbox is None else map(int, bbox)
        fail_if(
            mask.shape != (bottom - top, right - left),
            f"a mask of the shape of its box, {(bottom - top, right - left)}",
            f"shape {mask.shape}",
            "crop it to the box, or leave the box out for a mask of the whole plane",
        )
        box, reach = (top, left, bottom, right), self._reach()
        if self._ring is None or not self._ring.is_around(mask, box, reach):
            self._erase()
            self._ring = Ring.around(mask, box, (height, width), reach)
            self._ring.draw(self._plane, OUTLINE)
            self._draw(self._ring.window)
        said = ([] if score is None else [f"{score:.2f}"]) + ([text] if text else [])
        self._caption.say(" · ".join(said))

    def objects(self, labels: NDArray[Any] | None) -> None:
        """Show objects half transparent, in the colours that a new Labels layer gives them.

        Parameters
        ----------
        labels
            (H, W) integers, 0 where there is nothing; ``None`` for no objects. Labels that differ
            by a multiple of 256 share a colour.
        """
        if labels is not None and self._ready():
            fail_if(
                labels.shape != self._plane.shape,
                f"labels of the plane's shape, {self._plane.shape}",
                f"shape {labels.shape}",
                "pass the labels of the plane in view",
            )
            write_objects(self._plane, labels)
            self._filled = True
        elif self._filled:
            self._plane[:] = 0
            self._filled = False
        else:
            return
        if self._ring is not None:
            self._ring.draw(self._plane, OUTLINE)
        self._draw()

    def clear(self) -> None:
        """Show nothing."""
        if self._empty():
            self._draw()

    def remove(self) -> None:
        """Take the layer out of the viewer, until there is something to show again."""
        self._empty()
        self._caption.remove()
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _ready(self) -> bool:
        """Whether one of the image's planes is in view; if it is, so is the layer from now on."""
        index = self._in_view()
        moved = index != self._index
        if moved:
            self._empty()
            self._index = index
        if index is None or self._on is None:
            return False
        _, grid, axes = self._on
        if self.layer is None:
            self._plane = np.zeros(axes.plane_shape, np.uint8)
            self.layer = preview_layer(self._plane, grid, axes, index)
        elif moved:
            lie_at(self.layer, grid, axes, index)
        raise_above_data(self._viewer.layers, self.layer)
        return True

    def _in_view(self) -> Index | None:
        """Return the position of the plane in view; None if it is not one of the image's."""
        if self._on is None:
            return None
        image, grid, axes = self._on
        try:
            on_screen = displayed_axes(grid, self._viewer.dims)
            index = plane_at(grid, axes, self._viewer.dims).index
        except ValueError:
            return None
        return index if on_screen == _rows_columns(axes) and image in self._viewer.layers else None

    def _reach(self) -> int:
        """Return how far an outline spreads to be seen at the camera's zoom."""
        assert self._on is not None
        _, grid, axes = self._on
        factors = unit_factors(grid.units, (self._viewer.dims.units or grid.units)[-grid.ndim :])
        one = np.eye(grid.ndim)[_rows_columns(axes)[0]]
        step = np.subtract(grid.data_to_world(one), grid.data_to_world(0 * one)) * factors
        on_screen = float(np.linalg.norm(step)) * self._viewer.scene.camera.zoom
        return int(min(np.ceil(WIDTH / on_screen) // 2, _MOST_REACH))

    def _erase(self) -> None:
        """Take the outline away."""
        if self._ring is not None:
            ring, self._ring = self._ring, None
            ring.erase(self._plane)
            self._draw(ring.window)

    def _empty(self) -> bool:
        """Empty the plane without drawing it, and return whether there was anything."""
        shown = self._filled or self._ring is not None
        self._ring, self._filled = None, False
        self._caption.say("")
        if shown:
            self._plane[:] = 0
        return shown

    def _draw(self, window: Window | None = None) -> None:
        """Have a window of the plane, or all of it, drawn as it is now."""
        if self.layer is None:
            return
        if window is None:
            self.layer.refresh(extent=False, thumbnail=False, highlight=False)
        else:
            # What napari sends for a stroke of the brush, without a place in the undo history.
            start = [part.start for part in window]
            self.layer.events.labels_update(data=self._plane[window], offset=start)

    def _leave(self) -> None:
        """Show nothing any more if another plane came into view."""
        if self._index is not None and self._in_view() != self._index:
            self._index = None
            self.clear()

    def _show_or_hide(self) -> None:
        """Leave the scene when it becomes 3D, and come back."""
        if self.layer is None:
            return
        if self._viewer.dims.ndisplay == 3:
            self._hidden = self.layer.visible
            self.layer.visible = False
        elif self._hidden:
            self._hidden = False
            self.layer.visible = True

    def _removed(self, event: Any) -> None:
        """Forget a layer that left the viewer, and leave with the image."""
        if event.value is self.layer:
            self.layer = None
            self._empty()
        elif self._on is not None and event.value is self._on[0]:
            self.remove()
            self._on = self._index = None


_NO_CHANNELS = str.maketrans("", "", "CS")


def _rows_columns(axes: PlaneAxes) -> tuple[int, int]:
    """Return which axes are the rows and columns of the planes."""
    return axes.axes.index("Y"), axes.axes.index("X")
