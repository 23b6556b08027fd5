"""How labels reach the disk: in the format that the ending of the file names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.files.outputs import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.pipeline import PlaneResult
    from napari_fastsam.planes import PlaneAxes

_ZARR_CHUNK = 1024  # pixels along Y and X


@contextmanager
def label_file(
    path: Path, axes: PlaneAxes, *, provenance: Mapping[str, Any], overwrite: bool = False
) -> Iterator[Callable[[PlaneResult], None]]:
    """Open a label image, and give a function that writes the labels of one plane.

    Parameters
    ----------
    path
        Ends in ``.tif``, ``.npy`` or ``.zarr``. Zarr is written plane by plane; labels for the
        others are held in memory.
    axes
        Those of the image; the label image has the same without channels.
    provenance
        What the file shall tell about how it came to be: TIFF's description, zarr's attributes.
    overwrite
        Whether an existing file may be replaced.
    """
    letters = "".join(letter for letter in axes.axes if letter not in "CS")
    with whole(path, overwrite=overwrite) as partial:
        if path.suffix.lower() == ".zarr":
            labels = _new_zarr(partial, axes.label_shape, letters, provenance)
        else:
            labels = np.zeros(axes.label_shape, np.uint32)
        yield lambda result: axes.write(labels, result.index, result.labels)
        if path.suffix.lower() == ".npy":
            with partial.open("wb") as file:
                np.save(file, labels)
        elif path.suffix.lower() != ".zarr":
            _write_tiff(partial, labels, letters, provenance)


def _write_tiff(
    path: Path, labels: NDArray[np.uint32], letters: str, provenance: Mapping[str, Any]
) -> None:
    """Write labels as a deflated TIFF that names its axes."""
    from tifffile import imwrite

    metadata = {"axes": letters, **provenance}
    imwrite(path, labels, photometric="minisblack", compression="zlib", metadata=metadata)


def _new_zarr(
    path: Path, shape: tuple[int, ...], letters: str, provenance: Mapping[str, Any]
) -> Any:
    """Make a zarr array of zeros that names its axes, in chunks of one plane or less."""
    import zarr

    return zarr.create_array(
        path,
        shape=shape,
        dtype="uint32",
        chunks=tuple(
            min(size, _ZARR_CHUNK) if letter in "YX" else 1
            for size, letter in zip(shape, letters, strict=True)
        ),
        fill_value=0,
        dimension_names=[letter.lower() for letter in letters],
        attributes=dict(provenance),
    )
