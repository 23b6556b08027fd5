"""Decides which of the network's thousands of predictions are candidates: boxes that stay.

Boxes are x0, y0, x1, y1 here, in the pixels of the frame that the network sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COEFFICIENTS = 32
"""Numbers per box that weigh the mask prototypes."""
MAX_COMPARED = 30_000
"""At most this many predictions, the best first, are compared with each other."""
NEAR_FRAME = 0.9
"""A box whose IoU with the whole image is above this is the whole image."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes with their scores, in descending order, and mask coefficients.

    Parameters
    ----------
    boxes
        (N, 4) x0, y0, x1, y1.
    scores
        (N,) in [0, 1].
    coefficients
        (N, 32) weights of the mask prototypes.
    classes
        (N,) which class each is likeliest of.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    classes: NDArray[np.int32]


def detect(
    predictions: NDArray[np.float32], *, confidence: float, iou: float, max_candidates: int
) -> Detections:
    """Return the predictions that score above `confidence` and that no better one overlaps.

    Parameters
    ----------
    predictions
        (4 + classes + 32, A): box centre x, y, width and height, class probabilities and mask
        coefficients. Which class it is does not matter: the best one is the score.
    confidence
        Scores must be above this.
    iou
        Of two boxes with a larger IoU than this, the one with the lower score goes.
    max_candidates
        At most this many are returned.
    """
    scores = predictions[4:-COEFFICIENTS].max(0)
    kept = np.flatnonzero(scores > confidence)
    kept = kept[np.argsort(-scores[kept], kind="stable")][:MAX_COMPARED]
    centre, size = predictions[:2, kept].T, predictions[2:4, kept].T
    boxes = np.concatenate([centre - size / 2, centre + size / 2], 1)
    best = suppress(boxes, iou, max_candidates)
    kept = kept[best]
    return Detections(
        boxes[best],
        scores[kept],
        predictions[-COEFFICIENTS:, kept].T,
        predictions[4:-COEFFICIENTS, kept].argmax(0).astype(np.int32),
    )


def suppress(boxes: NDArray[np.float32], iou: float, most: int) -> NDArray[np.intp]:
    """Return the rows of at most `most` boxes that overlap no row before them that stays.

    `boxes` (N, 4) are in descending order of score. Two boxes overlap if their IoU is above `iou`.
    """
    x0, y0, x1, y1 = np.ascontiguousarray(boxes.T)
    areas = (x1 - x0) * (y1 - y0)
    left = np.arange(len(boxes))
    kept: list[int] = []
    while len(left) and len(kept) < most:
        n, left = int(left[0]), left[1:]
        kept.append(n)
        width = np.minimum(x1[left], x1[n]) - np.maximum(x0[left], x0[n])
        height = np.minimum(y1[left], y1[n]) - np.maximum(y0[left], y0[n])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        left = left[shared <= iou * (areas[left] + areas[n] - shared)]
    return np.array(kept, np.intp)


def snap(
    boxes: NDArray[np.float32], size: tuple[int, int], reach: tuple[float, float]
) -> NDArray[np.float32]:
    """Return boxes (N, 4) whose sides within reach of the image's border lie on it.

    The network's boxes stop a little short of the border that cuts an object. A box that covers
    nearly the whole image becomes the whole image.

    Parameters
    ----------
    boxes
        (N, 4) x0, y0, x1, y1 in image pixels, inside the image.
    size
        Width and height of the image in pixels.
    reach
        Horizontal and vertical distance from the border in image pixels below which a side moves.
    """
    far = np.asarray(size, np.float32)
    low, high = boxes[:, :2], boxes[:, 2:]
    low = np.where(low < reach, np.float32(0), low)
    high = np.where(high > far - np.asarray(reach, np.float32), far, high)
    snapped = np.concatenate([low, high], 1)
    cover = (high - low).prod(1) / far.prod()  # inside the image, this is the IoU with it
    snapped[cover > NEAR_FRAME] = (0, 0, *far)
    return snapped
