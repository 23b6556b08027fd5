"""Make the pictures of the README and of these pages, in a real viewer, with the starter model.

Run it with ``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py``; names of
pictures make only those. The images are those that scikit-image ships.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QListWidget

from _film import KNOCKED, PLANES, wandering_coins
from _pictures import beside, with_mouse
from _stage import IMAGES, SHIFT, Stage, grab, opened, own_settings, wait, warm_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

COINS = [(56, 101), (51, 156), (51, 216)]
"""Points on coins, (row, column)."""

NEXT_COIN = (60, 330)
ASIDE = (-1000, -1000)  # beside any image
SPOON, CUP = (290, 365), (100, 290)
COFFEE_SIZE = 640  # network pixels, at which it finds the cup, and the spoon alone


def main() -> None:
    """Make every picture, or those that were asked for."""
    IMAGES.mkdir(exist_ok=True)
    with own_settings():
        warm_up()
        for name in sys.argv[1:] or PICTURES:
            PICTURES[name]().save(IMAGES / f"{name}.webp", quality=90, method=6)


def widget() -> Image:
    """Hover over a coin after three were taken."""
    with opened("coins") as stage:
        for coin in COINS:
            stage.click(coin)
        stage.hover(NEXT_COIN)
        return pointed(stage)


def negative() -> Image:
    """Take the cup with its spoon, then leave the spoon out."""
    with opened("coffee") as stage:
        see(stage, COFFEE_SIZE)
        zoom(stage, (210, 295), 1.8)
        stage.click(CUP)
        recolour(stage)
        stage.hover(ASIDE)
        before = canvas(stage)
        stage.click(SPOON, SHIFT)
        stage.hover(ASIDE)
        return beside(before, canvas(stage))


def nested() -> Image:
    """Hover over a spoon: cup and spoon, then the spoon alone."""
    with opened("coffee") as stage:
        see(stage, COFFEE_SIZE)
        zoom(stage, (210, 295), 1.8)
        stage.hover(SPOON)
        before = canvas(stage)
        stage.key(Qt.Key.Key_Tab)
        return beside(before, canvas(stage))


def box() -> Image:
    """Drag a box around a coin."""
    with opened("coins") as stage:
        zoom(stage, (160, 265), 2.6)
        stage.drag((150, 310), (222, 380), drop=False)
        before = canvas(stage)
        stage.drag((150, 310), (222, 380))
        stage.hover(ASIDE)
        return beside(before, canvas(stage))


def shapes() -> Image:
    """Draw a polygon, an ellipse, a rotated rectangle and a scribble, each on a coin of its own."""
    outlines = {
        "polygon": [(26, 205), (31, 236), (54, 243), (76, 223), (68, 191), (42, 189)],
        "ellipse": [(104, 81), (104, 125), (148, 125), (148, 81)],
        "rectangle": [(51, 124), (19, 156), (51, 188), (83, 156)],
        "path": [(120, 142), (136, 152), (122, 166)],
    }
    with opened("coins") as stage:
        stage.dock.new_shapes()
        drawn = stage.dock.shapes.value
        for kind, outline in outlines.items():
            drawn.add(np.array(outline), shape_type=kind)
        drawn.selected_data = set()
        drawn.mode = "pan_zoom"
        stage.settle()
        return stage.picture()


def everything() -> Image:
    """Preview all galaxies of some size, without two that were clicked away."""
    with opened("hubble_deep_field") as stage:
        dock = stage.dock
        dock.current_tab = "everything"
        dock.confidence.value = 0.3
        dock.min_area.value = 150
        zoom(stage, (480, 720), 1.35)
        stage.hover((475, 727))
        return pointed(stage)


def cleanup() -> Image:
    """Preview what cleanup leaves of a gland."""
    with opened("immunohistochemistry", size=(1240, 880)) as stage:
        zoom(stage, (400, 318), 3)
        stage.click((400, 330))
        recolour(stage)
        stage.hover(ASIDE)
        stage.dock.cleanup.native.expand()
        stage.dock.cleanup.opening.value = 6
        stage.dock.cleanup.fill_holes.value = 500
        stage.dock.cleanup.largest_piece.value = True
        stage.settle()
        return stage.picture()


def stack() -> Image:
    """Run over some planes of a stack, then stop and be ready to go on."""
    with opened("coins", image=wandering_coins().planes) as stage:
        dock = stage.dock
        show(stage, 4)
        dock.current_tab = "stack"
        dock.ranges.value = f"2:{PLANES - 1}:1/{PLANES}"
        dock.everything_stack()
        wait(lambda: dock.runs.worker.busy and dock.status.bar.value() >= 5)
        running = stage.picture()
        dock.cancel()
        stage.settle()
        width = dock.native.width()
        halted = stage.picture()
        return beside(running, halted.crop((halted.width - width, 0, *halted.size)))


def follow() -> Image:
    """Follow a coin up to where it was knocked away, and go on from a click there."""
    film = wandering_coins()
    with opened("coins", image=film.planes, size=(1160, 740)) as stage:
        show(stage, KNOCKED - 1)
        stage.click(film.path[KNOCKED - 1])
        stage.key(Qt.Key.Key_F)
        stage.dock.click.followed.linkActivated.emit(str(KNOCKED))
        stage.settle()
        stage.hover(film.path[KNOCKED])
        lost = without_layers(stage, pointed(stage))
        stage.click(film.path[KNOCKED])
        return beside(lost, without_layers(stage, pointed(stage)))


def tracks() -> Image:
    """Show where coins go, after a linked run."""
    with opened("coins", image=wandering_coins().planes) as stage:
        dock = stage.dock
        show(stage, PLANES - 1)
        dock.current_tab = "stack"
        dock.min_area.value = 200
        dock.everything_stack()
        stage.settle()
        dock.show_tracks()
        stage.settle()
        return stage.picture()


def controls() -> Image:
    """Show the dock alone, each tab, and everything unfolded, in the light theme."""
    pages = []
    for tab in ("click", "everything", "stack"):
        with opened("coins", theme="light", size=(1240, 1040)) as stage:
            stage.click(COINS[0])
            dock = stage.dock
            dock.current_tab = tab
            if tab == "click":
                dock.grouping.value = "one"
            elif tab == "everything":
                dock.colours.native.expand()
                dock.settings.native.expand()
            else:
                dock.cleanup.native.expand()
                dock.cleanup.min_area.value = 100
            stage.settle()
            pages.append(grab(dock.native))
    return beside(*pages)


def preferences() -> Image:
    """Show the settings in napari's preferences."""
    with opened("coins") as stage:
        menus = {menu.text().replace("&", ""): menu for menu in stage.window.menuBar().actions()}
        for action in menus["File"].menu().actions():
            if "Preferences" in action.text():
                action.trigger()
        stage.paint()
        [dialog] = [
            window
            for window in QApplication.topLevelWidgets()
            if type(window).__name__ == "PreferencesDialog"
        ]
        [pages] = [found for found in dialog.findChildren(QListWidget) if found.count() > 2]
        [ours] = pages.findItems("FastSAM", Qt.MatchFlag.MatchExactly)
        pages.setCurrentItem(ours)
        dialog.resize(900, 640)
        stage.paint()
        picture = grab(dialog)
        dialog.close()
        return picture


PICTURES: dict[str, Callable[[], Image]] = {
    picture.__name__: picture
    for picture in (
        widget,
        negative,
        nested,
        box,
        shapes,
        everything,
        cleanup,
        stack,
        follow,
        tracks,
        controls,
        preferences,
    )
}


def show(stage: Stage, plane: int) -> None:
    """Show a plane, and look at no others meanwhile."""
    stage.dock.settings.prefetch.value = False
    stage.viewer.dims.set_current_step(0, plane)
    stage.settle()


def see(stage: Stage, image_size: int) -> None:
    """Have the network see the image at another size."""
    stage.dock.settings.image_size.value = image_size
    stage.settle()


def zoom(stage: Stage, centre: tuple[float, float], zoom: float) -> None:
    """Look at a part of the image."""
    stage.viewer.scene.camera.center = (0, *centre)
    stage.viewer.scene.camera.zoom = zoom
    stage.paint()


def recolour(stage: Stage) -> None:
    """Give labels colours that are seen on brown."""
    stage.dock.output.value.new_colormap(seed=8)
    stage.paint()


def pointed(stage: Stage) -> Image:
    """Return the window with the mouse."""
    pointer = stage.pointer()
    return with_mouse(stage.picture(), (pointer.x(), pointer.y()))


def without_layers(stage: Stage, picture: Image) -> Image:
    """Return a picture of the window from the canvas on to the right."""
    left = stage.canvas.mapTo(stage.window, stage.canvas.rect().topLeft()).x()
    return picture.crop((left, 0, *picture.size))


def canvas(stage: Stage) -> Image:
    """Return the canvas with the mouse."""
    pointer = stage.pointer()
    corner = stage.canvas.mapTo(stage.window, stage.canvas.rect().topLeft())
    whole = with_mouse(stage.picture(), (pointer.x(), pointer.y()))
    size = stage.canvas.size()
    left, top = corner.x(), corner.y()
    return whole.crop((left, top, left + size.width(), top + size.height()))


if __name__ == "__main__":
    main()
