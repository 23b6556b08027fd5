"""Several images as the channels of one array, of which only what is asked for is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Key = tuple[int | slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """One position on the channel axis of an array, as an array of its own.

    Parameters
    ----------
    array
        Anything that is indexed like an array.
    axis, position
        Which axis holds the channels, and which one this is.
    kept
        Whether the channel keeps that axis, with one position on it.
    """

    array: Any
    axis: int
    position: int
    kept: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of this one channel."""
        shape = tuple(self.array.shape)
        return shape[: self.axis] + (1,) * self.kept + shape[self.axis + 1 :]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    def __getitem__(self, key: Key) -> Any:
        """Read a part, by one integer or slice for each axis."""
        after = key[self.axis + self.kept :]
        return self.array[(*key[: self.axis], self.position, *after)]


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """Arrays of one shape, stacked along a new last axis.

    Parameters
    ----------
    parts
        Indexed like arrays; ``None`` is a part of zeros.

    Examples
    --------
    >>> Composite((np.ones((2, 5, 6)), None)).shape
    (2, 5, 6, 2)
    """

    parts: tuple[Any | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The parts' shape and their number."""
        first = next(part for part in self.parts if part is not None)
        return (*map(int, first.shape), len(self.parts))

    @property
    def dtype(self) -> np.dtype[Any]:
        """One that holds all parts."""
        return np.result_type(*(part.dtype for part in self.parts if part is not None))

    def __getitem__(self, key: Key) -> NDArray[Any]:
        """Read a part of the array, by one integer or slice for each axis."""
        planes = [None if part is None else np.asarray(part[key[:-1]]) for part in self.parts]
        like = next(plane for plane in planes if plane is not None)
        stacked = np.stack([np.zeros_like(like) if p is None else p for p in planes], axis=-1)
        return np.asarray(stacked[..., key[-1]])


def composites(pyramids: list[list[Any] | None]) -> list[Composite]:
    """Return the composite of several pyramids at each level that all of them have.

    Parameters
    ----------
    pyramids
        For each channel its arrays, full resolution first; ``None`` is a channel of zeros.
    """
    found = []
    for depth in range(min(len(arrays) for arrays in pyramids if arrays is not None)):
        parts = tuple(None if arrays is None else arrays[depth] for arrays in pyramids)
        if len({tuple(part.shape) for part in parts if part is not None}) > 1:
            break
        found.append(Composite(parts))
    return found
