from importlib.resources import files

import npe2
import pytest
from app_model.types import MenuItem
from napari._app_model import get_app_model

import napari_fastsam

MANIFEST = npe2.PluginManifest.from_file(str(files(napari_fastsam) / "napari.yaml"))


def test_the_manifest_is_valid_and_every_name_in_it_is_there():
    MANIFEST.validate_imports()


def test_the_widget_opens_from_the_plugins_menu(viewer, plane, qtbot):
    image = viewer.add_image(plane)
    _, widget = viewer.window.add_plugin_dock_widget("napari-fastsam", "Segment")
    assert widget.image.value is image
    qtbot.waitUntil(lambda: not widget.busy, timeout=60_000)  # it looks at the image at once


@pytest.mark.parametrize("menu", ["napari/layers/segment", "napari/plugins"])
def test_the_widget_is_in_its_menus(viewer, menu):
    items = get_app_model().menus.get_menu(menu)
    assert "napari-fastsam.widget" in [
        item.command.id for item in items if isinstance(item, MenuItem)
    ]
