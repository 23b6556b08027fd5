"""A time-lapse of nuclei with known identities, made of real crops.

Each nucleus is cut out of a fluorescence image of DSB2018 by its true mask, and moves: all drift,
each goes its own way and jitters and turns, they push each other apart, divide, are missing on
single planes, enter and leave. The same seed gives the same film.
"""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.ndimage import affine_transform, find_objects
from skimage.io import imread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

MARGIN = 48  # pixels around the film where nuclei wait to enter
GROWN = 10  # planes that a daughter takes to its full size
DRIFT = 1.2  # pixels per plane that all nuclei move together
WANDER = 0.5  # pixels per plane by which each changes its own way
JITTER = 0.8  # pixels, every plane anew
DIVIDES = 0.006  # chance per nucleus and plane
MISSING = 0.01  # chance per nucleus and plane


class Film(NamedTuple):
    """The film (T, H, W) uint8, true labels (T, H, W) uint32, and each daughter's mother."""

    images: NDArray[np.uint8]
    truth: NDArray[np.uint32]
    mothers: dict[int, int]

    @property
    def dividing(self) -> set[int]:
        """Labels of mothers and daughters."""
        return {*self.mothers, *self.mothers.values()}


class Crop(NamedTuple):
    """A square cut-out of one nucleus, from 0 to about 1, its mask, and its radius in pixels."""

    texture: NDArray[np.float64]
    mask: NDArray[np.bool_]
    radius: float


@dataclass(slots=True)
class Nucleus:
    """One nucleus on its way."""

    label: int
    crop: Crop
    position: NDArray[np.float64]
    angle: float
    age: int = GROWN
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    @property
    def scale(self) -> float:
        """Its size, 1 when it is grown."""
        return 0.72 + 0.28 * min(self.age / GROWN, 1)

    @property
    def radius(self) -> float:
        """In pixels, of the disk of its area."""
        return self.crop.radius * self.scale


def fluorescence(data: Path) -> list[tuple[Path, Path]]:
    """Return the images of 256² with fluorescent nuclei, and their label images."""
    nuclei = data / "dsb2018"
    with (nuclei / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["modality"] == "fluorescence"]
    names = sorted(f"{r['id']}.png" for r in rows if (r["height"], r["width"]) == ("256", "256"))
    return [(nuclei / "images" / name, nuclei / "masks" / name) for name in names]


def unseen(data: Path) -> list[tuple[Path, Path]]:
    """Return those images that the starter was not trained on, with their label images."""
    from accuracy import HELD_BACK
    from napari_fastsam.models.data import divide, find_pairs
    from starter_data import lay_out

    with tempfile.TemporaryDirectory() as folder:
        _, held = divide(find_pairs(*lay_out(Path(folder), data)), HELD_BACK)
        names = {pair.image.name for pair in held}
    return [pair for pair in fluorescence(data) if pair[0].name in names]


def moving_nuclei(
    pairs: Iterable[tuple[Path, Path]],
    *,
    planes: int = 24,
    side: int = 256,
    speed: float = 1.0,
    seed: int = 0,
) -> Film:
    """Return a film of nuclei cut out of images and their label images."""
    rng = np.random.default_rng(seed)
    crops = _crops(pairs)
    nuclei: list[Nucleus] = []
    count = 0
    low, high = -MARGIN, side + MARGIN
    for _ in range(2000):
        new = Nucleus(0, crops[rng.integers(len(crops))], rng.uniform(low, high, 2), 0.0)
        if _is_free(new, nuclei):
            count += 1
            new.label, new.angle = count, rng.uniform(0, 2 * np.pi)
            nuclei.append(new)
    heading = rng.uniform(0, 2 * np.pi)
    drift = DRIFT * np.array([np.sin(heading), np.cos(heading)])
    images, truth, mothers = [], [], {}
    for _ in range(planes):
        image, labels = rng.normal(0.06, 0.012, (side, side)), np.zeros((side, side), np.uint32)
        for nucleus in nuclei:
            if rng.random() >= MISSING:
                _draw(nucleus, image, labels)
        images.append((np.clip(image, 0, 1) * 255).astype(np.uint8))
        truth.append(_visible(labels))
        for mother in [n for n in nuclei if n.age >= GROWN and rng.random() < DIVIDES]:
            nuclei.remove(mother)
            for daughter in _daughters(mother, count, rng):
                mothers[daughter.label] = mother.label
                nuclei.append(daughter)
            count += 2
        for nucleus in nuclei:
            nucleus.velocity = 0.8 * nucleus.velocity + rng.normal(0, WANDER, 2)
            nucleus.position += speed * (drift + nucleus.velocity + rng.normal(0, JITTER, 2))
            nucleus.angle += rng.normal(0, 0.08)
            nucleus.age += 1
        _push_apart(nuclei)
    return Film(np.stack(images), np.stack(truth), mothers)


def _crops(pairs: Iterable[tuple[Path, Path]]) -> list[Crop]:
    """Return the nuclei that touch no border."""
    crops = []
    for image_path, labels_path in pairs:
        image, labels = imread(image_path), imread(labels_path)
        grey = image[..., :3].mean(-1) if image.ndim == 3 else image.astype(float)
        background, bright = np.median(grey[labels == 0]), np.percentile(grey, 99.5)
        for label, window in enumerate(find_objects(labels.astype(np.int32)), 1):
            if window is None or any(
                s.start == 0 or s.stop == size for s, size in zip(window, labels.shape, strict=True)
            ):
                continue
            mask = labels[window] == label
            extent = mask.sum() / mask.size
            if 120 <= mask.sum() <= 700 and extent > 0.6 and max(mask.shape) <= 40:
                part = np.clip((grey[window] - background) / max(bright - background, 1), 0, 1)
                radius = float(np.sqrt(mask.sum() / np.pi))
                crops.append(Crop(_squared(np.where(mask, part, 0.0)), _squared(mask), radius))
    return crops


def _squared(part: NDArray) -> NDArray:
    """Return the array in the middle of a square with room to turn."""
    side = int(np.hypot(*part.shape)) + 3
    missing = [side - n for n in part.shape]
    return np.pad(part, [(n // 2, n - n // 2) for n in missing])


def _draw(nucleus: Nucleus, image: NDArray[np.float64], labels: NDArray[np.uint32]) -> None:
    """Add a nucleus to an image and its labels, as far as it lies inside."""
    texture, mask, _ = nucleus.crop
    side = len(mask)
    turn = np.array(
        [
            [np.cos(nucleus.angle), -np.sin(nucleus.angle)],
            [np.sin(nucleus.angle), np.cos(nucleus.angle)],
        ]
    )
    turn /= nucleus.scale
    corner = np.floor(nucleus.position).astype(int) - side // 2
    middle = nucleus.position - corner  # where the middle of the crop comes to lie
    offset = np.full(2, (side - 1) / 2) - turn @ middle
    shape = np.array([side + 1] * 2)
    low, high = np.maximum(-corner, 0), np.minimum(np.array(labels.shape) - corner, shape)
    if (high <= low).any():
        return
    seen = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    where = tuple(slice(a, b) for a, b in zip(low + corner, high + corner, strict=True))
    there = affine_transform(mask.astype(float), turn, offset, tuple(shape), order=1)[seen] > 0.5
    light = affine_transform(texture, turn, offset, tuple(shape), order=1)[seen]
    image[where] += np.where(there, light, 0)
    labels[where][there] = nucleus.label


def _visible(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the labels without nuclei of which less than 20 pixels are to be seen."""
    small = np.flatnonzero(np.bincount(labels.ravel()) < 20)
    return np.where(np.isin(labels, small), 0, labels)


def _daughters(mother: Nucleus, count: int, rng: np.random.Generator) -> list[Nucleus]:
    """Return the two that a nucleus becomes, side by side."""
    direction = rng.uniform(0, 2 * np.pi)
    apart = 0.75 * mother.radius * np.array([np.sin(direction), np.cos(direction)])
    return [
        Nucleus(
            count + 1 + n,
            mother.crop,
            mother.position + sign * apart,
            mother.angle + n,
            0,
            mother.velocity + sign * apart * 0.1,
        )
        for n, sign in enumerate((1, -1))
    ]


def _push_apart(nuclei: list[Nucleus]) -> None:
    """Move nuclei that overlap away from each other."""
    positions, radii = _places(nuclei)
    away = positions[:, None] - positions[None]
    distance = np.maximum(np.linalg.norm(away, axis=2), 1e-6)
    overlap = np.clip(np.add.outer(radii, radii) - distance, 0, None)
    np.fill_diagonal(overlap, 0)
    pushes = (away / distance[..., None] * overlap[..., None] / 2).sum(1)
    for nucleus, push in zip(nuclei, pushes, strict=True):
        nucleus.position += push


def _is_free(new: Nucleus, nuclei: list[Nucleus]) -> bool:
    """Return whether there is room for a nucleus."""
    positions, radii = _places(nuclei)
    distance = np.linalg.norm(positions - new.position, axis=1)
    return bool((distance > 1.1 * (radii + new.radius)).all())


def _places(nuclei: list[Nucleus]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, 2) centres and (N,) radii."""
    positions = np.array([nucleus.position for nucleus in nuclei]).reshape(-1, 2)
    return positions, np.array([nucleus.radius for nucleus in nuclei])
