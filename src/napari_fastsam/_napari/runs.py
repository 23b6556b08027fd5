"""Runs over many planes: what is asked, how it gets into the labels, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._napari import lineages, words
from napari_fastsam._napari.finds import Told
from napari_fastsam._napari.scorers import download_text_model
from napari_fastsam._napari.words import Tally
from napari_fastsam._napari.worker import Job, KeptModel, Worker
from napari_fastsam.cleanup import Cleanup, clean
from napari_fastsam.labelling import counts_on_each_plane, run_record
from napari_fastsam.pipeline import CandidateCache, Course, Request, run
from napari_fastsam.records import plain
from napari_fastsam.told import classes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_fastsam._napari.features import Table
    from napari_fastsam._napari.live import Questions
    from napari_fastsam._napari.resuming import Asking
    from napari_fastsam._napari.scorers import KeptScorer
    from napari_fastsam._napari.sifting import Sieve
    from napari_fastsam._napari.work import Work
    from napari_fastsam._napari.worker import Ending
    from napari_fastsam.closer import Seen, Window
    from napari_fastsam.history import Step
    from napari_fastsam.instances import Instances
    from napari_fastsam.labelling import Labelling
    from napari_fastsam.pipeline import Index
    from napari_fastsam.placing import Existing
    from napari_fastsam.planes import PlaneAxes
    from napari_fastsam.plans import Planned
    from napari_fastsam.requests import PlaneResult


_PATIENCE = 0.05  # seconds between looks at whether a run that waits was cancelled


@dataclass(frozen=True, slots=True, eq=False)
class Everything:
    """All objects of one plane, chosen already, and how: by the sliders and by clicks."""

    objects: Instances
    index: Index
    seen: Seen
    sieve: Sieve
    without: frozenset[int]

    @property
    def how(self) -> dict[str, Any]:
        """How they were chosen, for the record."""
        return plain(
            confidence=self.sieve.confidence,
            min_area=self.sieve.min_area,
            max_area=self.sieve.max_area,
            without=sorted(self.without) or None,
        )


@dataclass(slots=True, eq=False, kw_only=True)
class Run:
    """What is asked of one plane or of many, on its way.

    Parameters
    ----------
    asked
        A request, which a model answers, or all objects of a plane.
    model
        Who answers.
    cleanup, existing
        How objects are tidied, and what becomes of those that are in the labels already.
    axes, layers
        How the image falls into planes, and the layers that are read.
    make
        Makes labels to write to.
    tally
        What has been done so far.
    work, frame
        The labels that are written to, None until there is something to write, and which of their
        canvases.
    labelling
        What is worked on in these labels.
    asking
        What the run depends on, if it can be gone on with.
    step, parts
        The step that all planes are a part of, and its parts, if other steps came between.
    numbers
        The labels' numbers for those of the run, where these go on from plane to plane.
    ready
        Set once there are labels to write to.
    questions
        By plane, the prompts that are asked, and the objects that they ask for.
    course, looked, waiting
        How far the network and the linking have come, how many planes that is, and those of them
        that were found but not written: with these, what was stopped can be gone on with.
    given
        The labels that were written, where objects go on from plane to plane.
    linked
        What the linker tells of the objects on the planes that are written, if they are linked.
    scorer, download
        What compares objects with words, and the name of its model, if that is to be fetched first.
    tell_source
        Called with the labels before the first plane is written: notes what was chosen from.
    told
        How well the labels that were written answer a search.
    """

    asked: Request | Everything
    model: KeptModel
    cleanup: Cleanup
    existing: Existing
    axes: PlaneAxes
    layers: tuple[Layer, ...]
    make: Callable[[], Work | None]
    tally: Tally = field(default_factory=Tally)
    work: Work | None = None
    frame: int = 0
    labelling: Labelling | None = None
    asking: Asking | None = None
    step: Step | None = None
    parts: list[Step] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    ready: Event = field(default_factory=Event)
    questions: Mapping[Index, Questions] = field(default_factory=dict)
    course: Course = field(default_factory=Course)
    looked: int = 0
    waiting: dict[Index, Found] = field(default_factory=dict)
    given: set[int] = field(default_factory=set)
    linked: Mapping[str, NDArray[np.int64]] | None = None
    scorer: KeptScorer | None = None
    download: str = ""
    tell_source: Callable[[Work], None] | None = None
    told: dict[int, Told] = field(default_factory=dict)

    def write_to(self, work: Work | None) -> None:
        """Write to these labels, on planes along the axes of the run; in the main thread."""
        self.frame = 0 if work is None else work.frame(self.axes)
        self.work = work
        self.labelling = None if work is None else work.labelling

    @property
    def is_replaced(self) -> bool:
        """Whether the labels have got other data than those that the run writes to."""
        return self.work is not None and self.work.labelling is not self.labelling

    def tell(self, told: Mapping[int, Told], numbers: Mapping[int, int]) -> None:
        """Take note of how well labels answer a search; of several planes, the best counts."""
        for own, number in numbers.items():
            if own in told:
                before = self.told.get(number, told[own])
                self.told[number] = max(before, told[own], key=lambda one: one.likeness or 0.0)

    @property
    def planes(self) -> int:
        """How many planes there are to look at."""
        return 1 if isinstance(self.asked, Everything) else len(self.asked.planes())

    @property
    def lineage(self) -> Table | None:
        """What became of the objects that were written, if they are linked."""
        if self.linked is None or isinstance(self.asked, Everything):
            return None
        along = self.axes.along or 0
        at = np.array([index[along] for index in self.asked.planes()], np.int64)
        return lineages.of_run(self.linked, self.numbers, at)

    @property
    def left(self) -> int:
        """How many planes are not written yet."""
        return self.planes - self.tally.planes


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found on a plane: its labels, and how they get into the layer where that is known.

    `unanswered` counts prompts, and `windows` are where the plane was looked at closer. `numbers`
    are the labels that prompts got, 0 for none. `linked` is what the linker tells of the objects so
    far. `told` is what is told of each label: how well it answers a search, and its class.
    """

    index: Index
    labels: NDArray[Any]
    planned: Planned | None = None
    unanswered: int = 0
    windows: tuple[Window, ...] = ()
    numbers: tuple[int, ...] = ()
    linked: Mapping[str, NDArray[np.int64]] | None = None
    told: Mapping[int, Told] = field(default_factory=dict)


class Runs:
    """Goes through planes beside the main thread, and writes each as it is done.

    Parameters
    ----------
    cache
        Where candidates are looked up and kept.
    gone
        Says whether a run's layers have left the viewer.
    found
        Called after each plane with the run and what was found.
    ended
        Called after each run with how it ended and the error, if any.
    """

    def __init__(
        self,
        cache: CandidateCache,
        *,
        gone: Callable[[Run], bool],
        found: Callable[[Run, Found], None],
        ended: Callable[[Run, Ending, Exception | None], None],
    ) -> None:
        self.worker = Worker()
        self._cache = cache
        self._gone, self._found, self._ended = gone, found, ended

    def start(self, run: Run) -> Job:
        """Begin a run, or go on with it, as soon as the worker is free.

        What runs or waits is cancelled.
        """
        if run.work is None:
            run.ready.clear()
        # What waits is planned anew: somebody may have drawn with the numbers promised to it.
        run.waiting = {at: replace(found, planned=None) for at, found in run.waiting.items()}
        run.numbers = {own: n for own, n in run.numbers.items() if n in run.given}
        job = Job(
            lambda cancelled: _work(run, self._cache, job, cancelled),
            lambda found: self._receive(run, job, found),
            lambda ending, error: self._ended(run, ending, error),
            before=run.looked,
        )
        self.worker.submit(job)
        return job

    def _receive(self, run: Run, job: Job, found: Found) -> Iterator[None]:
        """Write what was found on a plane, bit by bit, unless its layers have left."""
        if self._gone(run) or run.is_replaced:
            job.cancelled.set()
            return
        if found.planned is None and found.labels.any():  # the worker waits for labels
            run.write_to(run.make())
            if run.work is None:
                raise ValueError(words.NOT_WRITTEN)
            run.ready.set()
            return
        if run.work is not None and found.planned is not None:
            planned, brush = found.planned, run.work.canvas.brush
            if brush and brush in set(planned.numbers.values()) - run.given:
                # A person took up the brush with a number that was meant for a new object.
                run.work.about_to_number()
                for label, number in planned.numbers.items():
                    if number == brush:
                        run.numbers.pop(label, None)
                planned = _plan(run, run.work, found)
            yield from self._write(run, run.work, planned)
            run.tell(found.told, planned.numbers)
        run.waiting.pop(found.index, None)
        run.linked = found.linked
        run.tally.planes += 1
        run.tally.unanswered += found.unanswered
        self._found(run, found)

    def _write(self, run: Run, work: Work, planned: Planned) -> Iterator[None]:
        """Write a plane as a part of the run's one step."""
        if _each_alone(run):
            run.tally.new += planned.new
        else:
            run.given.update(planned.numbers.values())
            run.tally.new = len(run.given)
        run.tally.taken += planned.taken
        if isinstance(run.asked, Everything):
            record = plain(
                do="everything",
                plane=run.asked.index,
                existing=run.existing,
                cleanup=run.cleanup,
                how=run.asked.how,
                numbers=list(planned.numbers.items()),
                looked=[list(window) for window in run.asked.seen.windows] or None,
            )
            yield from work.labelling.writing(planned, record)
            return
        if run.step is None:
            if run.tell_source is not None:
                run.tell_source(work)
            run.step = work.labelling.begin(run_record(run.asked, run.existing))
        yield from work.labelling.writing(planned, step=run.step)
        last = work.history.last
        if last is not None and last not in run.parts and run.step in (last, last.root):
            run.parts.append(last)


def _each_alone(run: Run) -> bool:
    """Whether no object goes on from plane to plane."""
    return isinstance(run.asked, Everything) or counts_on_each_plane(run.asked)


def _plan(run: Run, work: Work, found: Found) -> Planned:
    """Work out how a plane's objects get into the labels; from any thread."""
    numbers = {} if _each_alone(run) else run.numbers
    return work.labelling.plan(
        found.index,
        found.labels,
        run.existing,
        numbers,
        windows=found.windows,
        frame=run.frame,
        keep=bool(run.questions),
    )


def _work(
    asked: Run, cache: CandidateCache, job: Job, cancelled: Callable[[], bool]
) -> Iterator[Found]:
    """Yield the planes of a run, then let go of what is not needed: in the worker thread."""
    try:
        yield from _found(asked, cache, job, cancelled)
    finally:
        if asked.scorer is not None:
            asked.scorer.spare()


def _found(
    asked: Run, cache: CandidateCache, job: Job, cancelled: Callable[[], bool]
) -> Iterator[Found]:
    """Yield the planes of a run, planned where there are labels."""
    what, total = asked.asked, asked.planes
    if asked.download:
        download_text_model(asked.download, job, cancelled)
    job.doing, job.progress = "Segmenting", (job.before, total if total > 1 else 0)
    if isinstance(what, Everything):
        labels = clean(what.objects.to_labels(), asked.cleanup)
        told = {
            n: Told(float(score), *known)
            for n, (score, known) in enumerate(
                zip(what.objects.scores, classes_of(what.objects), strict=True), 1
            )
            if known is not None
        }
        yield from _planned(asked, Found(what.index, labels, told=told), cancelled)
        return
    for found in list(asked.waiting.values()):  # of a run that was stopped
        yield from _planned(asked, found, cancelled)
    rest = replace(what, indices=tuple(what.planes()[asked.looked :]))

    def looked(done: int, total: int) -> None:
        if what.searching:
            job.doing = f"Object {done} of {total}"

    results = run(
        rest,
        asked.model,
        scorer=asked.scorer,
        cache=cache,
        cancelled=cancelled,
        looked=looked,
        course=asked.course,
    )
    for result in results:
        job.doing = "Segmenting"
        asked.model.take_seconds()
        found = Found(
            result.index,
            result.labels,
            unanswered=_unanswered(result),
            windows=result.windows,
            numbers=result.numbers,
            linked=asked.course.linker.lineage() if what.link else None,
            told={n: Told(result.scores[n], *found) for n, found in result.found.items()},
        )
        asked.waiting[found.index] = found
        asked.looked += 1
        yield from _planned(asked, found, cancelled)
        job.progress = (asked.looked, total if total > 1 else 0)


def _unanswered(result: PlaneResult) -> int:
    """Return how many prompts have no object; a search may well find none."""
    selection = result.selection
    return 0 if selection is None or selection.likeness is not None else len(selection.unanswered)


def _planned(run: Run, found: Found, cancelled: Callable[[], bool]) -> Iterator[Found]:
    """Yield how a plane gets into the labels; the first time, what needs labels before that."""
    if run.work is None and found.labels.any():
        yield found
        while not run.ready.wait(_PATIENCE):
            if cancelled():
                return
    if run.work is not None and found.planned is None:
        found = replace(found, planned=_plan(run, run.work, found))
        if found.index in run.waiting:
            run.waiting[found.index] = found  # its numbers are promised to it
    yield found
