"""What makes candidates better at next to no cost, once there are any.

Edges of masks go to those of the image, see `napari_fastsam.models.refining`, and scores say how
steady masks are, see `napari_fastsam.models.rescoring`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.models._ultralytics import opencv
from napari_fastsam.models.decode import CELL
from napari_fastsam.models.refining import refined
from napari_fastsam.models.rescoring import rescored, stability

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_fastsam.instances import Instances
    from napari_fastsam.models.letterbox import Letterbox

MOST_CELL = 32
"""Edges are refined where cells are at most so many pixels of the image wide.

Where they are wider, as on huge planes that are looked at only once, all of these pixels would take
far longer than the network, and as much memory as the plane.
"""


def improved(
    found: Instances,
    coefficients: NDArray[np.float32],
    prototypes: Tensor,
    frame: NDArray[np.uint8],
    letterbox: Letterbox,
) -> Instances:
    """Return the same objects, their edges refined and their scores new, the best first.

    Edges stay as they are where cells are wider than `MOST_CELL`.

    Parameters
    ----------
    found
        N objects of an image.
    coefficients
        (N, 32) that their masks were made with.
    prototypes
        (32, h / 4, w / 4), on any device.
    frame
        (h, w, 3), what the network saw. It alone counts, and not how large the image was that it
        shows, so that a plane is segmented alike from each level of its pyramid.
    letterbox
        How the image lies in the frame.
    """
    steady = stability(prototypes, coefficients, found.bboxes, letterbox)
    scores = rescored(found.scores, steady)
    if (cell := cell_size(letterbox)) <= MOST_CELL:
        found = refined(found, shown(frame, letterbox), cell)
    return replace(found, scores=scores)[np.argsort(-scores, kind="stable")]


def shown(frame: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.uint8]:
    """Return the image (H, W) that a frame (h, w, 3) shows, in grey."""
    cv2 = opencv()
    (top, left), (height, width) = letterbox.offset, letterbox.content
    grey = cv2.cvtColor(frame[top : top + height, left : left + width], cv2.COLOR_RGB2GRAY)
    if letterbox.image != letterbox.content:
        grey = cv2.resize(grey, letterbox.image[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(grey)


def cell_size(letterbox: Letterbox) -> float:
    """Return the width of a prototype's cell in pixels of the image."""
    return float(CELL * np.mean(np.divide(letterbox.image, letterbox.content)))
