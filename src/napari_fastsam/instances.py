"""The objects of one plane, and what can be asked of them without a network.

Masks are kept cropped to their boxes in one flat boolean buffer, so memory follows the objects'
area and never N x H x W. Boxes are half-open ``(min_row, min_col, max_row, max_col)`` as
scikit-image's ``bbox``; points are ``(row, column)`` with pixel centres on integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

_SPARSE = 1 << 20  # labels from here on are renumbered before work that goes up to the largest


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The objects of one plane: boxes, scores and masks cropped to their boxes.

    Parameters
    ----------
    shape
        ``(H, W)`` of the plane in pixels.
    bboxes
        (N, 4) integers, half-open ``(min_row, min_col, max_row, max_col)``, inside the plane.
    scores
        (N,) floats in [0, 1].
    buffer
        (M,) bool: the masks, each cropped to its box, in C order, one after the other.
    classes
        (N,) integers, each object's place in `names`, -1 for none; ``None`` if no object has one.
    names
        Of the classes that what found the objects tells apart.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, a box leaves the plane or a class has no name.

    See Also
    --------
    Instances.from_masks, Instances.from_labels : the usual ways to make one.

    Examples
    --------
    >>> import numpy as np
    >>> objects = Instances.from_labels(np.array([[1, 1, 0], [0, 0, 2]]))
    >>> len(objects), objects.areas
    (2, array([2, 1]))
    >>> objects.contains([(0, 1)])
    array([[ True, False]])
    """

    shape: tuple[int, int]
    bboxes: NDArray[np.int32]
    scores: NDArray[np.float32]
    buffer: NDArray[np.bool_]
    classes: NDArray[np.int32] | None = None
    names: tuple[str, ...] = ()
    offsets: NDArray[np.int64] = field(init=False)
    areas: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        height, width = (int(n) for n in self.shape)
        bboxes = np.ascontiguousarray(self.bboxes, np.int32).reshape(-1, 4)
        scores = np.ascontiguousarray(self.scores, np.float32).reshape(-1)
        buffer = np.ascontiguousarray(self.buffer, bool).reshape(-1)
        sizes = bboxes[:, 2:].astype(np.int64) - bboxes[:, :2]
        offsets = np.concatenate([[0], np.cumsum(sizes.prod(1))]).astype(np.int64)
        inside = (bboxes >= 0).all() and (bboxes[:, 2:] <= (height, width)).all()
        fail_if(
            len(scores) != len(bboxes),
            "one score for each box",
            f"{len(scores)} scores for {len(bboxes)} boxes",
            "pass arrays of the same length",
        )
        fail_if(
            not inside or bool((sizes <= 0).any()),
            f"boxes of at least one pixel inside a plane of {height} x {width}",
            "a box that is empty or leaves the plane",
            "clip the boxes to the plane and drop those that become empty",
        )
        fail_if(
            len(buffer) != offsets[-1],
            f"a mask buffer of {offsets[-1]} pixels, the boxes' total area",
            f"{len(buffer)} pixels",
            "crop each mask to its box, or use Instances.from_masks",
        )
        classes = self.classes
        if classes is not None:
            classes = np.ascontiguousarray(classes, np.int32).reshape(-1)
            fail_if(
                len(classes) != len(bboxes)
                or not (-1 <= classes.min(initial=-1) <= classes.max(initial=-1) < len(self.names)),
                f"one class for each of {len(bboxes)} boxes, from -1 to {len(self.names) - 1}",
                f"{len(classes)} classes up to {classes.max(initial=-1)}",
                "pass a name for each class that occurs",
            )
        for name, value in (
            ("shape", (height, width)),
            ("bboxes", bboxes),
            ("scores", scores),
            ("buffer", buffer),
            ("classes", classes),
            ("offsets", offsets),
            ("areas", _segment_sums(buffer, offsets)),
        ):
            if isinstance(value, np.ndarray):
                value = _frozen(value)
            object.__setattr__(self, name, value)

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Instances:
        """Return no objects, on a plane of `shape` (H, W)."""
        nothing = np.empty(0)
        return cls(
            shape, nothing.astype(np.int32), nothing.astype(np.float32), nothing.astype(bool)
        )

    @classmethod
    def from_masks(
        cls,
        shape: tuple[int, int],
        masks: Sequence[NDArray[np.bool_]],
        bboxes: ArrayLike | None = None,
        scores: ArrayLike | None = None,
    ) -> Instances:
        """Return objects from boolean masks.

        Parameters
        ----------
        shape
            (H, W) of the plane.
        masks
            N boolean arrays: each the size of its box, or, without `bboxes`, (H, W). Masks of the
            whole plane without a True pixel are refused.
        bboxes
            (N, 4) half-open boxes; ``None`` finds the tightest.
        scores
            (N,) in [0, 1]; ``None`` is 1 for each.
        """
        if bboxes is None:
            bboxes = [_tight_bbox(np.asarray(mask, bool), shape) for mask in masks]
            masks = [
                np.asarray(m, bool)[b[0] : b[2], b[1] : b[3]]
                for m, b in zip(masks, bboxes, strict=True)
            ]
        boxes = np.asarray(bboxes, np.int64).reshape(-1, 4)
        fail_if(
            [np.shape(mask) for mask in masks] != [(b[2] - b[0], b[3] - b[1]) for b in boxes],
            "one mask for each box, of the box's height and width",
            f"masks of shapes {[np.shape(mask) for mask in masks][:5]} for boxes {boxes[:5]}",
            "crop each mask to its box, or leave the boxes out",
        )
        parts = [np.asarray(mask, bool).ravel() for mask in masks]
        return cls(
            shape,
            np.asarray(bboxes, np.int32),
            np.ones(len(parts), np.float32) if scores is None else np.asarray(scores, np.float32),
            np.concatenate(parts) if parts else np.empty(0, bool),
        )

    @classmethod
    def from_labels(cls, labels: ArrayLike, scores: ArrayLike | None = None) -> Instances:
        """Return one object per label of an (H, W) integer image, in ascending order of label.

        Negative values and 0 are background. Labels may be any integers, however large.
        """
        image = np.asarray(labels)
        fail_if(
            image.ndim != 2 or image.dtype.kind not in "biu",
            "an (H, W) array of integer labels",
            f"shape {image.shape}, dtype {image.dtype}",
            "pass one plane of a label image",
        )
        masks, bboxes = [], []
        for label, (rows, cols) in labelled_windows(image):
            bboxes.append((rows.start, cols.start, rows.stop, cols.stop))
            masks.append(image[rows, cols] == label)
        return cls.from_masks(image.shape, masks, bboxes, scores)

    @classmethod
    def concatenate(cls, parts: Sequence[Instances]) -> Instances:
        """Return the objects of all `parts`, in order; they must share one plane shape."""
        fail_if(
            len({part.shape for part in parts}) != 1,
            "one or more Instances of the same plane shape",
            f"shapes {[part.shape for part in parts]}",
            "move them onto one plane with Instances.shift first",
        )
        buffer = np.concatenate([part.buffer for part in parts])
        buffer.flags.writeable = False  # nobody else has it: no copy is needed
        return cls(
            parts[0].shape,
            np.concatenate([part.bboxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            buffer,
            *_classes(parts),
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Instances]:
        return (self[[n]] for n in range(len(self)))

    def __getitem__(self, keep: Any) -> Instances:
        """Return the objects that `keep` (integers, a slice or booleans) picks, in its order."""
        if isinstance(keep, list) and not keep:
            keep = slice(0)  # numpy reads an empty list as floats
        rows = np.atleast_1d(np.arange(len(self))[keep])
        parts = [self.buffer[self.offsets[n] : self.offsets[n + 1]] for n in rows]
        buffer = np.concatenate(parts) if parts else np.empty(0, bool)
        buffer.flags.writeable = False  # nobody else has it: no copy is needed
        classes = None if self.classes is None else self.classes[rows]
        return Instances(
            self.shape, self.bboxes[rows], self.scores[rows], buffer, classes, self.names
        )

    @property
    def nbytes(self) -> int:
        """Memory that the arrays hold, in bytes."""
        arrays = (self.bboxes, self.scores, self.buffer, self.offsets, self.areas)
        return sum(array.nbytes for array in arrays) + getattr(self.classes, "nbytes", 0)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each object's class, ``""`` where it has none."""
        if self.classes is None:
            return ("",) * len(self)
        return tuple("" if n < 0 else self.names[n] for n in self.classes.tolist())

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return the (h, w) mask of one object, cropped to its box: a read-only view."""
        index = range(len(self))[index]  # from the end, if negative
        height, width = self.bboxes[index, 2:] - self.bboxes[index, :2]
        return self.buffer[self.offsets[index] : self.offsets[index + 1]].reshape(height, width)

    def shift(self, offset: tuple[int, int], shape: tuple[int, int] | None = None) -> Instances:
        """Return the objects moved by `offset` (rows, columns) onto a plane of `shape` (H, W).

        The objects must stay inside the new plane.
        """
        moved = self.bboxes + np.tile(np.asarray(offset, np.int32), 2)
        return replace(self, shape=shape or self.shape, bboxes=moved)

    def classed_as(self, others: Instances, rows: Sequence[int]) -> Instances:
        """Return these objects with the classes of others at `rows` (N,), if they have any."""
        if others.classes is None:
            return self
        return replace(self, classes=others.classes[list(rows)], names=others.names)

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Return (P, N): whether object n holds the pixel that point p, ``(row, column)``, is in.

        A point belongs to the pixel whose centre is nearest. Points outside the plane hold nothing.
        """
        pixels = np.floor(np.asarray(points, float).reshape(-1, 2) + 0.5).astype(np.int64)
        row, col = pixels[:, :1], pixels[:, 1:]
        top, left, bottom, right = self.bboxes.T
        inside: NDArray[np.bool_] = (row >= top) & (row < bottom) & (col >= left) & (col < right)
        point, n = np.nonzero(inside)
        at = (pixels[point, 0] - top[n]) * (right - left)[n] + pixels[point, 1] - left[n]
        inside[point, n] = self.buffer[self.offsets[n] + at]
        return inside

    def overlaps(self, others: ArrayLike | Instances) -> NDArray[np.int64]:
        """Return (K, N): pixels that object n shares with each of K boxes (K, 4) or objects."""
        masks = others if isinstance(others, Instances) else None
        boxes = _boxes(others)
        mine = self.bboxes.astype(np.int64)
        low = np.maximum(boxes[:, None, :2], mine[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], mine[None, :, 2:])
        meet = (high > low).all(2)
        shared = np.zeros(meet.shape, np.int64)
        if masks is None:
            whole = meet & (high - low == mine[None, :, 2:] - mine[None, :, :2]).all(2)
            shared[whole] = np.broadcast_to(self.areas, shared.shape)[whole]
            meet &= ~whole
        for k, n in zip(*np.nonzero(meet), strict=True):
            part = _window(self.mask(n), mine[n], low[k, n], high[k, n])
            if masks is not None:
                part = part & _window(masks.mask(k), boxes[k], low[k, n], high[k, n])
            shared[k, n] = np.count_nonzero(part)
        return shared

    def iou(self, others: ArrayLike | Instances) -> NDArray[np.float64]:
        """Return (K, N): IoU of object n's mask with each of K filled boxes (K, 4) or objects."""
        boxes = _boxes(others)
        filled = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        areas = others.areas if isinstance(others, Instances) else filled
        shared = self.overlaps(others)
        union = areas[:, None] + self.areas[None, :] - shared
        return np.asarray(shared / np.maximum(union, 1), np.float64)

    def paint(self, canvas: NDArray[Any], values: ArrayLike) -> None:
        """Write ``values[n]`` where object n is, into `canvas` (H, W), larger objects first."""
        numbers = np.asarray(values)
        for n in np.argsort(-self.areas, kind="stable"):
            top, left, bottom, right = self.bboxes[n]
            np.copyto(
                canvas[top:bottom, left:right], numbers[n], where=self.mask(n), casting="unsafe"
            )

    def to_labels(self, dtype: DTypeLike = np.uint32) -> NDArray[Any]:
        """Return an (H, W) label image: object n is n + 1, and small objects lie on large ones."""
        labels = empty_labels(self.shape, len(self), dtype)
        self.paint(labels, np.arange(1, len(self) + 1))
        return labels


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only array: a copy, unless it was read-only already."""
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def _classes(
    parts: Sequence[Instances],
) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Return the classes of all objects, and the names of classes that any part has."""
    if all(part.classes is None for part in parts):
        return None, ()
    lists = list(dict.fromkeys(part.names for part in parts if part.classes is not None))
    names = (
        lists[0] if len(lists) == 1 else tuple(dict.fromkeys(name for one in lists for name in one))
    )
    place = {name: n for n, name in enumerate(names)}
    found = []
    for part in parts:
        if part.classes is None:
            found.append(np.full(len(part), -1, np.int32))
        elif part.names == names:
            found.append(part.classes)
        else:
            renumbered = np.array([*(place[name] for name in part.names), -1], np.int32)
            found.append(renumbered[part.classes])  # the last is that of -1
    return np.concatenate(found), names


def _boxes(others: ArrayLike | Instances) -> NDArray[np.int64]:
    """Return the (K, 4) boxes of objects, or boxes as they are."""
    boxes = others.bboxes if isinstance(others, Instances) else others
    return np.asarray(boxes, np.int64).reshape(-1, 4)


def empty_labels(shape: tuple[int, int], largest: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return a label image of background whose dtype can hold the largest label."""
    fail_if(
        np.dtype(dtype).kind not in "iu" or largest > np.iinfo(dtype).max,
        f"an integer dtype for labels up to {largest}",
        f"{np.dtype(dtype)}",
        "use np.uint32",
    )
    return np.zeros(shape, dtype)


def labelled_windows(labels: NDArray[Any]) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield each positive label of an (H, W) image, ascending, with the slices of its box."""
    from scipy.ndimage import find_objects

    if not labels.size:
        return
    values = None
    if labels.max() >= _SPARSE:  # find_objects needs memory up to the largest label
        values, dense = np.unique(np.maximum(labels, 0), return_inverse=True)
        labels = dense.reshape(labels.shape) + (values[0] > 0)
        values = values[values > 0]
    boxes = find_objects(np.maximum(labels, 0).astype(np.int32, copy=False))
    for n, window in enumerate(boxes):
        if window is not None:
            yield (n + 1 if values is None else int(values[n])), window


def _segment_sums(buffer: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the True pixels between consecutive offsets."""
    return np.array([np.count_nonzero(buffer[a:b]) for a, b in pairwise(offsets)], np.int64)


def _window(
    mask: NDArray[np.bool_],
    bbox: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Cut the plane's window [low, high) out of a mask that starts at bbox[:2]."""
    (r0, c0), (r1, c1) = low - bbox[:2], high - bbox[:2]
    return mask[r0:r1, c0:c1]


def _tight_bbox(mask: NDArray[np.bool_], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the smallest half-open box around the True pixels of an (H, W) mask."""
    fail_if(
        mask.shape != tuple(shape) or not mask.any(),
        f"a mask of shape {tuple(shape)} with at least one True pixel",
        f"shape {mask.shape}, {np.count_nonzero(mask)} True pixels",
        "pass masks of the whole plane, or crops together with their bboxes",
    )
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1
