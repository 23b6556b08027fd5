"""A segmenter without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import label
from skimage.transform import resize

from napari_fastsam import Instances, ModelSpec

if TYPE_CHECKING:
    from napari_fastsam.segmenter import Tile


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


class Network(BlobSegmenter):
    """Sees every image `image_size` pixels long, as networks do, and in it what is large enough.

    An object is found if the square root of its area is at least `least` of those pixels, and its
    outline is as exact as they are.
    """

    def __init__(self, *, image_size: int = 64, least: float = 4, tile: Tile = "auto") -> None:
        super().__init__()
        self.spec = ModelSpec(model="network", image_size=image_size, tile=tile)
        self.image_size = image_size
        self.least = least

    def segment(self, image: np.ndarray, *, shape: tuple[int, int] | None = None) -> Instances:
        shape = shape or image.shape[:2]
        seen = resize(image, _sides(image.shape, self.image_size), order=0, preserve_range=True)
        found = super().segment(seen.astype(np.uint8))
        self.shapes[-1] = image.shape
        found = found[found.areas >= self.least**2]
        masks = [resize(found[[n]].to_labels() > 0, shape, order=0) for n in range(len(found))]
        return Instances.from_masks(shape, masks)


def _sides(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Return the height and width of an image that is made so long."""
    height, width = (max(round(side * longest / max(shape[:2])), 1) for side in shape[:2])
    return height, width
