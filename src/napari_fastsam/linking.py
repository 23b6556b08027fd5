"""Which object of a plane is the same as one of the planes before it.

Planes come one at a time, through z or t, and only the objects seen last are remembered. Two
objects may be the same if their masks overlap or their centroids are near; the one-to-one
assignment with the largest total of both wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fastsam._affinity import affinity, reach
from napari_fastsam._assignment import assign
from napari_fastsam._checks import fail_if
from napari_fastsam._events import events_of
from napari_fastsam._label_planes import INDEXED, checked, renumbered
from napari_fastsam._tracks import (
    Objects,
    objects_of,
    overlaps,
    pairs_of,
    together,
    with_motions,
)
from napari_fastsam.lineage import COLUMNS, Event, Lineage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Event", "Linker", "link"]

MIN_IOU = 0.01
"""Masks that overlap less than this are linked by containment, by nearness or not at all."""

_KINDS: tuple[Literal["split", "merge", "gap"], ...] = ("split", "merge", "gap")


class Linker:
    """Gives the objects of one plane after the other labels that last through the planes.

    Parameters
    ----------
    min_iou
        Masks with at least this IoU, in (0, 1], may be the same object; so may masks of which the
        smaller lies at least half on the other, as where a cell begins and ends in z.
    max_distance
        Objects of similar size whose centroids are less than this many pixels apart may be the
        same object too, even if they do not overlap. ``None`` is the diameter of the disk of the
        object's own area; 0 links by overlap only.
    max_gap
        How many planes in a row an object may be missing on and still be the same after.
    step
        How far apart the positions of neighbouring planes are: n where only every n-th plane is
        pushed, so that no object is missing on a plane that nobody looked at.

    Attributes
    ----------
    events
        Splits, merges and closed gaps so far, in order of their planes.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Notes
    -----
    The default `max_distance` is wrong for objects that move more than their diameter between two
    planes, and for crowds where one object ends and another of its size begins beside it.

    A linker can be pickled, and `state` and `from_state` write and read it as plain arrays, so that
    a stream can go on in another process.

    References
    ----------
    Jaqaman et al., "Robust single-particle tracking in live-cell time-lapse sequences", Nature
    Methods 2008, for assignment with gaps, splits and merges.

    Examples
    --------
    >>> import numpy as np
    >>> linker = Linker()
    >>> linker.push(np.array([[1, 1, 0, 2, 2]])), linker.push(np.array([[2, 2, 0, 0, 0]]))
    (array([0, 1, 2], dtype=uint32), array([0, 0, 1], dtype=uint32))
    """

    def __init__(
        self,
        *,
        min_iou: float = MIN_IOU,
        max_distance: float | None = None,
        max_gap: int = 1,
        step: int = 1,
    ) -> None:
        fail_if(
            not 0 < min_iou <= 1
            or not (max_distance is None or 0 <= max_distance < np.inf)
            or max_gap < 0
            or step < 1,
            "min_iou in (0, 1], max_distance of 0 pixels or more, max_gap of 0 planes or more, "
            "step of 1 plane or more",
            f"min_iou={min_iou}, max_distance={max_distance}, max_gap={max_gap}, step={step}",
            "correct what is out of range, or leave it out",
        )
        self.min_iou = min_iou
        self.max_distance = max_distance
        self.max_gap = max_gap
        self.step = step
        self.events: list[Event] = []
        self._seen: Objects | None = None
        self._plane = -step
        self._lineage = Lineage()

    def reset(self) -> None:
        """Forget the planes so far, as before another series, and go on counting labels.

        Positions may begin anew; without any, planes are counted on.
        """
        self._seen = None
        self._lineage.series += 1

    def push(self, labels: ArrayLike, *, plane: int | None = None) -> NDArray[np.uint32]:
        """Return what the labels of the next plane are called through the planes.

        Parameters
        ----------
        labels
            (H, W) integers from 0, which is background.
        plane
            Position of the plane, larger than the last one's. Planes between that were not pushed
            count as missed, `step` of them as one. ``None`` is the next neighbour.

        Returns
        -------
        (labels.max() + 1,) uint32: ``numbers[labels]`` is the linked plane. Numbers are different
        for different labels, new for objects not seen before, and 0 for labels without a pixel.

        Raises
        ------
        ValueError
            If `labels` are no integers, negative, huge, not a plane, or of another shape than the
            plane before, or `plane` does not come after it.
        """
        image = checked(labels, self._seen.masks.shape if self._seen else None)
        fail_if(
            image.max(initial=0) >= INDEXED,
            f"labels below {INDEXED}, as what is returned is indexed by them",
            f"{image.max(initial=0)}",
            "number them 1, 2, 3 … or use link(), which does",
        )
        plane = self._plane + self.step if plane is None else plane
        fail_if(
            self._seen is not None and plane <= self._plane,
            f"planes in ascending order, the next after {self._plane}",
            f"{plane}",
            "push planes in order, or reset() between series",
        )
        values, now = objects_of(image)
        if self._seen is None:
            before = objects_of(np.zeros_like(image))[1]
        else:
            before = self._seen.after((plane - self._plane - 1) // self.step, self.max_gap)
        shared = overlaps(before, image, values)
        pairs = pairs_of(before, now, shared, reach(before, self.max_distance))
        gains, allowed = affinity(before, now, pairs, self.min_iou)
        possible = np.flatnonzero(allowed)
        links = possible[assign(pairs.rows[possible], pairs.cols[possible], gains[possible])]
        now.numbers[pairs.cols[links]] = before.numbers[pairs.rows[links]]
        fresh = np.flatnonzero(now.numbers == 0)
        fresh = fresh[np.argsort(values[fresh])]
        now.numbers[fresh] = len(self._lineage) + 1 + np.arange(len(fresh))
        events = list(events_of(plane, before, now, pairs, links))
        self.events += events
        self._lineage.add(plane, now.numbers, events)
        self._plane = plane
        now = with_motions(before, now, pairs.rows[links], pairs.cols[links])
        self._seen = together(before.without(pairs.rows[links]).after(1, self.max_gap), now)
        numbers = np.zeros(int(image.max(initial=0)) + 1, np.uint32)
        numbers[values] = now.numbers
        return numbers

    def lineage(self) -> dict[str, NDArray[np.int64]]:
        """Return the table of all objects so far, as `Lineage.table` describes it."""
        return self._lineage.table()

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that the linker knows as arrays, as `numpy.savez` takes them.

        They grow with the number of objects so far and the pixels of those seen last.
        """
        far = np.inf if self.max_distance is None else self.max_distance
        return {
            "options": np.array([self.min_iou, far, self.max_gap, self.step]),
            "place": np.array([self._plane, self._lineage.series, self._seen is not None]),
            "events": np.array([(e[0], _KINDS.index(e[1]), *e[2:]) for e in self.events], np.int64),
            **{f"lineage_{name}": column for name, column in self.lineage().items()},
            **({} if self._seen is None else self._seen.arrays()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Linker:
        """Return the linker that `state` was taken of, as ``numpy.load`` gives it back."""
        min_iou, far, max_gap, step = (float(n) for n in state["options"])
        linker = cls(
            min_iou=min_iou,
            max_distance=None if far == np.inf else far,
            max_gap=int(max_gap),
            step=int(step),
        )
        plane, series, is_open = (int(n) for n in state["place"])
        linker._plane = plane
        linker.events = [
            Event(int(row[0]), _KINDS[row[1]], *map(int, row[2:])) for row in state["events"]
        ]
        table = {name: state[f"lineage_{name}"] for name in COLUMNS}
        linker._lineage = Lineage.from_table(table, series)
        linker._seen = Objects.from_arrays(state) if is_open else None
        return linker


def link(plane_labels: Iterable[ArrayLike], **options: Any) -> NDArray[np.uint32]:
    """Return labels that name an object the same on every plane.

    Parameters
    ----------
    plane_labels
        (Z, Y, X) integers, or any iterable of (Y, X) planes; read one at a time. What a label is on
        one plane says nothing about the others.
    **options
        As for `Linker`.

    Returns
    -------
    (Z, Y, X) uint32.

    Raises
    ------
    ValueError
        If a plane is no plane of labels, or there is none.

    See Also
    --------
    Linker : the same as a stream, with the splits, merges and gaps that it met.

    Examples
    --------
    >>> import numpy as np
    >>> link(np.array([[[1, 1, 0, 2]], [[7, 7, 0, 0]], [[1, 1, 0, 2]]]))[:, 0]
    array([[1, 1, 0, 2],
           [1, 1, 0, 0],
           [1, 1, 0, 2]], dtype=uint32)
    """
    linker = Linker(**options)
    planes = []
    for labels in plane_labels:
        plane = renumbered(checked(labels))
        planes.append(linker.push(plane)[plane])
    fail_if(not planes, "one or more planes of labels", "none", "pass a (Z, Y, X) array")
    return np.stack(planes)
