"""What a group of labels in an OME-Zarr will be: its version, axes and resolutions.

Labels of an image that is an OME-Zarr have the image's own, without channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_fastsam._checks import fail_if
from napari_fastsam.files.chunks import CHUNK
from napari_fastsam.files.multiscale import Level, multiscale_of, ome_of
from napari_fastsam.files.zarrs import group_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_fastsam.files.multiscale import Multiscale
    from napari_fastsam.files.readers import Image

_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a group of labels will be.

    Parameters
    ----------
    version
        Of OME-Zarr.
    order
        Which axis of the labels each axis of the group is.
    axes
        As OME-Zarr tells them.
    levels
        The shape of each resolution, and what its axes measure.
    """

    version: str
    order: tuple[int, ...]
    axes: tuple[dict[str, str], ...]
    levels: tuple[tuple[tuple[int, ...], Level], ...]

    @property
    def zarr_format(self) -> Literal[2, 3]:
        """The version of zarr below."""
        return 2 if self.version == "0.4" else 3

    def multiscales(self, name: str, folder: str = "") -> list[dict[str, Any]]:
        """Return OME-Zarr's account of the resolutions, which lie in `folder`."""
        datasets = [
            {
                "path": f"{folder}{level.path}",
                "coordinateTransformations": [
                    {"type": "scale", "scale": list(level.scale)},
                    {"type": "translation", "translation": list(level.translation)},
                ],
            }
            for _, level in self.levels
        ]
        image: dict[str, Any] = {"name": name, "axes": list(self.axes), "datasets": datasets}
        return [image | {"type": "nearest"} | ({"version": "0.4"} if self._old else {})]

    def attributes(self, ome: Mapping[str, Any]) -> dict[str, Any]:
        """Return OME's part of the attributes of a group, where this version has it."""
        return dict(ome) if self._old else {"ome": {"version": self.version, **ome}}

    @property
    def _old(self) -> bool:
        return self.version == "0.4"


def is_ome_zarr(image: Image) -> bool:
    """Whether an image was read from an OME-Zarr that names its axes."""
    if not image.path.is_dir():
        return False
    found = _metadata(image)
    return found is not None and found.axes is not None


def _metadata(image: Image) -> Multiscale | None:
    """Return what an OME-Zarr tells about an image, or None."""
    import zarr

    node = zarr.open(group_of(image.path), mode="r")
    return None if isinstance(node, zarr.Array) else multiscale_of(dict(node.attrs))


def as_image(image: Image) -> Plan:
    """Return a plan with the axes, the resolutions and the version of the image."""
    import zarr

    found = _metadata(image) if is_ome_zarr(image) else None
    fail_if(
        found is None,
        "an OME-Zarr that names its axes, to put labels into",
        str(image.path),
        "choose an OUTPUT of its own, as labels.ome.zarr",
    )
    assert found is not None
    group = zarr.open_group(group_of(image.path), mode="r")
    listed = ome_of(dict(group.attrs))["multiscales"][0]["axes"]
    kept = [n for n, letter in enumerate(image.axes.axes) if letter not in "CS"]
    levels = []
    for n, level in enumerate(found.levels):
        shape = zarr.open_array(group.store, path=level.path, mode="r").shape
        levels.append((tuple(shape[k] for k in kept), _part(level, str(n), kept)))
    axes = tuple(
        dict(listed[k]) if isinstance(listed[k], dict) else _axis(listed[k].upper(), None)
        for k in kept
    )
    version = "0.4" if group.metadata.zarr_format == 2 else "0.5"
    return Plan(version, tuple(range(len(kept))), axes, tuple(levels))


def _part(level: Level, path: str, kept: Sequence[int]) -> Level:
    """Return a resolution on some of its axes."""
    scale, translation = ([part[k] for k in kept] for part in (level.scale, level.translation))
    return Level(path, tuple(scale), tuple(translation))


def halved(image: Image) -> Plan:
    """Return a plan with resolutions that are halved until a plane is one chunk."""
    letters = image.label_axes
    others = [letter for letter in letters if letter not in _TYPES]
    fail_if(
        len(others) > 1,
        "axes T, Z, Y and X, and at most one more, for OME-Zarr",
        f"axes {letters!r}",
        "choose .zarr or .tif",
    )
    ordered = sorted(letters, key="".join(["T", *others, "ZYX"]).index)
    order = tuple(letters.index(letter) for letter in ordered)
    calibration = image.calibration.on("".join(ordered))
    full = tuple(image.axes.label_shape[n] for n in order)
    shapes = [full]
    while max(shapes[-1][-2:]) > CHUNK:
        shapes.append((*full[:-2], *(-(-size // 2) for size in shapes[-1][-2:])))
    levels = []
    for n, shape in enumerate(shapes):
        steps = zip(calibration.scale, full, shape, strict=True)
        scale = tuple(step * before / size for step, before, size in steps)
        levels.append((shape, Level(str(n), scale, calibration.translation)))
    axes = tuple(map(_axis, ordered, calibration.units))
    return Plan("0.5", order, axes, tuple(levels))


def _axis(letter: str, unit: str | None) -> dict[str, str]:
    """Return an axis as OME-Zarr tells it."""
    axis = {"name": letter.lower()}
    axis |= {"type": _TYPES[letter]} if letter in _TYPES else {}
    return axis | ({"unit": unit} if unit else {})
