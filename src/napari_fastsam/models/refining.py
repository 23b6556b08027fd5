"""Decides where the edge of a mask runs among the image's pixels, and which scraps are not of it.

A network draws masks on cells of four of its own pixels, and what it draws in a box may include a
bit of the object next door. So pieces smaller than half of the largest go, and in a band of a
cell's width along the edge a guided filter [1]_, which blurs the mask but not across edges of the
image, says which side each pixel is on. Farther from the edge nothing changes.

References
----------
.. [1] He et al. 2013, "Guided Image Filtering", IEEE TPAMI 35 (6).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.models._ultralytics import opencv
from napari_fastsam.models.decode import pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances

LEAST_PIECE = 0.5
"""Pieces of a mask smaller than this share of its largest one go."""
SMOOTHNESS = 1e-3
"""Variance of brightness, of 1 from black to white, below which the image shows no edge."""
BLOCK = 256
"""Pixels along the side of the largest piece of an edge that is filtered at once."""


def refined(found: Instances, grey: NDArray[np.uint8], cell: float) -> Instances:
    """Return the same objects with their edges where the image has its own.

    Parameters
    ----------
    found
        N objects.
    grey
        (H, W), what they were found in.
    cell
        Width of what the masks were drawn with, in pixels of the image.

    Returns
    -------
    Instances: N objects in the same order, with the same boxes and scores.

    Notes
    -----
    Of no use where an edge of the image is not that of the object, as on striped things: that is
    why the band is narrow.
    """
    cv2 = opencv()
    radius = max(1, round(cell))
    buffer = found.buffer.copy()
    for n, (top, left, bottom, right) in enumerate(found.bboxes.tolist()):
        part = buffer[found.offsets[n] : found.offsets[n + 1]]
        mask = part.reshape(bottom - top, right - left)
        _drop_scraps(mask, cv2)
        first = max(top - 2 * radius, 0), max(left - 2 * radius, 0)  # as far as two blurs see
        around = grey[first[0] : bottom + 2 * radius, first[1] : right + 2 * radius]
        own = slice(top - first[0], bottom - first[0]), slice(left - first[1], right - first[1])
        wide = np.zeros(around.shape, bool)
        wide[own] = mask
        sharp = _sharpened(wide, around, radius, cv2)[own]
        if sharp.any():
            mask[...] = sharp
    buffer.flags.writeable = False  # nobody else has it: no copy is needed
    return replace(found, buffer=buffer)


def _drop_scraps(mask: NDArray[np.bool_], cv2: Any) -> None:
    """Clear, in place, the pieces of a mask that are much smaller than its largest."""
    count, pieces = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    if count > 2:  # the first is the background
        areas = np.bincount(pieces.ravel())
        areas[0] = 0
        mask &= (areas >= LEAST_PIECE * areas.max())[pieces]


def _sharpened(
    mask: NDArray[np.bool_], grey: NDArray[np.uint8], radius: int, cv2: Any
) -> NDArray[np.bool_]:
    """Return a mask (h, w) with its edge moved to that of the image, where one is near."""
    sharp = mask.copy()
    for piece in product(*(pieces(0, length, BLOCK) for length in mask.shape)):
        around = tuple(slice(max(p.start - 2 * radius, 0), p.stop + 2 * radius) for p in piece)
        near = mask[around]
        if near.any() and not near.all():
            own = tuple(
                slice(p.start - a.start, p.stop - a.start)
                for p, a in zip(piece, around, strict=True)
            )
            sharp[piece] = _guided(near, grey[around], radius, cv2)[own]
    return sharp


def _guided(
    mask: NDArray[np.bool_], grey: NDArray[np.uint8], radius: int, cv2: Any
) -> NDArray[np.bool_]:
    """Return a mask (h, w), decided anew within `radius` pixels of its edge."""
    size = (2 * radius + 1, 2 * radius + 1)

    def blurred(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(values, size, borderType=cv2.BORDER_REFLECT))

    rough, guide = mask.astype(np.float32), grey.astype(np.float32) / 255
    share, brightness = blurred(rough), blurred(guide)
    slope = blurred(guide * rough) - brightness * share
    slope /= blurred(guide * guide) - brightness * brightness + SMOOTHNESS
    smooth = blurred(slope) * guide + blurred(share - slope * brightness)
    least = 0.5 / (size[0] * size[1])  # of one pixel, half: rounding is less
    return np.where((share > least) & (share < 1 - least), smooth > 0.5, mask)
