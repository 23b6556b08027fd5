"""A time-lapse made of one picture: coins wander over a table, and one is knocked away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.ndimage import binary_fill_holes, shift
from skimage.data import coins
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import closing
from skimage.segmentation import clear_border

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLANES = 16
KNOCKED = 9
"""The plane from which on a coin is somewhere else."""

_SPEED = 1.8  # pixels per plane, on average
_MARGIN = 60  # pixels of the table beside the picture
_SMALLEST = 500  # pixels of a coin
_MIDDLE = (150, 190)
_ROOM = 8  # pixels around a coin


class Film(NamedTuple):
    """Planes (T, H, W) uint8, and where the coin is that is knocked away: (T, 2)."""

    planes: NDArray[np.uint8]
    path: NDArray[np.float64]


def wandering_coins() -> Film:
    """Return the film; always the same."""
    rng = np.random.default_rng(2)
    picture = coins()
    height, width = picture.shape
    masks = binary_fill_holes(clear_border(closing(picture > threshold_otsu(picture))))
    found = [region for region in regionprops(label(masks)) if region.area > _SMALLEST]
    middles = np.array([region.centroid for region in found])
    moves = rng.normal(0, _SPEED, (len(found), 2)) * (np.arange(PLANES) - PLANES / 2)[:, None, None]
    knocked = int(np.hypot(*(middles - _MIDDLE).T).argmin())
    moves[KNOCKED:, knocked, 1] += width + _MARGIN / 3 - middles[knocked, 1]
    table = rng.normal(45, 4, (PLANES, height, width + _MARGIN))
    for plane, by in zip(table, moves, strict=True):
        for region, move in zip(found, by, strict=True):
            _put(plane, picture, region, move)
    return Film(np.clip(table, 0, 255).astype(np.uint8), middles[knocked] + moves[:, knocked])


def _put(
    plane: NDArray[np.float64], picture: NDArray[np.uint8], region: Any, by: NDArray[np.float64]
) -> None:
    """Put a coin where it has wandered."""
    rows, columns = region.slice
    mask = np.pad(region.image_filled, _ROOM).astype(float)
    coin = np.pad(picture[rows, columns].astype(float), _ROOM, mode="edge")
    whole = np.round(by).astype(int)
    mask = shift(mask, by - whole, order=1) > 0.5
    coin = shift(coin, by - whole, order=1, mode="nearest")
    at = np.argwhere(mask) + np.add((rows.start, columns.start), whole - _ROOM)
    inside = ((at >= 0) & (at < plane.shape)).all(1)
    plane[tuple(at[inside].T)] = coin[mask][inside]
