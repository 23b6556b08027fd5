"""What each object teaches: which of the network's classes it trains.

An object trains the class that the first network already gives it, where that is a photograph, or
else the class of its domain: the one that the first network gives to most of the domain's objects,
one that it learned from such images before, or one that nothing else uses. So what the network
knows is added to, not written over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torchvision.ops import box_iou

from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.reading import object_boxes, read_pair

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.data import Pair

RARE_CLASSES = (78, 70, 12, 79, 21, 76, 68, 72, 23, 6)
"""Of COCO's 80 classes those that photographs show least; a new domain takes the next one."""
COCO_CLASSES = 80

_MATCH_IOU = 0.5
_MATCH_SCORE = 0.2
_LOOKED_AT = 20  # images per domain that decide which class it has
_COMPARED = 256  # objects at a time: thousands against every prediction fill the memory


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
    earlier: Collection[int] = (),
) -> Lessons:
    """Return what every object trains, from what the first network makes of it.

    Parameters
    ----------
    pairs
        What is to be learned from.
    model, classes
        The first network, and how many classes it has.
    image_size
        Length in network pixels of an image's longer side.
    photographs
        Domains that show everyday scenes.
    earlier
        Classes of the domains that the first network was trained on before; none is written over.

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
    domains, new = _classes_of(given, classes, earlier)
    objects = []
    for pair, known in zip(pairs, found, strict=True):
        ours = (known < 0) | np.isin(known, new) | (pair.domain not in photographs)
        objects.append(np.where(ours, domains[pair.domain], known))
    return Lessons(domains, new, objects)


def earlier_domains(metadata: Mapping[str, str]) -> dict[str, int]:
    """Return the class of each domain that a model was trained on, as far as its file tells."""
    try:
        told = json.loads(metadata.get("domains", "{}"))
    except (ValueError, RecursionError):  # the file of another program
        return {}
    pairs = told.items() if isinstance(told, dict) else ()
    return {name: number for name, number in pairs if isinstance(number, int)}


def all_domains(earlier: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Return the class of each domain of earlier runs and of this one; none is lost to a namesake.

    Examples
    --------
    >>> all_domains({"images": 78}, {"images": 70})
    {'images, earlier': 78, 'images': 70}
    """
    told: dict[str, int] = {}
    for name, number in earlier.items():
        while now.get(name, number) != number or told.get(name, number) != number:
            name += ", earlier"
        told[name] = number
    return {**told, **now}


def _classes_of(
    given: dict[str, list[NDArray[np.int64]]], classes: int, earlier: Collection[int]
) -> tuple[dict[str, int], tuple[int, ...]]:
    """Return each domain's class, and those of them that nothing used before."""
    domains: dict[str, int] = {}
    for domain, parts in sorted(given.items()):
        known = np.concatenate(parts)
        counts = np.bincount(known[known >= 0], minlength=classes)
        if 2 * counts.max() <= len(known) and classes == COCO_CLASSES:
            # A few objects that look like a ball do not make the domain one of balls.
            counts *= np.isin(np.arange(classes), list(earlier))
        if counts.any():
            domains[domain] = int(counts.argmax())
    used = {*domains.values(), *earlier}
    spare = [c for c in RARE_CLASSES if classes == COCO_CLASSES and c not in used]
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
    known = []
    for some in wanted.split(_COMPARED):
        fit = box_iou(some, boxes)
        merit = fit * scores * ((fit > _MATCH_IOU) & (scores > _MATCH_SCORE))
        answer, row = merit.max(1)
        known.append(torch.where(answer > 0, best[row], -1))
    return np.asarray(torch.cat(known).cpu())
