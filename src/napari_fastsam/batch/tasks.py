"""What one worker does at a time: look at some planes of an image, or write its labels.

A task names files and planes and holds no pixels, so it can be sent anywhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from napari_fastsam.batch.places import lineage_path, table_path
from napari_fastsam.batch.store import Store
from napari_fastsam.files.measurements import measure, write_measurements
from napari_fastsam.files.readers import read_image
from napari_fastsam.files.writers import write_labels
from napari_fastsam.linking import Linker
from napari_fastsam.pipeline import run
from napari_fastsam.report import Tally, objects_of
from napari_fastsam.selection import select
from napari_fastsam.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from napari_fastsam.batch.job import Job
    from napari_fastsam.files.readers import Image
    from napari_fastsam.pipeline import Index, PlaneRegions, PlaneResult, Request
    from napari_fastsam.report import FoundObject, Summary
    from napari_fastsam.segmenter import Segmenter, TextScorer
    from napari_fastsam.told import Found


class Models(Protocol):
    """The models of a process, each built when it is first asked for."""

    def segmenter(self) -> Segmenter:
        """Return what finds the candidates."""
        ...

    def scorer(self) -> TextScorer:
        """Return what compares them with words and examples."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """An image that was segmented: where from and to, what was found, in how many seconds.

    No two images of a batch have the same name. `objects` are the first ones if not all were
    wanted; `summary` is of all.
    """

    name: str
    path: Path
    output: Path
    shape: tuple[int, ...]
    axes: str
    objects: tuple[FoundObject, ...]
    unanswered: tuple[str, ...]
    seconds: float
    summary: Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done with one image.

    Parameters
    ----------
    name
        No two images of a batch have the same.
    path, output
        The image, and where its labels go; ``None`` if they stay in the store.
    folder
        The store, while its planes are worked on.
    job
        What is asked.
    provenance
        What the output shall tell about how it came to be.
    overwrite
        Whether an existing output may be replaced.
    listed
        How many objects are reported one by one, all if ``None``.
    base
        The folder that the others are relative to, where that is not the working folder.
    """

    name: str
    path: Path
    output: Path | None
    folder: Path
    job: Job
    provenance: Mapping[str, Any]
    overwrite: bool = False
    listed: int | None = None
    base: Path = field(default_factory=Path)

    @property
    def store(self) -> Path:
        """The store, as it is found from here."""
        return self.base / self.folder

    def open(self) -> Image:
        """Return the image, opened anew if it has changed."""
        path = self.base / self.path
        state = path.stat() if path.is_file() else None
        return _opened(path, self.job.axes, state and (state.st_size, state.st_mtime_ns))

    def write(
        self,
        labels: Any,
        image: Image,
        objects: Iterable[FoundObject],
        scores: Callable[[Index], Mapping[int, float]],
        found: Callable[[Index], Mapping[int, Found]],
    ) -> None:
        """Write all labels to the output, and the table beside it."""
        assert self.output is not None
        output = self.base / self.output
        rows = [{"label": row.label, "score": round(row.score, 4), **row.told} for row in objects]
        write_labels(
            output,
            labels,
            image,
            provenance=self.provenance,
            objects=rows,
            overwrite=self.overwrite,
        )
        if self.job.tables:
            table = measure(
                image,
                labels,
                name=self.name,
                linked=self.job.link,
                scores=scores,
                found=found,
                indices=self.job.indices(image.axes),
            )
            write_measurements(table_path(output), table, overwrite=self.overwrite)

    def done(
        self, image: Image, tally: Tally, seconds: float, unanswered: tuple[str, ...] = ()
    ) -> Done:
        """Return what became of it."""
        return Done(
            name=self.name,
            path=self.path,
            output=self.output or self.folder,
            shape=image.axes.shape,
            axes=image.axes.axes,
            objects=tally.objects,
            unanswered=unanswered,
            seconds=seconds,
            summary=tally.summary,
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the work on an image."""

    work: Work

    def based(self, folder: Path) -> Self:
        """Return the task for a process that works in another folder than this one."""
        return replace(self, work=replace(self.work, base=folder))


@dataclass(frozen=True, slots=True)
class Look(Piece):
    """Planes of an image whose labels go to the store."""

    indices: tuple[Index, ...]

    def perform(self, models: Models) -> tuple[str, ...]:
        """Do it, and return the prompts that no object answers; words are no prompts of a plane."""
        image = self.work.open()
        store = Store(self.work.store, image.axes)
        unanswered: list[str] = []
        for request, result in _results(self.work.job, image, models, self.indices):
            store.write(result.index, result.labels, objects_of(result))
            unanswered += unanswered_of(request, result)
        return tuple(unanswered)


@dataclass(frozen=True, slots=True)
class Whole(Piece):
    """A single image that needs no store: what is found is written at once."""

    def perform(self, models: Models) -> Done:
        """Do it."""
        work, start = self.work, time.perf_counter()
        image = work.open()
        indices = tuple(work.job.indices(image.axes))
        ((request, result),) = _results(work.job, image, models, indices)
        labels = np.zeros(image.axes.label_shape, np.uint32)
        image.axes.write(labels, (), result.labels)
        tally = Tally(across_planes=work.job.prompted, most=work.listed)
        tally.add(found := objects_of(result))
        work.write(labels, image, found, lambda index: result.scores, lambda index: result.found)
        unanswered = (*unanswered_of(request, result), *words_without(work.job, [found]))
        return work.done(image, tally, time.perf_counter() - start, unanswered)


@dataclass(frozen=True, slots=True)
class Finish(Piece):
    """An image whose planes are all in the store: its labels are linked, if asked, and written."""

    unanswered: tuple[str, ...] = ()

    def perform(self, models: Models) -> Done:
        """Do it."""
        work, start = self.work, time.perf_counter()
        image = work.open()
        store = Store(work.store, image.axes)
        linked, indices = work.job.link, work.job.indices(image.axes)
        if linked:
            lineage = link_planes(store, indices, work.job.step(image.axes))
            store.write_lineage(lineage)
        one_each = linked or (work.job.prompted and not image.axes.steps)
        tally = Tally(across_planes=one_each, most=work.listed)
        for index in indices:
            tally.add(store.objects(index, linked=linked))
        missing = words_without(work.job, map(store.objects, indices))
        if work.output is not None:
            labels, scores = store.labels(linked=linked), partial(store.scores, linked=linked)
            work.write(labels, image, tally.by_label, scores, partial(store.found, linked=linked))
            if work.job.tables and linked:
                rows = lineage_rows(work.name, store.lineage())
                path = lineage_path(work.base / work.output)
                write_measurements(path, rows, overwrite=work.overwrite)
        return work.done(image, tally, time.perf_counter() - start, self.unanswered + missing)


class Task(Protocol):
    """A piece of the work on an image."""

    @property
    def work(self) -> Work:
        """What is done with the image."""
        ...

    def based(self, folder: Path) -> Task:
        """Return the task for a process that works in another folder than this one."""
        ...

    def perform(self, models: Models) -> Any:
        """Do it."""
        ...


def link_planes(store: Store, indices: Iterable[Index], step: int = 1) -> dict[str, Any]:
    """Link the labels of a store plane by plane, into its linked part, and return the lineage.

    The labels of single planes stay as they are, so this can begin anew at any time.
    """
    linker = Linker(step=step)
    store.make_linked()
    along = store.axes.along or 0
    series: Index | None = None
    for index in indices:
        if series is not None and series != index[:along]:
            linker.reset()
        series = index[:along]
        labels = store.read(index)
        numbers = linker.push(labels, plane=index[along] if index else None)
        rows = [replace(row, label=int(numbers[row.label])) for row in store.objects(index)]
        store.write(index, numbers[labels], rows, linked=True)
    return linker.lineage()


def lineage_rows(name: str, lineage: Mapping[str, Sequence[int]]) -> Iterator[dict[str, Any]]:
    """Yield a row of a table for each linked object of an image."""
    for values in zip(*lineage.values(), strict=True):
        yield {"image": name, **dict(zip(lineage, map(int, values), strict=True))}


def _results(
    job: Job, image: Image, models: Models, indices: tuple[Index, ...]
) -> Iterator[tuple[Request, PlaneResult]]:
    """Yield what is found on planes, and what was asked; labels count from 1 on each."""
    scorer = models.scorer() if job.searching else None
    # Prompts are counted through the planes of a request; without, planes are looked at ahead.
    parts = [(index,) for index in indices] if job.prompted else [indices]
    for part in parts:
        request = job.request(image, part)
        for result in run(request, models.segmenter(), scorer=scorer):
            yield request, result


def unanswered_of(request: Request, result: PlaneResult | PlaneRegions) -> list[str]:
    """Return the prompts of a plane that no object answers, as a person would write them.

    Words are not among them: an object on another plane may be what they describe.
    """
    if result.selection is None or request.prompts is None:
        return []
    prompts, selection = request.prompts[result.index], result.selection
    if prompts.text is not None:
        return []
    if prompts.similar:
        prompts = prompts.marks
        selection = select(result.candidates, prompts)
    places = {"points": prompts.points, "box": prompts.boxes}
    questions = [prompts.questions[n] for n in selection.unanswered]
    return [
        f"{question.kind.removesuffix('s')} "
        + ",".join(f"{number:g}" for number in places[question.kind][question.members[0]])
        for question in questions
    ]


def words_without(job: Job, planes: Iterable[Iterable[FoundObject]]) -> tuple[str, ...]:
    """Return the words that describe no object of any plane."""
    missing = [] if job.text is None else list(Wording.parse(job.text).wanted)
    for objects in planes:
        if not missing:
            break
        told = {row.found.text for row in objects if row.found is not None}
        missing = [phrase for phrase in missing if phrase not in told]
    return tuple(f"text {phrase}" for phrase in missing)


@lru_cache(maxsize=2)
def _opened(path: Path, axes: str | None, state: object) -> Image:
    """Return an image, kept open for the tasks that follow."""
    return read_image(path, axes)
