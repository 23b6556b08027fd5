"""What OME-Zarr tells about an image: its axes, its resolutions and what they measure.

Versions 0.4 (zarr 2) and 0.5 (zarr 3); older ones as far as they tell.

References
----------
https://ngff.openmicroscopy.org
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fastsam.files.calibration import Calibration, unit_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_OF_TYPE = {"time": "T", "channel": "C"}


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution: the path of its array in the group, and what its axes measure."""

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Multiscale:
    """An image in OME-Zarr.

    Parameters
    ----------
    axes
        A letter for each axis; ``None`` where they are not named by one letter each.
    units
        As many as axes.
    levels
        The resolutions, the largest first; scales and translations may be empty.
    channels
        Their names, if all have one.
    """

    axes: str | None
    units: tuple[str | None, ...]
    levels: tuple[Level, ...]
    channels: tuple[str, ...]

    def calibration(self, n: int = 0) -> Calibration | None:
        """Return what the axes measure at one of the resolutions, or None where it is not told."""
        level = self.levels[n]
        with suppress(ValueError):
            if self.axes and level.scale:
                return Calibration(self.axes, level.scale, level.translation, self.units)
        return None


def ome_of(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return OME's part of a group's attributes: 0.5 keeps it apart, 0.4 does not."""
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, dict) else {}


def multiscale_of(attributes: Mapping[str, Any]) -> Multiscale | None:
    """Return the image that a group is, by its attributes; None if it is none."""
    ome = ome_of(attributes)
    if not ome.get("multiscales"):
        return None
    first = ome["multiscales"][0]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in first.get("axes", ())]
    channels = [one.get("label", "") for one in ome.get("omero", {}).get("channels", ())]
    outer = first.get("coordinateTransformations", ())
    return Multiscale(
        letters(_OF_TYPE.get(axis.get("type", ""), axis.get("name")) for axis in axes),
        tuple(unit_name(axis.get("unit")) for axis in axes),
        tuple(
            _level(data["path"], data.get("coordinateTransformations", ()), outer, len(axes))
            for data in first["datasets"]
        ),
        tuple(channels) if all(channels) else (),
    )


def letters(names: Iterable[str | None]) -> str | None:
    """Return the axes as letters, or None where they are not named by one letter each."""
    each = [name or "" for name in names]
    named = each and all(len(letter) == 1 and letter.isalpha() for letter in each)
    return "".join(each).upper() if named else None


def _level(path: str, inner: Sequence[Any], outer: Sequence[Any], axes: int) -> Level:
    """Return a resolution after its own transformations and then those of all of them."""
    scale, translation = [1.0] * axes, [0.0] * axes
    for step in (*inner, *outer):
        if step.get("type") == "scale" and len(step.get("scale", ())) == axes:
            scale = [a * b for a, b in zip(scale, step["scale"], strict=True)]
            translation = [a * b for a, b in zip(translation, step["scale"], strict=True)]
        elif step.get("type") == "translation" and len(step.get("translation", ())) == axes:
            translation = [a + b for a, b in zip(translation, step["translation"], strict=True)]
    return Level(path, tuple(scale), tuple(translation))
