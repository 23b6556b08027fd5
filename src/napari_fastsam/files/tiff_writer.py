"""How labels become a TIFF: deflated, page by page, with the names of its axes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.files.calibration import LENGTHS, TIMES, symbol
from napari_fastsam.files.chunks import Reordered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.files.calibration import Calibration

TILE = 1024
"""Pixels of a tile's side, in files whose pages are larger than `PAGE`."""

PAGE = 4096 * 4096
"""Pixels of a page that is written as a whole."""

_CLASSIC_BYTES = 2**32 - 2**25  # as tifffile's own limit: what offsets of 32 bits reach


def write_tiff(
    path: Path, labels: Any, calibration: Calibration, provenance: Mapping[str, Any]
) -> None:
    """Write labels as a deflated TIFF; one that would be larger than 4 GB as BigTIFF.

    Parameters
    ----------
    path
        Need not end in ``.tif``.
    labels
        Indexed like an array; the last two axes are a page.
    calibration
        Of `labels`; told as TIFF's resolution where Y and X have a unit of length, and in full in
        the description.
    provenance
        More for the description, which is JSON.
    """
    metadata = {"axes": calibration.axes, **provenance, "calibration": calibration.as_json()}
    _write(path, labels, metadata, **_resolution(calibration))


def write_ome_tiff(
    path: Path, labels: Any, calibration: Calibration, provenance: Mapping[str, Any]
) -> None:
    """Write labels as an OME-TIFF, in the order of axes TZYX that OME knows.

    Parameters
    ----------
    path, labels, calibration
        As in `write_tiff`.
    provenance
        JSON in the description of OME's image.

    Raises
    ------
    ValueError
        If there are other axes.
    """
    fail_if(
        not set(calibration.axes) <= set("TZYX"),
        "axes T, Z, Y and X for OME-TIFF",
        f"axes {calibration.axes!r}",
        "choose .tif or .zarr",
    )
    ordered = sorted(calibration.axes, key="TZYX".index)
    metadata: dict[str, Any] = {
        "axes": "".join(ordered),
        "Name": "labels",
        "Channel": {"Name": ["labels"]},
        "Description": json.dumps(provenance),
    }
    for letter in ordered:
        size, _, unit = calibration.along(letter)
        if unit in (TIMES if letter == "T" else LENGTHS):
            name = "TimeIncrement" if letter == "T" else f"PhysicalSize{letter}"
            metadata |= {name: size, f"{name}Unit": symbol(unit)}
    order = [calibration.axes.index(letter) for letter in ordered]
    _write(path, Reordered(labels, order), metadata, ome=True)


def _write(path: Path, labels: Any, metadata: Mapping[str, Any], **settings: Any) -> None:
    """Write labels page by page, or tile by tile where pages are large."""
    from tifffile import TiffWriter

    tiled = labels.shape[-2] * labels.shape[-1] > PAGE
    large = 4 * math.prod(labels.shape) > _CLASSIC_BYTES
    with TiffWriter(path, bigtiff=large, ome=settings.pop("ome", False)) as file:
        file.write(
            _tiles(labels) if tiled else _pages(labels),
            shape=tuple(labels.shape),
            dtype=np.uint32,
            photometric="minisblack",
            compression="zlib",
            tile=(TILE, TILE) if tiled else None,
            metadata=dict(metadata),
            **settings,
        )


def _pages(labels: Any) -> Iterator[NDArray[np.uint32]]:
    """Yield the pages, one after the other."""
    for index in np.ndindex(*labels.shape[:-2]):
        page = labels[(*(slice(n, n + 1) for n in index), slice(None), slice(None))]
        yield np.asarray(page, np.uint32).reshape(labels.shape[-2:])


def _tiles(labels: Any) -> Iterator[NDArray[np.uint32]]:
    """Yield the tiles of each page, row by row; those at the edges are filled up with zeros."""
    height, width = labels.shape[-2:]
    for index in np.ndindex(*labels.shape[:-2]):
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                window = (slice(top, top + TILE), slice(left, left + TILE))
                tile = labels[(*(slice(n, n + 1) for n in index), *window)]
                part = np.asarray(tile, np.uint32).reshape(tile.shape[-2:])
                yield np.pad(part, [(0, TILE - size) for size in part.shape])


def _resolution(calibration: Calibration) -> dict[str, Any]:
    """Return TIFF's own fields for the size of a pixel, if it is a length."""
    (height, _, unit), (width, _, other) = (calibration.along(letter) for letter in "YX")
    if unit not in LENGTHS or other not in LENGTHS:
        return {}
    per_cm = [0.01 / (size * LENGTHS[name][1]) for size, name in ((width, other), (height, unit))]
    return {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
