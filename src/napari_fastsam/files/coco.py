"""How labels become COCO annotations: each object of each plane one run-length encoded mask.

COCO's own conventions hold inside the file: boxes are ``[x, y, width, height]``, and masks are in
the compressed run-length encoding of pycocotools.

References
----------
https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
import shutil
import weakref
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.files.neighbours import neighbours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.planes import PlaneAxes
    from napari_fastsam.told import Found

ANYTHING = "object"
"""The first category: FastSAM finds objects of no particular kind. Words are the others."""

_IN_MEMORY = 1 << 24  # bytes of annotations, before they go to the disk


class Coco:
    """Annotations of some images' planes, numbered as they come; kept on disk if they are many.

    Parameters
    ----------
    provenance
        What the file shall tell about how it came to be.
    folder
        Where there is room for annotations meanwhile; ``None`` is the system's folder for that.
    """

    def __init__(self, provenance: Mapping[str, object], *, folder: Path | None = None) -> None:
        self.provenance = provenance
        self.images: list[dict[str, Any]] = []
        self.count = 0
        """How many objects there are."""
        self._categories = {ANYTHING: 1}
        self._kept = SpooledTemporaryFile(_IN_MEMORY, dir=str(folder) if folder else None)  # noqa: SIM115
        weakref.finalize(self, self._kept.close)

    @property
    def annotations(self) -> list[dict[str, Any]]:
        """All annotations, read back."""
        self._kept.seek(0)
        found: list[dict[str, Any]] = json.loads(b"[" + self._kept.read() + b"]")
        return found

    def add_labels(
        self,
        name: str,
        axes: PlaneAxes,
        labels: Any,
        scores: Callable[[tuple[int, ...]], Mapping[int, float]] = lambda index: {},
        found: Callable[[tuple[int, ...]], Mapping[int, Found]] = lambda index: {},
        *,
        indices: Iterable[tuple[int, ...]] | None = None,
    ) -> None:
        """Append the objects of the planes of the image `name`: all, or none if that fails.

        Parameters
        ----------
        name
            What the image is called.
        axes
            Those of the image.
        labels
            Indexed like an array (NumPy, zarr), integers, the shape of the image without channels;
            read plane by plane, large planes in parts.
        scores
            For the position of a plane, the score of each label on it.
        found
            The same of what a search says of each label; its words are the object's category.
        indices
            The planes, ``None`` for all.
        """
        end = self._kept.seek(0, 2)
        images, count = len(self.images), self.count
        try:
            for index in axes.indices() if indices is None else indices:
                height, width = axes.plane_shape
                plane: dict[str, Any] = {"plane": list(index)} if index else {}
                number = len(self.images) + 1
                self.images.append(
                    {"id": number, "file_name": name, "width": width, "height": height, **plane}
                )
                told, items = found(index), _objects(axes, labels, index, scores(index))
                for item in sorted(items, key=lambda item: int(item["label"])):
                    item |= told[item["label"]].columns if item["label"] in told else {}
                    category = self._category(item.get("text") or item.get("class", ANYTHING))
                    numbers = {"id": self.count + 1, "image_id": number, "category_id": category}
                    text = json.dumps({**numbers, **item})
                    self._kept.write((", " * (self.count > 0) + text).encode("ascii"))
                    self.count += 1
        except BaseException:
            self._kept.seek(end)
            self._kept.truncate()
            del self.images[images:]
            self.count = count
            raise

    def _category(self, name: str) -> int:
        """Return the number of a category."""
        return self._categories.setdefault(name, len(self._categories) + 1)

    def save(self, path: Path) -> None:
        """Write the file."""
        head = json.dumps({"info": dict(self.provenance), "images": self.images})
        categories = [{"id": number, "name": name} for name, number in self._categories.items()]
        tail = json.dumps({"categories": categories})
        self._kept.seek(0)
        with path.open("wb") as file:
            file.write(f'{head[:-1]}, "annotations": ['.encode("ascii"))
            shutil.copyfileobj(self._kept, file)
            file.write(f"], {tail[1:]}".encode("ascii"))


def _objects(
    axes: PlaneAxes, labels: Any, index: tuple[int, ...], scores: Mapping[int, float]
) -> Iterator[dict[str, Any]]:
    """Yield an annotation, without numbers, for each object of a plane."""
    from pycocotools import mask as rle

    height, width = axes.plane_shape
    for group in neighbours(axes, labels, index):
        for label, (rows, columns) in group.boxes.items():
            mask = group.mask(label)
            top, left = group.corner[0] + rows.start, group.corner[1] + columns.start
            # pycocotools' own encoder would go through all pixels of the plane for each object
            counts = runs(mask, (top, left), (height, width))
            found = rle.frPyObjects({"size": [height, width], "counts": counts}, height, width)
            yield {
                "label": label,
                "score": round(scores.get(label, 0.0), 4),
                "area": int(np.count_nonzero(mask)),
                "bbox": [left, top, mask.shape[1], mask.shape[0]],
                "iscrowd": 0,
                "segmentation": {
                    "size": [height, width],
                    "counts": found["counts"].decode("ascii"),
                },
            }


def runs(mask: NDArray[np.bool_], corner: tuple[int, int], shape: tuple[int, int]) -> list[int]:
    """Return the lengths of the runs of 0, 1, 0, 1... down the columns of a plane.

    Parameters
    ----------
    mask
        (h, w) bool, the object cropped to its box.
    corner
        The box's first (row, column) on the plane.
    shape
        (H, W) of the plane.

    Examples
    --------
    >>> import numpy as np
    >>> runs(np.array([[True], [True]]), (0, 1), (2, 3))
    [2, 2, 2]
    """
    top, left = corner
    height, width = shape
    edges = np.diff(np.pad(mask.T, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    column, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    first = (left + column) * height + top
    bounds = np.stack([first + start, first + stop], axis=1).ravel()
    # A run that reaches the foot of a column goes on at the head of the next one.
    joined = np.flatnonzero(bounds[1:-1:2] == bounds[2::2])
    bounds = np.delete(bounds, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    counts = np.diff(bounds, prepend=0, append=height * width)
    return [int(count) for count in (counts if counts[-1] else counts[:-1])]
