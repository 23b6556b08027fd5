"""How prompts become objects while they are drawn: what changed is asked again, and nothing else.

It knows what is drawn as a `Drawing`, candidates and a `Labelling`, and neither layers nor windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_fastsam._napari.asked import Asked, Drawing, Ledger, Name, joined, read, same_question
from napari_fastsam.selection import select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
        """Have a plane looked at closer, if that is wanted; `Live.arrived` follows."""
        ...


@dataclass(slots=True, eq=False)
class Note:
    """What prompts asked for before and after a step, to go back to when it is undone."""

    before: Ledger
    after: Ledger


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of the last change: objects by what became of them."""

    new: int = 0
    changed: int = 0
    taken: int = 0
    none: int = 0
    looking: int = 0
    waiting: int = 0
    label: int | None = None


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
    """

    def __init__(
        self,
        ground: Ground,
        settings: Callable[[], tuple[Existing, Cleanup]],
        answered: Callable[[Answered], None] = lambda _: None,
    ) -> None:
        self.ledger = Ledger()
        self.ground = ground
        self._settings = settings
        self._answered = answered
        self._closer: dict[Index, tuple[list[tuple[Name, Asked]], Step | None]] = {}

    def adopt(self, drawing: Drawing) -> None:
        """Leave what is drawn alone until it changes."""
        self._closer.clear()
        self.ledger, _ = read(Ledger(), drawing, settled=True)

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
        for name, choice in (choices or {}).items():
            if name in after.objects and choice:
                after = after.settled({name: replace(after.objects[name], choice=choice)})
        if _same_rows(before.drawing, after.drawing):
            self.ledger = after
            return
        self._step(before, after, [asked.label for asked in lost if asked.label is not None])

    def ask_all(self, index: Index | None = None) -> None:
        """Ask for objects that were not found or not asked for yet, on one plane or on all."""
        again = {
            name: replace(asked, settled=False)
            for name, asked in self.ledger.objects.items()
            if asked.settled and not self._has_object(asked) and index in (None, asked.index)
        }
        if again:
            self._step(self.ledger, self.ledger.settled(again))

    def arrived(self, index: Index) -> None:
        """Answer what waits for a plane that was looked at, or looked at closer."""
        waiting, step = self._closer.pop(index, ([], None))
        again = {
            name: replace(asked, settled=False, looked=True)
            for name, asked in waiting
            if same_question(self.ledger.objects.get(name), asked)
        }
        ledger = self.ledger.settled(again)
        if index in ledger.pending():
            self._step(self.ledger, ledger, onto=step)

    def cycle(self, name: Name, steps: int = 1) -> bool:
        """Give an object its next answer in place of the one it has; False if there is no other."""
        asked = self.ledger.objects.get(name)
        if asked is None or self.answers(asked) < 2:
            return False
        turned = replace(asked, choice=asked.choice + steps, settled=False)
        self._step(self.ledger, self.ledger.settled({name: turned}))
        return True

    def drawn(self, drawing: Drawing) -> None:
        """Take note that the layers now show what the last step asked for."""
        self.ledger, _ = read(self.ledger, drawing)
        work = self.ground.work(make=False)
        step = None if work is None else work.history.last
        if step is not None and isinstance(step.note, Note):
            step.note.after = self.ledger

    def give_back(self, label: int, index: Index) -> bool:
        """Take an object off the labels, and the prompts that ask for it off the drawing."""
        work = self.ground.work(make=False)
        if work is None:
            return False
        before = self.ledger
        name = before.owner(label, index)
        after = before if name is None else read(before, without(before, name))[0]
        note = Note(before, after)
        with work.together(note if name is not None else None):
            found = work.give_back(label, plane=index)
        self.ledger = after
        return found

    def undo(self, step: Step, *, back: bool = True) -> Drawing | None:
        """Return what has to be drawn after a step was undone (or redone), None for no change."""
        if not isinstance(step.note, Note):
            return None
        self._closer.clear()
        self.ledger = step.note.before if back else step.note.after
        return self.ledger.drawing

    def answers(self, asked: Asked) -> int:
        """Return how many candidates answer an object's prompts."""
        candidates = self.ground.candidates(asked.index)
        if candidates is None:
            return 0
        return sum(len(ranked) for ranked in select(candidates, self._prompts([asked])[0]).ranked)

    def by_plane(self) -> dict[Index, Prompts]:
        """Return all that is asked for, by plane."""
        planes: dict[Index, list[Asked]] = {}
        for asked in self.ledger.objects.values():
            planes.setdefault(asked.index, []).append(asked)
        return {index: self._prompts(planes[index])[0] for index in sorted(planes)}

    def prompts(self, name: Name) -> Prompts | None:
        """Return what is asked for an object."""
        asked = self.ledger.objects.get(name)
        return None if asked is None else self._prompts([asked])[0]

    def _has_object(self, asked: Asked) -> bool:
        """Whether an object is in the labels."""
        work = self.ground.work(make=False)
        return work is not None and asked.label is not None and asked.label in work.objects

    def _prompts(self, parts: Sequence[Asked]) -> tuple[Prompts, list[int]]:
        """Return the questions of objects on one plane."""
        against = self.ledger.against.get(parts[0].index, np.empty((0, 2)))
        return joined(parts, against)

    def _step(
        self,
        before: Ledger,
        after: Ledger,
        lost: Sequence[int] = (),
        onto: Step | None = None,
    ) -> None:
        """Bring the labels to what is asked for now, where candidates are at hand, as one step."""
        self.ledger = after
        work = self.ground.work(make=self._something_answers(after))
        if work is None:
            answered = self._without_labels(after)
        else:
            note = Note(before, after)
            with work.together(note, onto=onto) as step:
                work.remove(lost)
                answered = self._answer(work, after, step)
            if isinstance(step.note, Note):
                step.note.after = self.ledger
        waiting = self.ledger.pending()
        for index in waiting:
            self.ground.look(index)
        count = sum(len(names) for names in waiting.values())
        self._answered(replace(answered, waiting=count))

    def _something_answers(self, ledger: Ledger) -> bool:
        """Whether any prompt that waits has an answer, so that labels are needed."""
        for index, names in ledger.pending().items():
            candidates = self.ground.candidates(index)
            if candidates is not None:
                prompts, _ = self._prompts([ledger.objects[name] for name in names])
                if (select(candidates, prompts).best >= 0).any():
                    return True
        return False

    def _without_labels(self, ledger: Ledger) -> Answered:
        """Settle what has no answer while there are no labels yet."""
        changes: dict[Name, Asked] = {}
        for index, names in ledger.pending().items():
            if self.ground.candidates(index) is not None:
                changes |= {name: replace(ledger.objects[name], settled=True) for name in names}
        self.ledger = ledger.settled(changes)
        return self._look_closer(list(changes), None)

    def _answer(self, work: Labelling, ledger: Ledger, step: Step) -> Answered:
        """Take what answers the prompts that wait, plane by plane."""
        existing, cleanup = self._settings()
        changes: dict[Name, Asked] = {}
        states: list[str] = []
        label = None
        for index, names in ledger.pending().items():
            if self.ground.candidates(index) is None:
                continue
            parts = [ledger.objects[name] for name in names]
            prompts, order = self._prompts(parts)
            outcomes = work.take(
                prompts,
                plane=index,
                labels=[parts[n].label for n in order],
                choices=[parts[n].choice for n in order],
                existing=existing,
                cleanup=cleanup,
            )
            for n, outcome in zip(order, outcomes, strict=True):
                changes[names[n]] = replace(parts[n], label=outcome.label, settled=True)
                states.append(outcome.state)
                label = outcome.label if outcome.state in ("new", "changed", "same") else label
        self.ledger = ledger.settled(changes)
        found = {name for name, state in zip(changes, states, strict=True) if state == "none"}
        closer = self._look_closer([name for name in changes if name in found], step)
        return replace(
            closer,
            new=states.count("new"),
            changed=states.count("changed"),
            taken=states.count("taken"),
            label=label,
        )

    def _look_closer(self, names: Sequence[Name], step: Step | None) -> Answered:
        """Have planes looked at closer for prompts without an answer; say how many get none."""
        planes: dict[Index, list[Name]] = {}
        for name in names:
            if not self.ledger.objects[name].looked:
                planes.setdefault(self.ledger.objects[name].index, []).append(name)
        looking = 0
        for index, those in planes.items():
            parts = [self.ledger.objects[name] for name in those]
            if self.ground.look_closer(index, self._prompts(parts)[0]):
                self._closer[index] = (list(zip(those, parts, strict=True)), step)
                looking += len(those)
        return Answered(none=len(names) - looking, looking=looking)


def without(ledger: Ledger, name: Name) -> Drawing:
    """Return what is drawn without the rows that ask for an object."""
    points, shapes = ledger.rows_of(name)
    drawing = ledger.drawing
    return replace(
        drawing,
        points=tuple(row for n, row in enumerate(drawing.points) if n not in set(points)),
        shapes=tuple(row for n, row in enumerate(drawing.shapes) if n not in set(shapes)),
    )


def _same_rows(before: Drawing, after: Drawing) -> bool:
    """Whether two drawings ask the same."""

    def keys(drawing: Drawing) -> Any:
        return drawing.points, [row[:3] for row in drawing.shapes]

    return bool(keys(before) == keys(after))


def labels_of(ledger: Ledger) -> Mapping[int, Index]:
    """Return the plane of each label that prompts ask for."""
    return {
        asked.label: asked.index for asked in ledger.objects.values() if asked.label is not None
    }
