"""One label array under construction: what is taken, given back, tidied and painted, step by step.

Each step can be undone and redone, and leaves a record in plain words and numbers, from which
`napari_fastsam.replay` makes the same labels again. The dock widget and scripts use the same class.

An object keeps its number while its prompts change, two objects never share one, and what a person
painted stays: a step only changes pixels that are as it found them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.cleanup import Cleanup, clean, tidy
from napari_fastsam.history import Edit, Taken
from napari_fastsam.placing import Existing, Placed, fit, paint, plan_plane, pull_out, take_out
from napari_fastsam.prompts import Prompts
from napari_fastsam.records import edit_to_json, plain
from napari_fastsam.runs import window_of
from napari_fastsam.selection import DEFAULT_CONFIDENCE, everything, select
from napari_fastsam.stepwise import Stepwise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.canvas import Canvas
    from napari_fastsam.history import Step
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index

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


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A change of one plane that is worked out and not yet written.

    Parameters
    ----------
    edit
        What will change.
    before, after
        (h, w) the labels that `edit` finds and leaves, at hand so that writing is quick.
    numbers
        The objects that come, by their label among those found.
    taken
        How many had a place that was taken.
    """

    edit: Edit
    before: NDArray[Any]
    after: NDArray[Any]
    numbers: Mapping[int, int] = field(default_factory=dict)
    taken: int = 0

    @property
    def new(self) -> int:
        """How many objects come."""
        return len(self.numbers)


class Labelling(Stepwise):
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
        super().__init__(canvas, first=first, max_bytes=max_bytes)
        self.candidates = candidates

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

        Raises
        ------
        ValueError
            If there is no such plane, or labels or choices do not fit the questions.
        """
        count = len(prompts)
        labels = [None] * count if labels is None else list(labels)
        choices = [0] * count if choices is None else list(choices)
        self._check(count, labels, choices)
        selection = select(self.candidates(plane, prompts), prompts)
        objects: list[Instances | None] = []
        for ranked, choice in zip(selection.ranked, choices, strict=True):
            answer = selection.candidates[[ranked[choice % len(ranked)]]] if len(ranked) else None
            tidied = answer if answer is None else tidy(answer, cleanup or Cleanup())
            objects.append(tidied if tidied is not None and len(tidied) else None)
        moved = {n for n in labels if n in self.objects and not self._lies(n, plane)}
        with self.together():
            self.remove(sorted(moved))
            outcomes, record = self._put(plane, list(zip(labels, objects, strict=True)), existing)
        if record is not None:
            record |= plain(
                do="take",
                prompts=prompts,
                choices=choices if any(choices) else None,
                existing=existing,
                cleanup=cleanup,
            )
        return outcomes

    def remove(self, labels: Sequence[int]) -> None:
        """Take the objects of labels away, pixel by pixel as they were taken, as one step.

        What a person painted with these labels elsewhere stays. Labels without an object are
        passed over.
        """
        planes: dict[tuple[int, Index], list[int]] = {}
        for label in dict.fromkeys(labels):
            if label in self.objects:
                taken = self.objects[label]
                planes.setdefault((taken.frame, taken.index), []).append(label)
        with self.together():
            for (frame, index), those in planes.items():
                with self._on(frame):
                    _, record = self._put(index, [(label, None) for label in those], "keep")
                if record is not None:
                    record |= plain(do="remove", labels=those)

    def give_back(self, label: int, *, plane: Index = ()) -> bool:
        """Take every pixel of a label off a plane, as one step; False if there is none.

        What its object covered comes back.
        """
        whole = self.canvas.read(plane)
        own = whole == label
        if label <= 0 or not own.any():
            return False
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        window = window_of([(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)])
        corner = (window[0].start, window[1].start)
        before = whole[window]
        after = before.copy()
        taken = self.objects[label] if self._lies(label, plane) else None
        if taken is not None:
            take_out(after, taken, label, corner)
        after[after == label] = 0
        with self.together() as step:
            self._record(step, plain(do="give back", plane=plane, label=label))
            self._pull_out(step, label, plane, taken, whole=True)
            if taken is not None:
                self._set(step, label, None)
            self._write(step, plane, window, before, after)
        return True

    def everything(
        self,
        objects: Instances | None = None,
        *,
        plane: Index = (),
        confidence: float = DEFAULT_CONFIDENCE,
        min_area: int = 0,
        max_area: int | None = None,
        without: Sequence[int] = (),
        existing: Existing = "keep",
        cleanup: Cleanup | None = None,
        how: dict[str, Any] | None = None,
    ) -> Planned:
        """Take all objects of a plane, as one step.

        Parameters
        ----------
        objects
            Those chosen already; ``None`` chooses among the plane's candidates.
        plane
            Its position on the stepped axes.
        confidence, min_area, max_area
            As for `everything`, of which `without` numbers are left out, counted from 0.
        existing
            What becomes of objects that are there.
        cleanup
            How the objects are tidied together.
        how
            How `objects` were chosen, for the record: any of confidence, min_area, max_area and
            without.

        Returns
        -------
        What was written.
        """
        if objects is None:
            how = plain(confidence=confidence, min_area=min_area, max_area=max_area)
            how |= plain(without=list(without) or None)
            objects = chosen(self.candidates(plane, Prompts()), **how)
        found = clean(objects.to_labels(), cleanup or Cleanup())
        with self.together():
            planned = self._plan(plane, found, existing, self._numbers)
            record = plain(do="everything", plane=plane, existing=existing, cleanup=cleanup)
            record |= plain(how=how, numbers=list(planned.numbers.items()))
            self.write(planned, record if how else plain(do="paint", edits=[planned.edit]))
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
        *,
        exactly: bool = False,
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
        exactly
            Whether just the labels in `numbers` come.
        """
        return self._plan(plane, found, existing, None if exactly else self.reserve, numbers)

    def plan_clean(self, cleanup: Cleanup, plane: Index) -> Planned:
        """Work out what tidying does to a plane; from any thread."""
        before = self.canvas.read(plane)
        return _planned(plane, before, Placed(clean(before, cleanup), {}, 0), self._frame)

    def write(
        self, planned: Planned, record: dict[str, Any] | None = None, step: Step | None = None
    ) -> None:
        """Write what was planned, as one step, or as a part of one that `begin` returned.

        Parameters
        ----------
        planned
            Where the labels have changed since, they stay.
        record
            What to say of a step of its own.
        step
            The step to add to. If others came in between, a new one goes on where it ended.
        """
        index = planned.edit.index
        if step is not None:
            step = self._latest(step)
            other = self._lay(planned, step)
            numbers = [list(pair) for pair in planned.numbers.items()]
            note_plane(step.record, index, numbers, other)
            self.history.push(step)
        elif planned.before.size:
            with self.together() as one:
                other = self._lay(planned, one)
                told = record or {} if other is None else plain(do="paint", edits=[other])
                self._record(one, told)

    def _lay(self, planned: Planned, step: Step) -> Edit | None:
        """Write what was planned; return what that changed if it is not as planned."""
        edit, window = planned.edit, planned.edit.window
        if not planned.before.size:
            return None
        with self._on(edit.frame):
            self._begin(edit.index)
        canvas = self._frames[edit.frame]
        current, values = canvas.read(edit.index, window), planned.after
        stale = bool((current != planned.before).any())
        if stale:
            values = current.copy()
            untouched = (planned.before != planned.after) & (current == planned.before)
            np.copyto(values, planned.after, where=untouched)
            edit = Edit.between(edit.index, window, current, values, edit.frame)
        for number in planned.numbers.values():
            self._given(step, number)
        step.edits.append(edit)
        canvas.write(edit.index, window, values)
        return edit if stale else None

    def _latest(self, step: Step) -> Step:
        """Return the step to go on with: the same, or a new one if others came in between."""
        last = self.history.last
        if last is not None and (last is step or last.root is step):
            return last
        new = self.begin({k: v for k, v in step.record.items() if k not in ("numbers", "edits")})
        new.root = step
        return new

    def _check(self, count: int, labels: Sequence[int | None], choices: Sequence[int]) -> None:
        """Refuse labels and choices that do not fit the questions."""
        fail_if(
            len(labels) != count or len(choices) != count,
            f"one label, or None, and one choice for each of {count} questions",
            f"{len(labels)} labels and {len(choices)} choices",
            "see Prompts.questions for their order",
        )
        named = [label for label in labels if label is not None]
        largest = np.iinfo(self.canvas.dtype).max
        fail_if(
            len(set(named)) != len(named) or not all(0 < label <= largest for label in named),
            f"different labels, from 1 to {largest}",
            f"{named}",
            "pass None for an object that gets a number of its own",
        )

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
        before = self.canvas.read(index, window)
        after = before.copy()
        with self.together() as step:
            for change in changes:
                if change.label is not None and change.label in self.objects:
                    taken = self.objects[change.label]  # not change.old: others may have left it
                    take_out(after, taken, change.label, corner)
                    self._pull_out(step, change.label, index, taken)
            fits = fit(after, [change.found for change in changes], existing, corner)
            for change, pixels in zip(changes, fits, strict=True):
                outcomes[change.question] = self._number(step, change, pixels is not None)
            self._paint(step, index, changes, fits, outcomes, after, corner)
            record = plain(plane=index, labels=[o.label for o in outcomes if o is not None])
            self._record(step, record)
            self._write(step, index, window, before, after)
        return [o for o in outcomes if o is not None], record

    def _lies(self, label: int, index: Index) -> bool:
        """Whether a label has an object, and on this plane."""
        taken = self.objects.get(label)
        return taken is not None and (taken.frame, taken.index) == (self._frame, index)

    def _number(self, step: Step, change: _Change, fits: bool) -> Outcome:
        """Say what comes of a question, and give a new object its number."""
        label = change.label
        if change.found is not None and fits:
            number = self._numbers(1) if label is None else label
            self._given(step, number)
            return Outcome("new" if change.old is None else "changed", number)
        if change.old is not None and label is not None:
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
            given = None if np.count_nonzero(pixels) == found.areas[0] else pixels
            self._set(step, label, Taken(index, found, beneath, given, self._frame))

    def _pull_out(
        self, step: Step, label: int, index: Index, lower: Taken | None, *, whole: bool = False
    ) -> None:
        """Take an object out from beneath those that cover it, so that it does not come back."""
        for other, upper in list(self.objects.items()):
            if other != label and upper.beneath is not None and self._lies(other, index):
                without = pull_out(upper, label, lower, whole=whole)
                self._set(step, other, without)

    def _plan(
        self,
        plane: Index,
        found: NDArray[Any],
        existing: Existing,
        reserve: Callable[[int], int] | None,
        numbers: dict[int, int] | None = None,
    ) -> Planned:
        """Work out how an (H, W) label image gets onto a plane."""
        before = self.canvas.read(plane)
        placed = plan_plane(before, found, existing, reserve, numbers)
        return _planned(plane, before, placed, self._frame)


def chosen(candidates: Instances, *, without: Sequence[int] = (), **how: Any) -> Instances:
    """Return what `everything` chooses, but for those numbers (from 0) that are left out."""
    found = everything(candidates, **how)
    keep = np.ones(len(found), bool)
    keep[list(without)] = False
    return found[keep]


def note_plane(
    record: dict[str, Any], index: Index, numbers: list[list[int]], edit: Edit | None
) -> None:
    """Write down what came of one plane of a run, as `edit` if it cannot be worked out again."""
    planes = record.setdefault("planes", [])
    if list(index) not in planes:
        planes.append(list(index))
    given = record.setdefault("numbers", [])
    place = planes.index(list(index))
    given.extend([None] * (place + 1 - len(given)))
    given[place] = None if edit is not None else numbers
    if edit is not None:
        record.setdefault("edits", []).append(edit_to_json(edit))


def same(one: Instances, other: Instances) -> bool:
    """Whether two single objects have the same pixels."""
    return np.array_equal(one.bboxes, other.bboxes) and np.array_equal(one.buffer, other.buffer)


def _planned(plane: Index, before: NDArray[Any], placed: Placed, frame: int) -> Planned:
    """Return a change cut to what differs."""
    differs = before != placed.labels
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    window = (slice(0, 0), slice(0, 0))
    if len(rows):
        window = window_of([(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)])
    old, new = before[window], placed.labels[window]
    edit = Edit.between(plane, window, old, new, frame)
    return Planned(edit, old, new, placed.numbers, placed.taken)
