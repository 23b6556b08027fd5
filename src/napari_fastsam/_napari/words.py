"""What the dock widget says: plain text from plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam._napari.live import Answered

NO_IMAGE = "Open an image to begin. File → Open Sample → FastSAM has some."
NO_IMAGE_STATE = "No image"
NOT_LOOKED = "Not looked at yet"
NO_LIMIT = "any"
ALL = "all"
VOLUME = "This is a 3D view. Switch to 2D (the cube button below the layer list) to label planes."
LAYER_GONE = "The image or the labels were removed, so the run was stopped."
NOTHING_DRAWN = (
    "Nothing is asked for here. Press + beside Points and click on objects, or open Everything."
)

CLICK_KEYS = (
    "<b>Hover</b> shows, <b>click</b> takes, <b>Ctrl</b>+click gives back. <b>Shift</b>+click: not "
    "this. <b>Drag</b> a box. <b>Tab</b> or <b>Shift</b>+wheel: part, object, cluster. <b>N</b>: "
    "next object. <b>Space</b>: move about."
)
"""What clicks and keys do while *Click on objects* is on."""

FOLLOW_KEY = " <b>F</b>: follow through the stack."
"""What one more key does where there is a stack."""

FIND_PLACEHOLDER = "nucleus | mitosis, not debris"
FIND_TIP = (
    "Words for the objects that are wanted; several with | or , between them, and unwanted ones "
    "with not before them. Enter finds them."
)
FIND_KEYS = (
    "<b>Click</b> leaves an object out or has it back. <b>L</b>: what looks like this one. "
    "<b>N</b>, <b>Shift+N</b>: the next best, the one before."
)
"""What clicks and keys do on the image while the tab *Find* is open."""

EVERYTHING_KEYS = "Click objects to leave them out; click again to have them back."


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What decides what to do next.

    Parameters
    ----------
    image, volume
        Whether there is an image, and whether it is displayed in 3D.
    state
        What is known of the plane in view, as `status.State`.
    tab
        The tab that is shown, as `tabs.TabName`.
    clicking
        Whether the image takes clicks.
    prompts
        Whether a Points or Shapes layer is chosen.
    planes
        How many the image has.
    """

    image: bool = True
    volume: bool = False
    state: str = "idle"
    tab: str = "click"
    clicking: bool = False
    prompts: bool = False
    planes: int = 1


def next_step(now: Situation) -> str:
    """Say what to do next."""
    if not now.image:
        return NO_IMAGE
    if now.volume:
        return VOLUME
    if now.tab == "stack":
        return _next_on_stack(now)
    if now.state == "working":
        return "The network looks at this plane once; objects answer as soon as it is done."
    if now.state == "none":
        return (
            "No object was found on this plane. Try a larger network size, another contrast or "
            "another model, all in this dock, or draw a box to look closer."
        )
    if now.tab == "find":
        return (
            "Write what is wanted and press Enter, or point at an object and press L to find what "
            "looks like it."
        )
    if now.tab == "everything":
        return "Move the sliders until the right objects are shown, then press Take all."
    if now.clicking:
        return "Hover over an object to see it, and click to take it."
    if now.prompts:
        return "Press Take all prompts: each point or shape asks for its object."
    return "Press Click on objects, then click on them in the image."


def _next_on_stack(now: Situation) -> str:
    if now.planes < 2:
        return "One plane needs the other tabs only."
    if now.prompts:
        return "Take what the points and shapes ask for on all planes, or everything."
    return (
        "Press Everything on all planes, to which the sliders of the Everything tab apply, or "
        "Words on all planes, for those of the Find tab."
    )


@dataclass(frozen=True, slots=True)
class Stopped:
    """A run over a stack that ended early.

    Parameters
    ----------
    kind
        ``"prompts"``, ``"everything"`` or ``"words"``; empty if there is no such run.
    done, planes
        How many planes it has done, and was to do.
    fits
        Whether it can be gone on with: nothing that it depends on is another by now.
    """

    kind: str = ""
    done: int = 0
    planes: int = 0
    fits: bool = False


def stack_button(kind: str, planes: int | None = None) -> str:
    """Say what a run does, and on how many planes; ``None`` for all.

    Examples
    --------
    >>> stack_button("everything"), stack_button("prompts", 21)
    ('Everything on all planes', 'Prompts on 21 planes')
    """
    where = "all planes" if planes is None else count(planes, "plane")
    return f"{kind.capitalize()} on {where}"


def resume(stopped: Stopped) -> str:
    """Say what a run that is gone on with will do."""
    return f"Resume ({stopped.planes - stopped.done} of {stopped.planes} left)"


def stack_of(planes: int, chosen: int | None = None, stopped: Stopped | None = None) -> str:
    """Say what a stack has, or why there is none.

    Parameters
    ----------
    planes, chosen
        How many planes it has, and how many of them a run goes through.
    stopped
        The last run, if it ended early.
    """
    if planes == 0:
        return "There is no image yet."
    if planes == 1:
        return (
            "This image is a single plane. If its planes were opened as separate layers, select "
            "them and choose Layers → Convert → Merge to stack."
        )
    part = f"{chosen} of " if chosen not in (None, planes) else ""
    if stopped is not None and stopped.kind and not stopped.fits:
        return (
            f"{part}{count(planes, 'plane')}. The last run was stopped after {stopped.done} of "
            f"{stopped.planes}. Settings have changed since, so a run starts anew."
        )
    return f"{part}{count(planes, 'plane')}. Cancel keeps the planes that are done."


def everything_count(shown: int, found: int) -> str:
    """Say how many objects the sliders leave."""
    return f"{shown} of {count(found, 'object')}"


def candidates(number: int, where: str, seconds: float) -> str:
    """Say what is known of a plane: what was found, where, and how long it took."""
    found = count(number, "candidate") if number else "No candidates"
    return " · ".join(part for part in (found, where, a_plane(seconds)) if part)


def a_plane(seconds: float) -> str:
    """Say how long a plane takes; nothing if nobody knows."""
    return f"{seconds:.{2 if seconds < 1 else 1}f} s a plane" if seconds else ""


def how_it_runs(description: str, seconds: float) -> str:
    """Say what runs where, at which size, and how long a plane takes."""
    return " · ".join(part for part in (description, a_plane(seconds)) if part)


def looking(plane: int | None) -> str:
    """Say which plane is looked at; ``None`` if there is only one."""
    return "Looking at the image…" if plane is None else f"Looking at plane {plane}…"


def next_label(number: int) -> str:
    """Say which label comes next."""
    return f"next label {number}"


def memory(size: int) -> str:
    """Say how much memory the candidates take."""
    return f"candidates {megabytes(size)}"


def cleanup(steps: Sequence[str]) -> str:
    """Say which steps of `Cleanup` are on, for a heading.

    Examples
    --------
    >>> cleanup(["opening", "min_area"])
    'Cleanup: opening, area'
    """
    short = {
        "fill_holes": "holes",
        "min_area": "area",
        "largest_piece": "piece",
        "clear_border": "border",
    }
    return "Cleanup: " + (", ".join(short.get(step, step) for step in steps) or "off")


def colours(chosen: dict[str, str]) -> str:
    """Say which channel is shown in which colour, for a heading.

    Examples
    --------
    >>> colours({"red": "actin", "blue": "nuclei"})
    'Colours: R actin, B nuclei'
    """
    parts = [f"{colour[0].upper()} {channel}" for colour, channel in chosen.items()]
    return "Colours: " + (", ".join(parts) or "as the image")


def axis(number: int, name: str, size: int) -> str:
    """Name an axis of an array: by its own name, if it has one, and by its size."""
    return f"along {axis_name(number, name)} ({size})"


def axis_name(number: int, name: str) -> str:
    """Return an axis' own name, if it has one, or its number."""
    plain = name.removeprefix("axis ").lstrip("-").isdigit()  # napari's own: -3, or axis -3
    return name if name and not plain else f"axis {number}"


@dataclass(slots=True)
class Tally:
    """What a run has done so far."""

    planes: int = 0
    new: int = 0
    taken: int = 0
    unanswered: int = 0
    left_out: int = 0
    splits: int = 0
    merges: int = 0

    def joined(self, lineage: Mapping[str, NDArray[np.int64]]) -> None:
        """Count the splits and merges of a lineage table."""
        self.splits = int(np.count_nonzero(lineage["parent"]))
        self.merges = int(np.count_nonzero(lineage["merged_into"]))

    def sentence(self, *, cancelled: bool = False, left: int = 0) -> str:
        """Say what came of it, how to take it back, and how to do the planes that are left."""
        parts = [f"Cancelled after {count(self.planes, 'plane')}."] if cancelled else []
        parts.append(f"{count(self.new, 'new object')}.")
        if self.splits or self.merges:
            parts.append(f"{count(self.splits, 'split')}, {count(self.merges, 'merge')}.")
        if self.taken:
            parts.append(f"{self.taken} already labelled.")
        if self.unanswered:
            parts.append(
                f"{count(self.unanswered, 'prompt')} found no object: move it onto one, or draw "
                "a box around it."
            )
        if self.left_out:
            parts.append(f"{count(self.left_out, 'prompt')} outside the image.")
        if self.new:
            parts.append("Ctrl+Z on the labels layer takes them back.")
        if left:
            parts.append(f"Resume does the other {left}.")
        return " ".join(parts)


def count(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def working(
    doing: str, done: int, total: int, seconds: float, before: int = 0, unit: str = "plane"
) -> str:
    """Say what is being done, how far it is, and how long it may take.

    Of what is `done`, so much was done `before` the `seconds` began.
    """
    if not total:
        return f"{doing}… {seconds:.0f} s"
    if total > 100_000:  # bytes
        return f"{doing}: {megabytes(done)} of {megabytes(total)}"
    now = done - before
    left = f" · {time_left(seconds / now * (total - done))} left" if now > 0 else ""
    if unit != "plane":
        return f"{doing}: {done} of {total}{left}"
    return f"{doing}: plane {min(done + 1, total)} of {total}{left}"


def time_left(seconds: float) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> time_left(41.3), time_left(200), time_left(9000)
    ('41 s', '3 min', '2.5 h')
    """
    if seconds < 180:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def details(candidates: int, model: str, seconds: float) -> str:
    """Say what the network found, with what, and how long it took."""
    took = f"{seconds:.1f} s" if seconds else "at hand"
    return f"{count(candidates, 'candidate')} · {model} · {took}"


def not_downloaded(model: str) -> str:
    """Say what to do without a model that the user did not want to download."""
    return f"{model} was not downloaded. Choose another model, as starter, or try again."


def megabytes(size: int) -> str:
    """Return a number of bytes as people say it."""
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


UNSEEN = "Not in view"
FAILED = "Looking failed"
NOT_WRITTEN = (
    "The image was not in view when there was something to write. Show its planes, in 2D, and "
    "start again."
)
_LINK = "#2f7de1"  # to be read on light and on dark; Qt's own blue is not

NOTHING_LEFT = "The sliders leave no object on this plane. Lower the confidence."
ALL_TAKEN = "All prompts have their objects already."
NOTHING_TO_FOLLOW = "Take an object first, or point at one that is labelled and press F."
NONE_IN_RANGE = "No prompt that waits is on the planes chosen here."
NO_LABELS = "There are no labels to tidy yet."
NOTHING_TO_UNDO = "There is nothing to take back."
NOTHING_TO_REDO = "There is nothing to do again."
NOTHING_DONE = "Nothing was done yet: take an object first."
SCRIPT_COPIED = "The script is on the clipboard: paste it into a file and run it."
NOTHING_TO_GIVE_BACK = "There is no object to give back here."
NO_OTHER = "No other candidate answers here."

_DONE = {
    "take": "objects taken",
    "remove": "objects removed",
    "give back": "an object given back",
    "everything": "everything taken",
    "clean": "cleanup",
    "paint": "painting",
    "run": "all planes",
    "extend": "following",
    "together": "prompts",
}


def answered(what: Answered) -> str:
    """Say what came of a change of prompts; nothing where nothing was asked."""
    parts = []
    if what.new:
        one = what.new == 1 and what.label is not None
        parts.append(f"Label {what.label}." if one else f"{count(what.new, 'new object')}.")
    if what.changed:
        one = what.changed == 1 and not what.new
        parts.append(f"Label {what.label} changed." if one else f"{what.changed} changed.")
    if what.taken:
        parts.append(
            "Labelled already: choose “give way” above to write over it."
            if what.taken == 1
            else f"{what.taken} are labelled already."
        )
    if what.looking:
        parts.append("No candidate here: looking closer…")
    if what.waiting:
        parts.append("Answered as soon as the plane was looked at.")
    if what.none:
        parts.append(
            "No object found here. Draw a box around it, or paint it by hand."
            if what.none == 1
            else f"{what.none} prompts found no object."
        )
    return " ".join(parts)


def followed(label: int, planes: str, lost: Sequence[int], taken: str) -> str:
    """Say where an object was followed to, and where it was lost.

    Parameters
    ----------
    label
        The object.
    planes, taken
        The planes that it is on, and those where others have its place, in a few words.
    lost
        Where it was not found any more.
    """
    parts = [f"Label {label} is on planes {planes}."]
    if taken:
        parts.append(f"Others have its place on {taken}.")
    if lost:
        names = " and ".join(f"plane {n}" for n in lost)
        parts.append(f"Not found on {names}: where it goes on, click it there.")
    return " ".join(parts)


def lost(label: int, planes: Sequence[int]) -> str:
    """Say where an object was lost, with links to these planes.

    Examples
    --------
    >>> lost(3, [6])  # doctest: +NORMALIZE_WHITESPACE
    'Label 3 was lost on <a href="6" style="color: #2f7de1">plane 6</a>. Click it there if it
    goes on, or press N.'
    """
    links = " and ".join(f'<a href="{n}" style="color: {_LINK}">plane {n}</a>' for n in planes)
    return f"Label {label} was lost on {links}. Click it there if it goes on, or press N."


def tracks(number: int, *, cancelled: bool = False) -> str:
    """Say how many tracks are shown."""
    if cancelled:
        return "Cancelled. The tracks are as they were."
    if not number:
        return "There are no labels on these planes: segment the stack, or follow an object."
    return f"{count(number, 'track')}. After changes, press Show tracks again."


def undone(record: Mapping[str, Any]) -> str:
    """Say what was taken back."""
    return f"Taken back: {_DONE.get(str(record.get('do')), 'the last step')}."


def redone(record: Mapping[str, Any]) -> str:
    """Say what was done again."""
    return f"Done again: {_DONE.get(str(record.get('do')), 'the step')}."


def given_back(label: int) -> str:
    """Say that an object left the labels."""
    return f"Label {label} was given back."


def tidied(changed: int, gone: int) -> str:
    """Say what cleanup did."""
    if not changed and not gone:
        return "Nothing to tidy on this plane."
    return f"{count(changed, 'object')} tidied, {gone} dropped."


def not_here(model: str) -> str:
    """Say that a model has to be downloaded first."""
    return f"{model} is not on this machine: choose it again to download it"


NOTHING_FOUND = "No object answers. Lower the threshold, or use other words."
NOTHING_ALIKE = "No object looks like it. Lower the likeness, or choose another example."
DOWNLOAD_CANCELLED = (
    "The download was cancelled, as another plane or image is seen. Press Enter to begin it again."
)
NO_CANDIDATES = "There are no objects on this plane to search among."
NO_EXAMPLE = "Take an object first, or point at one and press L."
NOT_AN_EXAMPLE = (
    "The network found no object here that this one could be compared as. Choose another example."
)
NO_REGIONS = (
    "Inside shapes is on, but no box or outline is on this plane: draw one, or switch it off."
)
NOTHING_ASKED = "Nothing is asked for: write words and press Enter, or press L on an object."
ASK_HERE = "Press Enter to look for this on the plane in view."
RUN_FIRST = "A run over the planes goes on: search when it is done, or cancel it."
STOPPED = "Cancelled. What was known before is still at hand."


def found(shown: int, searched: int, taken: int = 0) -> str:
    """Say how many objects answer a search, and how many more are labelled already.

    Examples
    --------
    >>> found(12, 87), found(3, 9, 2)
    ('12 of 87 objects', '3 of 9 objects · 2 labelled already')
    """
    also = f" · {taken} labelled already" if taken else ""
    return f"{shown} of {count(searched, 'object')}{also}"


def found_now(number: int) -> str:
    """Say what came of a search, and what to do next."""
    return f"{count(number, 'object')} found. Click away what is wrong, then press Take."


def found_taken(new: int, crowded: int) -> str:
    """Say what was taken of a search."""
    also = f" {crowded} had no place left." if crowded else ""
    return f"{count(new, 'new object')}.{also}"


def take_found(number: int) -> str:
    """Say what the button takes."""
    return f"Take {count(number, 'object')}" if number else "Take objects"


def examples(number: int) -> str:
    """Say how many examples there are, with a link that drops them."""
    link = f'<a href="drop" style="color: {_LINK}">drop</a>'
    return f"Looks like {count(number, 'example')} on this plane · {link}" if number else ""


def likely(phrase: str, value: float) -> str:
    """Say how well an object answers.

    Examples
    --------
    >>> likely("red circle", 0.934), likely("", 0.8)
    ('red circle 0.93', 'likeness 0.80')
    """
    return f"{phrase or 'likeness'} {value:.2f}"


def ranked(place: int | None, total: int, text: str = "") -> str:
    """Say where one is among what was found, best first; ``None`` before the first step."""
    if not total or place is None:
        return "best first" if total else ""
    return f"{place + 1} of {total} · {text}"
