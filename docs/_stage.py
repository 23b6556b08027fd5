"""A real viewer with the dock on a real image, and a hand over it: what pictures are taken of."""

from __future__ import annotations

import os
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from qtpy.QtCore import QBuffer, QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import napari

    from napari_fastsam._napari.widget import FastSamWidget

IMAGES = Path(__file__).parent / "images"
DOCK_WIDTH = 280
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier

_NONE, _LEFT = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton
_FREE = Qt.KeyboardModifier.NoModifier

Place = tuple[float, float]
"""(row, column) in pixels of the image."""


class Stage:
    """The viewer, the dock, and a mouse and keys over the canvas.

    Parameters
    ----------
    viewer
        What is shown.
    each
        Called after each movement of the mouse, as to take a frame of it.
    """

    def __init__(self, viewer: napari.Viewer, each: Callable[[], None] = lambda: None) -> None:
        self.viewer, self.each = viewer, each
        self.window = next(
            window
            for window in QApplication.topLevelWidgets()
            if isinstance(window, QMainWindow) and window.isVisible()
        )
        [self.canvas] = self.window.findChildren(QOpenGLWidget)
        self.dock: FastSamWidget = None  # type: ignore[assignment]
        self.mouse: Place = (0, 0)

    def open_dock(self) -> None:
        """Open the dock as its menu does, as narrow as it is made for."""
        dock, self.dock = self.viewer.window.add_plugin_dock_widget("napari-fastsam", "Segment")
        dock.parent().resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
        wait(lambda: dock.width() == DOCK_WIDTH)
        self.viewer.reset_view()
        self.paint()

    def at(self, place: Place) -> QPoint:
        """Return where a pixel of the image is on the canvas."""
        camera = self.viewer.scene.camera
        row, column = (place[n] - camera.center[n - 2] for n in (0, 1))
        return QPoint(
            round(self.canvas.width() / 2 + column * camera.zoom),
            round(self.canvas.height() / 2 + row * camera.zoom),
        )

    def pointer(self) -> QPoint:
        """Return where the mouse is in the window."""
        return self.canvas.mapTo(self.window, self.at(self.mouse))

    def hover(self, place: Place, held: Any = _FREE) -> None:
        """Move the mouse to a pixel of the image."""
        self._send(QEvent.Type.MouseMove, place, _NONE, _NONE, held)
        self.paint()
        self.each()

    def click(self, place: Place, held: Any = _FREE) -> None:
        """Click a pixel of the image, and wait for what comes of it."""
        self.hover(place, held)
        self._send(QEvent.Type.MouseButtonPress, place, _LEFT, _LEFT, held)
        self._send(QEvent.Type.MouseButtonRelease, place, _LEFT, _NONE, held)
        self.settle()

    def drag(self, start: Place, end: Place, *, steps: int = 8, drop: bool = True) -> None:
        """Drag from one pixel of the image to another."""
        self.hover(start)
        self._send(QEvent.Type.MouseButtonPress, start, _LEFT, _LEFT, _FREE)
        for share in np.linspace(0, 1, steps + 1)[1:]:
            place = tuple(np.add(start, np.subtract(end, start) * share).tolist())
            self._send(QEvent.Type.MouseMove, place, _NONE, _LEFT, _FREE)
            self.paint()
            self.each()
        if drop:
            self._send(QEvent.Type.MouseButtonRelease, end, _LEFT, _NONE, _FREE)
            self.settle()

    def key(self, key: Any, held: Any = _FREE) -> None:
        """Press a key over the canvas."""
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, held)
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is worked on and all is drawn; a complaint ends the script."""
        from napari.utils.notifications import notification_manager

        wait(lambda: not self.dock.busy)
        sleep(0.1)  # what comes a moment after a click
        self.paint()
        for notification in notification_manager.records:
            raise RuntimeError(f"The viewer complained: {notification.message}")

    def paint(self) -> None:
        """Let the viewer draw."""
        for _ in range(3):
            QApplication.processEvents()

    def picture(self) -> Image.Image:
        """Return the whole window as it is."""
        return grab(self.window)

    def _send(self, kind: Any, place: Place, button: Any, buttons: Any, held: Any) -> None:
        """Send what Qt sends for the mouse."""
        self.mouse = place
        at = QPointF(self.at(place))
        there = QPointF(self.canvas.mapToGlobal(at))
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, at, there, button, buttons, held))


@contextmanager
def own_settings() -> Iterator[None]:
    """Leave the settings of whoever runs this alone: napari's and the dock's."""
    if "NAPARI_CONFIG" in os.environ:
        yield
        return
    with TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        yield


@contextmanager
def opened(
    sample: str | None,
    *,
    size: tuple[int, int] = (1240, 740),
    theme: str = "dark",
    image: Any = None,
    dock: bool = True,
) -> Iterator[Stage]:
    """Open a viewer with a sample image, or with an image as it is named, and the dock."""
    import napari  # not before: it looks for its settings as soon as it is imported
    from napari.settings import get_plugin_settings

    viewer = napari.Viewer()
    get_plugin_settings("napari-fastsam").reset()
    viewer.theme = theme
    viewer.window.resize(*size)
    if image is None:
        viewer.open_sample("napari-fastsam", sample)
    else:
        viewer.add_image(image, name=sample, axis_labels=("z", "y", "x"))
    stage = Stage(viewer)
    stage.paint()
    if dock:
        stage.open_dock()
        stage.settle()
    try:
        yield stage
    finally:
        viewer.close()


def warm_up() -> None:
    """Load what the first look would have to, which would count as its time."""
    from napari_fastsam import FastSAM

    FastSAM("starter").segment(np.zeros((64, 64), np.uint8))


def grab(widget: QWidget) -> Image.Image:
    """Return a widget as it is drawn."""
    bits = QBuffer()
    bits.open(QBuffer.OpenModeFlag.WriteOnly)
    widget.grab().save(bits, "PNG")
    return Image.open(BytesIO(bits.data().data())).convert("RGB")


def wait(done: Callable[[], bool], seconds: float = 300) -> None:
    """Let the viewer work until something is so."""
    end = monotonic() + seconds
    while not done():
        if monotonic() > end:
            raise TimeoutError("The viewer did not get there in time.")
        QApplication.processEvents()
        sleep(0.01)
    for _ in range(10):  # what was changed last is painted
        QApplication.processEvents()
        sleep(0.01)
