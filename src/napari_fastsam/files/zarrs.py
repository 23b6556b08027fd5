"""What a zarr holds: an array, or the resolutions of an OME-Zarr, left on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if
from napari_fastsam.files.calibration import Calibration
from napari_fastsam.files.multiscale import letters, multiscale_of, ome_of
from napari_fastsam.files.stored import Found, ReadError, Stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")
_SEVERAL = "bioformats2raw.layout"


class ZarrArray(Stored):
    """An array inside a zarr."""

    def __init__(self, path: Path, place: str) -> None:
        super().__init__(path, place)

    def _open(self) -> tuple[Any, Callable[[], None]]:
        import zarr

        return zarr.open_array(self.path, path=self.place[0], mode="r"), lambda: None

    def _chunks(self, array: Any) -> tuple[int, ...]:
        return tuple(getattr(array, "shards", None) or array.chunks)

    def _name(self, chunk: tuple[int, ...]) -> str:
        key = self._array().metadata.encode_chunk_key(chunk)
        return f"chunk {'/'.join(part for part in (self.place[0], key) if part)}"


def is_zarr(path: Path) -> bool:
    """Whether a path is a zarr array or group."""
    return path.is_dir() and (
        path.suffix.lower() == ".zarr" or any((path / name).exists() for name in _ZARR_FILES)
    )


def read_zarr(path: Path) -> Found:
    """Return a zarr array, or the image that an OME-Zarr is, without reading pixels.

    Raises
    ------
    ReadError
        If there is more than one array and nothing that says which is meant.
    """
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        names = getattr(node.metadata, "dimension_names", None)
        own = Calibration.from_json(node.attrs.get("calibration"))
        return Found(ZarrArray(path, ""), letters(names or ()), own)
    attributes: dict[str, Any] = dict(node.attrs)
    image = multiscale_of(attributes)
    if image is not None:
        arrays = [ZarrArray(path, level.path) for level in image.levels]
        return Found(arrays[0], image.axes, image.calibration(), tuple(arrays[1:]), image.channels)
    if _SEVERAL in ome_of(attributes):
        return _first_of_several(path, node)
    names = sorted(node.array_keys())
    fail_if(
        "plate" in ome_of(attributes),
        f"one image in {path}",
        "a plate of wells",
        f"name a field, as {path / 'A/1/0'}",
        ReadError,
    )
    fail_if(
        len(names) != 1,
        f"one array, or OME-Zarr, in {path}",
        f"a group with {len(names)} arrays: {', '.join(names) or 'none'}",
        f"name the array, as {path / (names[0] if names else 'array')}",
        ReadError,
    )
    return Found(ZarrArray(path, names[0]))


def group_of(path: Path) -> Path:
    """Return the group of the image in a zarr: the first of those that a converter put into it."""
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array) or _SEVERAL not in ome_of(dict(node.attrs)):
        return path
    return path / _series(path, node)[0]


def image_of_labels(path: Path) -> Path | None:
    """Return the zarr that a path lies in as labels, ``IMAGE/labels/NAME``, or None."""
    image = path.parent.parent
    return image if path.parent.name == "labels" and is_zarr(image) else None


def _first_of_several(path: Path, node: Any) -> Found:
    """Return the first of the images that a converter of microscopes' files put into one group."""
    names = _series(path, node)
    found = read_zarr(path / names[0])
    warning = (
        f"Of the {len(names)} images in {path} the first was read; "
        f"name another, as {path / names[-1]}."
    )
    return found if len(names) == 1 else replace(found, warning=warning)


def _series(path: Path, node: Any) -> list[str]:
    """Return the names of the images in a group of several."""
    names = sorted((name for name in node.group_keys() if name.isdigit()), key=int)
    fail_if(not names, f"an image in {path}", "none", "convert it again", ReadError)
    return names
