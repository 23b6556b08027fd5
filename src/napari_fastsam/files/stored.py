"""Arrays on disk of which only what is asked for is read, in any thread and any process."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.files.calibration import Calibration


class ReadError(ValueError):
    """A file that is no image, or a damaged one."""


def damaged(path: Path, complaint: str) -> ReadError:
    """Return the error for a file that cannot be decoded."""
    return ReadError(
        message(f"a whole image in {path}", complaint.rstrip("."), "save or copy the file again")
    )


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a file holds: as `Image`, but for its axes, which nobody may have named.

    Parameters
    ----------
    warning
        What the user should know of what was left out.
    """

    data: Any
    axes: str | None = None
    calibration: Calibration | None = None
    levels: tuple[Any, ...] = ()
    channels: tuple[str, ...] = ()
    warning: str | None = None


class Stored:
    """An array in a file, indexed by integers and slices; a copy elsewhere opens the file again.

    Parameters
    ----------
    path
        The file.
    place
        What else tells the array from others in the file.
    """

    def __init__(self, path: Path, *place: Any) -> None:
        self.path, self.place = path, place
        self._lock = threading.Lock()
        self._opened: tuple[int, Any] | None = None
        array = self._array()
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = np.dtype(array.dtype)
        self.chunks: tuple[int, ...] = self._chunks(array)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, *self.place)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=int))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a part of the array.

        Raises
        ------
        ReadError
            If that part cannot be read; others perhaps can.
        """
        try:
            return np.array(self._array()[key])
        except IndexError:
            raise
        except Exception as error:  # decoders raise whatever they trip over
            found, why = self._culprit(key, error)
            raise damaged(self.path, f"{found}: {type(why).__name__}: {why}") from why

    def _open(self) -> tuple[Any, Callable[[], None]]:
        """Return the array, and what closes it."""
        raise NotImplementedError

    def _chunks(self, array: Any) -> tuple[int, ...]:
        """Return the shape of what is read at once."""
        return tuple(array.chunks)

    def _name(self, chunk: tuple[int, ...]) -> str:
        """Return what a user would call a chunk."""
        return f"chunk {chunk}"

    def _array(self) -> Any:
        """Return the array as this process opened it."""
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                array, close = self._open()
                weakref.finalize(self, close)
                self._opened = os.getpid(), array
            return self._opened[1]

    def _culprit(self, key: Any, error: Exception) -> tuple[str, Exception]:
        """Return the first chunk of a part that cannot be read, and why."""
        asked = _ranges(key, self.shape)
        grid = [
            sorted({at // step for at in axis})
            for axis, step in zip(asked, self.chunks, strict=True)
        ]
        for chunk in product(*grid):
            try:
                self._array()[
                    tuple(
                        slice(at * step, (at + 1) * step)
                        for at, step in zip(chunk, self.chunks, strict=True)
                    )
                ]
            except Exception as why:
                return self._name(chunk), why
        return "reading again went well", error


class Mapped(Stored):
    """Pixels that lie in a file one after the other, mapped into memory while they are read."""

    def __init__(
        self, path: Path, dtype: str, shape: tuple[int, ...], offset: int, order: str = "C"
    ) -> None:
        super().__init__(path, dtype, shape, offset, order)

    def _array(self) -> Any:
        dtype, shape, offset, order = self.place
        return np.memmap(self.path, dtype, "r", offset, shape, order)

    def _chunks(self, array: Any) -> tuple[int, ...]:
        return (*((1,) * (array.ndim - 2)), *array.shape[-2:])


def _ranges(key: Any, shape: tuple[int, ...]) -> list[range]:
    """Return the positions on each axis that integers, slices and an ellipsis stand for."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis not in parts:
        parts.append(Ellipsis)
    at = parts.index(Ellipsis)
    parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    return [
        range(size)[part] if isinstance(part, slice) else range(size)[part : part + 1 or None]
        for part, size in zip(parts, shape, strict=True)
    ]
