"""How labels become COCO annotations: each object of each plane one run-length encoded mask.

COCO's own conventions hold inside the file: boxes are ``[x, y, width, height]``, and masks are in
the compressed run-length encoding of pycocotools.

References
----------
https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.files.chunks import label_plane
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.pipeline import PlaneResult
    from napari_fastsam.planes import PlaneAxes

CATEGORY = {"id": 1, "name": "object"}
"""FastSAM finds objects of no particular kind."""


@dataclass(slots=True)
class Coco:
    """Annotations of some images' planes, numbered as they come.

    Parameters
    ----------
    provenance
        What the file shall tell about how it came to be.
    """

    provenance: Mapping[str, object]
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def image(self, name: str) -> Iterator[Callable[[PlaneResult], None]]:
        """Give a function that appends a plane of the image `name`.

        The planes of an image whose work fails are left out.
        """
        part = Coco(self.provenance)
        yield lambda result: part.add(name, result)
        self._take_in(part)

    def add(self, name: str, result: PlaneResult) -> None:
        """Append the objects of one plane of the image `name`."""
        self._add(name, result.index, result.labels, result.scores)

    def add_labels(
        self,
        name: str,
        axes: PlaneAxes,
        labels: Any,
        scores: Callable[[tuple[int, ...]], Mapping[int, float]] = lambda index: {},
        *,
        indices: Iterable[tuple[int, ...]] | None = None,
    ) -> None:
        """Append the objects of the planes of the image `name`.

        Parameters
        ----------
        name
            What the image is called.
        axes
            Those of the image.
        labels
            Indexed like an array (NumPy, zarr), integers, the shape of the image without channels;
            read plane by plane.
        scores
            For the position of a plane, the score of each label on it.
        indices
            The planes, ``None`` for all.
        """
        part = Coco(self.provenance)
        for index in axes.indices() if indices is None else indices:
            part._add(name, index, label_plane(axes, labels, index), scores(index))
        self._take_in(part)

    def _add(
        self, name: str, index: tuple[int, ...], labels: NDArray[Any], scores: Mapping[int, float]
    ) -> None:
        """Append the objects of one plane."""
        from pycocotools import mask as rle

        height, width = labels.shape
        plane: dict[str, Any] = {"plane": list(index)} if index else {}
        number = len(self.images) + 1
        self.images.append(
            {"id": number, "file_name": name, "width": width, "height": height, **plane}
        )
        objects = Instances.from_labels(labels)
        values = np.unique(labels[labels > 0])
        for n, label in enumerate(values):
            top, left, bottom, right = map(int, objects.bboxes[n])
            # pycocotools' own encoder would go through all pixels of the plane for each object
            counts = runs(objects.mask(n), (top, left), (height, width))
            found = rle.frPyObjects({"size": [height, width], "counts": counts}, height, width)
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": number,
                    "category_id": CATEGORY["id"],
                    "label": int(label),
                    "score": round(scores.get(int(label), 0.0), 4),
                    "area": int(objects.areas[n]),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                    "segmentation": {
                        "size": [height, width],
                        "counts": found["counts"].decode("ascii"),
                    },
                }
            )

    def _take_in(self, part: Coco) -> None:
        """Append all of another's planes and objects, numbered after those that are there."""
        images, annotations = len(self.images), len(self.annotations)
        self.images += [image | {"id": image["id"] + images} for image in part.images]
        self.annotations += [
            item | {"id": item["id"] + annotations, "image_id": item["image_id"] + images}
            for item in part.annotations
        ]

    def save(self, path: Path) -> None:
        """Write the file."""
        content = {
            "info": dict(self.provenance),
            "images": self.images,
            "annotations": self.annotations,
            "categories": [CATEGORY],
        }
        path.write_text(json.dumps(content), encoding="utf-8")


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
