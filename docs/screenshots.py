"""Make the pictures of the README and of these pages, in a real viewer, with the starter model.

Run it with ``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py``. The images are
those that scikit-image ships.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import napari
import numpy as np
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_fastsam._napari.widget import FastSamWidget

IMAGES = Path(__file__).parent / "images"
WINDOW = (1240, 800)
DOCK_WIDTH = 280

COINS = [(56, 101), (51, 156), (51, 216), (126, 103)]
"""Points on coins, (row, column)."""


def main() -> None:
    """Make every picture."""
    IMAGES.mkdir(exist_ok=True)
    for picture in (first_objects, everything, shapes, controls):
        picture()


def first_objects() -> None:
    """Point at coins."""
    with opened("coins") as (viewer, dock):
        find_candidates(viewer, dock)
        dock.new_points()
        dock.points.value.add(COINS)
        dock.points.value.selected_data = set()
        dock.segment_plane()
        settle(dock)
        save(viewer, "widget")


def everything() -> None:
    """Take all coins."""
    with opened("coins") as (viewer, dock):
        dock.everything()
        settle(dock)
        save(viewer, "everything")


def shapes() -> None:
    """Draw a box, a polygon, an ellipse and a scribble, each on a coin of its own."""
    outlines = {
        "rectangle": [(26, 131), (26, 181), (76, 181), (76, 131)],
        "polygon": [(26, 205), (31, 236), (54, 243), (76, 223), (68, 191), (42, 189)],
        "ellipse": [(104, 81), (104, 125), (148, 125), (148, 81)],
        "path": [(120, 142), (136, 152), (122, 166)],
    }
    with opened("coins") as (viewer, dock):
        find_candidates(viewer, dock)
        dock.new_shapes()
        for kind, outline in outlines.items():
            dock.shapes.value.add(np.array(outline), shape_type=kind)
        dock.shapes.value.selected_data = set()
        dock.segment_plane()
        settle(dock)
        save(viewer, "shapes")


def controls() -> None:
    """Show the dock alone, everything unfolded, in the light theme."""
    with opened("coins", theme="light") as (_, dock):
        dock.cleanup.min_area.value = 100
        dock.cleanup.native.expand()
        dock.settings.native.expand()
        dock.everything()
        settle(dock)
        dock.native.grab().save(str(IMAGES / "controls.png"))


@contextmanager
def opened(sample: str, theme: str = "dark") -> Iterator[tuple[napari.Viewer, FastSamWidget]]:
    """Open a viewer with a sample image and the dock."""
    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.window.resize(*WINDOW)
    viewer.open_sample("napari-fastsam", sample)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-fastsam", "Segment")
    dock.parent().resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
    wait(lambda: dock.width() == DOCK_WIDTH)
    viewer.reset_view()
    yield viewer, widget
    viewer.close()


def find_candidates(viewer: napari.Viewer, dock: FastSamWidget) -> None:
    """Run the network, so that what is shown next comes from what it found."""
    dock.everything()
    settle(dock)
    viewer.layers.remove(dock.output.value)


def settle(dock: FastSamWidget) -> None:
    """Wait until a run is over; a complaint of the viewer ends the script."""
    wait(lambda: not dock.session.worker.busy)
    for notification in notification_manager.records:
        raise RuntimeError(f"The viewer complained: {notification.message}")


def wait(done: Callable[[], bool], seconds: float = 300) -> None:
    """Let the viewer work until something is so."""
    end = monotonic() + seconds
    while not done():
        if monotonic() > end:
            raise TimeoutError("The viewer did not get there in time.")
        QApplication.processEvents()
        sleep(0.01)
    for _ in range(20):  # what was changed last is painted
        QApplication.processEvents()
        sleep(0.01)


def save(viewer: napari.Viewer, name: str) -> None:
    """Write a picture of the whole window."""
    viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)


if __name__ == "__main__":
    main()
