"""How large a pixel is: what each axis of an image measures, in which unit, and from where.

Units are spelled as OME-Zarr does, in English: ``"micrometer"``, ``"second"``. An axis that nobody
measured counts pixels: scale 1, no unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if

if TYPE_CHECKING:
    from collections.abc import Mapping

LENGTHS = {
    "angstrom": ("Å", 1e-10),
    "nanometer": ("nm", 1e-9),
    "micrometer": ("µm", 1e-6),
    "millimeter": ("mm", 1e-3),
    "centimeter": ("cm", 1e-2),
    "meter": ("m", 1.0),
    "inch": ("in", 0.0254),
}
"""Units of length: their symbol, and how many metres they are."""

TIMES = {
    "microsecond": "µs",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
}
"""Units of time, and their symbol."""

_SYMBOLS = {name: symbol for name, (symbol, _) in LENGTHS.items()} | TIMES
_SPELLINGS = {
    **{symbol: name for name, symbol in _SYMBOLS.items()},
    **{
        spelling: name
        for name, spellings in {
            "micrometer": ("um", "μm", "micron", "microns", "\\u00b5m", "micrometre", "Âµm"),
            "nanometer": ("nanometre",),
            "millimeter": ("millimetre",),
            "centimeter": ("centimetre",),
            "meter": ("metre",),
            "angstrom": ("A",),
            "inch": ("inches", '"'),
            "second": ("sec", "secs", "seconds"),
            "microsecond": ("us", "μs"),
            "millisecond": ("msec",),
            "minute": ("minutes",),
            "hour": ("hours",),
        }.items()
        for spelling in spellings
    },
}
_UNMEASURED = ("", "pixel", "pixels", "px", "none", "null", "reference frame", "unknown")


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the axes of an image measure.

    Parameters
    ----------
    axes
        One letter per axis, as of `PlaneAxes`.
    scale
        The distance of two pixels along each axis, above 0.
    translation
        Where the first pixel's centre lies along each axis.
    units
        The unit of both for each axis; ``None`` where it is not known.

    Raises
    ------
    ValueError
        If the lengths differ, or a number is no number, or a scale not above 0.

    Examples
    --------
    >>> stack = Calibration("ZYX", (2.0, 0.5, 0.5), (0.0, 0.0, 0.0), ("micrometer",) * 3)
    >>> stack.on("YX").scale
    (0.5, 0.5)
    """

    axes: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    units: tuple[str | None, ...]

    def __post_init__(self) -> None:
        parts = (self.scale, self.translation, self.units)
        fail_if(
            any(len(part) != len(self.axes) for part in parts)
            or not all(map(math.isfinite, (*self.scale, *self.translation)))
            or any(step <= 0 for step in self.scale),
            "for each axis a scale above 0, a finite translation, and a unit or None",
            f"axes {self.axes!r}, scale {self.scale}, translation {self.translation}, "
            f"units {self.units}",
            "pass as many of each as there are axes",
        )

    @classmethod
    def of(cls, axes: str, known: Mapping[str, tuple[float, str | None]]) -> Calibration:
        """Return what is known of some axes, by letter; a scale that cannot be is not taken."""
        usable = {
            letter: (float(step), unit_name(unit))
            for letter, (step, unit) in known.items()
            if math.isfinite(step) and step > 0
        }
        found = [usable.get(letter, (1.0, None)) for letter in axes]
        scale, units = tuple(step for step, _ in found), tuple(unit for _, unit in found)
        return cls(axes, scale, (0.0,) * len(axes), units)

    @classmethod
    def pixels(cls, axes: str) -> Calibration:
        """Return the calibration of an image that nobody measured."""
        return cls.of(axes, {})

    @classmethod
    def from_json(cls, content: Any) -> Calibration | None:
        """Return what `as_json` made, or None where it is something else."""
        try:
            return cls(
                str(content["axes"]),
                tuple(map(float, content["scale"])),
                tuple(map(float, content["translation"])),
                tuple(content["units"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def as_json(self) -> dict[str, Any]:
        """Return the calibration as plain values."""
        return {
            "axes": self.axes,
            "scale": list(self.scale),
            "translation": list(self.translation),
            "units": list(self.units),
        }

    @property
    def measured(self) -> bool:
        """Whether anything is known of any axis."""
        return self != Calibration.pixels(self.axes)

    def along(self, letter: str) -> tuple[float, float, str | None]:
        """Return the scale, translation and unit of one axis."""
        at = self.axes.find(letter)
        return (self.scale[at], self.translation[at], self.units[at]) if at >= 0 else (1, 0, None)

    def on(self, axes: str) -> Calibration:
        """Return the calibration of other axes: those of the same letter measure the same."""
        found = [self.along(letter) for letter in axes]
        scale, translation, units = (tuple(part) for part in zip(*found, strict=True))
        return Calibration(axes, scale, translation, units)


def unit_name(text: object) -> str | None:
    """Return a unit as OME-Zarr spells it; one that is not known here as it came; None for pixels.

    Examples
    --------
    >>> unit_name("µm"), unit_name("micron"), unit_name("pixel")
    ('micrometer', 'micrometer', None)
    """
    spelling = str(text or "").strip()
    if spelling.lower() in _UNMEASURED:
        return None
    if spelling.lower() in _SYMBOLS:
        return spelling.lower()
    return _SPELLINGS.get(spelling) or _SPELLINGS.get(spelling.lower()) or spelling


def symbol(unit: str | None) -> str | None:
    """Return the symbol of a unit, as ``"µm"``; None where it has none."""
    return _SYMBOLS.get(unit or "")
