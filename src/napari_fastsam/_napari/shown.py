"""How image layers are shown to the network, and which of them can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.views import carry, pixels
from napari_fastsam.planes import PERCENTILES, Display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

Contrast = Literal["shown", "percentiles"] | tuple[float, float]
"""What is black and what is white: the layer's contrast limits and gamma, robust percentiles of
each plane, or these percentiles of each plane."""

_SAME_PLACE = 1e-3  # pixels that two grids may be apart and still be the same


def pyramid(image: Image) -> list[Any]:
    """Return the arrays of an image layer, full resolution first."""
    return list(image.data) if image.multiscale else [image.data]


def display_as(layers: Sequence[Image | None], contrast: Contrast) -> Display:
    """Return how layers are shown as channels, each as it is; a layer of RGB is taken as it is."""
    if any(layer is not None and layer.rgb for layer in layers):
        return Display()
    percentiles = PERCENTILES if isinstance(contrast, str) else contrast
    if contrast != "shown":
        limits: list[Any] = [None] * len(layers)
        gammas = [1.0] * len(layers)
    else:
        limits = [(0.0, 1.0) if layer is None else _limits(layer) for layer in layers]
        gammas = [1.0 if layer is None else float(layer.gamma) for layer in layers]
    if len(layers) == 1:
        return Display(contrast_limits=limits[0], gamma=gammas[0], percentiles=percentiles)
    return Display(contrast_limits=tuple(limits), gamma=tuple(gammas), percentiles=percentiles)


def _limits(layer: Image) -> tuple[float, float]:
    """Return the contrast limits of a layer."""
    low, high = layer.contrast_limits
    return float(low), float(high)


def check_numbers(image: Image) -> None:
    """Refuse an image whose pixels are no real numbers."""
    kind = np.dtype(pixels(image).dtype)
    fail_if(
        kind.kind not in "biuf",
        "an image of real numbers",
        f"{image.name!r} of {kind}",
        "add its magnitude as a layer of its own, viewer.add_image(abs(layer.data))"
        if kind.kind == "c"
        else "convert it to numbers",
        TypeError,
    )


def check_same_pixels(layer: Image, image: Image, shape: tuple[int, ...]) -> None:
    """Refuse a layer, to be one colour, that does not have the pixels of `image`."""
    remedy = "choose layers with the same pixels, or None for that colour"
    found = tuple(pixels(layer).shape)
    fail_if(
        layer.rgb or found != shape,
        f"a layer of one channel with the shape of {image.name!r}, {shape}",
        f"{layer.name!r} of shape {found}" + ", RGB" * layer.rgb,
        remedy,
    )
    corners = np.stack([np.zeros(len(shape)), *np.diag(shape).astype(float)])
    apart = np.abs(carry(corners, layer, image) - corners).max()
    fail_if(
        apart > _SAME_PLACE,
        f"layers that lie on {image.name!r}",
        f"{layer.name!r}, up to {apart:.3g} pixels apart",
        f"{remedy}, or copy the image's transform",
    )
