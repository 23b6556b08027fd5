"""What was done to a label array, step by step, so that each can be taken back and done again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index

Window = tuple[slice, slice]

Place = int | tuple[int, int, "Index"]
"""Where an object is kept: its label, or, on a further plane, with the canvas and the plane."""


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A window of one plane: what was there, and what came.

    Parameters
    ----------
    index
        The plane's position on the stepped axes.
    corner
        First row and column of the window.
    before, after
        The labels in it.
    frame
        Which of the canvases of a labelling the plane is on.
    """

    index: Index
    corner: tuple[int, int]
    before: Runs
    after: Runs
    frame: int = 0

    @classmethod
    def between(
        cls,
        index: Index,
        window: Window,
        before: NDArray[Any],
        after: NDArray[Any],
        frame: int = 0,
    ) -> Edit:
        """Return the edit that makes `before` (h, w) into `after` in a window."""
        corner = (window[0].start, window[1].start)
        return cls(index, corner, Runs.of(before), Runs.of(after), frame)

    @property
    def window(self) -> Window:
        """Rows and columns of the plane."""
        (row, column), (height, width) = self.corner, self.before.shape
        return slice(row, row + height), slice(column, column + width)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self.before.nbytes + self.after.nbytes

    def reversed(self) -> Edit:
        """Return the edit that takes this one back."""
        return replace(self, before=self.after, after=self.before)

    def onto(self, current: NDArray[Any]) -> NDArray[Any]:
        """Return the window's labels (h, w) after the edit.

        Only pixels that are as the edit found them change: what came between stays.
        """
        before, after = self.before.array(), self.after.array()
        values = current.copy()
        np.copyto(values, after, where=(before != after) & (current == before), casting="unsafe")
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """An object that prompts asked for, and how to give it back.

    `mask` holds one object; `beneath` are the labels that it covers in its box, or None for none;
    `pixels` (h, w) are those of its box that it was given, or None for the whole mask. `frame` is
    the canvas that its plane is on.
    """

    index: Index
    mask: Instances
    beneath: Runs | None
    pixels: NDArray[np.bool_] | None = None
    frame: int = 0

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self.mask.nbytes + sum(
            part.nbytes for part in (self.beneath, self.pixels) if part is not None
        )


@dataclass(slots=True, eq=False)
class Step:
    """One thing done: what is undone and redone at once.

    Parameters
    ----------
    record
        What was done, in plain numbers and words.
    edits
        In the order in which they were made.
    objects
        By label, the object before and after; None where there is none.
    numbers
        The next free label before, and after as far as this step used them.
    note
        What the caller wants back when the step is undone or redone. Its ``nbytes``, if it has
        any, count as memory of the step.
    root
        The step that this one goes on with, if others came in between.
    counted
        Memory that the history has counted for the step, in bytes.
    """

    record: dict[str, Any]
    edits: list[Edit] = field(default_factory=list)
    objects: Mapping[Place, tuple[Taken | None, Taken | None]] = field(default_factory=dict)
    numbers: tuple[int, int] = (1, 1)
    note: Any = None
    root: Step | None = None
    counted: int = 0

    @property
    def nbytes(self) -> int:
        """Memory held by the edits, the objects, and the note if it knows its own, in bytes."""
        states = [state for pair in self.objects.values() for state in pair if state is not None]
        held = sum(edit.nbytes for edit in self.edits) + sum(state.nbytes for state in states)
        return held + int(getattr(self.note, "nbytes", 0))


class History:
    """Steps that can be undone and redone, bounded in bytes: the oldest are forgotten first.

    Parameters
    ----------
    max_bytes
        Steps beyond this are forgotten, but for the last one. What they did stays, and their
        records too.
    """

    def __init__(self, max_bytes: int = 256 << 20) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._forgotten: list[dict[str, Any]] = []
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def __len__(self) -> int:
        return len(self._done)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._done)

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was done, in order, without what was undone."""
        return [*self._forgotten, *(step.record for step in self._done)]

    @property
    def steps(self) -> list[Step]:
        """All that is kept: what was done, in order, then what was undone."""
        return [*self._done, *reversed(self._undone)]

    @property
    def last(self) -> Step | None:
        """The step that would be undone next."""
        return self._done[-1] if self._done else None

    @property
    def next(self) -> Step | None:
        """The step that would be redone next."""
        return self._undone[-1] if self._undone else None

    def push(self, step: Step) -> None:
        """Add a step, or more to the last one; what was undone can no longer be redone."""
        self.nbytes -= sum(undone.counted for undone in self._undone)
        self._undone.clear()
        if step is not self.last:
            self._done.append(step)
        total = step.nbytes
        self.nbytes += total - step.counted
        step.counted = total
        self._shrink()

    def undo(self) -> Step | None:
        """Move the last step to those undone, and return it."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def redo(self) -> Step | None:
        """Move the step undone last back, and return it."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]

    def clear(self) -> None:
        """Forget everything, records too."""
        self.nbytes = 0
        self._forgotten, self._done, self._undone = [], [], []

    def _shrink(self) -> None:
        """Forget the oldest steps until the rest fits."""
        while self.nbytes > self.max_bytes and len(self._done) > 1:
            oldest = self._done.pop(0)
            self.nbytes -= oldest.counted
            self._forgotten.append(oldest.record)
