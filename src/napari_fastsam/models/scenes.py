"""What there is to learn in each image: its objects, and the class that each of them trains.

An object trains the class that the first network already gives it, where that is a photograph, or
else the class of its domain: the one that the first network gives to most of the domain's objects,
or one that nothing else uses. So what the network knows is added to, not written over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional
from torchvision.ops import box_iou

from napari_fastsam.models.data import object_boxes, read_pair
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.loss import PROTOTYPE_STRIDE, Target

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.data import Pair

RARE_CLASSES = (78, 70, 12, 79, 21, 76, 68, 72, 23, 6)
"""Of COCO's 80 classes those that photographs show least; a new domain takes the next one."""
COCO_CLASSES = 80

_MATCH_IOU = 0.5
_MATCH_SCORE = 0.2
_LOOKED_AT = 20  # images per domain that decide which class it has
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
        return scene


@dataclass(frozen=True, slots=True)
class Lessons:
    """Which class each domain and each object trains.

    Parameters
    ----------
    domains
        Class of each domain, by its name.
    new
        Those of these classes that start from nothing.
    objects
        For each pair (N,), the class of each of its objects.
    """

    domains: dict[str, int]
    new: tuple[int, ...]
    objects: list[NDArray[np.int64]]


def plan(
    pairs: Sequence[Pair],
    model: torch.nn.Module,
    classes: int,
    *,
    image_size: int,
    photographs: Collection[str],
) -> Lessons:
    """Return what every object trains, from what the first network makes of it.

    Raises
    ------
    ValueError
        If an image cannot be used, or no image has an object.
    """
    given: dict[str, list[NDArray[np.int64]]] = {}
    found: list[NDArray[np.int64]] = []
    for pair in pairs:
        image, labels = read_pair(pair)
        seen = given.setdefault(pair.domain, [])
        looked_at = pair.domain in photographs or len(seen) < _LOOKED_AT
        unknown = np.full(int(labels.max()), -1)
        found.append(recognised(model, image, labels, image_size) if looked_at else unknown)
        if looked_at:
            seen.append(found[-1])
    domains, new = _classes_of(given, classes)
    objects = []
    for pair, known in zip(pairs, found, strict=True):
        ours = (known < 0) | np.isin(known, new) | (pair.domain not in photographs)
        objects.append(np.where(ours, domains[pair.domain], known))
    return Lessons(domains, new, objects)


def _classes_of(
    given: dict[str, list[NDArray[np.int64]]], classes: int
) -> tuple[dict[str, int], tuple[int, ...]]:
    """Return each domain's class, and those of them that nothing used before."""
    domains: dict[str, int] = {}
    for domain, parts in sorted(given.items()):
        known = np.concatenate(parts)
        counts = np.bincount(known[known >= 0], minlength=classes)
        if 2 * counts.max() > len(known):
            domains[domain] = int(counts.argmax())
    spare = [c for c in RARE_CLASSES if classes == COCO_CLASSES and c not in domains.values()]
    new = dict(zip((d for d in sorted(given) if d not in domains), spare, strict=False))
    left = dict.fromkeys(given.keys() - domains.keys() - new.keys(), 0)
    return {**domains, **new, **left}, tuple(new.values())


@torch.no_grad()
def recognised(
    model: torch.nn.Module,
    image: NDArray[np.uint8],
    labels: NDArray[np.uint16],
    image_size: int,
) -> NDArray[np.int64]:
    """Return (N,): the class that a network gives to each object, -1 for one it does not find."""
    letterbox = Letterbox.fit(labels.shape, image_size)
    device = next(model.parameters()).device
    frame = torch.from_numpy(letterbox.apply(image)).to(device).permute(2, 0, 1)[None]
    (predictions, _), _ = model.eval()(frame / 255)
    x, y, width, height = predictions[0, :4]
    boxes = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dim=1)
    scores, best = predictions[0, 4:-32].max(0)
    gain = np.divide(letterbox.content, letterbox.image)
    truth = object_boxes(labels) * np.tile(gain, 2) + np.tile(letterbox.offset, 2)
    wanted = torch.from_numpy(truth[:, [1, 0, 3, 2]]).float().to(device)
    fit = box_iou(wanted, boxes)
    merit = fit * scores * ((fit > _MATCH_IOU) & (scores > _MATCH_SCORE))
    answer, row = merit.max(1)
    return np.asarray(torch.where(answer > 0, best[row], -1).cpu())


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
