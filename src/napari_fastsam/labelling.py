"""One label array under construction: what is taken, given back, tidied and painted, step by step.

Each step can be undone and redone, and leaves a record in plain words and numbers, from which
`napari_fastsam.replay` makes the same labels again. The dock widget and scripts use the same class.

An object keeps its number while its prompts change, two objects never share one, and what a person
painted stays: a step only changes pixels that are as it found them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.cleanup import Cleanup, clean, tidy
from napari_fastsam.history import Edit, History, Step, Taken
from napari_fastsam.placing import Existing, fit, paint, plan_plane, take_out
from napari_fastsam.records import plain
from napari_fastsam.runs import Runs, window_of
from napari_fastsam.selection import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.history import Window
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index
    from napari_fastsam.prompts import Prompts

State = Literal["new", "changed", "same", "taken", "none"]
"""What came of a question: an object that is new, another than before, the same, one whose place is
taken by others, or none."""


class Outcome(NamedTuple):
    """What came of one question, and the label of its object if it has one."""

    state: State
    label: int | None


class _Change(NamedTuple):
    """What becomes of a label: its number (None: a new one), the object it had, the one it gets."""

    question: int
    label: int | None
    old: Taken | None
    found: Instances | None

    @property
    def parts(self) -> list[Instances]:
        """The objects whose pixels change."""
        old = [] if self.old is None else [self.old.mask]
        return old if self.found is None else [*old, self.found]


class Canvas(Protocol):
    """Where labels are written, window by window."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the labels."""
        ...

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(H, W) of each plane."""
        ...

    def read(self, index: Index, window: Window | None = None) -> NDArray[Any]:
        """Return a copy (h, w) of a window of a plane, or of all of it."""
        ...

    def write(self, index: Index, window: Window, values: NDArray[Any]) -> None:
        """Write values (h, w) into a window of a plane."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A change of one plane that is worked out and not yet written.

    Parameters
    ----------
    edit
        What will change.
    before, after
        (h, w) the labels that `edit` finds and leaves, at hand so that writing is quick.
    new, taken
        How many objects come, and how many had a place that was taken.
    """

    edit: Edit
    before: NDArray[Any]
    after: NDArray[Any]
    new: int = 0
    taken: int = 0


class Labelling:
    """A label array and all that was done to it.

    Parameters
    ----------
    canvas
        Where labels are written, as `ArrayCanvas`.
    candidates
        Called with the position of a plane and prompts; returns the candidates to choose from.
    first
        The first free label.
    max_bytes
        Memory for steps that can be undone.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fastsam import Instances, Prompts
    >>> from napari_fastsam.canvas import ArrayCanvas
    >>> cells = Instances.from_labels(np.array([[1, 1, 0, 2], [1, 1, 0, 2]]))
    >>> work = Labelling(ArrayCanvas(np.zeros((2, 4), int)), lambda plane, prompts: cells)
    >>> work.take(Prompts(points=[(0, 3)]))
    [Outcome(state='new', label=1)]
    >>> work.canvas.array
    array([[0, 0, 0, 1],
           [0, 0, 0, 1]])
    >>> work.undo() is not None, work.canvas.array.any()
    (True, np.False_)
    """

    def __init__(
        self,
        canvas: Canvas,
        candidates: Callable[[Index, Prompts], Instances],
        *,
        first: int = 1,
        max_bytes: int = 256 << 20,
    ) -> None:
        self.canvas = canvas
        self.candidates = candidates
        self.history = History(max_bytes)
        self.objects: dict[int, Taken] = {}
        self.context: dict[str, Any] = {}
        self.start: dict[Index, Runs] = {}
        self._gone: frozenset[int] = frozenset()
        self._next = first
        self._lock = Lock()
        self._open: Step | None = None
        self._seen: set[Index] = set()

    @property
    def next_label(self) -> int:
        """The number that the next object gets."""
        return self._next

    def reserve(self, count: int) -> int:
        """Return the first of `count` numbers that nobody else will get; from any thread.

        Raises
        ------
        ValueError
            If the labels' dtype has no numbers left.
        """
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
            return last - count + 1

    def skip(self, label: int) -> None:
        """Go on after a label that somebody else uses."""
        with self._lock:
            self._next = max(self._next, int(label) + 1)

    @contextmanager
    def together(self, note: Any = None, *, onto: Step | None = None) -> Iterator[Step]:
        """Make one step of all that is done inside, unless it changes nothing and has no note.

        Parameters
        ----------
        note
            What the caller wants back when the step is undone or redone.
        onto
            The last step, to which this is added; if it is not the last one any more, a new step.
        """
        if self._open is not None:
            yield self._open
            return
        again = onto is not None and onto is self.history.last
        if onto is None or not again:
            onto = Step({"do": "together", "steps": []}, note=note)
            onto.numbers, onto.gone = (self._next, self._next), (self._gone, self._gone)
        elif onto.record["do"] != "together":
            onto.record = {"do": "together", "steps": [onto.record]}
        self._open = onto
        try:
            yield onto
        finally:
            self._open = None
            onto.numbers, onto.gone = (onto.numbers[0], self._next), (onto.gone[0], self._gone)
            if len(onto.record["steps"]) == 1:
                onto.record = onto.record["steps"][0]
            if not again and (onto.edits or onto.objects or onto.note is not None):
                self.history.push(onto)

    def take(
        self,
        prompts: Prompts,
        *,
        plane: Index = (),
        labels: Sequence[int | None] | None = None,
        choices: Sequence[int] | None = None,
        existing: Existing = "keep",
        cleanup: Cleanup | None = None,
    ) -> list[Outcome]:
        """Take the object that answers each question of some prompts, as one step.

        Parameters
        ----------
        prompts
            Q questions about one plane.
        plane
            Its position on the stepped axes.
        labels
            For each question the label whose object it asks for anew, or ``None`` for an object
            with a number of its own.
        choices
            For each question how many answers are passed over, as `Selection.cycle` does.
        existing
            Whether objects that are there stay on top (``"keep"``) or not (``"overwrite"``).
        cleanup
            How each object is tidied before it is written.

        Returns
        -------
        What came of each question.
        """
        count = len(prompts)
        labels = [None] * count if labels is None else list(labels)
        choices = [0] * count if choices is None else list(choices)
        selection = select(self.candidates(plane, prompts), prompts)
        objects: list[Instances | None] = []
        for ranked, choice in zip(selection.ranked, choices, strict=True):
            answer = selection.candidates[[ranked[choice % len(ranked)]]] if len(ranked) else None
            tidied = answer if answer is None else tidy(answer, cleanup or Cleanup())
            objects.append(tidied if tidied is not None and len(tidied) else None)
        outcomes, record = self._put(plane, list(zip(labels, objects, strict=True)), existing)
        if record is not None:
            record |= plain(
                do="take", prompts=prompts, choices=choices, existing=existing, cleanup=cleanup
            )
        return outcomes

    def remove(self, labels: Sequence[int]) -> None:
        """Take the objects of labels away, pixel by pixel as they were taken, as one step.

        What a person painted with these labels elsewhere stays. Labels without an object are
        passed over.
        """
        planes: dict[Index, list[int]] = {}
        for label in labels:
            if label in self.objects:
                planes.setdefault(self.objects[label].index, []).append(label)
        with self.together():
            for index, those in planes.items():
                _, record = self._put(index, [(label, None) for label in those], "keep")
                if record is not None:
                    record |= plain(do="remove", labels=those)

    def give_back(self, label: int, *, plane: Index = ()) -> bool:
        """Take every pixel of a label off a plane, as one step; False if there is none."""
        before = self.canvas.read(plane)
        own = before == label
        if label <= 0 or not own.any():
            return False
        after = before.copy()
        taken = self.objects.get(label)
        if taken is not None and taken.index == plane:
            take_out(after, taken, label, self._gone)
        after[after == label] = 0
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        window = window_of([(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)])
        with self.together() as step:
            self._gone |= {label}
            self._record(step, plain(do="give back", plane=plane, label=label))
            self._write(step, plane, window, before[window], after[window])
            if taken is not None and taken.index == plane:
                self._set(step, label, None)
        return True

    def everything(
        self,
        objects: Instances,
        *,
        plane: Index = (),
        existing: Existing = "keep",
        cleanup: Cleanup | None = None,
        how: dict[str, Any] | None = None,
    ) -> Planned:
        """Take all objects of a plane, as one step; `how` tells the record how they were chosen."""
        found = clean(objects.to_labels(), cleanup or Cleanup())
        numbers: dict[int, int] = {}
        planned = self.plan(plane, found, existing, numbers)
        first = min(numbers.values(), default=None)
        record = plain(do="everything", plane=plane, existing=existing, cleanup=cleanup, how=how)
        record |= plain(first=first)
        self.write(planned, record)
        return planned

    def clean(self, cleanup: Cleanup, *, plane: Index = ()) -> None:
        """Tidy the labels of a plane, as one step."""
        self.write(self.plan_clean(cleanup, plane), plain(do="clean", plane=plane, cleanup=cleanup))

    def plan(
        self,
        plane: Index,
        found: NDArray[Any],
        existing: Existing,
        numbers: dict[int, int] | None = None,
    ) -> Planned:
        """Work out how an (H, W) label image gets onto a plane; from any thread.

        Parameters
        ----------
        plane
            Its position.
        found
            Labels of their own count.
        existing
            What becomes of what is there; ``"clear"`` removes it.
        numbers
            For each label of `found` its number here, if the label was met on an earlier plane;
            new ones are added.
        """
        before = self.canvas.read(plane)
        painted, new, taken = plan_plane(before, found, existing, self.reserve, numbers)
        return self._planned(plane, before, painted, new, taken)

    def plan_clean(self, cleanup: Cleanup, plane: Index) -> Planned:
        """Work out what tidying does to a plane; from any thread."""
        before = self.canvas.read(plane)
        return self._planned(plane, before, clean(before, cleanup))

    def write(
        self, planned: Planned, record: dict[str, Any] | None = None, step: Step | None = None
    ) -> None:
        """Write what was planned, as one step, or as a part of a step that is there already."""
        if step is not None:
            self._begin(planned.edit.index)
            current = self.canvas.read(planned.edit.index, planned.edit.window)
            untouched = (planned.before != planned.after) & (current == planned.before)
            values = np.where(untouched, planned.after, current)
            self.canvas.write(planned.edit.index, planned.edit.window, values)
            step.edits.append(planned.edit)
            step.numbers = (step.numbers[0], self._next)
            self.history.shrink()
            return
        with self.together() as one:
            one.numbers = (self._next, self._next)
            self._record(one, record or {})
            self.write(planned, step=one)

    def begin(self, record: dict[str, Any], note: Any = None) -> Step:
        """Return a step, the last one from now on, that `write` adds planes to."""
        first = self._next
        step = Step(record | self.context, numbers=(first, first), note=note)
        step.gone = (self._gone, self._gone)
        self.history.push(step)
        return step

    def painted(self, edits: Sequence[Edit], note: Any = None) -> None:
        """Add a step for what a person has painted: `edits` are done already."""
        if not edits:
            return
        record = plain(do="paint", edits=list(edits))
        step = Step(record, list(edits), numbers=(self._next, self._next), note=note)
        step.gone = (self._gone, self._gone)
        for edit in edits:
            if edit.index not in self._seen:  # what was there before the first stroke
                self._begin(edit.index, edit)
            self.skip(int(edit.after.values.max(initial=0)))
        self.history.push(step)

    def undo(self) -> Step | None:
        """Take the last step back, and return it; None if there is none."""
        step = self.history.undo()
        if step is not None:
            for edit in reversed(step.edits):
                self._apply(edit.reversed())
            self._restore(step, 0)
        return step

    def redo(self) -> Step | None:
        """Do the step undone last again, and return it; None if there is none."""
        step = self.history.redo()
        if step is not None:
            for edit in step.edits:
                self._apply(edit)
            self._restore(step, 1)
        return step

    def forget(self, first: int) -> None:
        """Start again from the labels as they are: somebody replaced them."""
        self.history.clear()
        self.objects.clear()
        self.start.clear()
        self._seen.clear()
        self._gone = frozenset()
        self._next = first

    def _put(
        self,
        index: Index,
        wanted: Sequence[tuple[int | None, Instances | None]],
        existing: Existing,
    ) -> tuple[list[Outcome], dict[str, Any] | None]:
        """Give each label (None: a new one) its object, or none; return the record to complete."""
        outcomes: list[Outcome | None] = [None] * len(wanted)
        changes = []
        for n, (label, found) in enumerate(wanted):
            old = self.objects.get(label) if label is not None else None
            if found is None and old is None:
                outcomes[n] = Outcome("none", label)
            elif found is not None and old is not None and same(old.mask, found):
                outcomes[n] = Outcome("same", label)
            else:
                changes.append(_Change(n, label, old, found))
        if not changes:
            return [o for o in outcomes if o is not None], None
        window = window_of([part.bboxes[0] for change in changes for part in change.parts])
        corner = (window[0].start, window[1].start)
        self._begin(index)
        before = self.canvas.read(index, window)
        after = before.copy()
        with self.together() as step:
            for change in changes:
                if change.old is not None and change.label is not None:
                    take_out(after, change.old, change.label, self._gone, corner)
            fits = fit(after, [change.found for change in changes], existing, corner)
            for change, pixels in zip(changes, fits, strict=True):
                outcomes[change.question] = self._number(step, change, pixels is not None)
            self._paint(step, index, changes, fits, outcomes, after, corner)
            record = plain(plane=index, labels=[o.label for o in outcomes if o is not None])
            self._record(step, record)
            self._write(step, index, window, before, after)
        return [o for o in outcomes if o is not None], record

    def _number(self, step: Step, change: _Change, fits: bool) -> Outcome:
        """Say what comes of a question, and give a new object its number."""
        label = change.label
        if change.found is not None and fits:
            number = self.reserve(1) if label is None else label
            return Outcome("new" if change.old is None else "changed", number)
        if change.old is not None and label is not None:
            self._gone |= {label}
            self._set(step, label, None)
        return Outcome("none" if change.found is None else "taken", label)

    def _paint(
        self,
        step: Step,
        index: Index,
        changes: Sequence[_Change],
        fits: Sequence[NDArray[np.bool_] | None],
        outcomes: Sequence[Outcome | None],
        after: NDArray[Any],
        corner: tuple[int, int],
    ) -> None:
        """Write objects into a window, smaller ones on larger ones."""
        placed = [
            (change.found, pixels, outcome.label)
            for change, pixels in zip(changes, fits, strict=True)
            if change.found is not None
            and pixels is not None
            and (outcome := outcomes[change.question]) is not None
            and outcome.label is not None
        ]
        for found, pixels, label in sorted(placed, key=lambda item: -int(item[0].areas[0])):
            beneath = paint(after, found, pixels, label, corner)
            self._gone -= {label}
            self._set(step, label, Taken(index, found, beneath))

    def _set(self, step: Step, label: int, taken: Taken | None) -> None:
        """Say what a label's object is now."""
        before = step.objects[label][0] if label in step.objects else self.objects.get(label)
        step.objects = {**step.objects, label: (before, taken)}
        if taken is None:
            self.objects.pop(label, None)
        else:
            self.objects[label] = taken

    def _record(self, step: Step, record: dict[str, Any]) -> None:
        """Add to what a step says of itself."""
        for name, value in self.context.items():
            record.setdefault(name, value)
        step.record["steps"].append(record)

    def _write(
        self, step: Step, index: Index, window: Window, before: NDArray[Any], after: NDArray[Any]
    ) -> None:
        """Write a window of a plane."""
        if (before != after).any():
            self._begin(index)
            step.edits.append(Edit.between(index, window, before, after))
            self.canvas.write(index, window, after)

    def _apply(self, edit: Edit) -> None:
        """Write an edit where the labels are as it found them."""
        current = self.canvas.read(edit.index, edit.window)
        self.canvas.write(edit.index, edit.window, edit.onto(current))

    def _restore(self, step: Step, side: int) -> None:
        """Go back to the objects and numbers before a step (side 0) or after it (1)."""
        for label, states in step.objects.items():
            state = states[side]
            if state is None:
                self.objects.pop(label, None)
            else:
                self.objects[label] = state
        self._gone = step.gone[side]
        with self._lock:
            if self._next == step.numbers[1 - side]:
                self._next = step.numbers[side]

    def _planned(
        self, plane: Index, before: NDArray[Any], after: NDArray[Any], new: int = 0, taken: int = 0
    ) -> Planned:
        """Return a change cut to what differs."""
        differs = before != after
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        window = (slice(0, 0), slice(0, 0))
        if len(rows):
            window = window_of([(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)])
        edit = Edit.between(plane, window, before[window], after[window])
        return Planned(edit, before[window], after[window], new, taken)

    def _begin(self, index: Index, painted: Edit | None = None) -> None:
        """Keep what a plane held before the first step on it, for the record."""
        if index in self._seen:
            return
        self._seen.add(index)
        plane = self.canvas.read(index)
        if painted is not None:
            plane[painted.window] = painted.reversed().onto(plane[painted.window])
        if plane.any():
            self.start[index] = Runs.of(plane)


def same(one: Instances, other: Instances) -> bool:
    """Whether two single objects have the same pixels."""
    return np.array_equal(one.bboxes, other.bboxes) and np.array_equal(one.buffer, other.buffer)
