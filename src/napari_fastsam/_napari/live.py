"""How prompts become objects while they are drawn: what changed is asked again, and nothing else.

It knows what is drawn as a `Drawing`, candidates and a `Labelling`, and neither layers nor windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

import numpy as np

from napari_fastsam._napari.asked import Asked, Drawing, Ledger, Name, joined, read, same_rows
from napari_fastsam.selection import select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.cleanup import Cleanup
    from napari_fastsam.history import Step
    from napari_fastsam.instances import Instances
    from napari_fastsam.labelling import Labelling
    from napari_fastsam.pipeline import Index
    from napari_fastsam.placing import Existing
    from napari_fastsam.prompts import Prompts


class Ground(Protocol):
    """What prompts are asked on: an image with its candidates, and labels."""

    def candidates(self, index: Index) -> Instances | None:
        """Return what is known of a plane, or None as long as nothing is."""
        ...

    def work(self, *, make: bool) -> Labelling | None:
        """Return the labels, made if there are none and they are needed."""
        ...

    def look(self, index: Index) -> None:
        """Have a plane looked at; `Live.arrived` is called when it was."""
        ...

    def look_closer(self, index: Index, prompts: Prompts) -> bool:
        """Have a plane looked at closer; `Live.arrived` follows. False if there is no such look."""
        ...


MANY_LATE = 64
"""Of so many that had no answer, those that can be asked no more are forgotten."""


@dataclass(slots=True, eq=False)
class Note:
    """What prompts asked for before and after a step, to go back to when it is undone."""

    before: Ledger
    after: Ledger

    @property
    def nbytes(self) -> int:
        """Memory of one of them, in bytes: the other one is that of the step beside."""
        return self.after.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """What prompts ask on a plane, and the objects that each question is about, in order."""

    prompts: Prompts
    asked: tuple[tuple[Name, Asked], ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of the last change: objects by what became of them.

    `label` and `index` are the number and the plane of the last one that was taken.
    """

    new: int = 0
    changed: int = 0
    taken: int = 0
    none: int = 0
    looking: int = 0
    waiting: int = 0
    label: int | None = None
    index: Index | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Late:
    """An object without an answer so far.

    `asked` is how it was asked for, `step` where, if there were labels, and `before` what was asked
    for until then. `answers` counts those that were there, but came to nothing, and `looking` says
    whether it waits for a closer look.
    """

    asked: Asked
    step: Step | None
    before: Ledger
    answers: int = 0
    looking: bool = False


class Live:
    """Keeps objects in step with the prompts that ask for them.

    Parameters
    ----------
    ground
        What prompts are asked on.
    settings
        Called for what becomes of existing labels and how objects are tidied.
    answered
        Called after each change with what came of it.
    goes_on
        Called with a plane; returns the label that a single new object there has besides others on
        other planes, None for a number of its own.
    """

    def __init__(
        self,
        ground: Ground,
        settings: Callable[[], tuple[Existing, Cleanup]],
        answered: Callable[[Answered], None] = lambda _: None,
        goes_on: Callable[[Index], int | None] = lambda _: None,
    ) -> None:
        self.ledger = Ledger()
        self.ground = ground
        self._settings = settings
        self._answered = answered
        self.goes_on = goes_on
        self._late: dict[int, _Late] = {}  # by the id of what is asked, which they keep
        self._many = MANY_LATE
        self._work: ref[Labelling] | None = None

    def adopt(self, drawing: Drawing, *, points: bool = False, shapes: bool = False) -> None:
        """Leave what is drawn alone until it changes.

        Parameters
        ----------
        drawing
            What is drawn.
        points, shapes
            Whether points, or shapes, are those of before: then they go on with their objects.
        """
        if not points and not shapes:
            self._late.clear()
        kept = self.ledger.only(points=points, shapes=shapes)
        self.ledger, _ = read(kept, drawing, settled=True)

    def changed(self, drawing: Drawing, choices: Mapping[Name, int] | None = None) -> None:
        """Ask what is drawn now, where it differs from what was drawn before, as one step.

        Parameters
        ----------
        drawing
            What is drawn.
        choices
            For objects that are new, how many answers are passed over.
        """
        before = self.ledger
        after, lost = read(before, drawing)
        turned = {**self._same_choices(before, after), **(choices or {})}
        after = after.settled(
            {
                name: replace(after.objects[name], choice=choice)
                for name, choice in turned.items()
                if name in after.objects and choice
            }
        )
        if _same_rows(before.drawing, after.drawing):
            self.ledger = after
            return
        fresh = [name for name in after.objects if name not in before.objects]
        if len(fresh) == 1:
            asked = after.objects[fresh[0]]
            label = self.goes_on(asked.index)
            if label is not None and before.owner(label, asked.index) is None:
                after = after.settled({fresh[0]: replace(asked, label=label, spread=True)})
        gone = [(asked.label, asked.index) for asked in lost if asked.label is not None]
        self._step(before, after, gone)

    def ask_all(self, index: Index | None = None) -> None:
        """Ask for objects that were not found or not asked for yet, on one plane or on all."""
        again = {
            name: replace(asked, settled=False, left=False)
            for name, asked in self.ledger.objects.items()
            if asked.settled and not self._has_object(asked) and index in (None, asked.index)
        }
        if again:
            self._step(self.ledger, self.ledger.settled(again))

    def arrived(self, index: Index) -> None:
        """Answer what waits for a plane that was looked at, or looked at closer."""
        none = looking = 0
        for name, late in self._answer_late(index).items():
            # What it waited for may be another look than the one that came.
            told = self._look_closer([name], late.step, late.before)
            looking += told.looking
            none += told.none if late.looking or not late.asked.settled else 0
        if none or looking:
            self._answered(Answered(none=none, looking=looking))

    def cycle(self, name: Name, steps: int = 1) -> bool:
        """Give an object its next answer in place of the one it has; False if there is no other."""
        asked = self.ledger.objects.get(name)
        if asked is None or self.answers(asked) < 2:
            return False
        turned = replace(asked, choice=asked.choice + steps, settled=False, left=False)
        self._step(self.ledger, self.ledger.settled({name: turned}))
        return True

    def drawn(self, drawing: Drawing) -> None:
        """Take note that the layers now show what was asked for; what else they show is asked."""
        after, _ = read(self.ledger, drawing)
        if _same_rows(self.ledger.drawing, after.drawing):
            self._replace({}, after)
        else:
            self.changed(drawing)

    def give_back(self, label: int, index: Index) -> bool:
        """Take an object off the labels, and the prompts that ask for it off the drawing."""
        work = self.ground.work(make=False)
        if work is None:
            return False
        before = self.ledger
        name = before.owner(label, index)
        after = before if name is None else before.without(name)
        note = Note(before, after)
        with work.together(note if name is not None else None):
            found = work.give_back(label, plane=index)
        # Others that ask for it as well would bring it back with the next change.
        alone = {
            other: replace(asked, crowded=False, left=True)
            for other, asked in after.objects.items()
            if asked.crowded and asked.index == index
        }
        self.ledger = note.after = after.settled(alone)
        return found

    def undo(self, step: Step, *, back: bool = True) -> Drawing | None:
        """Return what has to be drawn after a step was undone (or redone), None for no change.

        Notes
        -----
        What came meanwhile for prompts that are back is taken where no step is left to be redone: a
        new step would be in its way.
        """
        if not isinstance(step.note, Note):
            return None
        self.ledger = step.note.before if back else step.note.after
        drawing = self.ledger.drawing
        work = None if self._work is None else self._work()
        if not back and work is not None and work.history.next is None:
            for index in {asked.index for asked in self.ledger.objects.values()}:
                self._answer_late(index)
        for index, names in self.ledger.pending().items():
            if self.ground.candidates(index) is None:
                self.ground.look(index)
            else:
                objects = self.ledger.objects
                alone = {name: replace(objects[name], settled=True, left=True) for name in names}
                self.ledger = self.ledger.settled(alone)
        return drawing

    def answers(self, asked: Asked) -> int:
        """Return how many candidates answer an object's prompts."""
        return len(self._ranked(asked, self.ledger))

    def by_plane(self) -> dict[Index, Questions]:
        """Return what is asked for and has no object yet, by plane."""
        planes: dict[Index, list[Name]] = {}
        for name, asked in self.ledger.objects.items():
            if not self._has_object(asked):
                planes.setdefault(asked.index, []).append(name)
        questions = {}
        for index, names in sorted(planes.items()):
            parts = [self.ledger.objects[name] for name in names]
            prompts, order = self._prompts(parts)
            questions[index] = Questions(prompts, tuple((names[n], parts[n]) for n in order))
        return questions

    def tie(self, questions: Questions, labels: Sequence[int | None], step: Step) -> None:
        """Make the objects that a run found for prompts theirs: they change with them from now on.

        Parameters
        ----------
        questions
            What the run asked on a plane.
        labels
            What each question got, None for nothing.
        step
            The run, or the part of it that the plane is in: undone, the prompts are as before.
        """
        work = self.ground.work(make=False)
        before = self.ledger
        if work is None:
            return
        self._work = ref(work)
        tied = {
            name: replace(asked, label=label, settled=True, crowded=False, left=False)
            for (name, asked), label in zip(questions.asked, labels, strict=True)
            if before.objects.get(name) is asked  # else it was changed meanwhile
            and label is not None
            and work.object_on(label, asked.index) is not None
        }
        self.ledger = before.settled(tied)
        if isinstance(step.note, Note):
            step.note.after = self.ledger
        else:
            step.note = Note(before, self.ledger)

    def prompts(self, name: Name) -> Prompts | None:
        """Return what is asked for an object."""
        asked = self.ledger.objects.get(name)
        return None if asked is None else self._prompts([asked])[0]

    def _same_choices(self, before: Ledger, after: Ledger) -> dict[Name, int]:
        """Return which answers objects keep though negative points rule others out now, or not."""
        choices = {}
        for name, asked in after.objects.items():
            old = before.objects.get(name)
            if old is None or old is asked or not old.choice or not same_rows(old, asked):
                continue
            was, now = self._ranked(old, before), self._ranked(asked, after)
            if len(was):
                kept = np.flatnonzero(now == was[old.choice % len(was)])
                choices[name] = int(kept[0]) if len(kept) else 0
        return choices

    def _ranked(self, asked: Asked, ledger: Ledger) -> NDArray[np.intp]:
        """Return the candidates that answer an object's prompts, the best first."""
        candidates = self.ground.candidates(asked.index)
        if candidates is None:
            return np.empty(0, np.intp)
        against = ledger.against.get(asked.index, np.empty((0, 2)))
        ranked = select(candidates, joined([asked], against)[0]).ranked
        return ranked[0] if ranked else np.empty(0, np.intp)

    def _has_object(self, asked: Asked) -> bool:
        """Whether an object is in the labels."""
        work = self.ground.work(make=False)
        if work is None or asked.label is None:
            return False
        return work.object_on(asked.label, asked.index) is not None

    def _prompts(self, parts: Sequence[Asked]) -> tuple[Prompts, list[int]]:
        """Return the questions of objects on one plane."""
        against = self.ledger.against.get(parts[0].index, np.empty((0, 2)))
        return joined(parts, against)

    def _step(
        self,
        before: Ledger,
        after: Ledger,
        lost: Sequence[tuple[int, Index]] = (),
        onto: Step | None = None,
    ) -> None:
        """Bring the labels to what is asked for now, where candidates are at hand, as one step."""
        current, self.ledger = self.ledger, after
        try:
            work = self.ground.work(make=self._something_answers(after))
            if work is None:
                step, outcomes, failure = None, self._without_labels(after), None
            else:
                if self._work is not None and self._work() is not work:
                    lost, after = (), _without_numbers(after)  # somebody has replaced all labels
                self._work = ref(work)
                with work.together(Note(before, after), onto=onto) as step:
                    outcomes, failure = self._write(work, after, lost)
        except BaseException:
            self.ledger = current
            raise
        unanswered = [name for name, state in outcomes.items() if state == "none"]
        answered = self._look_closer(unanswered, step, before)
        waiting = self.ledger.pending()
        for index, names in waiting.items():
            for name in names:
                self._wait(name, step, before, looking=False)
            self.ground.look(index)
        if step is not None and isinstance(step.note, Note):
            step.note.after = self.ledger
        states = list(outcomes.values())
        taken = [
            self.ledger.objects[name]
            for name, state in outcomes.items()
            if state in ("new", "changed", "same")
        ]
        self._answered(
            replace(
                answered,
                new=states.count("new"),
                changed=states.count("changed"),
                taken=states.count("taken"),
                waiting=sum(len(names) for names in waiting.values()),
                label=taken[-1].label if taken else None,
                index=taken[-1].index if taken else None,
            )
        )
        if failure is not None:
            raise failure

    def _answer_late(self, index: Index) -> dict[Name, _Late]:
        """Answer what had no answer on a plane so far; return what still has none."""
        if self.ground.candidates(index) is None:
            return {}
        late = {
            name: self._late[id(asked)]
            for name, asked in self.ledger.objects.items()
            if asked.index == index and id(asked) in self._late
        }
        found = {
            name: one
            for name, one in late.items()
            if self.answers(one.asked) > one.answers
            or (not one.asked.settled and self._has_object(one.asked))
        }
        if found:
            self._step_late(found)
        rest = {name: one for name, one in late.items() if name not in found}
        self._replace(
            {
                name: replace(one.asked, settled=True)
                for name, one in rest.items()
                if not one.asked.settled
            }
        )
        return rest

    def _step_late(self, waiting: Mapping[Name, _Late]) -> None:
        """Answer what has waited, as a part of the step in which it was asked if that is the last.

        Undone later, it is left alone: it was drawn in a step of its own.
        """
        ledger, late = self.ledger, list(waiting.values())
        work = self.ground.work(make=False)
        if work is None or not len(work.history):
            before = late[0].before  # drawing was no step
        else:
            before = ledger.settled(
                {name: replace(ledger.objects[name], settled=True, left=True) for name in waiting}
            )
        again = {name: replace(ledger.objects[name], settled=False) for name in waiting}
        step = late[0].step if all(one.step is late[0].step for one in late) else None
        self._step(before, ledger.settled(again), onto=step)

    def _replace(self, changes: Mapping[Name, Asked], ledger: Ledger | None = None) -> None:
        """Go on with a ledger that says the same in another way, which is no step."""
        before = self.ledger
        if ledger is None and not changes:
            return
        for name, asked in changes.items():
            late = self._late.get(id(before.objects.get(name)))
            if late is not None:
                self._late[id(asked)] = replace(late, asked=asked)
        self.ledger = (ledger or before).settled(changes)
        work = None if self._work is None else self._work()
        notes = [] if work is None else [step.note for step in work.history if step.note]
        if notes and isinstance(notes[-1], Note) and notes[-1].after is before:
            notes[-1].after = self.ledger

    def _wait(self, name: Name, step: Step | None, before: Ledger, *, looking: bool) -> None:
        """Remember that an object has no answer, and since when."""
        asked = self.ledger.objects[name]
        late = self._late.get(id(asked), _Late(asked, step, before))
        answers = self.answers(asked)
        self._late[id(asked)] = replace(late, looking=looking, answers=answers)
        if len(self._late) > self._many:
            self._forget_late()

    def _forget_late(self) -> None:
        """Forget what waits for an answer and is asked no more, also after undoing or redoing."""
        work = None if self._work is None else self._work()
        steps = [] if work is None else work.history.steps
        notes = [step.note for step in steps if isinstance(step.note, Note)]
        ledgers = {id(one): one for note in notes for one in (note.before, note.after)}
        ledgers[id(self.ledger)] = self.ledger
        kept = {id(asked) for ledger in ledgers.values() for asked in ledger.objects.values()}
        self._late = {name: late for name, late in self._late.items() if name in kept}
        self._many = max(MANY_LATE, 2 * len(self._late))

    def _something_answers(self, ledger: Ledger) -> bool:
        """Whether any prompt that waits has an answer, so that labels are needed."""
        for index, names in ledger.pending().items():
            candidates = self.ground.candidates(index)
            if candidates is not None:
                prompts, _ = self._prompts([ledger.objects[name] for name in names])
                if (select(candidates, prompts).best >= 0).any():
                    return True
        return False

    def _without_labels(self, ledger: Ledger) -> dict[Name, str]:
        """Settle what has no answer while there are no labels yet."""
        changes: dict[Name, Asked] = {}
        for index, names in ledger.pending().items():
            if self.ground.candidates(index) is not None:
                changes |= {name: replace(ledger.objects[name], settled=True) for name in names}
        self.ledger = ledger.settled(changes)
        return dict.fromkeys(changes, "none")

    def _write(
        self, work: Labelling, ledger: Ledger, lost: Sequence[tuple[int, Index]]
    ) -> tuple[dict[Name, str], Exception | None]:
        """Remove what is lost, and take what is asked for, also where that made room."""
        gone: dict[Index, list[int]] = {}
        for label, index in lost:
            if work.object_on(label, index) is not None:
                gone.setdefault(index, []).append(label)
        for index, labels in gone.items():
            work.remove(labels, plane=index)
        freed = set(gone)
        states, failure = self._take(work, ledger)
        freed |= {
            ledger.objects[name].index
            for name, state in states.items()
            if ledger.objects[name].label is not None and state != "same"
        }
        crowded = {
            name: replace(asked, settled=False)
            for name, asked in self.ledger.objects.items()
            if asked.crowded and asked.settled and asked.index in freed and name not in states
        }
        if crowded:
            more, failed = self._take(work, self.ledger.settled(crowded))
            states |= {name: state for name, state in more.items() if state == "new"}
            failure = failure or failed
        return states, failure

    def _take(self, work: Labelling, ledger: Ledger) -> tuple[dict[Name, str], Exception | None]:
        """Take what answers the prompts that wait, plane by plane; what fails is left alone."""
        existing, cleanup = self._settings()
        changes: dict[Name, Asked] = {}
        states: dict[Name, str] = {}
        failure = None
        for index, names in ledger.pending().items():
            if self.ground.candidates(index) is None:
                continue
            parts = [ledger.objects[name] for name in names]
            prompts, order = joined(parts, ledger.against.get(index, np.empty((0, 2))))
            for part in parts:
                if part.spread and part.label is not None:
                    work.spread(part.label)
            try:
                outcomes = work.take(
                    prompts,
                    plane=index,
                    labels=[parts[n].label for n in order],
                    choices=[parts[n].choice for n in order],
                    existing=existing,
                    cleanup=cleanup,
                )
            except ValueError as error:  # no numbers are left; the plane is as it was
                failure = error
                alone = {n: replace(ledger.objects[n], settled=True, left=True) for n in names}
                changes |= alone
                continue
            for n, (state, label) in zip(order, outcomes, strict=True):
                crowded = state == "taken"
                changes[names[n]] = replace(parts[n], label=label, settled=True, crowded=crowded)
                states[names[n]] = state
        self.ledger = ledger.settled(changes)
        return states, failure

    def _look_closer(self, names: Sequence[Name], step: Step | None, before: Ledger) -> Answered:
        """Have planes looked at closer for prompts without an answer; say how many get none."""
        planes: dict[Index, list[Name]] = {}
        for name in names:
            planes.setdefault(self.ledger.objects[name].index, []).append(name)
        looking = 0
        for index, those in planes.items():
            parts = [self.ledger.objects[name] for name in those]
            closer = self.ground.look_closer(index, self._prompts(parts)[0])
            looking += len(those) if closer else 0
            for name in those:
                self._wait(name, step, before, looking=closer)
        return Answered(none=len(names) - looking, looking=looking)


def _same_rows(before: Drawing, after: Drawing) -> bool:
    """Whether two drawings ask the same."""

    def keys(drawing: Drawing) -> Any:
        return drawing.points, [row[:3] for row in drawing.shapes]

    return bool(keys(before) == keys(after))


def _without_numbers(ledger: Ledger) -> Ledger:
    """Return the ledger without the labels that objects had."""
    return ledger.settled(
        {name: replace(asked, label=None) for name, asked in ledger.objects.items()}
    )
