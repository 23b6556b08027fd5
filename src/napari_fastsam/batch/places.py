"""What lies beside an output: its tables, the manifest of its run, and the work on it.

Labels inside an OME-Zarr have nothing beside them: theirs lie beside the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fastsam.files.endings import ending_of
from napari_fastsam.files.zarrs import image_of_labels

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "run.jsonl"
"""The manifest's name in a folder of outputs; beside a single one it follows the output's name."""


def manifest_path(output: Path, *, folder: bool) -> Path:
    """Return where the manifest of a run lies that writes to a file, or into a folder."""
    return output / MANIFEST if folder else _beside(output, f"{_name(output)}.{MANIFEST}")


def work_folder(output: Path) -> Path:
    """Return where the labels of planes lie until all are there."""
    return _beside(output, f".{_name(output)}.work")


def table_path(output: Path) -> Path:
    """Return where it lies what is measured of the objects."""
    return _beside(output, f"{_stem(output)}.csv")


def lineage_path(output: Path) -> Path:
    """Return where it lies what became of linked objects."""
    return _beside(output, f"{_stem(output)}.lineage.csv")


def _beside(output: Path, name: str) -> Path:
    image = image_of_labels(output)
    return (image or output).with_name(name)


def _name(output: Path) -> str:
    """Return the name that tells an output from others in the folder."""
    image = image_of_labels(output)
    return f"{image.name}.{output.name}" if image else output.name


def _stem(output: Path) -> str:
    """Return that name without the ending of a file."""
    image = image_of_labels(output)
    if image:
        return f"{image.name[: -len(ending_of(image))]}.{output.name}"
    ending = ending_of(output)
    return output.name[: -len(ending)] if ending else output.name
