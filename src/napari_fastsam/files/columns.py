"""What the columns of a table of measurements are called, and what a pixel is worth in each.

Lengths and positions are in pixels in the plain columns; where the axes have units there is a
second column, whose name ends in the unit: ``area`` and ``area_um2``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fastsam.files.calibration import LENGTHS, symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fastsam.files.calibration import Calibration
    from napari_fastsam.files.readers import Image

_ASCII = {"µ": "u", "Å": "angstrom"}


@dataclass(frozen=True, slots=True)
class Ruler:
    """What some axes measure, in one unit where all of them are lengths.

    Parameters
    ----------
    axes
        Their letters.
    steps
        The distance of two pixels along each: in `unit`, or pixels if there is none.
    starts
        Where the first pixel is along each.
    unit
        In ASCII, as ``"um"``; ``None`` if not all axes have a unit of length.
    """

    axes: str
    steps: tuple[float, ...]
    starts: tuple[float, ...]
    unit: str | None

    @classmethod
    def of(cls, calibration: Calibration, axes: str) -> Ruler:
        """Return the ruler of some axes; the last one's unit is that of all."""
        known = [calibration.along(letter) for letter in axes]
        units = [unit for _, _, unit in known]
        if not all(unit in LENGTHS for unit in units):
            return cls(axes, (1.0,) * len(axes), (0.0,) * len(axes), None)
        common = LENGTHS[units[-1] or ""][1]
        worth = [LENGTHS[unit or ""][1] / common for unit in units]
        return cls(
            axes,
            tuple(step * factor for (step, _, _), factor in zip(known, worth, strict=True)),
            tuple(start * factor for (_, start, _), factor in zip(known, worth, strict=True)),
            _ascii(units[-1]),
        )

    def sizes(self, pixels: int) -> dict[str, float]:
        """Return the columns of an area or volume of so many pixels."""
        named: dict[str, float] = {"area": pixels}
        if self.unit:
            kind = "area" if len(self.axes) == 2 else "volume"
            named[f"{kind}_{self.unit}{len(self.axes)}"] = pixels * math.prod(self.steps)
        return named

    def positions(self, name: str, pixels: Sequence[float]) -> dict[str, float]:
        """Return the columns of a position, one number for each axis."""
        letters = self.axes.lower()
        named = {f"{name}_{a}": at for a, at in zip(letters, pixels, strict=True)}
        if self.unit:
            world = zip(letters, pixels, self.steps, self.starts, strict=True)
            named |= {f"{name}_{a}_{self.unit}": at * by + start for a, at, by, start in world}
        return named

    def boxes(self, low: Sequence[int], high: Sequence[int]) -> dict[str, int]:
        """Return the columns of a half-open bounding box, in pixels."""
        letters = self.axes.lower()
        named = {f"bbox_min_{a}": at for a, at in zip(letters, low, strict=True)}
        return named | {f"bbox_max_{a}": at for a, at in zip(letters, high, strict=True)}


def plane_columns(image: Image, axes: str, index: Sequence[int]) -> dict[str, float]:
    """Return the columns that say on which plane an object is: its number, and what that means."""
    named: dict[str, float] = {a.lower(): at for a, at in zip(axes, index, strict=True)}
    for letter, at in zip(axes, index, strict=True):
        step, start, unit = image.calibration.along(letter)
        if symbol(unit):
            named[f"{letter.lower()}_{_ascii(unit)}"] = at * step + start
    return named


def intensity_columns(image: Image) -> list[str]:
    """Return what the channels are called at the end of a column's name; one has no name."""
    if image.axes.channel is None:
        return [""]
    count = image.axes.shape[image.axes.channel]
    if len(set(image.channels)) == len(image.channels) == count:
        return [f"_{name}" for name in image.channels]
    return [f"_c{n}" for n in range(count)]


def _ascii(unit: str | None) -> str:
    """Return the symbol of a unit in letters that every program reads."""
    text = symbol(unit) or ""
    for letter, plain in _ASCII.items():
        text = text.replace(letter, plain)
    return text
