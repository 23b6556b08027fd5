"""A line of text in a corner of the canvas, beside whatever text the user has there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Caption:
    """Says something on the canvas of a viewer, at the top left; nothing, to begin with."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._overlays = viewer.canvas.overlays
        self._name = f"fastsam_{id(self)}"
        self._overlay: TextOverlay | None = None

    @property
    def text(self) -> str:
        """What is said."""
        return "" if self._overlay is None else str(self._overlay.text)

    def say(self, text: str) -> None:
        """Show a text, or none; quick if that is what is shown."""
        if text == self.text:
            return
        if self._overlay is None:
            self._overlay = TextOverlay(position="top_left", font_size=12)
            self._overlays[self._name] = self._overlay
        self._overlay.text = text
        self._overlay.visible = bool(text)

    def remove(self) -> None:
        """Take the text off the canvas."""
        if self._overlay is not None:
            self._overlay = None
            del self._overlays[self._name]
