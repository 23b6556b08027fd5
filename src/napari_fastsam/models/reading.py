"""What the pixels of an image file and of its label image mean.

Objects of a label image are numbered anew from 1, without gaps; negative numbers are background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

from napari_fastsam._checks import fail_if, message
from napari_fastsam.planes import to_rgb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.models.data import Pair

LEAST_AREA = 4  # pixels; less is a slip of the annotator's pen
_TABLE = 1 << 22  # numbers up to this are looked up; larger ones are first made small
_PART = 1 << 22  # pixels at a time: a whole slide as 64-bit numbers fills the memory
_COLOURS = ("P", "PA", "LA", "CMYK", "YCbCr", "LAB", "HSV")  # become RGB


def read_pair(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return what the network sees, (H, W, 3), and the objects, (H, W), numbered from 1.

    Raises
    ------
    ValueError
        If a file cannot be read as one plane, the two differ in size, or the label image has no
        whole numbers or more objects than fit.
    """
    labels = read_labels(pair.labels)
    image = _read(pair.image)
    try:
        image = to_rgb(_plane(image))
    except (ValueError, TypeError) as error:
        raise type(error)(f"{pair.image}: {error}") from error
    fail_if(
        image.shape[:2] != labels.shape,
        f"an image and a label image of one size for {pair.name!r}",
        f"{image.shape[:2]} and {labels.shape}",
        "check that they belong together",
    )
    return image, labels


def read_labels(path: Path) -> NDArray[np.uint16]:
    """Return the objects of a label image, (H, W), numbered from 1; none is a mere speck.

    Raises
    ------
    ValueError
        If the file cannot be read, or has no whole numbers or more objects than fit.
    """
    labels = _plane(_read(path, numbers=True))
    fail_if(
        labels.ndim != 2 or labels.dtype.kind not in "biu",
        f"a label image of shape (H, W) and whole numbers in {path}",
        f"shape {labels.shape}, dtype {labels.dtype}",
        "save one number per object, 0 for background",
    )
    flat = labels.ravel()
    if flat.max(initial=0) > _TABLE:
        found = np.unique(flat[flat > 0])
        flat = np.where(flat > 0, np.searchsorted(found, flat) + 1, 0)
    parts = [slice(start, start + _PART) for start in range(0, flat.size, _PART)]
    areas = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
    for part in parts:
        areas += np.bincount(_numbers(flat[part]), minlength=len(areas))
    objects = areas >= LEAST_AREA
    objects[0] = False
    fail_if(
        objects.sum() > np.iinfo(np.uint16).max,
        f"at most 65,535 objects in {path}",
        f"{objects.sum():,}",
        "cut the image into tiles",
    )
    table = np.where(objects, np.cumsum(objects), 0).astype(np.uint16)
    renumbered = np.empty(flat.shape, np.uint16)
    for part in parts:
        renumbered[part] = table[_numbers(flat[part])]
    return renumbered.reshape(labels.shape)


def object_boxes(labels: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return (N, 4) half-open row, column boxes of the objects 1 to N; zeros for one not there."""
    slices = ndimage.find_objects(labels)
    return np.array(
        [(s[0].start, s[1].start, s[0].stop, s[1].stop) if s else (0,) * 4 for s in slices],
        np.int64,
    ).reshape(-1, 4)


def _numbers(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return what to count or look up by; whatever is negative is background."""
    return np.maximum(labels.astype(np.int64), 0)


def _plane(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array without an axis of one channel."""
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _read(path: Path, *, numbers: bool = False) -> NDArray[Any]:
    """Return the array in an image file; of a palette the numbers, or else the colours."""
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return np.asarray(tifffile.imread(path))
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        with Image.open(path) as image:
            coloured = image.mode in _COLOURS and not (numbers and image.mode == "P")
            return np.asarray(image.convert("RGB") if coloured else image)
    except Exception as error:  # on damaged files the decoders raise whatever they trip over
        expected = f"an image file that can be read at {path}"
        complaint = f"{type(error).__name__}: {error}".rstrip(".")
        raise ValueError(message(expected, complaint, "save it again as PNG or TIFF")) from error
