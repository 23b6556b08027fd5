"""A segmenter without a network."""

from __future__ import annotations

import numpy as np
from skimage.measure import label

from napari_fastsam import Instances, ModelSpec


class BlobSegmenter:
    """Finds every bright connected object of an image exactly, and counts its calls."""

    spec = "blobs"

    def __init__(self, threshold: int = 127) -> None:
        self.threshold = threshold
        self.shapes: list[tuple[int, ...]] = []

    @property
    def calls(self) -> int:
        return len(self.shapes)

    def segment(self, image: np.ndarray) -> Instances:
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)
        self.shapes.append(image.shape)
        return Instances.from_labels(label(image[..., 0] > self.threshold, connectivity=1))


class ShortSighted(BlobSegmenter):
    """Finds only what is at least so many pixels long once the image has the network's size."""

    def __init__(self, *, image_size: int, least: int) -> None:
        super().__init__()
        self.spec = ModelSpec(model="short-sighted", image_size=image_size)
        self.least = least

    def segment(self, image: np.ndarray) -> Instances:
        found = super().segment(image)
        lengths = (found.bboxes[:, 2:] - found.bboxes[:, :2]).max(1)
        return found[lengths * self.spec.image_size >= self.least * max(image.shape[:2])]
