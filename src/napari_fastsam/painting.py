"""The labels of a plane, painted window by window from its objects.

They are those of painting and cleaning the plane as a whole, which need never be in memory.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._seams import Window, crop
from napari_fastsam.cleanup import Cleanup, tidied
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

_CELL = 256  # pixels along the cells by which objects are looked up


class Painting:
    """The labels of a plane, never as a whole.

    Parameters
    ----------
    found
        The objects, N of them; larger ones are painted first.
    values
        (N,) their labels, different ones above 0.
    cleanup
        What is tidied, as by `clean` on the label image of the whole plane.

    Examples
    --------
    >>> found = Instances.from_labels(np.array([[1, 1, 0], [0, 0, 2]]))
    >>> Painting(found, [5, 7]).labels(Window(0, 1, 2, 3))
    array([[5, 0],
           [0, 7]], dtype=uint32)
    """

    def __init__(self, found: Instances, values: ArrayLike, cleanup: Cleanup | None = None) -> None:
        order = np.argsort(-found.areas, kind="stable")
        self._found, self._values = found[order], np.asarray(values, np.uint32)[order]
        self._places = _Places(self._found)
        if cleanup:
            self._found, self._values = self._tidied(cleanup)
            self._places = _Places(self._found)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the plane."""
        return self._found.shape

    @property
    def visible(self) -> NDArray[np.uint32]:
        """The labels that have a pixel at all, in no order."""
        boxes = [Window(*bbox.tolist()) for bbox in self._found.bboxes]
        there = [
            bool((self.labels(box) == value).any())
            for box, value in zip(boxes, self._values, strict=True)
        ]
        return np.asarray(self._values[np.array(there, bool)])

    def labels(self, window: tuple[int, int, int, int]) -> NDArray[np.uint32]:
        """Return the labels in a window of the plane, (h, w) uint32."""
        window = Window(*window)
        canvas = np.zeros((window.bottom - window.top, window.right - window.left), np.uint32)
        for n in self._places.within(window):
            inside = window.meet(Window(*self._found.bboxes[n].tolist()))
            if inside is not None:
                rows, cols = inside.slices
                target = canvas[
                    rows.start - window.top : rows.stop - window.top,
                    cols.start - window.left : cols.stop - window.left,
                ]
                target[crop(self._found, n, inside)] = self._values[n]
        return canvas

    def regions(self, side: int | tuple[int, int]) -> Iterator[tuple[Window, NDArray[np.uint32]]]:
        """Yield the plane's labels in regions of a height and width, row by row, with their places.

        Raises
        ------
        ValueError
            If a side is no length.
        """
        high, wide = (side, side) if isinstance(side, int) else side
        fail_if(
            min(high, wide) < 1,
            "regions of one pixel or more",
            f"sides of {side}",
            "pass the chunks of what is written, as 1024",
        )
        height, width = self.shape
        for top, left in product(range(0, height, high), range(0, width, wide)):
            window = Window(top, left, min(top + high, height), min(left + wide, width))
            yield window, self.labels(window)

    def _tidied(self, cleanup: Cleanup) -> tuple[Instances, NDArray[np.uint32]]:
        """Return the objects as they are after cleanup, apart from each other, and their labels."""
        done: dict[int, Instances] = {}
        height, width = self.shape
        for n in np.argsort(self._values):
            bbox = Window(*self._found.bboxes[n].tolist())
            own = self.labels(bbox) == self._values[n]
            if not own.any():
                continue
            rows, cols = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
            seen = Window(
                bbox.top + int(rows[0]),
                bbox.left + int(cols[0]),
                bbox.top + int(rows[-1]) + 1,
                bbox.left + int(cols[-1]) + 1,
            )
            reach = _grown(seen, cleanup.margin, self.shape)
            before = self.labels(reach)
            free = before == 0
            for other in self._places.within(_grown(reach, cleanup.margin, self.shape)):
                if other in done and reach.meet(Window(*done[other].bboxes[0].tolist())):
                    free &= ~crop(done[other], 0, reach)
            at_border = (
                seen.top == 0 or seen.left == 0 or seen.bottom == height or seen.right == width
            )
            mask = tidied(before == self._values[n], free, cleanup, at_border=at_border)
            if mask.any():
                canvas = Instances.from_masks(mask.shape, [mask])
                done[int(n)] = canvas.shift((reach.top, reach.left), self.shape)
        kept = sorted(done)
        parts = [Instances.empty(self.shape), *(done[n] for n in kept)]
        return Instances.concatenate(parts), self._values[kept]


def _grown(window: Window, margin: int, shape: tuple[int, int]) -> Window:
    """Return a window that is larger by a margin on each side, inside the plane."""
    top, left = max(window.top - margin, 0), max(window.left - margin, 0)
    return Window(
        top, left, min(window.bottom + margin, shape[0]), min(window.right + margin, shape[1])
    )


class _Places:
    """Which objects are where, by cells of the plane."""

    def __init__(self, found: Instances) -> None:
        self._cells: dict[tuple[int, int], list[int]] = defaultdict(list)
        for n, bbox in enumerate(found.bboxes):
            for cell in _cells(Window(*bbox.tolist())):
                self._cells[cell].append(n)

    def within(self, window: Window) -> list[int]:
        """Return the objects, ascending, that are in the cells of a window."""
        near = [self._cells[cell] for cell in _cells(window) if cell in self._cells]
        return near[0] if len(near) == 1 else sorted({n for cell in near for n in cell})


def _cells(window: Window) -> Iterator[tuple[int, int]]:
    """Return the cells that a window reaches into."""
    rows = range(window.top // _CELL, (window.bottom - 1) // _CELL + 1)
    return product(rows, range(window.left // _CELL, (window.right - 1) // _CELL + 1))
