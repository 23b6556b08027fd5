"""What the demo looks like in napari: ``python -m napari_fastsam._napari.demo FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import message
from napari_fastsam.demo import FOLDER, IMAGES, image_path, labels_path
from napari_fastsam.files.readers import read_image

if TYPE_CHECKING:
    import napari


def show(viewer: napari.Viewer, folder: Path) -> None:
    """Open the demo's images side by side, each under its labels, with the plugin beside them.

    Parameters
    ----------
    viewer
        Where they are opened.
    folder
        Where `run_demo` put its files.
    """
    for name in IMAGES:
        picture = np.asarray(read_image(image_path(folder, name)).data)
        viewer.add_image(picture, name=name, rgb=picture.ndim == 3)
        found = np.asarray(read_image(labels_path(folder, name)).data)  # to be edited
        labels = viewer.add_labels(found, name=f"{name} labels")
        labels.opacity = 0.5
    viewer.canvas.grid.stride = 2  # an image and its labels share a cell
    viewer.canvas.grid.shape = (1, len(IMAGES))
    viewer.canvas.grid.enabled = True
    viewer.window.add_plugin_dock_widget("napari-fastsam")
    viewer.reset_view()


def main() -> int:
    """Show the demo until its window is closed, and return the exit status."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    import napari

    try:
        viewer = napari.Viewer(title="napari-fastsam demo")
    except ImportError as error:  # qtpy's, where there is no Qt
        remedy = "python -m pip install 'napari-fastsam[all]'"
        text = message("Qt, which draws napari's windows", str(error), remedy)
        print(f"napari-fastsam: error: {' '.join(text.split())}", file=sys.stderr)
        return 2
    show(viewer, folder)
    napari.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
