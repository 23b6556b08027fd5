"""How labels reach the disk: in the format that the ending of the file names.

Labels come from anything that is indexed like an array, and are read page by page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._files import whole
from napari_fastsam.files.chunks import CHUNK, copy, new_array
from napari_fastsam.files.endings import OME_TIFF, OME_ZARR, ending_of
from napari_fastsam.files.ome_zarr_writer import add_labels, write_ome_zarr
from napari_fastsam.files.tiff_writer import write_ome_tiff, write_tiff
from napari_fastsam.files.zarrs import image_of_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_fastsam.files.calibration import Calibration
    from napari_fastsam.files.readers import Image


def write_labels(
    path: Path,
    labels: Any,
    image: Image,
    *,
    provenance: Mapping[str, Any],
    objects: Iterable[Mapping[str, Any]] = (),
    overwrite: bool = False,
) -> None:
    """Write the labels of an image to a file, which appears whole or not at all.

    Parameters
    ----------
    path
        Ends in ``.tif``, ``.ome.tif``, ``.npy``, ``.zarr`` or ``.ome.zarr``, or is
        ``IMAGE/labels/NAME`` in the OME-Zarr that is the image.
    labels
        Indexed like an array (NumPy, zarr), integers, the shape of the image without channels. At
        most a plane of them is in memory at any time.
    image
        What was segmented: its axes and calibration are carried over.
    provenance
        What the file shall tell about how it came to be: TIFF's description, zarr's attributes.
    objects
        For OME-Zarr, which keeps them with the labels: a row for each object, its ``label`` among
        the values. Labels that mean different objects on different planes have no such row.
    overwrite
        Whether an existing file, or labels of that name, may be replaced.

    Raises
    ------
    ValueError
        If the labels are not of the image's shape, the format cannot hold its axes, or they shall
        go into the OME-Zarr of another image.
    FileExistsError
        If the file exists, unless `overwrite`.
    OSError
        If the disk is full, or cannot be written to.
    """
    shape = tuple(labels.shape)
    fail_if(
        shape != image.axes.label_shape,
        f"labels of shape {image.axes.label_shape}, those of {image.path} without channels",
        f"shape {shape}",
        "pass the labels of this image",
    )
    if image_of_labels(path):
        add_labels(path, labels, image, provenance=provenance, objects=objects, overwrite=overwrite)
        return
    with whole(path, overwrite=overwrite) as partial:
        if ending_of(path) == OME_ZARR:
            write_ome_zarr(partial, labels, image, provenance=provenance, objects=objects)
        else:
            calibration = image.calibration.on(image.label_axes)
            _write(path, partial, labels, calibration, provenance)


def _write(
    path: Path,
    partial: Path,
    labels: Any,
    calibration: Calibration,
    provenance: Mapping[str, Any],
) -> None:
    """Write labels to `partial` in the format that the ending of `path` names."""
    writers = {
        ".npy": _write_npy,
        ".zarr": _write_zarr,
        **dict.fromkeys(OME_TIFF, write_ome_tiff),
    }
    write = writers.get(ending_of(path), write_tiff)
    write(partial, labels, calibration, provenance)


def _write_npy(
    path: Path, labels: Any, calibration: Calibration, provenance: Mapping[str, Any]
) -> None:
    """Write labels as NumPy does; the format has no place for anything else."""
    header = {"descr": "<u4", "fortran_order": False, "shape": tuple(labels.shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for index in np.ndindex(*labels.shape[:-2]):
            for top in range(0, labels.shape[-2], CHUNK):
                rows = labels[(*index, slice(top, top + CHUNK))]
                file.write(np.asarray(rows, "<u4").tobytes())


def _write_zarr(
    path: Path, labels: Any, calibration: Calibration, provenance: Mapping[str, Any]
) -> None:
    """Write labels as a zarr array that names its axes, in chunks of one plane or less."""
    letters = calibration.axes
    chunks = [
        min(size, CHUNK) if letter in "YX" else 1
        for size, letter in zip(labels.shape, letters, strict=True)
    ]
    attributes = {**provenance, "calibration": calibration.as_json()}
    copy(labels, new_array(path, labels.shape, chunks, letters.lower(), attributes=attributes))
