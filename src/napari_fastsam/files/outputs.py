"""Which file the labels of an image go to."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fastsam._checks import fail_if, message
from napari_fastsam._files import clear_leftovers, refuse_existing, whole
from napari_fastsam.files.endings import OME_TIFF, OME_ZARR
from napari_fastsam.files.readers import PICTURES
from napari_fastsam.files.zarrs import image_of_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fastsam.files.inputs import Input

__all__ = [
    "COCO",
    "ENDINGS",
    "clear_leftovers",
    "plan_outputs",
    "refuse_existing",
    "require_writable",
    "whole",
]

ENDINGS = (".tif", ".tiff", ".npy", ".zarr", *OME_TIFF, OME_ZARR)
"""The endings of label images that can be written."""

COCO = ".json"
"""The ending of COCO annotations."""


def plan_outputs(
    inputs: Sequence[Input], output: str, *, several: bool, overwrite: bool = False
) -> list[Path]:
    """Return where the labels of each image go, having checked that they can.

    Parameters
    ----------
    inputs
        The images.
    output
        A file by its ending: ``.tif``, ``.ome.tif``, ``.npy``, ``.zarr``, ``.ome.zarr``, or
        ``.json`` for COCO annotations of all images together; or ``IMAGE/labels/NAME`` inside the
        OME-Zarr that is the image. Anything else is a folder of TIFF files.
    several
        Whether a folder, a glob or more than one image was asked for: they go into a folder.
    overwrite
        Whether existing files may be replaced. An image that is read never is.

    Raises
    ------
    ValueError
        If the ending is no format of labels, two images would share an output, or an output is an
        image, holds one, or is a part of one.
    OSError
        If an output exists, or its folder cannot be written to.
    """
    path = Path(output)
    ending = path.suffix.lower()
    formats = (*ENDINGS, COCO)
    inside = image_of_labels(path)
    is_folder = path.is_dir() and ending != ".zarr" and not inside
    if inside:
        fail_if(
            several,
            f"one image for labels in {inside}",
            "a folder, a glob or several images",
            "segment the images one by one, or choose a folder as OUTPUT",
        )
        outputs = [path]
    elif ending == COCO and not is_folder:
        outputs = [path] * len(inputs)
    elif is_folder or not ending or (several and ending not in (*formats, *PICTURES)):
        outputs = [path / f"{item.name}.tif" for item in inputs]
        _require_different(inputs, outputs)
    else:
        fail_if(
            several or ending not in formats,
            "a folder as OUTPUT for several images, or .json for COCO annotations of all of them"
            if several
            else f"an OUTPUT that ends in {', '.join(formats)}, or a folder",
            output,
            "leave out the ending" if several else "labels are exact in .tif; use that ending",
        )
        outputs = [path]
    _require_apart(inputs, outputs)
    refuse_existing(list(dict.fromkeys(outputs)), overwrite)
    for folder in {target.parent for target in outputs}:
        require_writable(folder)
    return outputs


def require_writable(folder: Path) -> None:
    """Raise OSError if no file could be made in a folder, which need not exist yet.

    Asked before the work, so that it is not in vain.
    """
    absolute = folder.absolute()
    there = next(place for place in (absolute, *absolute.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        said = message("a folder to write to", f"{folder}, {error.strerror}", "choose another")
        raise type(error)(said) from error


def _require_apart(inputs: Sequence[Input], outputs: Sequence[Path]) -> None:
    """Raise ValueError if an output would replace an image: one may be a folder in another."""
    sources = {item.path.resolve() for item in inputs}
    above = {folder for source in sources for folder in (source, *source.parents)}
    for output in dict.fromkeys(outputs):
        target = output.resolve()
        inside = target.exists() and not sources.isdisjoint(target.parents)
        part = inside and not image_of_labels(output)  # labels touch nothing else of their image
        fail_if(
            target in above or part,
            "outputs beside the images",
            f"{output}, which is {'part of' if part else 'or holds'} an input",
            "choose another OUTPUT",
        )


def _require_different(inputs: Sequence[Input], outputs: Sequence[Path]) -> None:
    """Raise ValueError if two images would be written to one file."""
    owner: dict[Path, Input] = {}
    for item, output in zip(inputs, outputs, strict=True):
        other = owner.setdefault(output, item)
        fail_if(
            other is not item,
            "images whose names differ in more than their endings",
            f"{other.path} and {item.path}, both for {output}",
            "segment them into different folders",
        )
