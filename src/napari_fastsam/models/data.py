"""Which images and label images a network learns from, and how they are divided and balanced.

A pair is an image and its label image, at the same relative path but for the ending. The top-level
folder that a pair lies in is its *domain*: domains are drawn in proportion to the square root of
their size, so that many pictures of one kind do not drown the few of another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

from napari_fastsam._checks import fail_if, message
from napari_fastsam.planes import to_rgb

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy")
_PHOTOGRAPHS = 1 / 3
_LEAST_AREA = 4  # pixels; less is a slip of the annotator's pen


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
        If two files of one folder differ in their ending only.
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
    return [Pair(name, found[name], truths[name]) for name in sorted(found)]


def divide(pairs: Sequence[Pair], validation: float) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to learn from and those to validate on.

    A pair's side depends on its file name alone, by hash: it stays when other images come or go or
    folders are renamed. Every domain of four or more pairs keeps at least one for validation.
    """
    held = {pair.name for pair in pairs if _fraction(pair) < validation}
    for domain in {pair.domain for pair in pairs}:
        inside = [pair for pair in pairs if pair.domain == domain]
        if validation > 0 and len(inside) >= 4 and not held & {pair.name for pair in inside}:
            held.add(min(inside, key=_fraction).name)
    learn = [pair for pair in pairs if pair.name not in held]
    return learn, [pair for pair in pairs if pair.name in held]


def read_pair(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return what the network sees, (H, W, 3), and the objects, (H, W), numbered from 1.

    Raises
    ------
    ValueError
        If a file cannot be read as one plane, the two differ in size, or the label image has no
        whole numbers or more objects than fit.
    """
    image, labels = _read(pair.image), _read(pair.labels)
    fail_if(
        labels.ndim != 2 or labels.dtype.kind not in "biu",
        f"a label image of shape (H, W) and whole numbers in {pair.labels}",
        f"shape {labels.shape}, dtype {labels.dtype}",
        "save one number per object, 0 for background",
    )
    image = to_rgb(image)
    fail_if(
        image.shape[:2] != labels.shape,
        f"an image and a label image of one size for {pair.name!r}",
        f"{image.shape[:2]} and {labels.shape}",
        "check that they belong together",
    )
    numbers, inverse, areas = np.unique(labels, return_inverse=True, return_counts=True)
    objects = (numbers != 0) & (areas >= _LEAST_AREA)
    fail_if(
        objects.sum() > np.iinfo(np.uint16).max,
        f"at most 65,535 objects in {pair.labels}",
        f"{objects.sum():,}",
        "cut the image into tiles",
    )
    renumbered = np.where(objects, np.cumsum(objects), 0).astype(np.uint16)
    return image, renumbered[inverse].reshape(labels.shape)


def object_boxes(labels: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return (N, 4) half-open row, column boxes of the objects 1 to N; zeros for one not there."""
    slices = ndimage.find_objects(labels)
    return np.array(
        [(s[0].start, s[1].start, s[0].stop, s[1].stop) if s else (0,) * 4 for s in slices],
        np.int64,
    ).reshape(-1, 4)


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


def _fraction(pair: Pair) -> float:
    """Return a number in [0, 1) that depends on the file name alone, evenly spread."""
    digest = hashlib.sha256(Path(pair.name).name.encode()).digest()
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


def _read(path: Path) -> NDArray[Any]:
    """Return the array in an image file."""
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return np.asarray(tifffile.imread(path))
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        with Image.open(path) as image:
            if image.mode == "P":  # colours by number: the numbers are what a label image means
                return np.asarray(image)
            return np.asarray(image.convert("RGB") if image.mode in ("CMYK", "YCbCr") else image)
    except (OSError, ValueError) as error:
        expected = f"an image file that can be read at {path}"
        raise ValueError(message(expected, str(error), "save it again as PNG or TIFF")) from error
