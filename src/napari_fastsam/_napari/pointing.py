"""What pointing at the image means: hovering shows an object, a click takes it, a drag is a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from napari_fastsam._napari.asked import DIGITS, Asked, Name, PointRow, ShapeRow, joined
from napari_fastsam.cleanup import tidy
from napari_fastsam.selection import select

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fastsam._napari.live import Live
    from napari_fastsam._napari.preview import Preview
    from napari_fastsam._napari.scene import Scene
    from napari_fastsam.cleanup import Cleanup
    from napari_fastsam.instances import Instances
    from napari_fastsam.selection import Selection

Meaning = Literal["take", "narrow", "give back"]


class Hands(Protocol):
    """What pointing changes besides labels: prompt layers, and what is previewed."""

    def add_point(self, row: PointRow, choice: int = 0) -> None:
        """Take what a new point asks for, passing over `choice` answers, and draw it."""
        ...

    def add_box(self, box: tuple[float, float, float, float]) -> None:
        """Draw a box, which takes its object."""
        ...

    def give_back(self, label: int) -> None:
        """Take an object off the labels, with its prompts."""
        ...

    def toggle(self, place: tuple[float, float]) -> bool:
        """Leave a previewed object out, or have it back; False while nothing is previewed."""
        ...

    def found_at(self, place: tuple[float, float]) -> tuple[Instances, str] | None:
        """Return what a search has found at a place, and how well it answers."""
        ...

    def told(self, candidate: int) -> str:
        """Say how well a candidate of the plane in view answers a search; nothing without one."""
        ...

    def find_similar(self, example: Instances | None) -> None:
        """Find what looks like an object; ``None`` is the one taken last."""
        ...

    def step(self, steps: int) -> bool:
        """Go to the next of what was found; False if nothing was."""
        ...

    def say(self, text: str) -> None:
        """Say what happened."""
        ...

    def show_soon(self) -> None:
        """Show what is under the mouse once the labels have been repainted."""
        ...

    def follow_object(self, label: int = 0) -> None:
        """Follow an object in view through the stack; 0 is the one taken last."""
        ...

    def let_go(self) -> None:
        """Go on no more with an object that was followed."""
        ...

    def undo(self) -> None:
        """Take back the last step."""
        ...

    def redo(self) -> None:
        """Do again what was taken back."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Under:
    """What is under the mouse."""

    pixel: tuple[int, int]
    meaning: Meaning
    place: tuple[float, float]


class Pointing:
    """Turns hovering, clicks, drags and keys into prompts.

    Parameters
    ----------
    scene, live, preview
        What is pointed at, what prompts ask for, and where it is shown beforehand.
    hands
        What else changes.
    grouping
        Says whether each click takes an object of its own (``"each"``) or all describe one.
    cleanup
        Says how objects are tidied before they are written.
    """

    def __init__(
        self,
        scene: Scene,
        live: Live,
        preview: Preview,
        hands: Hands,
        *,
        grouping: Callable[[], str],
        cleanup: Callable[[], Cleanup],
    ) -> None:
        self._scene, self._live, self._preview, self._hands = scene, live, preview, hands
        self._grouping, self._cleanup = grouping, cleanup
        self._under: Under | None = None
        self._choice = 0
        self._group: int | None = None
        self._far: tuple[float, float] | None = None  # of a drag, how far it went in the image

    def leave(self) -> None:
        """Forget where the mouse is, and show nothing."""
        self._under, self._choice = None, 0
        self._preview.outline(None)

    def hover(self, position: Sequence[float], modifiers: Sequence[str]) -> None:
        """Show what a click would take."""
        place = self._scene.pixel(position)
        if place is None:
            if self._under is not None:
                self.leave()
            return
        place = (round(place[0], DIGITS), round(place[1], DIGITS))  # as it is read when drawn
        pixel = (int(np.floor(place[0] + 0.5)), int(np.floor(place[1] + 0.5)))
        meaning = meaning_of(modifiers)
        if self._under is not None and (pixel, meaning) == (self._under.pixel, self._under.meaning):
            return
        self._under, self._choice = Under(pixel, meaning, place), 0
        self.show()

    def show(self) -> None:
        """Outline what a click would take where the mouse is."""
        under, view = self._under, self._scene.view
        if under is None or view is None:
            return
        found = self._hands.found_at(under.place) if under.meaning == "take" else None
        if found is not None:
            self._outline(*found)
            return
        label = self.label_at(under.pixel)
        if under.meaning == "give back" or (label and under.meaning == "take"):
            self._show_label(label, under)
            return
        selection = self._answers(under)
        ranked = selection.ranked[0] if selection is not None and len(selection) else ()
        if selection is None or not len(ranked):
            self._preview.outline(None)
            return
        turn = self._choice % len(ranked)
        one = selection.candidates[[ranked[turn]]]
        going_on = self._live.goes_on(view.index) if under.meaning == "take" else None
        parts = [
            self._hands.told(int(ranked[turn])),
            f"{turn + 1} of {len(ranked)}" if len(ranked) > 1 else "",
            "" if going_on is None else f"label {going_on} goes on",
        ]
        self._outline(one, " · ".join(part for part in parts if part))

    def _outline(self, one: Instances, text: str) -> None:
        """Outline an object as cleanup would leave it."""
        tidied = tidy(one, self._cleanup())
        shown = tidied if len(tidied) else one
        self._preview.outline(
            shown.mask(0), shown.bboxes[0].tolist(), score=float(one.scores[0]), text=text
        )

    def click(self, position: Sequence[float], modifiers: Sequence[str]) -> None:
        """Take what is under the mouse, narrow the last choice, or give an object back."""
        self.hover(position, modifiers)
        under, view = self._under, self._scene.view
        if under is None or view is None:
            return
        if under.meaning == "take" and self._hands.toggle(under.place):
            return
        label = self.label_at(under.pixel)
        if under.meaning == "give back":
            if label:
                self._hands.give_back(label)
            else:
                self._hands.say("There is no object to give back here.")
        elif under.meaning == "narrow":
            group = self._group_to_narrow(label)
            self._hands.add_point(PointRow(view.index, under.place, False, group))
        else:
            self._take(under, view.index)
        self._under, self._choice = under, 0  # a layer that was made has become active meanwhile
        self._hands.show_soon()

    def drag(self, start: Sequence[float], position: Sequence[float], *, done: bool) -> None:
        """Draw a box from where the mouse was pressed."""
        corners = [self._scene.pixel(where) for where in (start, position)]
        if corners[0] is None or self._scene.view is None:
            return
        if corners[1] is None:  # beside the image: the box goes as far as it did
            corners[1] = self._far
        if corners[1] is None:
            return
        self._far = None if done else corners[1]
        (r0, c0), (r1, c1) = sorted_corners(corners[0], corners[1])
        height, width = self._scene.view.axes.plane_shape
        box = (
            max(0, int(np.floor(r0 + 0.5))),
            max(0, int(np.floor(c0 + 0.5))),
            min(height, int(np.floor(r1 + 0.5)) + 1),
            min(width, int(np.floor(c1 + 0.5)) + 1),
        )
        if done:
            self._preview.outline(None)
            self._hands.add_box((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
        else:
            self._preview.outline(np.ones((box[2] - box[0], box[3] - box[1]), bool), box)

    def turn(self, steps: int) -> None:
        """Show the next answer under the mouse; where an object was taken, take it in its place."""
        under, view = self._under, self._scene.view
        if under is None or view is None:
            return
        label = self.label_at(under.pixel)
        name = self._live.ledger.owner(label, view.index) if label else None
        if name is None:
            self._choice += steps
        elif not self._live.cycle(name, steps):
            self._hands.say("No other candidate answers here.")
        self.show()

    def similar(self) -> None:
        """Find what looks like the object under the mouse, or like the one taken last."""
        self._hands.find_similar(self._object())

    def go_back(self) -> None:
        """Go to the one before of what was found."""
        self._hands.step(-1)

    def finish(self) -> None:
        """Go to the next of what was found, or let the clicks that follow describe another one."""
        if self._hands.step(1):
            return
        self._group = None
        self._hands.let_go()

    def follow(self) -> None:
        """Follow the object under the mouse, or the one taken last, through the stack."""
        self._hands.follow_object(0 if self._under is None else self.label_at(self._under.pixel))

    def undo(self) -> None:
        """Take back the last step."""
        self._hands.undo()

    def redo(self) -> None:
        """Do again what was taken back."""
        self._hands.redo()

    def label_at(self, pixel: tuple[int, int]) -> int:
        """Return the label at a pixel in view, 0 for none."""
        work, view = self._scene.written(), self._scene.view
        if work is None or view is None:
            return 0
        row, column = pixel
        window = (slice(row, row + 1), slice(column, column + 1))
        return int(work.canvas.read(view.index, window)[0, 0])

    def _take(self, under: Under, index: tuple[int, ...]) -> None:
        """Take what is shown under the mouse."""
        if self._grouping() == "each" or self._group is None:
            self._group = self._fresh_group()
        point = PointRow(index, under.place, True, self._group)
        self._hands.add_point(point, self._choice)

    def _answers(self, under: Under) -> Selection | None:
        """Return what answers, if there is a click where the mouse is."""
        view, candidates = self._scene.view, self._scene.in_view
        if view is None or candidates is None:
            return None
        rows: tuple[PointRow, ...] | ShapeRow = ()
        name = self._last() if self._adds_to_last(under.meaning) else None
        if name is not None:
            rows = self._live.ledger.objects[name].rows
        if isinstance(rows, ShapeRow) or (under.meaning == "narrow" and not rows):
            return None
        point = PointRow(view.index, under.place, under.meaning == "take", 0)
        against = self._live.ledger.against.get(view.index, np.empty((0, 2)))
        asked = Asked(view.index, (*rows, point))
        return select(candidates, joined([asked], against)[0])

    def _object(self) -> Instances | None:
        """Return the object under the mouse: one that was found, a label, or what a click takes."""
        under, view = self._under, self._scene.view
        if under is None or view is None:
            return None
        found = self._hands.found_at(under.place)
        if found is not None:
            return found[0]
        label = self.label_at(under.pixel)
        if label:
            return self._scene.labelled(label)
        selection = self._answers(Under(under.pixel, "take", under.place))
        ranked = selection.ranked[0] if selection is not None and len(selection) else ()
        if selection is None or not len(ranked):
            return None
        return selection.candidates[[ranked[self._choice % len(ranked)]]]

    def _adds_to_last(self, meaning: Meaning) -> bool:
        """Whether a click speaks of the object that was clicked last."""
        return meaning == "narrow" or (self._grouping() == "one" and self._group is not None)

    def _last(self) -> Name | None:
        """Return the object that was clicked last, if it is on the plane in view."""
        if self._group is None or self._scene.view is None:
            return None
        name: Name = ("group", self._group, self._scene.view.index)
        return name if name in self._live.ledger.objects else None

    def _group_to_narrow(self, label: int) -> int | None:
        """Return the group that a negative click speaks of: of what it hits, or of the last one.

        None, so that it speaks of all objects, if neither was clicked.
        """
        view = self._scene.view
        assert view is not None
        hit = self._live.ledger.owner(label, view.index) if label else None
        name = hit if hit is not None and hit[0] == "group" else self._last()
        if name is None or not isinstance(name[1], int):
            return None
        self._group = name[1]
        return self._group

    def _fresh_group(self) -> int:
        """Return a number that no group has."""
        groups = [row.group for row in self._live.ledger.drawing.points]
        return 1 + max((group for group in groups if isinstance(group, int)), default=0)

    def _show_label(self, label: int, under: Under) -> None:
        """Outline an object that is in the labels already."""
        work, view = self._scene.written(), self._scene.view
        taken = None
        if work is not None and view is not None:
            taken = work.labelling.object_on(label, view.index)
        if taken is None or view is None:
            self._preview.outline(None)
            return
        found: Instances = taken.mask
        text = f"label {label}"
        if under.meaning == "give back":
            text += " · click gives it back"
        self._preview.outline(
            found.mask(0), found.bboxes[0].tolist(), score=float(found.scores[0]), text=text
        )


def meaning_of(modifiers: Sequence[str]) -> Meaning:
    """Return what a click with modifiers held means."""
    held = {str(getattr(modifier, "name", modifier)) for modifier in modifiers}
    if "Control" in held:
        return "give back"
    return "narrow" if "Shift" in held else "take"


def sorted_corners(
    one: tuple[float, float], other: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the upper left and the lower right corner of a box."""
    (a, b), (c, d) = one, other
    return (min(a, c), min(b, d)), (max(a, c), max(b, d))
