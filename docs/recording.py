"""Record what working with the dock looks like: a short film, from a real viewer.

Run it with ``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/recording.py``. What is seen is
what a mouse and keys do; only the arrow of the mouse and the captions are drawn on afterwards.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from qtpy.QtCore import QPoint, Qt

from _pictures import with_caption, with_mouse
from _stage import CTRL, IMAGES, SHIFT, Place, Stage, grab, opened, own_settings, warm_up

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

WINDOW = (1120, 700)
WIDTH = 900  # pixels of the film
STEP = 0.08  # seconds from frame to frame while the mouse moves
SPOON, CUP = (290, 365), (100, 290)
ROW = [(51, 156), (51, 216), (51, 276)]
"""Points on coins, (row, column)."""


class Film:
    """Frames of a viewer, and how long each is seen."""

    def __init__(self) -> None:
        self.frames: list[Image.Image] = []
        self.seconds: list[float] = []
        self.caption = self.keys = ""
        self.stage: Stage | None = None
        self.mouse = (0.0, 0.0)
        self.pressed = False

    def say(self, caption: str, keys: str = "") -> None:
        """Put a caption on the frames that follow, with keys that are held."""
        self.caption, self.keys = caption, keys

    def take(self, seconds: float = STEP) -> None:
        """Take a frame, and show it for some seconds."""
        assert self.stage is not None
        self.stage.paint()
        frame = with_mouse(grab(self.stage.window), self.mouse, pressed=self.pressed)
        frame = frame.resize((WIDTH, frame.height * WIDTH // frame.width), Image.Resampling.LANCZOS)
        if self.caption:
            frame = with_caption(frame, self.caption, keys=self.keys)
        if self.frames and np.array_equal(frame, self.frames[-1]):
            self.seconds[-1] += seconds
        else:
            self.frames.append(frame)
            self.seconds.append(seconds)

    def glide(self, place: Place, held: Any = None, *, steps: int = 6) -> None:
        """Move the mouse over the image to a place."""
        stage = self._stage()
        start = self._place()
        for share in np.linspace(0, 1, steps + 1)[1:]:
            smooth = share * share * (3 - 2 * share)
            at = tuple(np.add(start, np.subtract(place, start) * smooth).tolist())
            stage.hover(at, *([] if held is None else [held]))
            self._follow()
            self.take()

    def click(self, place: Place, held: Any = None, *, then: float = 0.7) -> None:
        """Go to a place, click it, and look at what came of it."""
        self.glide(place, held)
        self.take(0.25)
        self.pressed = True
        self.take(0.12)
        self._stage().click(place, *([] if held is None else [held]))
        self.take(0.12)
        self.pressed = False
        self.take(then)

    def drag(self, start: Place, end: Place) -> None:
        """Draw a box."""
        self.glide(start)
        stage = self._stage()
        stage.each = self._dragged
        self.pressed = True
        stage.drag(start, end, steps=7)
        self.pressed = False
        stage.each = lambda: None
        self.take(0.9)

    def press(self, widget: QWidget, at: QPoint | None = None, *, then: float = 0.6) -> None:
        """Go to a control of the dock and click it."""
        from qtpy.QtTest import QTest

        stage = self._stage()
        where = widget.rect().center() if at is None else at
        end = widget.mapTo(stage.window, where)
        start = self.mouse
        for share in np.linspace(0, 1, 6)[1:]:
            self.mouse = tuple(np.add(start, np.subtract((end.x(), end.y()), start) * share))
            self.take()
        self.pressed = True
        self.take(0.12)
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=where)
        stage.settle()
        self.pressed = False
        self.take(then)

    def save(self, name: str) -> None:
        """Write the film."""
        first, *others = self.frames
        first.save(
            IMAGES / name,
            save_all=True,
            append_images=others,
            duration=[round(1000 * seconds) for seconds in self.seconds],
            loop=0,
            quality=70,
            method=4,
        )

    def _stage(self) -> Stage:
        assert self.stage is not None
        return self.stage

    def _dragged(self) -> None:
        self._follow()
        self.take()

    def _follow(self) -> None:
        """Have the arrow where the mouse is."""
        pointer = self._stage().pointer()
        self.mouse = (pointer.x(), pointer.y())

    def _place(self) -> Place:
        """Return which pixel of the image the arrow is at."""
        stage = self._stage()
        corner = stage.canvas.mapTo(stage.window, QPoint(0, 0))
        camera, canvas = stage.viewer.scene.camera, stage.canvas
        column = (self.mouse[0] - corner.x() - canvas.width() / 2) / camera.zoom
        row = (self.mouse[1] - corner.y() - canvas.height() / 2) / camera.zoom
        return (row + camera.center[1], column + camera.center[2])


def main() -> None:
    """Make the film."""
    film = Film()
    started = perf_counter()
    with own_settings():
        warm_up()
        coins(film)
        coffee(film)
        gland(film)
    film.save("loop.webp")
    size = (IMAGES / "loop.webp").stat().st_size / 1e6
    print(
        f"{len(film.frames)} frames, {sum(film.seconds):.0f} s, {size:.1f} MB, "
        f"made in {perf_counter() - started:.0f} s"
    )


def coins(film: Film) -> None:
    """Label coins: clicks, a box, everything, undo."""
    with opened("coins", size=WINDOW, dock=False) as stage:
        film.stage = stage
        film.mouse = (WINDOW[0] / 2, WINDOW[1] * 0.8)
        film.say("Open an image, then Layers > Segment > Segment (FastSAM)")
        film.take(1.2)
        stage.open_dock()
        film.say("Candidates are found in the background")
        film.take(0.9)
        stage.settle()
        film.take(0.6)
        film.say("Hover: what a click would take, and its score")
        for place in ((120, 200), (56, 101)):
            film.glide(place)
            film.take(0.5)
        film.say("Click: the first object")
        film.click((56, 101), then=1.0)
        film.say("One click for each further object")
        for place in ROW:
            film.click(place, then=0.2)
        film.say("gives an object back", "Ctrl + click")
        film.click(ROW[1], CTRL, then=0.8)
        film.say("Drag a box around an object")
        film.drag((150, 310), (222, 380))
        film.say("Everything: sliders, and a preview at once")
        dock = stage.dock
        film.press(dock.tabs.bar, dock.tabs.bar.tabRect(1).center())
        for area in (800, 1200, 1600, 2000):
            dock.min_area.value = area
            film.take(0.35)
        film.take(0.5)
        film.press(dock.everything_button.native, then=1.0)
        film.say("Every step can be taken back", "Ctrl + Z")
        stage.key(Qt.Key.Key_Z, CTRL)
        film.take(1.2)


def coffee(film: Film) -> None:
    """Nested candidates, and a click that narrows."""
    with opened("coffee", size=WINDOW) as stage:
        film.stage = stage
        dock = stage.dock
        dock.settings.image_size.value = 640
        stage.viewer.scene.camera.center = (0, 205, 295)
        stage.viewer.scene.camera.zoom = 1.5
        stage.settle()
        film.say("One inside the other: cup and spoon,")
        film.glide(SPOON)
        film.take(1.0)
        film.say("or the spoon alone", "Tab")
        stage.key(Qt.Key.Key_Tab)
        film.take(1.3)
        film.say("Click the cup")
        film.click(CUP, then=0.3)
        dock.output.value.new_colormap(seed=8)
        film.take(0.7)
        film.say("not with what is here", "Shift + click")
        film.click(SPOON, SHIFT, then=1.2)


def gland(film: Film) -> None:
    """Cleanup, seen before it is done."""
    with opened("immunohistochemistry", size=WINDOW) as stage:
        film.stage = stage
        dock = stage.dock
        stage.viewer.scene.camera.center = (0, 405, 318)
        stage.viewer.scene.camera.zoom = 2.2
        film.say("Cleanup: red goes, green comes, before anything is written")
        stage.click((400, 330))
        dock.output.value.new_colormap(seed=8)
        film.mouse = (WINDOW[0] - 140, WINDOW[1] * 0.7)
        stage.hover((-1000, -1000))
        dock.cleanup.native.expand()
        stage.settle()
        area = dock.native.layout().itemAt(0).widget()
        area.ensureWidgetVisible(dock.cleanup.apply_button.native)
        film.take(0.8)
        for opening in (2, 4, 6):
            dock.cleanup.opening.value = opening
            stage.settle()
            film.take(0.5)
        dock.cleanup.fill_holes.value = 500
        dock.cleanup.largest_piece.value = True
        stage.settle()
        film.take(1.2)
        film.press(dock.cleanup.apply_button.native, then=1.5)


if __name__ == "__main__":
    main()
