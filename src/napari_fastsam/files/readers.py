"""What array and axes an image file holds.

Large files are read plane by plane: NPY and plain TIFF are memory-mapped, zarr stays on disk.
Compressed TIFF is decoded as a whole, into a temporary file that is mapped.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if, message
from napari_fastsam.files.calibration import Calibration
from napari_fastsam.planes import PlaneAxes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TIFF = (".tif", ".tiff")
PICTURES = (".png", ".jpg", ".jpeg")
ENDINGS = (*TIFF, *PICTURES, ".npy", ".zarr")
"""The endings of image files that can be read."""

_ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")


class ReadError(ValueError):
    """A file that is no image, or a damaged one."""


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
        TIFF (ImageJ's and OME's axes are understood), PNG, JPEG, NPY or zarr (OME-Zarr: its largest
        resolution).
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
        **dict.fromkeys(TIFF, _read_tiff),
        **dict.fromkeys(PICTURES, _read_picture),
        ".npy": _read_npy,
        ".zarr": _read_zarr,
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
        data, own_axes = readers[ending](path)
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
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    letters = axes or own_axes
    shape = tuple(data.shape)
    try:
        layout = PlaneAxes(letters, shape) if letters else PlaneAxes.guess(shape)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Image(path, data, layout, Calibration.pixels(layout.axes))


def _damaged(path: Path, complaint: str) -> ReadError:
    """Return the error for a file that cannot be decoded."""
    return ReadError(
        message(f"a whole image in {path}", complaint.rstrip("."), "save or copy the file again")
    )


def _read_tiff(path: Path) -> tuple[Any, str | None]:
    """Return the first series of a TIFF, and its axes where the file names them."""
    from tifffile import TiffFile

    with _tifffile_complaints() as complaints, TiffFile(path) as file:
        series, others = file.series[0], len(file.series) - 1
        data = series.asarray(out="memmap")
        axes = str(series.axes)
    # tifffile logs a broken chain of pages and returns those before the break.
    broken = [text for text in complaints if "invalid page offset" in text]
    if broken:
        raise _damaged(path, broken[0])
    if others:
        warnings.warn(
            f"Of the {others + 1} images in {path} the first was read; "
            "save the others as files of their own.",
            stacklevel=3,
        )
    return data, None if set(axes) & set("QI") else axes  # Q and I: axes that nobody named


@contextmanager
def _tifffile_complaints() -> Iterator[list[str]]:
    """Collect what tifffile would log."""
    complaints: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(record.getMessage())

    logger, collector = logging.getLogger("tifffile"), Collector()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(collector)
    try:
        yield complaints
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagate


def _read_picture(path: Path) -> tuple[NDArray[Any], None]:
    """Return a PNG or JPEG as grey or RGB(A)."""
    import PIL.Image

    with PIL.Image.open(path) as picture:
        plain = {"1": "L", "LA": "L", "P": "RGB", "PA": "RGB"}
        kept = picture.mode in ("L", "RGB", "RGBA", "F") or picture.mode.startswith("I")
        decoded = picture if kept else picture.convert(plain.get(picture.mode, "RGB"))
        return np.asarray(decoded), None


def _read_npy(path: Path) -> tuple[NDArray[Any], None]:
    """Return an array in a file of NumPy's, left on disk."""
    return np.load(path, mmap_mode="r", allow_pickle=False), None


def _read_zarr(path: Path) -> tuple[Any, str | None]:
    """Return a zarr array, or the largest resolution of an OME-Zarr, left on disk."""
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        names = getattr(node.metadata, "dimension_names", None)
        return node, _letters(names or ())
    attributes: dict[str, Any] = dict(node.attrs)
    scales = attributes.get("ome", attributes).get("multiscales")
    if scales:
        axes = [
            axis["name"] if isinstance(axis, dict) else axis for axis in scales[0].get("axes", ())
        ]
        return node[scales[0]["datasets"][0]["path"]], _letters(axes)
    arrays = sorted(node.array_keys())
    fail_if(
        len(arrays) != 1,
        f"one array, or OME-Zarr, in {path}",
        f"a group with {len(arrays)} arrays: {', '.join(arrays) or 'none'}",
        f"name the array, as {path / (arrays[0] if arrays else 'array')}",
        ReadError,
    )
    return node[arrays[0]], None


def _letters(names: Iterable[str | None]) -> str | None:
    """Return the axes as letters, or None where they are not named by one letter each."""
    letters = [name or "" for name in names]
    named = letters and all(len(letter) == 1 and letter.isalpha() for letter in letters)
    return "".join(letters).upper() if named else None


def is_zarr(path: Path) -> bool:
    """Whether a path is a zarr array or group."""
    return path.is_dir() and (
        path.suffix.lower() == ".zarr" or any((path / name).exists() for name in _ZARR_FILES)
    )
