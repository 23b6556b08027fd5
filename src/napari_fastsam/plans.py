"""Changes of whole planes: worked out from any thread, written on one, planes of a run in one step.

A plan may be out of date when it is written. Then what has changed since stays, and the record says
what was written in place of how it was found.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.canvas import position
from napari_fastsam.cleanup import clean
from napari_fastsam.history import Edit, Taken
from napari_fastsam.instances import Instances
from napari_fastsam.placing import Existing, Placed, plan_plane
from napari_fastsam.records import edit_to_json, plain
from napari_fastsam.runs import Runs, window_of
from napari_fastsam.stepwise import Stepwise

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.cleanup import Cleanup
    from napari_fastsam.closer import Window
    from napari_fastsam.history import Step
    from napari_fastsam.pipeline import Index


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
    windows
        Where the plane was looked at closer, in order.
    kept
        By their number, the objects that can be changed later, as those of `take`.
    """

    edit: Edit
    before: NDArray[Any]
    after: NDArray[Any]
    numbers: Mapping[int, int] = field(default_factory=dict)
    taken: int = 0
    windows: tuple[Window, ...] = ()
    kept: Mapping[int, Taken] = field(default_factory=dict)

    @property
    def new(self) -> int:
        """How many objects come."""
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"Planned(plane={self.edit.index}, new={self.new}, taken={self.taken})"


STRIP = 1 << 17
"""Pixels of a plane that are written at once."""


class Planning(Stepwise):
    """A label array whose planes are changed as planned before; see `Stepwise`."""

    def plan(
        self,
        plane: Index,
        found: NDArray[Any],
        existing: Existing,
        numbers: dict[int, int] | None = None,
        *,
        exactly: bool = False,
        windows: Sequence[Window] = (),
        frame: int | None = None,
        keep: bool = False,
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
        windows
            Where the plane was looked at closer for that, for the record.
        frame
            Which of the canvases the plane is on; ``None`` for the one that is shown.
        keep
            Whether each object can be changed or taken away later, by its number and plane.
        """
        reserve = None if exactly else self.reserve
        planned = self._plan(plane, found, existing, reserve, numbers, frame)
        kept = _taken(planned, self.canvas.plane_shape) if keep else {}
        return replace(planned, windows=tuple(windows), kept=kept)

    def plan_clean(self, cleanup: Cleanup, plane: Index | int) -> Planned:
        """Work out what tidying does to a plane; from any thread."""
        frame = self.frame
        canvas = self.canvases[frame]
        plane = position(canvas.axes, plane)
        before = canvas.read(plane)
        return _planned(plane, before, Placed(clean(before, cleanup), {}, 0), frame)

    def clean(self, cleanup: Cleanup, *, plane: Index | int = ()) -> None:
        """Tidy the labels of a plane, as one step."""
        plane = position(self.canvas.axes, plane)
        self.write(self.plan_clean(cleanup, plane), plain(do="clean", plane=plane, cleanup=cleanup))

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
        for _ in self.writing(planned, record, step):
            pass

    def writing(
        self, planned: Planned, record: dict[str, Any] | None = None, step: Step | None = None
    ) -> Iterator[None]:
        """Write as `write` does, a strip of the plane each time that this is asked for the next.

        Other steps may be done in between. It has to be asked until it ends, which makes it a step.
        """
        if step is None and not planned.before.size:
            return
        edit = yield from self._lay(planned)
        told = None if edit is None or edit is planned.edit else edit
        if step is not None:
            step = self._latest(step)
            self._account(step, planned, edit)
            note_plane(step, planned, told)
            self.history.push(step)
        else:
            with self.together() as one:
                self._account(one, planned, edit)
                self._record(one, record or {} if told is None else plain(do="paint", edits=[told]))

    def _lay(self, planned: Planned) -> Generator[None, None, Edit | None]:
        """Write what was planned, strip by strip; return what that changed, if anything."""
        edit, before, after = planned.edit, planned.before, planned.after
        if not before.size:
            return None
        with self._on(edit.frame):
            self._begin(edit.index)
        canvas = self.canvases[edit.frame]
        top, columns = edit.window[0].start, edit.window[1]
        found: NDArray[Any] | None = None  # what was there, once it is not as planned
        done = 0
        try:
            for rows in strips(before.shape):
                window = (slice(top + rows.start, top + rows.stop), columns)
                current = canvas.read(edit.index, window)
                values = after[rows]
                if (current != before[rows]).any():
                    found, after = before.copy() if found is None else found, after.copy()
                    found[rows] = current
                    untouched = (before[rows] != values) & (current == before[rows])
                    after[rows] = values = np.where(untouched, values, current)
                canvas.write(edit.index, window, values)
                done = rows.stop
                yield
        except Exception:
            window = (slice(top, top + done), columns)
            canvas.write(edit.index, window, (before if found is None else found)[:done])
            raise
        if found is None:
            return edit
        return Edit.between(edit.index, edit.window, found, after, edit.frame)

    def _account(self, step: Step, planned: Planned, edit: Edit | None) -> None:
        """Make what was written a part of a step."""
        for number in planned.numbers.values():
            self._given(step, number)
        if edit is not None:
            step.edits.append(edit)
        if edit is planned.edit:  # else somebody has changed what is there
            for number, taken in planned.kept.items():
                self._set(step, self._place(number, edit.index), taken)
                self._spread.add(number)

    def _latest(self, step: Step) -> Step:
        """Return the step to go on with: the same, or a new one if others came in between."""
        last = self.history.last
        if last is not None and (last is step or last.root is step):
            return last
        new = self.begin(
            {k: v for k, v in step.record.items() if k not in ("numbers", "edits", "looked")}
        )
        new.root = step
        return new

    def _plan(
        self,
        plane: Index,
        found: NDArray[Any],
        existing: Existing,
        reserve: Callable[[int], int] | None,
        numbers: dict[int, int] | None = None,
        frame: int | None = None,
    ) -> Planned:
        """Work out how an (H, W) label image gets onto a plane."""
        frame = self.frame if frame is None else frame
        before = self.canvases[frame].read(plane)
        placed = plan_plane(before, found, existing, reserve, numbers)
        return _planned(plane, before, placed, frame)


def _taken(planned: Planned, shape: tuple[int, int]) -> dict[int, Taken]:
    """Return the objects of a plan, each by its number, as if they were taken one by one."""
    from scipy.ndimage import find_objects

    edit, before, after = planned.edit, planned.before, planned.after
    numbers = np.array(sorted(set(planned.numbers.values())), after.dtype)
    if not numbers.size or not after.size:
        return {}
    at = np.minimum(np.searchsorted(numbers, after), len(numbers) - 1)
    there = np.where((numbers[at] == after) & (before != after), at + 1, 0)
    objects = {}
    for n, box in enumerate(find_objects(there, len(numbers))):
        if box is None:
            continue
        mask = there[box] == n + 1
        top, left = edit.corner[0] + box[0].start, edit.corner[1] + box[1].start
        bounds = (top, left, top + mask.shape[0], left + mask.shape[1])
        covered = np.where(mask, before[box], 0)
        objects[int(numbers[n])] = Taken(
            edit.index,
            Instances.from_masks(shape, [mask], [bounds]),
            Runs.of(covered) if covered.any() else None,
            frame=edit.frame,
        )
    return objects


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield the rows of strips of an (H, W) array that are written in a few milliseconds each."""
    height, width = shape
    rows = max(1, STRIP // max(width, 1))
    return (slice(n, min(n + rows, height)) for n in range(0, height, rows))


def note_plane(step: Step, planned: Planned, other: Edit | None) -> None:
    """Write down what came of one plane of a run: as an edit if it was not written as planned."""
    index, record = list(planned.edit.index), step.record
    planes = record.setdefault("planes", [])
    if index not in planes:
        planes.append(index)
    place = planes.index(index)
    if step.root is not None:  # the planes are those of the first part, the numbers are not
        step.root.record.get("numbers", [])[place:] = []
    given = record.setdefault("numbers", [])
    given.extend([None] * (place + 1 - len(given)))
    given[place] = None if other is not None else [list(pair) for pair in planned.numbers.items()]
    if other is not None:
        record.setdefault("edits", []).append(edit_to_json(other))
    if planned.windows:
        windows = [list(map(int, window)) for window in planned.windows]
        record.setdefault("looked", []).append({"plane": index, "windows": windows})


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
