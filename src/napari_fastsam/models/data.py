"""Which images and label images a network learns from, and how they are divided and balanced.

A pair is an image and its label image, at the same relative path but for the ending. The top-level
folder that a pair lies in is its *domain*: domains are drawn in proportion to the square root of
their size, so that many pictures of one kind do not drown the few of another.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_fastsam._checks import fail_if
from napari_fastsam.models.reading import LEAST_AREA, read_labels

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy")
_PHOTOGRAPHS = 1 / 3
_LOSSY = (".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its label image on disk.

    Parameters
    ----------
    name
        Path relative to both folders, without ending, with forward slashes.
    image, labels
        The files.
    """

    name: str
    image: Path
    labels: Path

    @property
    def domain(self) -> str:
        """The top-level folder, or ``"images"`` for a pair that lies in none."""
        return self.name.split("/")[0] if "/" in self.name else "images"


def find_pairs(images: str | os.PathLike[str], labels: str | os.PathLike[str]) -> list[Pair]:
    """Match images and label images by relative path, ending aside.

    Raises
    ------
    FileNotFoundError
        If a folder is missing or holds no image, or an image has no label image.
    ValueError
        If two files of one folder differ in their ending only, or label images are JPEG.
    """
    found, truths = _files(Path(images)), _files(Path(labels))
    missing = sorted(found.keys() - truths.keys())
    fail_if(
        missing,
        f"a label image in {labels} for every image in {images}, at the same relative path",
        f"{len(missing)} of {len(found)} images without one (the first: {missing[:1]})",
        "add the label images, or move these images elsewhere",
        FileNotFoundError,
    )
    pairs = [Pair(name, found[name], truths[name]) for name in sorted(found)]
    lossy = [str(pair.labels) for pair in pairs if pair.labels.suffix.lower() in _LOSSY]
    fail_if(
        lossy,
        "label images in a format that keeps every number",
        f"{len(lossy)} JPEG files (the first: {lossy[:1]}), which blurs the edges of objects",
        "save the label images as PNG or TIFF where they were made",
    )
    return pairs


def divide(pairs: Sequence[Pair], validation: float) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to learn from and those to validate on.

    A pair's side depends on its file name alone, by hash: it stays when other images come or go or
    folders are renamed. Pairs that share a file name go by their whole path. Every domain of four
    or more pairs keeps at least one for validation, and every domain at least one to learn from.
    """
    names = Counter(_file_name(pair) for pair in pairs)
    fractions = {
        pair.name: _fraction(pair.name if names[_file_name(pair)] > 1 else _file_name(pair))
        for pair in pairs
    }
    held = {name for name, fraction in fractions.items() if fraction < validation}
    for domain in {pair.domain for pair in pairs}:
        inside = sorted(
            (pair.name for pair in pairs if pair.domain == domain), key=fractions.__getitem__
        )
        if validation > 0 and len(inside) >= 4:
            held.add(inside[0])
        held.discard(inside[-1])
    learn = [pair for pair in pairs if pair.name not in held]
    return learn, [pair for pair in pairs if pair.name in held]


def require_numbered(pairs: Sequence[Pair]) -> None:
    """Refuse label images that are masks: one number for all objects would make them one object.

    Raises
    ------
    ValueError
        If no label image tells objects apart, but the foreground of one is in several pieces.
    """
    split: list[tuple[Pair, int]] = []
    for pair in pairs:
        labels = read_labels(pair.labels)
        if labels.max(initial=0) > 1:
            return
        areas = np.bincount(ndimage.label(labels)[0].ravel())[1:]
        pieces = int(np.count_nonzero(areas >= LEAST_AREA))
        if pieces > 1:
            split.append((pair, pieces))
    fail_if(
        split,
        "label images with a number for each object",
        f"masks: none has more than one number, but {len(split)} show several pieces "
        f"(the first: {split[0][0].labels}, {split[0][1]:,} pieces)"
        if split
        else "",
        "number the objects, e.g. with skimage.measure.label, and save these as PNG or TIFF",
    )


def shares(domains: Iterable[str], photographs: Collection[str] = ()) -> NDArray[np.float64]:
    """Return the chance of each pair to be drawn, from the domain of each.

    Domains share in proportion to the square root of their sizes; those of `photographs` have a
    third of the whole, if there are others.
    """
    names = np.array(list(domains))
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    chances = 1 / np.sqrt(counts[inverse])
    upright = np.isin(names, list(photographs))
    if upright.any() and not upright.all():
        chances[upright] *= _PHOTOGRAPHS / chances[upright].sum()
        chances[~upright] *= (1 - _PHOTOGRAPHS) / chances[~upright].sum()
    return np.asarray(chances / chances.sum())


def _file_name(pair: Pair) -> str:
    """Return the file's name, without folders and ending."""
    return pair.name.rpartition("/")[2]


def _fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on a text alone, evenly spread."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _files(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder and of those inside, by relative path without ending."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        fail_if(
            name in found,
            f"one file for each name in {folder}",
            f"{path.name} and {found.get(name, path).name}",
            "keep one of them",
        )
        found[name] = path
    fail_if(
        not found,
        f"a folder with images ({', '.join(ENDINGS)})",
        f"{folder}, " + ("which holds none" if folder.is_dir() else "which is no folder"),
        "check the path",
        FileNotFoundError,
    )
    return found
