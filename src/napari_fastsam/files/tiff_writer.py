"""How labels become a TIFF: deflated, page by page, with the names of its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.files.calibration import LENGTHS

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
    from tifffile import TiffWriter

    metadata = {"axes": calibration.axes, **provenance, "calibration": calibration.as_json()}
    tiled = labels.shape[-2] * labels.shape[-1] > PAGE
    with TiffWriter(path, bigtiff=4 * np.prod(labels.shape, dtype=int) > _CLASSIC_BYTES) as file:
        file.write(
            _tiles(labels) if tiled else _pages(labels),
            shape=tuple(labels.shape),
            dtype=np.uint32,
            photometric="minisblack",
            compression="zlib",
            tile=(TILE, TILE) if tiled else None,
            metadata=metadata,
            **_resolution(calibration),
        )


def _pages(labels: Any) -> Iterator[NDArray[np.uint32]]:
    """Yield the pages, one after the other."""
    for index in np.ndindex(*labels.shape[:-2]):
        yield np.asarray(labels[index], np.uint32)


def _tiles(labels: Any) -> Iterator[NDArray[np.uint32]]:
    """Yield the tiles of each page, row by row; those at the edges are filled up with zeros."""
    height, width = labels.shape[-2:]
    for index in np.ndindex(*labels.shape[:-2]):
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                window = (slice(top, top + TILE), slice(left, left + TILE))
                part = np.asarray(labels[(*index, *window)], np.uint32)
                short = [(0, TILE - size) for size in part.shape]
                yield np.pad(part, short)


def _resolution(calibration: Calibration) -> dict[str, Any]:
    """Return TIFF's own fields for the size of a pixel, if it is a length."""
    (height, _, unit), (width, _, other) = (calibration.along(letter) for letter in "YX")
    if unit not in LENGTHS or other not in LENGTHS:
        return {}
    per_cm = [0.01 / (size * LENGTHS[name][1]) for size, name in ((width, other), (height, unit))]
    return {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
