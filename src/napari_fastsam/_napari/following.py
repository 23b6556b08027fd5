"""One labelled object followed through the stack: where it was found, where it was lost.

Planes that were not looked at are looked at beside the main thread. A click on a plane where the
object was lost gives it its label there, and it is followed on from that plane; what was found
before stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari import lineages
from napari_fastsam._napari.worker import Job
from napari_fastsam.cleanup import tidy
from napari_fastsam.following import follow
from napari_fastsam.instances import Instances
from napari_fastsam.pipeline import run
from napari_fastsam.prompts import Prompts
from napari_fastsam.runs import window_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_fastsam._napari.ground import Sight
    from napari_fastsam._napari.scene import Scene
    from napari_fastsam._napari.work import Work
    from napari_fastsam._napari.worker import Ending, Worker
    from napari_fastsam.caching import CandidateCache
    from napari_fastsam.cleanup import Cleanup
    from napari_fastsam.following import Followed
    from napari_fastsam.history import Step
    from napari_fastsam.pipeline import Index
    from napari_fastsam.placing import Existing


@dataclass(slots=True, eq=False)
class Track:
    """An object that was followed.

    Parameters
    ----------
    label
        Its label.
    work, frame
        The labels that it is in, and which of their canvases.
    start
        The plane that it was followed from.
    axis
        Which of the stepped axes it is followed along.
    found
        The planes along that axis that it is on.
    taken
        Those where others have its place.
    lost
        Where it was lost, and why; a click there goes on with it.
    step
        What was done last.
    """

    label: int
    work: Work
    frame: int
    start: Index
    axis: int
    found: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    lost: dict[int, str] = field(default_factory=dict)
    step: Step | None = None

    def at(self, plane: int) -> Index:
        """Return the position of a plane along the axis."""
        return (*self.start[: self.axis], plane, *self.start[self.axis + 1 :])

    def waits_on(self, index: Index) -> bool:
        """Whether it was lost on a plane."""
        return any(self.at(plane) == index for plane in self.lost)


class Following:
    """Follows labelled objects, one at a time.

    Parameters
    ----------
    scene
        The image and the labels.
    worker
        Where planes are looked at.
    settings
        Called for what becomes of existing labels, and how objects are tidied.
    owner
        Called with a label and a plane; returns who asked for it there, None for nobody.
    begun
        Called with the job that follows.
    changed
        Called after each plane.
    ended
        Called with how it ended and the error, if any.
    """

    def __init__(
        self,
        scene: Scene,
        worker: Worker,
        *,
        settings: Callable[[], tuple[Existing, Cleanup]],
        owner: Callable[[int, Index], Any],
        begun: Callable[[Job], None],
        changed: Callable[[], None],
        ended: Callable[[Ending, Exception | None], None],
    ) -> None:
        self.track: Track | None = None
        self._scene, self._worker, self._settings = scene, worker, settings
        self._owner = owner
        self._begun, self._changed, self._ended = begun, changed, ended

    def start(self, label: int) -> None:
        """Follow the object that has a label on the plane in view, in both directions.

        Raises
        ------
        ValueError
            If there is no stack, or no such object in view.
        """
        view, sight, work = self._scene.view, self._scene.looks.sight, self._scene.written()
        if view is None or sight is None or work is None:
            return
        sizes = [sight.source.axes.shape[n] for n in sight.source.axes.steps]
        axis = sight.source.axes.along
        fail_if(axis is None, "a stack", "a single plane", "open the planes as one image")
        assert axis is not None
        mask = work.canvas.read(view.index) == label
        fail_if(
            not mask.any(), f"label {label} in view", "none", "go to a plane that the object is on"
        )
        self.track = track = Track(label, work, work.labelling.frame, view.index, axis)
        here = view.index[axis]
        track.found.add(here)
        clicked = [n for n in range(sizes[axis]) if self._owner(label, track.at(n)) is not None]
        track.found.update(clicked)
        known = {n: one for n in clicked if (one := self._mask(track, n)) is not None}
        known[here] = Instances.from_masks(mask.shape, [mask])
        self._go(sight, known, range(sizes[axis]), set())

    def goes_on(self, index: Index) -> int | None:
        """Return the label that a new object on a plane has, if it is one that was lost there."""
        track = self.shown
        return track.label if track is not None and track.waits_on(index) else None

    def corrected(self, index: Index) -> None:
        """Follow on from a plane where a click has found what was lost."""
        track, sight = self.track, self._scene.looks.sight
        if track is None or sight is None or not track.waits_on(index):
            return
        plane, start = index[track.axis], track.start[track.axis]
        onwards = plane > start
        size = sight.source.axes.shape[sight.source.axes.steps[track.axis]]
        before = {n for n in track.found if (n < plane if onwards else n > plane)}
        beyond = track.found - before - {plane}
        clicked = {n for n in beyond if self._owner(track.label, track.at(n)) is not None}
        if onwards:
            near, far = max(before, default=plane), min(clicked, default=size - 1)
            planes, stale = range(near, far + 1), {n for n in beyond if n < far}
        else:
            near, far = min(before, default=plane), max(clicked, default=0)
            planes, stale = range(far, near + 1), {n for n in beyond if n > far}
        anchors = {near, plane} | ({far} & clicked)
        known = {n: mask for n in anchors if (mask := self._mask(track, n)) is not None}
        track.lost = {n: why for n, why in track.lost.items() if n not in planes}
        track.found.add(plane)
        track.step = track.work.history.last  # what was clicked, and what follows, are one step
        self._go(sight, known, planes, stale)

    def given_back(self, label: int, index: Index) -> None:
        """Wait for a click on a plane where a person has taken the object away."""
        track = self.track
        if track is not None and track.label == label and track.at(index[track.axis]) == index:
            track.found.discard(index[track.axis])
            if index != track.start:
                track.lost[index[track.axis]] = "given back"
            if track.found:
                track.work.linked(lineages.of_object(label, track.found))

    def finish(self) -> None:
        """Let clicks ask for other objects again."""
        self.track = None

    @property
    def shown(self) -> Track | None:
        """What was followed, as long as it is not undone and its labels are worked on."""
        track = self.track
        return track if track is not None and self._is_at_hand(track) else None

    def _is_at_hand(self, track: Track) -> bool:
        """Whether a track's labels are worked on, along the same axes, and it is not undone."""
        work = self._scene.written()
        here = work is track.work and work is not None and work.labelling.frame == track.frame
        return here and (track.step is None or track.step in list(track.work.history))

    def _mask(self, track: Track, plane: int) -> Instances | None:
        """Return the object on a plane where it is."""
        mask = track.work.canvas.read(track.at(plane)) == track.label
        return Instances.from_masks(mask.shape, [mask]) if mask.any() else None

    def _go(
        self, sight: Sight, known: dict[int, Instances], planes: Sequence[int], stale: set[int]
    ) -> None:
        """Follow from known planes through others; what is `stale` leaves if it is not found."""
        track = self.track
        assert track is not None
        existing, cleanup = self._settings()
        job = Job(
            lambda cancelled: _work(
                sight, self._scene.looks.cache, track, known, planes, cleanup, job, cancelled
            ),
            lambda step: self._received(track, job, step, existing, stale),
            lambda ending, error: self._end(track, ending, error, stale),
        )
        self._worker.submit(job)
        self._begun(job)

    def _received(
        self, track: Track, job: Job, step: Followed, existing: Existing, stale: set[int]
    ) -> None:
        """Write what was found on a plane."""
        if track is not self.track or not self._is_at_hand(track):
            job.cancelled.set()
            return
        stale.discard(step.plane)
        self._put(track, step.plane, step.instance, existing)
        if step.lost_at is not None:
            track.lost[step.lost_at] = step.end
        self._changed()

    def _put(self, track: Track, plane: int, found: Instances | None, existing: Existing) -> None:
        """Give the label its object on a plane, or none; all planes are one step."""
        labelling = track.work.labelling
        index = track.at(plane)
        with labelling.together(onto=track.step) as step:
            if found is not None and self._is_there(track, index, found):
                track.found.add(plane)
            elif found is not None:
                outcome = labelling.extend(track.label, found, plane=index, existing=existing)
                there = outcome.state != "taken"
                (track.found if there else track.taken).add(plane)
            elif (
                labelling.object_on(track.label, index) is not None
                and self._owner(track.label, index) is None  # nobody's own click
            ):
                labelling.remove(track.label, plane=index)
                track.found.discard(plane)
        if labelling.history.last is step:
            track.step = step

    def _is_there(self, track: Track, index: Index, found: Instances) -> bool:
        """Whether a run or a person has given the label its object on a plane already."""
        if track.work.labelling.object_on(track.label, index) is not None:
            return False  # it was followed there before: what is found now takes its place
        there = track.work.canvas.read(index, window_of(found.bboxes)) == track.label
        return bool(there.any())

    def _end(self, track: Track, ending: Ending, error: Exception | None, stale: set[int]) -> None:
        """Take away what was followed from a plane that was corrected since."""
        if ending == "done" and track is self.track and self._is_at_hand(track):
            for plane in stale:
                self._put(track, plane, None, "keep")
        if track.step is not None and track is self.track and self._is_at_hand(track):
            track.work.linked(lineages.of_object(track.label, track.found), track.step)
        self._ended(ending, error)


class _Cancelled(Exception):
    """Looking at planes was cancelled."""


def _work(
    sight: Sight,
    cache: CandidateCache,
    track: Track,
    known: dict[int, Instances],
    planes: Sequence[int],
    cleanup: Cleanup,
    job: Job,
    cancelled: Callable[[], bool],
) -> Iterator[Any]:
    """Yield where the object is, plane by plane: in the worker thread."""
    job.doing, total = f"Following label {track.label}", len(planes) - len(known)

    def candidates(plane: int) -> Instances:
        index = track.at(plane)
        seen = cache.get((sight.key, sight.model.spec, index))
        if seen is not None:
            return seen.candidates
        request = sight.request({index: Prompts()})
        for result in run(request, sight.model, cache=cache, cancelled=cancelled):
            return result.candidates
        raise _Cancelled

    try:
        for done, step in enumerate(follow(candidates, known, planes), 1):
            job.progress = (min(done, total), total)
            yield _tidied(step, cleanup)
    except _Cancelled:
        return


def _tidied(step: Followed, cleanup: Cleanup) -> Followed:
    """Return what was found, tidied; nothing, if nothing is left of it."""
    if step.instance is None or not cleanup:
        return step
    left = tidy(step.instance, cleanup)
    return replace(step, instance=left if len(left) and left.areas.all() else None)


def stretches(planes: set[int]) -> str:
    """Return plane numbers in a few words.

    Examples
    --------
    >>> stretches({4, 5, 6, 9})
    '4 to 6, 9'
    """
    numbers = np.array(sorted(planes))
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(f"{p[0]} to {p[-1]}" if len(p) > 1 else f"{p[0]}" for p in parts if len(p))
