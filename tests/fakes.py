"""A segmenter and a scorer of words without networks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from skimage.measure import label
from skimage.transform import resize

from napari_fastsam import Instances, ModelSpec, TextSpec
from napari_fastsam.ahead import ahead
from napari_fastsam.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from numpy.typing import ArrayLike

    from napari_fastsam.segmenter import Shown, Tile


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


class Batching(BlobSegmenter):
    """Looks at several images together, in other threads, as a network on a GPU does."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.batch_size = size
        self.callers: set[int] = set()

    def segment(self, image: np.ndarray, *, shape: tuple[int, int] | None = None) -> Instances:
        factor = 1 if shape is None else shape[0] // image.shape[0]
        found = super().segment(image)
        if factor == 1:
            return found
        return Instances.from_labels(found.to_labels().repeat(factor, 0).repeat(factor, 1))

    def segment_many(
        self, images: Iterable[np.ndarray], *, shape: tuple[int, int] | None = None
    ) -> Generator[Instances, None, None]:
        def one(image: np.ndarray) -> Instances:
            self.callers.add(threading.get_ident())
            return self.segment(image, shape=shape)

        yield from ahead(one, images, threads=2, depth=max(self.batch_size, 1))


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


class GreyScorer:
    """Knows objects by how bright they are: words are "dark", "grey" and "bright"."""

    WORDS: ClassVar = {"dark": 0.4, "grey": 0.7, "bright": 1.0}

    def __init__(self, spec: TextSpec | None = None) -> None:
        self.spec = TextSpec(model="grey") if spec is None else spec
        self.looks: list[int] = []  # at how many objects, each time

    def embed(
        self,
        image: Shown,
        candidates: Instances,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        looked: Callable[[int, int], None] = lambda done, total: None,
    ) -> np.ndarray | None:
        self.looks.append(len(candidates))
        levels = np.zeros(len(candidates))
        for n, (top, left, bottom, right) in enumerate(candidates.bboxes):
            if cancelled():
                return None
            part = image[slice(top, bottom), slice(left, right)]
            levels[n] = part[candidates.mask(n)].mean() / 255
            looked(n + 1, len(candidates))
        return self._vectors(levels)

    def score(self, embeddings: np.ndarray, text: str) -> np.ndarray:
        wording = Wording.parse(text)
        named = list(dict.fromkeys([*wording.wanted, *wording.unwanted, *self.WORDS]))
        words = self._vectors([self.WORDS[name] for name in named])
        likely = np.exp(200 * (embeddings @ words.T - 1))
        likely /= likely.sum(1, keepdims=True)
        return likely[:, : len(wording.wanted)].astype(np.float32)

    @staticmethod
    def _vectors(levels: ArrayLike) -> np.ndarray:
        angles = np.asarray(levels, float) * np.pi / 2
        return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
