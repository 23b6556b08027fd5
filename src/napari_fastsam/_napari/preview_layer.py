"""The layer that previews are drawn on: labels of one byte a pixel, that lie on one plane.

It has the axes of the image, but only one position on those that are stepped through: it is moved
to the plane in view, out of sight on all others, and no volume in 3D. Values are 1 to 254 for
objects and 255 for outlines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap, label_colormap

from napari_fastsam._napari.grid import affine_of

if TYPE_CHECKING:
    from napari.components import LayerList
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_fastsam._napari.grid import Grid
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes

OUTLINE = 255
"""The value of outlines."""

OUTLINE_COLOUR = (1.0, 0.95, 0.0, 1.0)

GOES, COMES = 10, 37
"""The values of objects that are shown in red and in green."""

OPACITY = 0.5
"""Of objects."""

_MARK = "napari-fastsam preview"  # in the layer's metadata


def is_preview(layer: Layer) -> bool:
    """Whether a layer only shows what a dock has to say, and is not to be read or written."""
    return bool(layer.metadata.get(_MARK, False))


def preview_layer(
    plane: NDArray[np.uint8], grid: Grid | Image, axes: PlaneAxes, index: Index
) -> Labels:
    """Return a layer that shows a plane (H, W), with whose pixels it changes.

    Parameters
    ----------
    plane
        The layer's memory.
    grid
        Where labels lie.
    axes
        How they fall into planes, without channels.
    index
        The plane that the layer is at.
    """
    upright = axes.axes.index("Y") < axes.axes.index("X")
    layer = Labels(
        np.expand_dims(plane if upright else plane.T, axes.steps),
        name="FastSAM preview",
        opacity=1,
        colormap=_colormap(),
        metadata={_MARK: True},
        axis_labels=grid.axis_labels,
        **_at(grid, axes, index),
    )
    layer.editable = False
    return layer


def lie_at(layer: Labels, grid: Grid | Image, axes: PlaneAxes, index: Index) -> None:
    """Move a layer to a plane of a grid, as that lies now."""
    here = _at(layer, axes, (0,) * len(index))
    for name, value in _at(grid, axes, index).items():
        if not np.array_equal(here[name], value):
            setattr(layer, name, value)


def write_objects(plane: NDArray[np.uint8], labels: NDArray[Any]) -> None:
    """Write labels (H, W) of any dtype as values of objects; 0 stays nothing."""
    np.copyto(plane, labels, casting="unsafe")  # keeps the lowest eight bits
    np.minimum(plane, OUTLINE - 1, out=plane)
    np.maximum(plane, labels != 0, out=plane)


def raise_above_data(layers: LayerList, layer: Labels) -> None:
    """Put a layer above all images and labels and below what is above those, as prompts.

    It is added if it is not there. What was selected stays selected.
    """
    data = [isinstance(other, Image | Labels) and not is_preview(other) for other in layers]
    above = max(np.flatnonzero(data), default=-1) + 1
    if layer not in layers:
        selected, active = set(layers.selection), layers.selection.active
        layers.insert(int(above), layer)
        layers.selection.active = active
        layers.selection.update(selected)
    elif layers.index(layer) < above:
        layers.move(layers.index(layer), int(above))


def _at(grid: Layer | Grid, axes: PlaneAxes, index: Index) -> dict[str, Any]:
    """Return what places a layer at a plane of a grid.

    A grid that is turned out of the plane is cut along its own axes, and napari shows all its
    planes at the same place of the screen: so the layer only moves along the axes stepped through.
    """
    steps = list(axes.steps)
    linear = np.linalg.inv(affine_of(grid)[0])[np.ix_(steps, steps)]
    shift = np.zeros(grid.ndim)
    shift[steps] = np.linalg.solve(linear, np.array(index, float))
    affine = grid.affine.affine_matrix
    return {
        "scale": grid.scale,
        "rotate": grid.rotate,
        "shear": grid.shear,
        "translate": grid.translate + np.linalg.solve(affine[:-1, :-1], shift),
        "affine": affine,
        "units": tuple(grid.units),
    }


def _colormap() -> DirectLabelColormap:
    """Return the colours of outlines, and of objects as a new Labels layer would have them."""
    colours = label_colormap(49).map(np.arange(OUTLINE + 1))
    colours[:, 3] = OPACITY
    colours[0], colours[OUTLINE] = (0, 0, 0, 0), OUTLINE_COLOUR
    by_value: dict[int | None, Any] = {None: "transparent", **dict(enumerate(colours))}
    return DirectLabelColormap(color_dict=by_value)
