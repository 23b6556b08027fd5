"""Moving the camera so that an object of the plane in view is seen."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._napari.grid import unit_factors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_fastsam._napari.grid import Grid
    from napari_fastsam._napari.views import View

_ASIDE = 0.9  # of the canvas; nearer to its edge, an object is not well seen


def bring_into_view(viewer: ViewerModel, grid: Grid, view: View, bbox: Sequence[int]) -> None:
    """Move the camera to a half-open box in pixels of the plane in view, unless it is seen whole.

    The zoom stays, however large the box is.
    """
    top, left, bottom, right = bbox
    corners = np.array(list(product((top - 0.5, bottom - 0.5), (left - 0.5, right - 0.5))))
    full = np.zeros((len(corners), grid.ndim))
    full[:, list(view.axes.steps)] = view.index
    full[:, list(view.displayed)] = corners
    units = (viewer.dims.units or grid.units)[-grid.ndim :]
    world = np.array([grid.data_to_world(corner) for corner in full])
    world *= unit_factors(grid.units, units)
    offset = viewer.dims.ndim - grid.ndim
    shown = [axis - offset for axis in viewer.dims.displayed[-2:]]
    low, high = world[:, shown].min(0), world[:, shown].max(0)
    camera = viewer.scene.camera
    reach = np.array(viewer.canvas.viewbox_size(viewer.layers)) / (2 * camera.zoom) * _ASIDE
    centre = np.array(camera.center[-2:])
    if (low < centre - reach).any() or (high > centre + reach).any():
        middle = (low + high) / 2
        camera.center = (camera.center[0], float(middle[0]), float(middle[1]))
