"""Which file the labels of an image go to, and how a file appears: whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fastsam._checks import fail_if, message
from napari_fastsam.files.readers import PICTURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_fastsam.files.inputs import Input

ENDINGS = (".tif", ".tiff", ".npy", ".zarr")
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
        A file by its ending: ``.tif``, ``.npy``, ``.zarr``, or ``.json`` for COCO annotations of
        all images together. Anything else is a folder of TIFF files.
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
    is_folder = path.is_dir() and ending != ".zarr"
    if ending == COCO and not is_folder:
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


@contextmanager
def whole(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a new name beside `path` to write a file or folder to, which becomes `path` at the end.

    Readers see what was there before or all of the new, never a part, and nothing is left of a
    failure.

    Raises
    ------
    FileExistsError
        If `path` exists, unless `overwrite`.
    """
    refuse_existing([path], overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    partial, old = (path.with_name(f".{path.name}-{mark}.{kind}") for kind in ("part", "old"))
    try:
        yield partial
        refuse_existing([path], overwrite)
        if path.is_dir():  # a folder, unlike a file, cannot be renamed over
            path.rename(old)
        try:
            partial.replace(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    finally:
        for leftover in (partial, old):
            _remove(leftover)


def refuse_existing(paths: list[Path], overwrite: bool) -> None:
    """Raise FileExistsError if one of the paths exists, unless `overwrite`."""
    existing = [] if overwrite else [path for path in paths if path.exists() or path.is_symlink()]
    more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
    fail_if(
        existing,
        "an output that does not exist yet",
        f"{existing[0] if existing else ''}{more}",
        "choose another OUTPUT, or replace it with --overwrite",
        FileExistsError,
    )


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
        part = target.exists() and not sources.isdisjoint(target.parents)
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


def _remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
