"""How labels look on their image: translucent fills, crisp outlines, neighbours told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.instances import labelled_windows
from napari_fastsam.planes import Display

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN_ANGLE = 137.508
"""Degrees between the hues of consecutive labels: no two of the first dozens come near."""

_LIGHTNESS, _CHROMA = (72.0, 58.0, 82.0), 62.0  # CIE Lab; the lightness cycles


def overlay(
    image: NDArray[Any],
    labels: NDArray[Any],
    *,
    fill: float = 0.35,
    outline: int = 3,
    min_side: int = 1000,
) -> NDArray[np.uint8]:
    """Return the objects of a label image in colour over their image.

    Parameters
    ----------
    image
        (H, W), or (H, W, C) with C up to four, of any real dtype.
    labels
        (H, W) integers; 0 is background and stays as it is.
    fill
        Opacity of the objects, in [0, 1].
    outline
        Width of the outlines in pixels of the result; they lie inside the objects.
    min_side
        Small images are enlarged, by a whole factor, until their longer side is about this many
        pixels, so that outlines are fine beside the objects.

    Returns
    -------
    (H * k, W * k, 3) uint8, k the factor.

    Raises
    ------
    ValueError
        If the two do not have the same height and width.
    """
    fail_if(
        image.shape[:2] != labels.shape,
        "labels of the image's height and width",
        f"labels of {labels.shape} for an image of {image.shape}",
        "pass one plane and its own labels",
    )
    factor = max(1, round(min_side / max(labels.shape)))
    canvas = _enlarged(Display()(image), factor).astype(np.float32)
    for label, window in labelled_windows(labels):
        rows, cols = (slice(max(0, side.start - 1), side.stop + 1) for side in window)
        part = canvas[
            rows.start * factor : rows.stop * factor, cols.start * factor : cols.stop * factor
        ]
        cover = _soft_mask(labels[rows, cols] == label, factor)
        colour = label_colour(label).astype(np.float32)
        for opacity in (fill * cover, _rim(cover, outline)):
            part += opacity[..., None] * (colour - part)
    return np.asarray(np.clip(canvas + 0.5, 0, 255), np.uint8)


def label_colour(label: int) -> NDArray[np.uint8]:
    """Return the colour of a label, (3,) uint8 RGB, equally vivid for all."""
    from skimage.color import lab2rgb

    hue = np.deg2rad(label * GOLDEN_ANGLE)
    lightness = _LIGHTNESS[label % len(_LIGHTNESS)]
    lab = np.array([lightness, _CHROMA * np.cos(hue), _CHROMA * np.sin(hue)])
    return np.asarray(np.clip(lab2rgb(lab) * 255 + 0.5, 0, 255), np.uint8)


def _enlarged(rgb: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return an (H, W, 3) picture, each side `factor` times as long."""
    import PIL.Image

    height, width = rgb.shape[:2]
    picture = PIL.Image.fromarray(rgb)
    bicubic = PIL.Image.Resampling.BICUBIC
    return np.asarray(picture.resize((width * factor, height * factor), bicubic))


def _soft_mask(mask: NDArray[np.bool_], factor: int) -> NDArray[np.float32]:
    """Return a mask enlarged with a smooth outline: how much of each pixel it covers, in [0, 1]."""
    from scipy.ndimage import gaussian_filter

    sigma = 0.4 * factor  # smooths the stairs of the small pixels, and spares an object of one
    blurred = gaussian_filter(mask.repeat(factor, 0).repeat(factor, 1).astype(np.float32), sigma)
    from_edge = (blurred - 0.5) * sigma * np.sqrt(2 * np.pi)  # in pixels, near a straight edge
    return np.asarray(np.clip(from_edge + 0.5, 0, 1), np.float32)


def _rim(cover: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the part of a soft mask that is within `width` pixels of its edge."""
    from scipy.ndimage import distance_transform_edt

    inside = cover > 0.5
    if inside.all():  # the object is the whole image: nothing to measure a distance to
        return np.zeros_like(cover)
    depth = distance_transform_edt(inside)  # 1 for the outermost pixels
    return np.asarray(cover * np.clip(width + 1 - depth, 0, 1), np.float32)
