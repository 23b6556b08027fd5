"""The largest label of an array: read part by part, in the background or by who needs it first."""

from __future__ import annotations

from itertools import product
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMALL = 16 << 20
"""Bytes of an array in memory that are read at once: a few milliseconds."""


class LargestLabel:
    """The largest label of an array, known once each part of it was read.

    Parts are the chunks of a stored array, and the planes of others. Any thread may read.

    Parameters
    ----------
    data
        The array (NumPy, zarr).
    """

    def __init__(self, data: Any) -> None:
        self.known = False
        self._data = data
        self._lock = Lock()
        self._largest = 0
        self._parts = _parts(data)
        self._part = next(self._parts, None)
        if isinstance(data, np.ndarray) and data.nbytes <= SMALL:
            self.next_label()

    def next_label(self) -> int:
        """Return one more than the largest label, when all that is left was read."""
        while self.read():
            pass
        return self._largest + 1

    def read(self) -> bool:
        """Read one more part; False once there is none.

        A part that cannot be read raises what reading it does, each time.
        """
        with self._lock:
            if self._part is None:
                self.known = True
                return False
            part = np.asarray(self._data[self._part])
            self._largest = max(self._largest, int(part.max(initial=0)))
            self._part = next(self._parts, None)
            return True

    def reading(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Read all of it, unless that is cancelled: in a worker thread."""
        while not cancelled() and self.read():
            pass
        yield from ()


def _parts(data: Any) -> Iterator[tuple[slice, ...]]:
    """Yield where the parts of an array are."""
    shape = tuple(data.shape)
    sizes = getattr(data, "chunks", None) or (*(1 for _ in shape[:-2]), *shape[-2:])
    starts = (range(0, size, max(step, 1)) for size, step in zip(shape, sizes, strict=True))
    for corner in product(*starts):
        yield tuple(slice(a, a + step) for a, step in zip(corner, sizes, strict=True))
