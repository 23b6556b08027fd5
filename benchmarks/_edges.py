"""How well the edge of a mask follows that of the true object: the boundary F-measure.

*Precision* is the share of the mask's edge pixels that lie within `TOLERANCE` pixels of one of the
object's, *recall* the share of the object's that lie within that of one of the mask's; the
F-measure is their harmonic mean. An edge pixel is one of the mask with a neighbour, of four, that
is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fastsam import Instances

TOLERANCE = 1.0


def boundary_f(found: Instances, n: int, true: Instances, k: int) -> float:
    """Return the boundary F-measure, in [0, 1], of object `n` found against the true object `k`."""
    low = np.minimum(found.bboxes[n, :2], true.bboxes[k, :2]) - 1
    high = np.maximum(found.bboxes[n, 2:], true.bboxes[k, 2:]) + 1
    edges = []
    for objects, which in ((found, n), (true, k)):
        whole = np.zeros(high - low, bool)
        top, left, bottom, right = objects.bboxes[which] - np.tile(low, 2)
        whole[top:bottom, left:right] = objects.mask(which)
        edges.append(whole & ~ndimage.binary_erosion(whole))
    precision, recall = _near(*edges), _near(*edges[::-1])
    return 2 * precision * recall / max(precision + recall, 1e-12)


def _near(edge: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the share of an edge's pixels that lie near another one."""
    return float((ndimage.distance_transform_edt(~other)[edge] <= TOLERANCE).mean())
