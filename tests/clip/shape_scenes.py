"""Scenes of overlapping shapes of many sizes, what a network would find on them, and questions.

The candidates are the objects' visible masks, a little too large or too small, among what networks
find besides: parts, several objects as one, pieces of ground. Each knows which object it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter
from shape_drawing import (
    COLOURS,
    GROUNDS,
    SHAPES,
    TONES,
    Thing,
    frame,
    ground,
    inside,
    stands_out,
    tinted,
)
from shape_pictures import Phrase
from skimage.draw import disk, polygon

from napari_fastsam import Instances

MATCH_IOU = 0.5
SCENES = 1 << 20  # seeds from here on: no picture that a network learnt from has one of them
LEAST_VISIBLE = 0.6  # of an object, as more than its outline tells what it is
LEAST_TEXTURED = 40  # pixels across; on smaller objects no texture can be seen

Kind = Literal["one", "several", "texture", "part", "negative", "phrases", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A scene and what was found on it.

    Parameters
    ----------
    image
        (H, W, 3) uint8.
    objects
        The T objects' visible masks.
    things
        What each of them is.
    candidates
        N candidates.
    truth
        (N,) the object that each candidate is (IoU of half or more), -1 for none.
    """

    image: np.ndarray
    objects: Instances
    things: tuple[Thing, ...]
    candidates: Instances
    truth: np.ndarray


@dataclass(frozen=True, slots=True)
class Query:
    """A question, and what it means."""

    kind: Kind
    text: str
    wanted: tuple[Phrase, ...]
    unwanted: tuple[Phrase, ...] = ()

    def answers(self, scene: Scene) -> np.ndarray:
        """Return (T,): which objects are asked for."""
        return np.array(
            [
                any(phrase.holds(thing) for phrase in self.wanted)
                and not any(phrase.holds(thing) for phrase in self.unwanted)
                for thing in scene.things
            ]
        )


def scene(seed: int, *, crowd: tuple[int, int] = (8, 17)) -> Scene:
    """Draw a scene of so many objects; the same seed gives the same one."""
    rng = np.random.default_rng((SCENES, seed))
    shape = tuple(int(side) for side in rng.integers(384, 513, 2))
    tone = str(rng.choice(list(TONES)))
    image = ground(shape, tone, str(rng.choice(GROUNDS)), rng)
    image *= 1 + gaussian_filter(rng.normal(0, 6, shape), 60)[..., None]  # uneven light
    things: list[Thing] = []
    masks: list[tuple[np.ndarray, int]] = []  # what is visible, and its area before it was hidden
    for _ in range(int(rng.integers(*crowd))):
        across = 10 * 20 ** rng.beta(1.6, 1.2)  # 10 to 200 pixels
        thing = _like_others(things, across, tone, rng)
        painted = _painted(image, thing, across / 2, masks, rng)
        if painted is None:
            continue
        image, mask = painted
        things.append(thing)
        masks = [(below & ~mask, area) for below, area in masks]
        masks.append((mask, int(mask.sum())))
    image = gaussian_filter(image, (0.6, 0.6, 0)) + rng.normal(0, rng.uniform(1, 6), image.shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    objects = Instances.from_masks(shape, [mask for mask, _ in masks])
    candidates = _found(objects, [mask for mask, _ in masks], rng)
    overlap = objects.overlaps(candidates)  # (N, T)
    iou = overlap / (candidates.areas[:, None] + objects.areas - overlap)
    truth = np.where(iou.max(1) >= MATCH_IOU, iou.argmax(1), -1)
    return Scene(image, objects, tuple(things), candidates, truth)


def queries(made: Scene, seed: int) -> list[Query]:
    """Draw questions about a scene, of each kind that it allows."""
    rng = np.random.default_rng((SCENES, seed, 1))
    kinds = [(thing.colour, thing.shape) for thing in made.things]
    once = sorted({kind for kind in kinds if kinds.count(kind) == 1})
    more = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    absent = sorted({(c, s) for c in COLOURS for s in SHAPES} - set(kinds))
    asked = [Query("one", f"{c} {s}", (Phrase(c, None, s),)) for c, s in _some(once, 2, rng)]
    for c, s in _some(more, 2, rng):
        plural = f"{c} {s}{'es' if s.endswith('s') else 's'}"
        asked.append(Query("several", plural, (Phrase(c, None, s),)))
    textured = sorted({(t.texture, t.shape) for t in made.things if t.texture != "plain"})
    for texture, s in _some(textured, 1, rng):
        fits = (Phrase(None, texture, s),)
        asked.append(Query("texture", f"{texture} {s}", fits))
    shapes = sorted({s for _, s in kinds})
    c, s = _some(kinds, 1, rng)[0]
    asked.append(Query("part", s, (Phrase(shape=s),)))
    asked.append(Query("part", f"something {c}", (Phrase(c),)))
    mixed = [s for s in shapes if len({k[0] for k in kinds if k[1] == s}) > 1]
    for s in _some(mixed, 1, rng):
        c = _some(sorted({k[0] for k in kinds if k[1] == s}), 1, rng)[0]
        asked.append(Query("negative", f"{s}, not {c} {s}", (Phrase(shape=s),), (Phrase(c),)))
    if len(set(kinds)) > 1:
        two = _some(sorted(set(kinds)), 2, rng)
        text = " | ".join(f"{c} {s}" for c, s in two)
        asked.append(Query("phrases", text, tuple(Phrase(c, None, s) for c, s in two)))
    for c, s in _some(absent, 2, rng):
        asked.append(Query("none", f"{c} {s}", (Phrase(c, None, s),)))
    return asked


def _some(of: list, count: int, rng: np.random.Generator) -> list:
    """Draw at most so many different ones."""
    return [of[n] for n in rng.permutation(len(of))[:count]]


def _like_others(things: list[Thing], across: float, tone: str, rng: np.random.Generator) -> Thing:
    """Draw a thing that often has colour, shape or both from one that is there already."""
    while True:
        thing = Thing.draw(rng, plain=1.0 if across < LEAST_TEXTURED else 0.4)
        if things and rng.random() < 0.6:
            other = things[rng.integers(len(things))]
            shared = _some([{"colour": other.colour}, {"shape": other.shape}], 2, rng)
            for change in shared[: rng.integers(1, 3)]:
                thing = replace(thing, **change)
        if stands_out(thing.colour, tone):
            return thing


def _painted(
    image: np.ndarray,
    thing: Thing,
    radius: float,
    masks: list[tuple[np.ndarray, int]],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Paint a thing somewhere, the border included, where it hides no other's larger half.

    Returns the new image and its (H, W) mask; ``None`` if no such place was found.
    """
    shape = image.shape[:2]
    angle = rng.uniform(-0.35, 0.35)
    for _ in range(20):
        centre = rng.uniform(0.25 * radius, shape - np.float64(0.25 * radius))
        low = np.maximum(centre - radius - 2, 0).astype(int)
        high = np.minimum(centre + radius + 3, shape).astype(int)
        rows, cols = slice(low[0], high[0]), slice(low[1], high[1])
        fine = (2 * (high[0] - low[0]), 2 * (high[1] - low[1]))
        u, v = frame(fine, tuple(2 * (centre - low) + 0.5), 2 * radius, angle)
        where = inside(thing.shape, u, v)
        cover = where.reshape(fine[0] // 2, 2, fine[1] // 2, 2).mean((1, 3))
        mask = np.zeros(shape, bool)
        mask[rows, cols] = cover >= 0.5
        if all((below & ~mask).sum() > LEAST_VISIBLE * area for below, area in masks):
            colours = tinted(thing, u[::2, ::2], v[::2, ::2], rng)
            painted = image.copy()
            painted[rows, cols] += cover[..., None] * (colours - painted[rows, cols])
            return painted, mask
    return None


def _found(objects: Instances, masks: list[np.ndarray], rng: np.random.Generator) -> Instances:
    """Return candidates: the objects, about as they are, and what else a network would find."""
    shape = objects.shape
    taken = np.any(masks, 0)
    found: list[np.ndarray] = []
    for mask, area in zip(masks, objects.areas, strict=True):
        found.append(_misjudged(mask, area, rng))
        if rng.random() < 0.3:  # the same again
            found.append(_misjudged(mask, area, rng))
        if rng.random() < 0.35 and area > 300:
            found.append(_part(mask, rng))
    for n, mask in enumerate(masks):
        near = binary_dilation(mask, iterations=3)
        found += [
            mask | other for other in masks[:n] if (near & other).any() and rng.random() < 0.6
        ]
    found.append(~taken)
    for _ in range(5):
        size = rng.uniform(10, 60)
        patch = np.zeros(shape, bool)
        patch[disk(rng.uniform(0, 1, 2) * shape, size, shape=shape)] = True
        found.append(patch & ~taken)
    for _ in range(3):
        corners = rng.uniform(0, 1, 2) * shape + rng.uniform(-120, 120, (4, 2))
        patch = np.zeros(shape, bool)
        patch[polygon(*corners.T, shape=shape)] = True
        found.append(patch)
    found = [mask for mask in found if mask.sum() >= 25]
    return Instances.from_masks(shape, found, scores=rng.uniform(0.4, 0.98, len(found)))


def _misjudged(mask: np.ndarray, area: int, rng: np.random.Generator) -> np.ndarray:
    """Return a mask grown or shrunk by up to a fiftieth of its size, and at most 3 pixels."""
    pixels = int(min(rng.integers(0, 4), max(area**0.5 / 25, 0)))
    if not pixels:
        return mask
    grown = binary_dilation if rng.random() < 0.5 else binary_erosion
    changed = grown(mask, iterations=pixels)
    return changed if changed.sum() > 0.75 * area else mask


def _part(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a quarter to less than half of a mask, cut off by a line."""
    rows, cols = np.nonzero(mask)
    turn = rng.uniform(0, 2 * np.pi)
    along = rows * np.sin(turn) + cols * np.cos(turn)
    part = np.zeros_like(mask)
    kept = along < np.quantile(along, rng.uniform(0.25, 0.45))
    part[rows[kept], cols[kept]] = True
    return part
