"""A label array whose every change is a step: undone and redone at once, and on record.

Steps are taken back last one first, and only pixels that are as a step left them change. Numbers
are given once: one that was undone may be given again, but never one that is in use or promised.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_fastsam._checks import fail_if, message
from napari_fastsam.canvas import position
from napari_fastsam.history import Edit, History, Step
from napari_fastsam.records import edit_from_json, plain
from napari_fastsam.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.canvas import Canvas
    from napari_fastsam.history import Place, Taken, Window
    from napari_fastsam.pipeline import Index


class _Mark(NamedTuple):
    """How far a step has come: where it goes back to if what follows fails."""

    edits: int
    records: int
    objects: Mapping[Place, tuple[Taken | None, Taken | None]]
    numbers: tuple[int, int]


class Stepwise:
    """A label array, the objects in it that were asked for, and the steps that made them.

    Parameters
    ----------
    canvas
        Where labels are written, as `ArrayCanvas`.
    first
        The first free label, or a function that returns it, called from any thread when it is
        needed; ``None`` for one after the largest that is there.
    max_bytes
        Memory for steps that can be undone.

    Attributes
    ----------
    canvases
        Those that were used, the one of the first step first.
    history
        The steps.
    objects
        By label, the object that was asked for.
    parts
        By label, canvas and plane, what a label has on further planes: objects that are linked.
    context
        What each record says besides, as plain numbers and words.
    start
        What each plane held before the first step on it, as plain numbers, in the order of those
        steps.

    Notes
    -----
    `canvas` may be replaced by one of the same labels with other axes, as the viewer turns a stack.
    Steps, objects and records keep to the axes that they were made with.
    """

    def __init__(
        self,
        canvas: Canvas,
        *,
        first: int | Callable[[], int] | None = None,
        max_bytes: int = 256 << 20,
    ) -> None:
        self.history = History(max_bytes)
        self.objects: dict[int, Taken] = {}
        self.parts: dict[tuple[int, int, Index], Taken] = {}
        self._spread: set[int] = set()  # labels that may have objects on many planes
        self.context: dict[str, Any] = {}
        self.start: list[dict[str, Any]] = []
        self.canvases = [canvas]
        self._frame = 0
        self._first = first if callable(first) else None
        known = 1 if callable(first) else first
        self._next = self._unused = _largest(canvas) + 1 if known is None else known
        self._lock = Lock()
        self._open: Step | None = None
        self._seen: set[tuple[int, Index]] = set()

    @property
    def canvas(self) -> Canvas:
        """Where labels are written."""
        return self.canvases[self._frame]

    @canvas.setter
    def canvas(self, canvas: Canvas) -> None:
        known = [frame.axes.axes for frame in self.canvases]
        if canvas.axes.axes in known:
            self._frame = known.index(canvas.axes.axes)
            self.canvases[self._frame] = canvas
        else:
            self._frame = len(known)
            self.canvases.append(canvas)

    @property
    def frame(self) -> int:
        """Which of the canvases that is."""
        return self._frame

    @property
    def next_label(self) -> int:
        """The number that the next object gets."""
        self._begin_numbers()
        return self._next

    def reserve(self, count: int) -> int:
        """Return the first of `count` numbers that nobody else has or will get; from any thread.

        Raises
        ------
        ValueError
            If the labels' dtype has no numbers left.
        """
        self._begin_numbers()
        with self._lock:
            self._next = max(self._next, self._unused)
        return self._numbers(count)

    def skip(self, label: int) -> None:
        """Go on after a label that somebody else uses."""
        with self._lock:
            self._next = max(self._next, int(label) + 1)
            self._unused = max(self._unused, self._next)

    @contextmanager
    def together(self, note: Any = None, *, onto: Step | None = None) -> Iterator[Step]:
        """Make one step of all that is done inside, unless it changes nothing and has no note.

        If something inside fails, all of it is taken back.

        Parameters
        ----------
        note
            What the caller wants back when the step is undone or redone.
        onto
            The last step, to which this is added; if it is not the last one any more, a new step.
        """
        outer = self._open
        if outer is not None:
            step = outer
        elif onto is not None and onto is self.history.last:
            step = onto
            if step.record["do"] != "together":
                step.record = {"do": "together", "steps": [step.record]}
        else:
            step = self._step({"do": "together", "steps": []}, note)
        mark = _Mark(len(step.edits), len(step.record["steps"]), step.objects, step.numbers)
        self._open = step
        try:
            yield step
        except BaseException:
            self._take_back(step, mark)
            raise
        finally:
            self._open = outer
            if outer is None and len(step.record["steps"]) == 1:
                step.record = step.record["steps"][0]
        changed = len(step.edits) > mark.edits or step.objects is not mark.objects
        if outer is None and (changed or (step is not onto and step.note is not None)):
            self.history.push(step)

    def begin(self, record: dict[str, Any], note: Any = None) -> Step:
        """Return a step, the last one from now on, that planes are added to as they are done.

        Raises
        ------
        ValueError
            Inside of `together`: planes come one by one, so such a step stands alone.
        """
        self._alone("a run over planes")
        step = self._step(self._told(record), note)
        self.history.push(step)
        return step

    def painted(self, edits: Sequence[Edit], note: Any = None) -> None:
        """Add a step for what a person has painted: `edits`, in order, are done already."""
        edits = [replace(edit, frame=self._frame) for edit in edits]
        if not edits:
            return
        for index in {edit.index for edit in edits}:
            self._begin(index, [edit for edit in edits if edit.index == index])
        with self.together(note) as step:
            self._record(step, plain(do="paint", edits=edits))
            for edit in edits:
                step.edits.append(edit)
                self._given(step, int(edit.after.values.max(initial=0)))

    def paint(self, edits: Sequence[Edit | Mapping[str, Any]]) -> None:
        """Paint strokes as a person did, given as edits or as plain numbers, as one step.

        Only pixels that are as they were before the stroke change.
        """
        done = [edit if isinstance(edit, Edit) else _read(edit) for edit in edits]
        height, width = self.canvas.plane_shape
        for edit in done:
            position(self.canvas.axes, edit.index)
            rows, columns = edit.window
            fail_if(
                min(edit.corner) < 0
                or rows.stop > height
                or columns.stop > width
                or edit.before.shape != edit.after.shape,
                f"strokes inside a plane of {height} x {width}",
                f"one from {edit.corner}, {edit.before.shape} before and {edit.after.shape} after",
                "paint the labels that it was made on",
            )
        for edit in done:
            self._apply(replace(edit, frame=self._frame))
        self.painted(done)

    def undo(self) -> Step | None:
        """Take the last step back, and return it; None if there is none."""
        self._alone("undoing")
        step = self.history.last
        for _ in self.undoing():
            pass
        return step

    def redo(self) -> Step | None:
        """Do the step undone last again, and return it; None if there is none."""
        self._alone("redoing")
        step = self.history.next
        for _ in self.redoing():
            pass
        return step

    def undoing(self) -> Iterator[None]:
        """Take the last step back, an edit each time that this is asked for the next."""
        step = self.history.undo()
        if step is not None:
            for edit in reversed(step.edits):
                self._apply(edit.reversed())
                yield
            for label, (before, _) in step.objects.items():
                self._put_object(label, before)
            with self._lock:
                if self._next == step.numbers[1]:
                    self._next = step.numbers[0]

    def redoing(self) -> Iterator[None]:
        """Do the step undone last again, an edit each time that this is asked for the next."""
        step = self.history.redo()
        if step is not None:
            for edit in step.edits:
                self._apply(edit)
                yield
            for label, (_, after) in step.objects.items():
                self._put_object(label, after)
            with self._lock:
                self._next = max(self._next, step.numbers[1])

    def forget(self, first: int) -> None:
        """Start again from the labels as they are: somebody replaced them."""
        self.history.clear()
        self.objects.clear()
        self.parts.clear()
        self._spread.clear()
        self.start.clear()
        self._seen.clear()
        self.canvases, self._frame = [self.canvas], 0
        self._first, self._next, self._unused = None, first, first

    def _alone(self, what: str) -> None:
        """Refuse what cannot be a part of a step."""
        fail_if(
            self._open is not None,
            f"{what} as a step of its own",
            "one inside of together()",
            "end the with block before it",
        )

    @contextmanager
    def _on(self, frame: int) -> Iterator[None]:
        """Work with the canvas of another step for a while."""
        current, self._frame = self._frame, frame
        try:
            yield
        finally:
            self._frame = current

    def _step(self, record: dict[str, Any], note: Any) -> Step:
        """Return a step in which nothing was done yet."""
        self._begin_numbers()
        return Step(record, numbers=(self._next, self._next), note=note)

    def _begin_numbers(self) -> None:
        """Find out the first free label, where that was left until it is needed."""
        if self._first is not None:
            self.skip(self._first() - 1)
            self._first = None

    def _numbers(self, count: int) -> int:
        """Return the first of `count` free numbers, which may be ones that were undone."""
        self._begin_numbers()
        with self._lock:
            last = self._next + count - 1
            largest = np.iinfo(self.canvas.dtype).max
            fail_if(
                last > largest,
                f"labels up to {largest}, the largest of {self.canvas.dtype}",
                f"objects numbered up to {last}",
                "choose a new layer as the output, or convert this one to more bits",
            )
            self._next += count
            self._unused = max(self._unused, self._next)
            return last - count + 1

    def _given(self, step: Step, label: int) -> None:
        """Say that a step uses a number."""
        self.skip(label)
        step.numbers = (step.numbers[0], max(step.numbers[1], label + 1))

    def _take_back(self, step: Step, mark: _Mark) -> None:
        """Take back what a step did since a mark."""
        for edit in reversed(step.edits[mark.edits :]):
            self._apply(edit.reversed())
        for label, (before, after) in step.objects.items():
            self._put_object(label, mark.objects.get(label, (after, before))[1])
        del step.edits[mark.edits :], step.record["steps"][mark.records :]
        with self._lock:
            if self._next == step.numbers[1]:
                self._next = mark.numbers[1]
        step.objects, step.numbers = mark.objects, mark.numbers

    def object_on(self, label: int, plane: Index) -> Taken | None:
        """Return the object that a label has on a plane of `canvas`, if it was asked for."""
        taken = self.objects.get(label)
        if taken is not None and (taken.frame, taken.index) == (self._frame, plane):
            return taken
        return self.parts.get((label, self._frame, plane))

    def _place(self, label: int, plane: Index) -> Place:
        """Return where a label's object on a plane is kept."""
        if (label, self._frame, plane) in self.parts:
            return label, self._frame, plane
        taken = self.objects.get(label)
        here = taken is None or (taken.frame, taken.index) == (self._frame, plane)
        return label if here else (label, self._frame, plane)

    def _set(self, step: Step, place: Place, taken: Taken | None) -> None:
        """Say what a label's object is now."""
        known: Any = self.parts if isinstance(place, tuple) else self.objects
        before = step.objects[place][0] if place in step.objects else known.get(place)
        step.objects = {**step.objects, place: (before, taken)}
        self._put_object(place, taken)

    def _put_object(self, place: Place, taken: Taken | None) -> None:
        """Keep or drop an object."""
        known: Any = self.parts if isinstance(place, tuple) else self.objects
        if taken is None:
            known.pop(place, None)
        else:
            known[place] = taken

    def _record(self, step: Step, record: dict[str, Any]) -> None:
        """Add to what a step says of itself."""
        step.record["steps"].append(self._told(record))

    def _told(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return a record with what each says besides."""
        for name, value in self.context.items():
            record.setdefault(name, value)
        if self._frame:
            record.setdefault("axes", self.canvas.axes.axes)
        return record

    def _write(
        self, step: Step, index: Index, window: Window, before: NDArray[Any], after: NDArray[Any]
    ) -> None:
        """Write a window of a plane."""
        if (before != after).any():
            self._begin(index)
            step.edits.append(Edit.between(index, window, before, after, self._frame))
            self.canvas.write(index, window, after)

    def _apply(self, edit: Edit) -> None:
        """Write an edit where the labels are as it found them."""
        canvas = self.canvases[edit.frame]
        current = canvas.read(edit.index, edit.window)
        canvas.write(edit.index, edit.window, edit.onto(current))

    def _begin(self, index: Index, painted: Sequence[Edit] = ()) -> None:
        """Keep what a plane held before the first step on it, for the record."""
        if (self._frame, index) in self._seen:
            return
        self._seen.add((self._frame, index))
        plane = self.canvas.read(index)
        for edit in reversed(painted):
            plane[edit.window] = edit.reversed().onto(plane[edit.window])
        held: dict[str, Any] = {"shape": list(plane.shape), "runs": [0, plane.size]}
        if plane.any():  # else quicker than looking for runs
            held = Runs.of(plane).to_json()
        self.start.append(self._told({"plane": list(index), **held}))


def _largest(canvas: Canvas) -> int:
    """Return the largest label, reading a plane at a time."""
    planes = (canvas.read(index) for index in canvas.axes.indices())
    return max((int(plane.max(initial=0)) for plane in planes), default=0)


def _read(edit: Mapping[str, Any]) -> Edit:
    """Return a stroke from plain numbers, or say that these are none."""
    try:
        return edit_from_json(edit)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            message(
                "strokes with plane, corner, before and after",
                f"{type(error).__name__}: {error}",
                "pass what provenance tells of a stroke",
            )
        ) from error
