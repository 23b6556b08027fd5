"""What array and axes an image file holds.

TIFF, NPY and zarr stay on disk, and are read plane by plane; PNG and JPEG are decoded as a whole.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if, message
from napari_fastsam.files.calibration import Calibration
from napari_fastsam.files.stored import Found, Mapped, ReadError, damaged
from napari_fastsam.files.tiff import read_tiff
from napari_fastsam.files.zarrs import is_zarr, read_zarr
from napari_fastsam.planes import PlaneAxes

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ENDINGS", "PICTURES", "TIFF", "Image", "ReadError", "is_zarr", "read_image"]

TIFF = (".tif", ".tiff")
PICTURES = (".png", ".jpg", ".jpeg")
ENDINGS = (*TIFF, *PICTURES, ".npy", ".zarr")
"""The endings of image files that can be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image or stack on disk; a copy in another process opens the file again.

    Parameters
    ----------
    path
        Where it is.
    data
        Its pixels; indexed like an array, perhaps not in memory.
    axes
        How `data` falls into planes.
    calibration
        What the axes measure.
    levels
        The same at lower resolutions, the largest first.
    channels
        The names of its channels, where the file tells them.
    """

    path: Path
    data: Any
    axes: PlaneAxes
    calibration: Calibration
    levels: tuple[Any, ...] = ()
    channels: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return read_image, (self.path, self.axes.axes)

    @property
    def label_axes(self) -> str:
        """The axes of a label image of it: the same without channels."""
        return "".join(letter for letter in self.axes.axes if letter not in "CS")


def read_image(path: Path, axes: str | None = None) -> Image:
    """Open an image.

    Parameters
    ----------
    path
        TIFF (of ImageJ and OME too), PNG, JPEG, NPY or zarr (OME-Zarr too).
    axes
        A letter for each axis, as ``"ZYX"``; ``None`` takes the file's own, else guesses from the
        shape.

    Raises
    ------
    ReadError
        If the file is damaged, not of a kind that can be read, or too large to.
    ValueError
        If the axes do not fit the image.

    Notes
    -----
    The orientation that a camera notes in a JPEG is not applied: labels lie on the stored pixels.
    """
    ending = ".zarr" if is_zarr(path) else path.suffix.lower()
    readers = {
        **dict.fromkeys(TIFF, read_tiff),
        **dict.fromkeys(PICTURES, _read_picture),
        ".npy": _read_npy,
        ".zarr": read_zarr,
    }
    fail_if(
        ending not in readers,
        f"an image that ends in {', '.join(ENDINGS)}",
        str(path),
        "convert it to TIFF first",
        ReadError,
    )
    import PIL.Image

    try:
        found = readers[ending](path)
    except ReadError:
        raise
    except MemoryError as error:
        raise ReadError(
            message("an image that fits into memory", str(path), "save it as .zarr or .npy")
        ) from error
    except PIL.Image.DecompressionBombError as error:
        raise ReadError(
            message(
                "a PNG or JPEG of fewer pixels",
                f"{path}: {str(error).rstrip('.')}",
                "convert it to TIFF or zarr",
            )
        ) from error
    except Exception as error:  # on damaged files the decoders raise whatever they trip over
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    letters = (axes or found.axes or "").upper()
    shape = tuple(found.data.shape)
    try:
        layout = PlaneAxes(letters, shape) if letters else PlaneAxes.guess(shape)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if found.warning:
        warnings.warn(found.warning, stacklevel=2)
    return Image(
        path, found.data, layout, _calibration(found, layout), found.levels, found.channels
    )


def _calibration(found: Found, layout: PlaneAxes) -> Calibration:
    """Return what the axes measure: the file's own where the user did not name them otherwise."""
    own = found.calibration
    if own is None:
        return Calibration.pixels(layout.axes)
    if len(own.axes) != len(layout.axes):
        return own.on(layout.axes)
    kept = "".join(a if a == b else "?" for a, b in zip(own.axes, layout.axes, strict=True))
    return replace(own, axes=kept).on(layout.axes)


def _read_picture(path: Path) -> Found:
    """Return a PNG or JPEG as grey or RGB(A)."""
    import PIL.Image

    with PIL.Image.open(path) as picture:
        plain = {"1": "L", "LA": "L", "P": "RGB", "PA": "RGB"}
        kept = picture.mode in ("L", "RGB", "RGBA", "F") or picture.mode.startswith("I")
        decoded = picture if kept else picture.convert(plain.get(picture.mode, "RGB"))
        return Found(np.asarray(decoded))


def _read_npy(path: Path) -> Found:
    """Return an array in a file of NumPy's, left on disk."""
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    if not found.size:  # nothing to map
        return Found(np.array(found))
    order = "C" if found.flags.c_contiguous else "F"
    return Found(Mapped(path, found.dtype.str, found.shape, found.offset, order))
