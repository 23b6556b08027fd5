"""What is measured of each object: a row of figures, and a CSV of them.

Figures are those of scikit-image's `regionprops_table`. Planes are read one at a time, large ones
in parts: an object that goes through planes is summed up as they come.
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._files import whole
from napari_fastsam.files.columns import Ruler, intensity_columns, plane_columns
from napari_fastsam.files.neighbours import neighbours
from napari_fastsam.files.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.files.readers import Image
    from napari_fastsam.told import Found

Row = dict[str, Any]
"""The figures of an object by the name of their column."""

_INTENSITY: dict[str, Callable[[NDArray[np.float64]], np.float64]] = {
    "intensity_mean": np.mean,
    "intensity_min": np.min,
    "intensity_max": np.max,
}


def measure(
    image: Image,
    labels: Any,
    *,
    name: str,
    linked: bool = False,
    scores: Callable[[tuple[int, ...]], Mapping[int, float]] | None = None,
    found: Callable[[tuple[int, ...]], Mapping[int, Found]] | None = None,
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
    found
        The same of what a search says of each label; ``None`` if nothing was searched for.
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
            told = found(index) if found else {}
            yield from _measure_plane(image, labels, index, name, known, told)
        return
    series: tuple[int, ...] | None = None
    volumes = Volumes(image, name, letters, along)
    for index in planes:
        if series is not None and series != index[:along]:
            yield from volumes.rows(series)
            volumes = Volumes(image, name, letters, along)
        series = index[:along]
        volumes.add(index, labels, scores, found)
    if series is not None:
        yield from volumes.rows(series)


def _measure_plane(
    image: Image,
    labels: Any,
    index: tuple[int, ...],
    name: str,
    scores: Mapping[int, float] | None,
    found: Mapping[int, Found],
) -> list[Row]:
    """Return the figures of the objects of one plane, by label."""
    axes = image.axes
    ruler = Ruler.of(image.calibration, "YX")
    where = plane_columns(image, "".join(axes.axes[n] for n in axes.steps), index)
    channels = intensity_columns(image)
    rows = []
    for group in neighbours(axes, labels, index):
        pixels = axes.read(image.data, index, group.window)
        for label, (down, across) in group.boxes.items():
            mask = group.mask(label)
            row: Row = {"image": name, "label": label, **where}
            row |= {"score": scores.get(label)} if scores is not None else {}
            row |= found[label].columns if label in found else {}
            corner = group.corner[0] + down.start, group.corner[1] + across.start
            row |= _shape(mask, corner, ruler)
            inside = pixels[down, across][mask].reshape(len(mask[mask]), -1).astype(float)
            for channel, values in zip(channels, inside.T, strict=True):
                row |= {f"{key}{channel}": float(of(values)) for key, of in _INTENSITY.items()}
            rows.append(row)
    return sorted(rows, key=lambda row: int(row["label"]))


def _shape(mask: NDArray[np.bool_], corner: tuple[int, int], ruler: Ruler) -> Row:
    """Return the columns of an object's shape: of its mask, whose first pixel is at `corner`."""
    from skimage.measure import regionprops

    (region,) = regionprops(mask.view(np.uint8), spacing=ruler.steps)
    inside = zip(region.centroid, ruler.steps, corner, strict=True)
    end = [start + size for start, size in zip(corner, mask.shape, strict=True)]
    return {
        **ruler.sizes(int(region.num_pixels)),
        **ruler.positions("centroid", [float(at / step + start) for at, step, start in inside]),
        **ruler.boxes(corner, end),
        "eccentricity": float(region.eccentricity),
        "solidity": float(region.solidity),
    }


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
