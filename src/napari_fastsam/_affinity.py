"""What a link between two objects of different planes is worth, and whether there may be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fastsam._tracks import Objects, Pairs

_CONTAINED = 0.5  # share of the smaller mask on the other from which two are linked at any IoU
_CONTAINMENT = 0.5  # weight of that share beside the IoU: caps of a cell still find the cell
_GAP_DISCOUNT = 0.5  # each plane missed halves what a link is worth, so neighbours come first
_NEARNESS = 0.5  # weight of nearness and likeness in size: of neighbours alike the nearer wins
_MIN_SIZE_RATIO = 0.5  # objects that do not overlap are the same only if about the same size


def reach(before: Objects, max_distance: float | None) -> NDArray[np.float64]:
    """Return (B,): how far in pixels each object is looked for."""
    if max_distance is None:
        return np.sqrt(before.masks.areas * 4 / np.pi)
    return np.full(len(before.numbers), float(max_distance))


def affinity(
    before: Objects, now: Objects, pairs: Pairs, min_iou: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return what each pair is worth as a link, (K,), and whether it may be one."""
    areas, new_areas = before.masks.areas[pairs.rows], now.masks.areas[pairs.cols]
    smaller, larger = np.minimum(areas, new_areas), np.maximum(areas, new_areas)
    iou = pairs.pixels / (areas + new_areas - pairs.pixels)
    contained = pairs.pixels / smaller
    gains = iou + _CONTAINMENT * contained + _NEARNESS * pairs.nearness * smaller / larger
    allowed = (iou >= min_iou) | (contained >= _CONTAINED)
    allowed |= (pairs.nearness > 0) & (smaller >= _MIN_SIZE_RATIO * larger)
    return gains * _GAP_DISCOUNT ** before.missed[pairs.rows], allowed
