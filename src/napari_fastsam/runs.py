"""A label plane as runs of equal values: as small as its outlines, quick to make and to undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """An (H, W) array of integers, row after row, as values and how often each repeats.

    Parameters
    ----------
    shape
        (H, W).
    values
        (R,) the value of each run.
    lengths
        (R,) its number of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> runs = Runs.of(np.array([[0, 7, 7], [7, 0, 0]]))
    >>> runs.values, runs.lengths
    (array([0, 7, 0]), array([1, 3, 2], dtype=uint32))
    """

    shape: tuple[int, int]
    values: NDArray[Any]
    lengths: NDArray[np.uint32]

    @classmethod
    def of(cls, array: NDArray[Any]) -> Runs:
        """Return the runs of an (H, W) array."""
        flat = np.ascontiguousarray(array).reshape(-1)
        ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        starts = np.concatenate([np.zeros(min(1, len(flat)), np.intp), ends])
        lengths = np.diff(starts, append=len(flat)).astype(np.uint32)
        return cls((array.shape[0], array.shape[1]), flat[starts], lengths)

    def array(self) -> NDArray[Any]:
        """Return the (H, W) array."""
        return np.repeat(self.values, self.lengths).reshape(self.shape)

    @property
    def nbytes(self) -> int:
        """Memory that the runs hold, in bytes."""
        return self.values.nbytes + self.lengths.nbytes

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers: the shape, and the value and length of each run in turn."""
        pairs: list[int] = [0] * (2 * len(self.values))
        pairs[::2], pairs[1::2] = self.values.tolist(), self.lengths.tolist()
        return {"shape": list(self.shape), "runs": pairs}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Runs:
        """Return what `to_json` wrote; the values are 64-bit integers."""
        values, lengths = plain["runs"][::2], plain["runs"][1::2]
        height, width = plain["shape"]
        dtype = np.uint64 if max(values, default=0) > np.iinfo(np.int64).max else np.int64
        return cls((height, width), np.array(values, dtype), np.array(lengths, np.uint32))


def window_of(boxes: Sequence[Sequence[int]] | NDArray[Any]) -> tuple[slice, slice]:
    """Return the smallest window around half-open boxes (N, 4), at least one."""
    table = np.asarray(boxes, np.int64).reshape(-1, 4)
    top, left = table[:, :2].min(0)
    bottom, right = table[:, 2:].max(0)
    return slice(int(top), int(bottom)), slice(int(left), int(right))
