"""The images that a network learns from, in memory as far as they fit, and what is seen of each."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_fastsam.models.loss import PROTOTYPE_STRIDE, Target
from napari_fastsam.models.reading import object_boxes, read_pair

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.data import Pair

_LEAST_AREA = 12  # network pixels; less cannot be told from noise
_KEPT_BYTES = 2 << 30  # images that are held in memory


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One image with its objects, as read from disk.

    Parameters
    ----------
    image
        (H, W, 3) uint8.
    labels
        (H, W) uint16, object i is i + 1.
    classes
        (N,) class that each object trains.
    upright
        Whether the image has an up and a down and natural colours, as a photograph.
    centres
        (N, 2) x, y of each object's box.
    width
        Median of the objects' square-rooted areas, in pixels.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    classes: NDArray[np.int64]
    upright: bool
    centres: NDArray[np.float64] = field(init=False)
    width: float = field(init=False)

    def __post_init__(self) -> None:
        boxes = object_boxes(self.labels)
        areas = np.bincount(self.labels.ravel())[1:]
        width = float(np.median(np.sqrt(areas))) if len(areas) else 32.0
        object.__setattr__(self, "centres", (boxes[:, 1::-1] + boxes[:, :1:-1]) / 2)
        object.__setattr__(self, "width", width)


class Scenes:
    """The images to learn from, in memory as far as they fit.

    Parameters
    ----------
    pairs
        Where they are.
    classes
        (N,) for each of them.
    photographs
        Domains that are upright.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        classes: Sequence[NDArray[np.int64]],
        photographs: Collection[str],
    ) -> None:
        self._pairs, self._classes, self._photographs = pairs, classes, photographs
        self._kept: dict[int, Scene] = {}
        self._left = _KEPT_BYTES
        self._told = False

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, n: int) -> Scene:
        if n in self._kept:
            return self._kept[n]
        pair = self._pairs[n]
        scene = Scene(*read_pair(pair), self._classes[n], pair.domain in self._photographs)
        size = scene.image.nbytes + scene.labels.nbytes
        if size <= self._left:
            self._kept[n] = scene
            self._left -= size
        elif not self._told:
            self._told = True
            warnings.warn(
                f"Expected images that fit into {_KEPT_BYTES >> 30} GB of memory, but "
                f"{pair.name!r} and perhaps others do not. They are read from disk each time, "
                "which is slower: cut or shrink large images to be faster.",
                stacklevel=2,
            )
        return scene


def target_of(labels: NDArray[np.uint16], classes: NDArray[np.int64]) -> Target:
    """Return the objects of a square (size, size), those large enough to be seen."""
    boxes = np.zeros((len(classes), 4), np.int64)
    found = object_boxes(labels)
    boxes[: len(found)] = found
    areas = np.bincount(labels.ravel(), minlength=len(classes) + 1)[1:]
    sides = boxes[:, 2:] - boxes[:, :2]
    seen = np.flatnonzero((areas >= _LEAST_AREA) & (sides >= 2).all(1))
    # Shares of a prototype pixel in quarters: every second pixel is looked at.
    step = PROTOTYPE_STRIDE // 2
    numbers = torch.from_numpy(labels[::step, ::step].astype(np.int64))
    each = numbers[None] == torch.from_numpy(seen + 1)[:, None, None]
    shape = (len(seen), *(n // PROTOTYPE_STRIDE for n in labels.shape))
    masks = functional.avg_pool2d(each.float(), step) if len(seen) else torch.zeros(shape)
    return Target(
        boxes=torch.from_numpy(boxes[seen][:, [1, 0, 3, 2]]).float(),
        classes=torch.from_numpy(classes[seen]),
        masks=masks,
    )
