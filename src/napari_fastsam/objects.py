"""The objects of a label array: put there, changed and taken away, each by its number.

An object keeps its number while it changes, two objects never share one, and what an object covered
comes back when it leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_fastsam.canvas import position
from napari_fastsam.history import Taken
from napari_fastsam.instances import Instances
from napari_fastsam.placing import Existing, check_existing, fit, paint, pull_out, take_out
from napari_fastsam.plans import Planning
from napari_fastsam.records import instance_from_json, instance_to_json, plain
from napari_fastsam.runs import window_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.history import Place, Step
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


class Objects(Planning):
    """A label array with objects that can be changed and taken away; see `Stepwise`."""

    def remove(self, labels: int | Sequence[int], *, plane: Index | int | None = None) -> None:
        """Take the objects of labels away, pixel by pixel as they were taken, as one step.

        What a person painted with these labels elsewhere stays. Labels without an object are
        passed over, and so is what they have on other planes than `plane`, if one is given.
        """
        only = None if plane is None else (self._frame, position(self.canvas.axes, plane))
        planes: dict[tuple[int, Index], list[int]] = {}
        for label in dict.fromkeys(np.atleast_1d(np.asarray(labels, int)).tolist()):
            main = [self.objects[label]] if label in self.objects else []
            more = [taken for place, taken in self.parts.items() if place[0] == label]
            for taken in (*main, *more):
                if only in (None, (taken.frame, taken.index)):
                    planes.setdefault((taken.frame, taken.index), []).append(label)
        with self.together():
            for (frame, index), those in planes.items():
                with self._on(frame):
                    _, record = self._put(index, [(label, None) for label in those], "keep")
                if record is not None:
                    record |= plain(do="remove", labels=those)

    def spread(self, label: int) -> None:
        """Let a label have an object on each plane: taking one leaves those on other planes."""
        with self.together() as step:
            self._record(step, plain(do="spread", label=label))
            self._spread.add(label)

    def extend(
        self,
        label: int,
        found: Instances | Mapping[str, Any],
        *,
        plane: Index | int = (),
        existing: Existing = "keep",
    ) -> Outcome:
        """Give a label an object on a further plane, as one step; the others stay.

        Parameters
        ----------
        label
            The label. What it was given on this plane before is left for the new object.
        found
            One object, or one as plain numbers: bbox, shape and runs, as records have it.
        plane
            Its position on the stepped axes.
        existing
            Whether objects that are there stay on top (``"keep"``) or not.

        Returns
        -------
        What came of it: ``"taken"`` if less than half of its place is free.
        """
        check_existing(existing)
        plane = position(self.canvas.axes, plane)
        if not isinstance(found, Instances):
            found = instance_from_json(found, self.canvas.plane_shape)
        with self.together():
            self._spread.add(label)
            (outcome,), record = self._put(plane, [(label, found)], existing)
            if record is not None:
                record |= plain(do="extend", label=label, existing=existing)
                record |= instance_to_json(found)
        return outcome

    def give_back(self, label: int, *, plane: Index | int = ()) -> bool:
        """Take every pixel of a label off a plane, as one step; False if there is none.

        What its object covered comes back.
        """
        plane = position(self.canvas.axes, plane)
        whole = self.canvas.read(plane)
        own = whole == label
        if label <= 0 or not own.any():
            return False
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        window = window_of([(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)])
        corner = (window[0].start, window[1].start)
        before = whole[window]
        after = before.copy()
        taken = self.object_on(label, plane)
        if taken is not None:
            take_out(after, taken, label, corner)
        after[after == label] = 0
        with self.together() as step:
            self._record(step, plain(do="give back", plane=plane, label=label))
            self._pull_out(step, label, plane, taken, whole=True)
            if taken is not None:
                self._set(step, self._place(label, plane), None)
            self._write(step, plane, window, before, after)
        return True

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
            old = self.object_on(label, index) if label is not None else None
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
                taken = None if change.label is None else self.object_on(change.label, index)
                if change.label is not None and taken is not None:
                    # Not change.old: others may have left it.
                    take_out(after, taken, change.label, corner)
                    self._pull_out(step, change.label, index, taken)
            fits = fit(after, [change.found for change in changes], existing, corner)
            for change, pixels in zip(changes, fits, strict=True):
                outcomes[change.question] = self._number(step, change, index, pixels is not None)
            self._paint(step, index, changes, fits, outcomes, after, corner)
            record = plain(plane=index, labels=[o.label for o in outcomes if o is not None])
            self._record(step, record)
            self._write(step, index, window, before, after)
        return [o for o in outcomes if o is not None], record

    def _lies(self, label: int, index: Index) -> bool:
        """Whether a label has an object, and on this plane."""
        return self.object_on(label, index) is not None

    def _number(self, step: Step, change: _Change, index: Index, fits: bool) -> Outcome:
        """Say what comes of a question, and give a new object its number."""
        label = change.label
        if change.found is not None and fits:
            number = self._numbers(1) if label is None else label
            if label is None:
                self._spread.discard(number)
            self._given(step, number)
            return Outcome("new" if change.old is None else "changed", number)
        if change.old is not None and label is not None:
            self._set(step, self._place(label, index), None)
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
            taken = Taken(index, found, beneath, given, self._frame)
            self._set(step, self._place(label, index), taken)

    def _pull_out(
        self, step: Step, label: int, index: Index, lower: Taken | None, *, whole: bool = False
    ) -> None:
        """Take an object out from beneath those that cover it, so that it does not come back."""
        places: list[tuple[Place, Taken]] = [*self.objects.items(), *self.parts.items()]
        for place, upper in places:
            other = place[0] if isinstance(place, tuple) else place
            lies = (upper.frame, upper.index) == (self._frame, index)
            if other != label and upper.beneath is not None and lies:
                without = pull_out(upper, label, lower, whole=whole)
                if without is not upper:
                    self._set(step, place, without)


def same(one: Instances, other: Instances) -> bool:
    """Whether two single objects have the same pixels."""
    return np.array_equal(one.bboxes, other.bboxes) and np.array_equal(one.buffer, other.buffer)
