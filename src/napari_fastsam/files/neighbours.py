"""The objects of a plane of labels, some at a time, so that memory does not follow the plane."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.files.chunks import CHUNK, label_plane
from napari_fastsam.instances import labelled_windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_fastsam.planes import PlaneAxes

    Window = tuple[slice, slice]

AT_ONCE = 2048
"""Planes that are no longer, in pixels, are read as a whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Objects that lie close together on a plane.

    Parameters
    ----------
    window
        The rows and columns of the plane that hold all of them.
    labels
        (h, w) integers, those of the window: of these objects, and parts of others.
    boxes
        The rows and columns of each object inside the window, by label.
    """

    window: Window
    labels: NDArray[Any]
    boxes: dict[int, Window]

    @property
    def corner(self) -> tuple[int, int]:
        """The first row and column of the window."""
        return self.window[0].start, self.window[1].start

    def mask(self, label: int) -> NDArray[np.bool_]:
        """Return the pixels of an object, cropped to its box."""
        return np.asarray(self.labels[self.boxes[label]] == label)


def windows(shape: tuple[int, int]) -> Iterator[Window]:
    """Yield the parts of a plane, (H, W), that are read at once."""
    side = CHUNK if max(shape) > AT_ONCE else AT_ONCE
    for top, left in product(range(0, shape[0], side), range(0, shape[1], side)):
        yield slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1]))


def neighbours(axes: PlaneAxes, labels: Any, index: tuple[int, ...]) -> Iterator[Neighbours]:
    """Yield all objects of a plane, those together whose boxes begin in one chunk of it.

    Parameters
    ----------
    axes
        Those of the image.
    labels
        Indexed like an array (NumPy, zarr), integers, the shape of the image without channels.
        What is not positive is background.
    index
        The plane's position on the stepped axes.

    Notes
    -----
    Memory follows the largest object and a window of twice `CHUNK` each way. An object that is
    longer than a chunk comes alone.
    """
    shape = axes.plane_shape
    found: dict[int, NDArray[np.int64]] = {}  # first row and column, and those after the last
    for window in windows(shape):
        part = label_plane(axes, labels, index, window)
        if not part.any():
            continue
        boxes = dict(labelled_windows(part))
        if max(shape) <= AT_ONCE:
            yield Neighbours(window, part, boxes)
            return
        corner = np.tile([window[0].start, window[1].start], 2)
        for label, (rows, columns) in boxes.items():
            box = corner + np.array([rows.start, columns.start, rows.stop, columns.stop])
            found[label] = _around(box, found.get(label, box))
    for group in _groups(found):
        around = found[group[0]]
        for label in group:
            around = _around(around, found[label])
        window = _slices(around)
        part = label_plane(axes, labels, index, window)
        corner = np.tile(around[:2], 2)
        yield Neighbours(window, part, {label: _slices(found[label] - corner) for label in group})


def _groups(found: dict[int, NDArray[np.int64]]) -> list[list[int]]:
    """Return the labels of the objects that are looked at together."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for label, box in found.items():
        alone = (label,) if (box[2:] - box[:2]).max() > CHUNK else ()
        groups[*(box[:2] // CHUNK).tolist(), *alone].append(label)
    return list(groups.values())


def _around(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the box around two."""
    return np.concatenate([np.minimum(one, other)[:2], np.maximum(one, other)[2:]])


def _slices(box: NDArray[np.int64]) -> Window:
    """Return the rows and columns of a box."""
    top, left, bottom, right = box.tolist()
    return slice(top, bottom), slice(left, right)
