"""New Labels layers for an image, and which layers of the user's own will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.views import carry

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_fastsam._napari.grid import Grid, Placed
    from napari_fastsam.planes import PlaneAxes

_SAME_PLACE = 1e-3  # pixels that two grids may be apart and still be the same


def labels_like(image: Image, axes: PlaneAxes, grid: Grid | Image | None = None) -> Labels:
    """Return an empty Labels layer, uint32, that lies on an image layer, with all its transform.

    Parameters
    ----------
    image
        The layer.
    axes
        How it falls into planes.
    grid
        Whose pixels the labels are in, if not those of `image`.
    """
    from napari.layers import Labels

    grid = image if grid is None else grid
    return Labels(
        np.zeros(axes.label_shape, np.uint32),
        name=f"{image.name} labels",
        scale=grid.scale,
        translate=grid.translate,
        rotate=grid.rotate,
        shear=grid.shear,
        affine=grid.affine,
        units=grid.units,
        axis_labels=grid.axis_labels,
    )


def check_labels(labels: Labels, image: Placed, axes: PlaneAxes) -> None:
    """Refuse a Labels layer that does not have the image's pixels, or cannot be edited.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    remedy = "choose a new layer as the output"
    fail_if(
        labels.multiscale or type(labels.data).__module__.split(".")[0] == "dask",
        "labels that can be edited, in a NumPy or zarr array",
        f"{labels.name!r}, a pyramid or a dask array",
        remedy,
    )
    _check_place(labels, image, axes, remedy)


def check_candidates(labels: Labels, image: Placed, axes: PlaneAxes) -> None:
    """Refuse a Labels layer to pick from that does not have the pixels of the image.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    remedy = "choose another layer, or the model, for the candidates"
    fail_if(labels.multiscale, "labels of one resolution", f"{labels.name!r}, a pyramid", remedy)
    _check_place(labels, image, axes, remedy)


def _check_place(labels: Labels, image: Placed, axes: PlaneAxes, remedy: str) -> None:
    """Refuse a Labels layer that does not have the image's pixels."""
    shape = tuple(labels.data.shape)
    fail_if(
        shape != axes.label_shape,
        f"labels of the shape of {image.name!r}, {axes.label_shape}",
        f"{labels.name!r} of shape {shape}",
        remedy,
    )
    corners = np.stack([np.zeros(len(shape)), *np.diag(shape).astype(float)])
    apart = np.abs(carry(corners, labels, image) - corners).max()
    fail_if(
        apart > _SAME_PLACE,
        f"labels that lie on {image.name!r}",
        f"{labels.name!r}, whose scale, translation, units or affine differ from the image's "
        f"(up to {apart:.3g} pixels apart)",
        f"{remedy}, or copy the image's transform",
    )
