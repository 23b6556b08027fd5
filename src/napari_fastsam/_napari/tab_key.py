"""The Tab key on the canvas, which Qt would take to move the focus before napari sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtOpenGLWidgets import QOpenGLWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

_STEPS = {Qt.Key.Key_Tab: 1, Qt.Key.Key_Backtab: -1}


class TabKey(QObject):
    """Passes Tab and Shift+Tab, pressed on the canvases of a window, to a dock in it.

    Parameters
    ----------
    dock
        A widget of the window.
    pressed
        Called with 1 for Tab and -1 for Shift+Tab; says whether it made use of the key.
    """

    def __init__(self, dock: QWidget, pressed: Callable[[int], bool]) -> None:
        super().__init__(dock)
        self._pressed = pressed
        self._canvases: list[QOpenGLWidget] = []

    def listen(self, window: QWidget) -> None:
        """Listen to the canvases of a window, once each."""
        for canvas in window.findChildren(QOpenGLWidget):
            if canvas not in self._canvases:
                canvas.installEventFilter(self)
                self._canvases.append(canvas)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take the key if it was of use; let every other event through."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = _STEPS.get(Qt.Key(event.key()))
            return step is not None and self._pressed(step)
        return False
