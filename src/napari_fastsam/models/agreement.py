"""How far two segmenters agree on images, as of one network run in two ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.models.evaluate import FOUND_IOU
from napari_fastsam.selection import everything

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_fastsam.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far one segmenter finds what another does.

    Parameters
    ----------
    images
        How many were looked at.
    objects, found
        How many objects the one finds that is right by definition, and the other.
    matched
        How many of `objects` the other finds too: the IoU of their masks is at least 0.5.
    iou
        The mean IoU of these, in [0, 1]; 1 if there are none.
    """

    images: int
    objects: int
    found: int
    matched: int
    iou: float

    def __str__(self) -> str:
        return (
            f"{self.matched} of {self.objects} objects found again in {self.images} images, with "
            f"a mean IoU of {self.iou:.3f}; {self.found} found in all"
        )


def agreement(right: Segmenter, other: Segmenter, images: Iterable[NDArray[np.uint8]]) -> Agreement:
    """Compare what two segmenters make of images, (H, W, 3) each, where everything is wanted."""
    looked, objects, found = 0, 0, 0
    overlaps: list[float] = []
    for image in images:
        one, two = (everything(by.segment(image)) for by in (right, other))
        best = one.iou(two).max(axis=1, initial=0)
        overlaps += best[best >= FOUND_IOU].tolist()
        looked, objects, found = looked + 1, objects + len(one), found + len(two)
    mean = float(np.mean(overlaps)) if overlaps else 1.0
    return Agreement(looked, objects, found, len(overlaps), mean)
