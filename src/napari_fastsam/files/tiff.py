"""What a TIFF holds: its first series, page by page, and what ImageJ or OME tell about it."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from napari_fastsam.files.calibration import Calibration
from napari_fastsam.files.stored import Found, Mapped, Stored, damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Known = dict[str, tuple[float, str | None]]


def read_tiff(path: Path) -> Found:
    """Return the first series of a TIFF, without reading pixels.

    Raises
    ------
    ReadError
        If a page lies, or part of it, beyond the end of the file.
    """
    from tifffile import TiffFile

    with _complaints() as complaints, TiffFile(path) as file:
        series, others = file.series[0], len(file.series) - 1
        # tifffile logs a broken chain of pages and goes on with those before the break.
        broken = [text for text in complaints if "invalid page offset" in text]
        if broken:
            raise damaged(path, f"page {len(file.pages) + 1} is missing: {broken[0]}")
        _require_whole(path, series)
        axes = str(series.axes)
        one_file = all(page.parent is file for page in series.pages if page is not None)
        if series.dataoffset is not None and one_file:
            dtype = np.dtype(file.byteorder + series.dtype.char).str
            data: Any = Mapped(path, dtype, tuple(series.shape), series.dataoffset)
        else:
            data = TiffArray(path, 0)
        levels = tuple(TiffArray(path, n) for n in range(1, len(series.levels)))
        calibration = _calibration(file, axes)
        channels = _channels(file)
    return Found(
        data,
        None if set(axes) & set("QI") else axes,  # Q and I: axes that nobody named
        calibration,
        levels,
        channels,
        f"Of the {others + 1} images in {path} the first was read; "
        "save the others as files of their own."
        if others
        else None,
    )


class TiffArray(Stored):
    """The first series of a TIFF, at one of its resolutions; pages are decoded as they are read."""

    def __init__(self, path: Path, level: int) -> None:
        self._pages = 1
        super().__init__(path, level)

    def _open(self) -> tuple[Any, Callable[[], None]]:
        import zarr
        from tifffile import TiffFile

        (level,) = self.place
        with _complaints(), ExitStack() as stack:
            file = stack.enter_context(TiffFile(self.path))
            series = file.series[0]
            self._pages = len(series.levels[level].pages)
            array = zarr.open_array(series.aszarr(level=level), mode="r")
            stack.pop_all()
            return array, file.close

    def _name(self, chunk: tuple[int, ...]) -> str:
        stepped = next(n for n in range(self.ndim) if math.prod(self.shape[:n]) >= self._pages)
        start = [at * step for at, step in zip(chunk, self.chunks, strict=True)][:stepped]
        page = int(np.ravel_multi_index(start, self.shape[:stepped])) if start else 0
        return f"page {page + 1} of {self._pages}"


def _require_whole(path: Path, series: Any) -> None:
    """Raise ReadError if a page lies beyond the end of its file."""
    pages = len(series.pages)
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
        size = series.keyframe.parent.filehandle.size
        first = (size - series.dataoffset) * pages // max(1, series.nbytes)
        _require_room(path, first + 1, pages, end, size)
        return
    for n, page in enumerate(series.pages):
        if page is not None:  # OME leaves out planes that were not recorded
            ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=False))
            _require_room(path, n + 1, pages, max(ends, default=0), page.parent.filehandle.size)


def _require_room(path: Path, page: int, pages: int, end: int, size: int) -> None:
    """Raise ReadError if what should end at byte `end` is beyond the file's size."""
    if end > size:
        raise damaged(
            path, f"page {page} of {pages} ends at byte {end}, the file at byte {size}: truncated"
        )


def _calibration(file: Any, axes: str) -> Calibration | None:
    """Return what the axes measure, as OME, ImageJ, this package or TIFF itself tell."""
    known: Known = {}
    if file.is_ome:
        known = _of_ome(_ome_pixels(file))
    elif file.is_imagej:
        about = file.imagej_metadata or {}
        unit = about.get("unit")
        known = _resolution(file, unit) | {"Z": (about.get("spacing", 0), unit)}
        known["T"] = about.get("finterval", 0), about.get("tunit", "second")
    else:
        for about in file.shaped_metadata or ():
            own = Calibration.from_json(about.get("calibration"))
            if own is not None:
                return own
        # Inches are mostly a printer's 72 dpi, which says nothing about what was imaged.
        unit = file.pages[0].tags.valueof("ResolutionUnit")
        if unit == 3:
            known = _resolution(file, "centimeter")
    return Calibration.of(axes, known)


def _resolution(file: Any, unit: str | None) -> Known:
    """Return the size of a pixel from TIFF's own fields, which are in pixels per unit."""
    known: Known = {}
    for letter, name in (("X", "XResolution"), ("Y", "YResolution")):
        pixels, units = file.pages[0].tags.valueof(name) or (0, 1)
        if pixels:
            known[letter] = units / pixels, unit
    return known


def _ome_pixels(file: Any) -> Any:
    """Return OME's account of the first series' pixels, or None."""
    with suppress(ElementTree.ParseError, TypeError):
        return ElementTree.fromstring(file.ome_metadata).find("{*}Image/{*}Pixels")
    return None


def _of_ome(pixels: Any) -> Known:
    """Return the size of a pixel, and the time between frames, from OME's XML."""
    known: Known = {}
    fields = {letter: (f"PhysicalSize{letter}", "micrometer") for letter in "XYZ"}
    for letter, (name, unit) in (fields | {"T": ("TimeIncrement", "second")}).items():
        with suppress(AttributeError, TypeError, ValueError):
            known[letter] = float(pixels.get(name)), pixels.get(f"{name}Unit", unit)
    return known


def _channels(file: Any) -> tuple[str, ...]:
    """Return the names of the channels, if all of them have one."""
    names: list[str] = []
    if file.is_ome and (pixels := _ome_pixels(file)) is not None:
        names = [channel.get("Name", "") for channel in pixels.findall("{*}Channel")]
    return tuple(names) if all(names) else ()


@contextmanager
def _complaints() -> Iterator[list[str]]:
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
