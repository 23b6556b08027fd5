"""Where the labels of an image lie while its planes are worked on: a zarr array on disk.

Each plane's labels are chunks of their own, so any number of processes write side by side. A plane
counts as done only when the manifest says so, which is after its last chunk.
"""

from __future__ import annotations

import json
import shutil
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.planes import PlaneAxes
from napari_fastsam.report import FoundObject, Tally, objects_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.pipeline import Index, PlaneRegions
    from napari_fastsam.told import Found

_CHUNK = 1024  # pixels along Y and X
_LINEAGE = "lineage.json"
_NAME = "image.txt"


class Store:
    """The labels of an image's planes, and the figures of their objects.

    Parameters
    ----------
    path
        A folder.
    axes
        Those of the image.
    """

    def __init__(self, path: Path, axes: PlaneAxes) -> None:
        self.path, self.axes = path, axes
        letters = "".join(letter for letter in axes.axes if letter not in "CS")
        self._label_axes = PlaneAxes(letters, axes.label_shape)

    def labels(self, *, linked: bool = False) -> Any:
        """Return the zarr array, uint32, of the shape of the image without channels."""
        import zarr

        return zarr.open_array(self.path / _part("labels", linked))

    def make(self, name: str) -> None:
        """Begin with an empty store for the image of a name."""
        self.remove()
        self._make_part(linked=False)
        (self.path / _NAME).write_text(name, encoding="utf-8")

    def make_linked(self) -> None:
        """Begin with an empty part for linked labels, beside those of single planes."""
        self._make_part(linked=True)

    def _make_part(self, *, linked: bool) -> None:
        for name in ("labels", "objects"):
            shutil.rmtree(self.path / _part(name, linked), ignore_errors=True)
        (self.path / _part("objects", linked)).mkdir(parents=True)
        self._new_array(self.path / _part("labels", linked))

    def is_there(self, name: str) -> bool:
        """Whether the store was made before, for the image of that name and shape."""
        owner = self.path / _NAME
        if not owner.exists() or owner.read_text(encoding="utf-8") != name:
            return False
        return bool(self.labels().shape == self.axes.label_shape)

    def is_whole(self, index: Index, since: float) -> bool:
        """Whether all of a plane is there that was written.

        What was written before a time, in seconds, is on the disk; what came later may be lost if
        the power went, which the figures of the objects tell.
        """
        path = self._objects_path(index, linked=False)
        try:
            if path.stat().st_mtime < since:
                return True
            pixels = sum(row.area for row in self.objects(index))
        except (OSError, ValueError):
            return False
        return int(np.count_nonzero(self.read(index))) == pixels

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write(
        self,
        index: Index,
        labels: NDArray[np.uint32],
        objects: Iterable[FoundObject],
        *,
        linked: bool = False,
    ) -> None:
        """Write a plane."""
        self._label_axes.write(self.labels(linked=linked), index, labels)
        self._write_objects(index, objects, linked)

    def write_regions(self, plane: PlaneRegions) -> None:
        """Write a plane chunk by chunk."""
        array, parts = self.labels(), Tally(across_planes=True)
        for window, labels in plane.regions(_CHUNK):
            self._label_axes.write(array, plane.index, labels, window)
            corner = (window[0].start, window[1].start)
            parts.add(objects_in(labels, plane.index, plane.scores, corner, found=plane.found))
        self._write_objects(plane.index, parts.by_label, linked=False)

    def read(self, index: Index, *, linked: bool = False) -> NDArray[np.uint32]:
        """Return the labels of a plane."""
        return self._label_axes.read(self.labels(linked=linked), index)

    def objects(self, index: Index, *, linked: bool = False) -> list[FoundObject]:
        """Return the objects of a plane."""
        rows = json.loads(self._objects_path(index, linked).read_text(encoding="utf-8"))
        return [FoundObject.from_json(row) for row in rows]

    def scores(self, index: Index, *, linked: bool = False) -> dict[int, float]:
        """Return the score of each object of a plane, by label; none of a plane not asked for."""
        if not self._objects_path(index, linked).exists():
            return {}
        return {row.label: row.score for row in self.objects(index, linked=linked)}

    def found(self, index: Index, *, linked: bool = False) -> dict[int, Found]:
        """Return what a search says of each object of a plane that answers one, by label."""
        if not self._objects_path(index, linked).exists():
            return {}
        rows = self.objects(index, linked=linked)
        return {row.label: row.found for row in rows if row.found is not None}

    def write_lineage(self, lineage: Mapping[str, NDArray[np.int64]]) -> None:
        """Write what became of the linked objects."""
        rows = {name: column.tolist() for name, column in lineage.items()}
        (self.path / _LINEAGE).write_text(json.dumps(rows), encoding="utf-8")

    def lineage(self) -> dict[str, list[int]]:
        """Return what became of the linked objects, column by column."""
        rows: dict[str, list[int]] = json.loads((self.path / _LINEAGE).read_text(encoding="utf-8"))
        return rows

    def _new_array(self, path: Path) -> Any:
        """Make a zarr array of zeros in chunks of one plane or less."""
        import zarr

        letters, shape = self._label_axes.axes.lower(), self._label_axes.shape
        return zarr.create_array(
            path,
            shape=shape,
            dtype="uint32",
            chunks=tuple(
                min(size, _CHUNK) if letter in "yx" else 1
                for size, letter in zip(shape, letters, strict=True)
            ),
            fill_value=0,
            dimension_names=list(letters),
        )

    def tiles(self, index: Index) -> Path:
        """Return the folder for what is found in the tiles of a plane."""
        return self.path / "tiles" / _plane_name(index)

    def _write_objects(self, index: Index, objects: Iterable[FoundObject], linked: bool) -> None:
        target = self._objects_path(index, linked)
        partial = target.with_suffix(f".{uuid.uuid4().hex[:8]}.part")
        partial.write_text(json.dumps([one.to_json() for one in objects]), encoding="utf-8")
        partial.replace(target)

    def _objects_path(self, index: Index, linked: bool) -> Path:
        return self.path / _part("objects", linked) / f"{_plane_name(index)}.json"


def _plane_name(index: Index) -> str:
    """Return what a plane is called in the store."""
    return "-".join(map(str, index)) or "plane"


def _part(name: str, linked: bool) -> str:
    """Return the name of a folder inside the store."""
    return f"linked-{name}" if linked else name
