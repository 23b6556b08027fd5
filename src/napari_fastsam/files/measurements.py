"""What is measured of each object: a row of figures, and a CSV of them.

Figures are those of scikit-image's `regionprops_table`. Planes are read one at a time: an object
that goes through planes is summed up as they come.
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._files import whole
from napari_fastsam.files.chunks import label_plane
from napari_fastsam.files.columns import Ruler, intensity_columns, plane_columns
from napari_fastsam.files.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.files.readers import Image

Row = dict[str, Any]
"""The figures of an object by the name of their column."""

_SHAPE = ("eccentricity", "solidity")
_INTENSITY = ("intensity_mean", "intensity_min", "intensity_max")


def measure(
    image: Image,
    labels: Any,
    *,
    name: str,
    linked: bool = False,
    scores: Callable[[tuple[int, ...]], Mapping[int, float]] | None = None,
    indices: Iterable[tuple[int, ...]] | None = None,
) -> Iterator[Row]:
    """Yield the figures of each object of an image.

    Parameters
    ----------
    image
        Its intensities are measured, channel by channel, and its calibration gives the units.
    labels
        Indexed like an array (NumPy, zarr), integers, the shape of the image without channels.
    name
        What the image is called in the table.
    linked
        Whether a label is the same object through the planes. Through z that is one row, with its
        volume; through time, where an object changes, one row for each frame all the same.
    scores
        For the position of a plane, the score of each label on it, in [0, 1].
    indices
        The planes that have labels, in order; ``None`` for all. The pixels of a plane without any
        are not read.

    Yields
    ------
    Row
        By plane, then by label; with ``linked`` each series of planes after its last one.

    Notes
    -----
    Areas count pixels; the centroid is that of the pixels' centres. Eccentricity and solidity are
    those of the shape in its unit. Axes without a unit of length have no columns with units.
    """
    axes = image.axes
    letters = "".join(axes.axes[n] for n in axes.steps)
    along = axes.along
    planes = axes.indices() if indices is None else indices
    if not linked or along is None or letters[along] == "T":
        for index in planes:
            known = scores(index) if scores else None
            yield from measure_plane(image, label_plane(axes, labels, index), index, name, known)
        return
    series: tuple[int, ...] | None = None
    volumes = Volumes(image, name, letters, along)
    for index in planes:
        if series is not None and series != index[:along]:
            yield from volumes.rows(series)
            volumes = Volumes(image, name, letters, along)
        series = index[:along]
        plane = label_plane(axes, labels, index)
        if plane.any():
            known = scores(index) if scores else {}
            volumes.add(index, plane, axes.read(image.data, index), known)
    if series is not None:
        yield from volumes.rows(series)


def measure_plane(
    image: Image,
    labels: NDArray[Any],
    index: tuple[int, ...],
    name: str,
    scores: Mapping[int, float] | None = None,
) -> list[Row]:
    """Return the figures of the objects of one plane.

    Parameters
    ----------
    image, name
        As in `measure`.
    labels
        (H, W) integers.
    index
        The plane's position on the stepped axes.
    scores
        In [0, 1], by label.
    """
    from skimage.measure import regionprops_table

    values, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape) + (values[:1] != 0).astype(int)
    values = values[values != 0]
    if not len(values):
        return []
    ruler = Ruler.of(image.calibration, "YX")
    letters = "".join(image.axes.axes[n] for n in image.axes.steps)
    table = regionprops_table(
        numbers,
        image.axes.read(image.data, index).reshape(*labels.shape, -1).astype(float),
        properties=("num_pixels", "centroid", "bbox", *_SHAPE, *_INTENSITY),
        spacing=ruler.steps,
    )
    channels = intensity_columns(image)
    where = plane_columns(image, letters, index)
    rows = []
    for n, label in enumerate(values):
        found = {key: column[n].item() for key, column in table.items()}
        center = [found[f"centroid-{k}"] / ruler.steps[k] for k in range(2)]
        row: Row = {"image": name, "label": int(label), **where}
        row |= {"score": scores.get(int(label))} if scores is not None else {}
        row |= ruler.sizes(found["num_pixels"])
        row |= ruler.positions("centroid", center)
        low, high = ([found[f"bbox-{k}"] for k in half] for half in ((0, 1), (2, 3)))
        row |= ruler.boxes(low, high)
        row |= {key: found[key] for key in _SHAPE}
        for k, channel in enumerate(channels):
            row |= {f"{key}{channel}": found[f"{key}-{k}"] for key in _INTENSITY}
        rows.append(row)
    return rows


def write_measurements(path: Path, rows: Iterable[Row], *, overwrite: bool = False) -> None:
    """Write a CSV with a line for each row, which appears whole or not at all.

    Parameters
    ----------
    path
        Where to.
    rows
        As they come: they need not fit into memory, nor have the same columns. A figure that is
        missing, or no number, is left empty.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    FileExistsError
        If the file exists, unless `overwrite`.
    OSError
        If the disk is full, or cannot be written to.
    """
    columns = ["image", "label"]
    with (
        whole(path, overwrite=overwrite) as partial,
        tempfile.TemporaryFile("w+", dir=partial.parent, encoding="utf-8") as kept,
    ):
        for row in rows:
            _take_in(columns, row)
            kept.write(json.dumps(row) + "\n")
        kept.seek(0)
        with partial.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns, restval="")
            table.writeheader()
            for line in kept:
                table.writerow({key: _text(value) for key, value in json.loads(line).items()})


def _take_in(columns: list[str], row: Row) -> None:
    """Add the columns that are new, each after the one that it follows in the row."""
    if len(row) <= len(columns) and all(key in columns for key in row):
        return
    at = 0
    for key in row:
        if key in columns:
            at = columns.index(key) + 1
        else:
            columns.insert(at, key)
            at += 1


def _text(value: object) -> str:
    """Return a figure as text: as many digits as it can mean, nothing for no number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)
