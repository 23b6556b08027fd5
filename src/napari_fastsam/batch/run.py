"""The images of a run on their way: which tasks there are, and what comes of them."""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import message
from napari_fastsam.batch import tiles
from napari_fastsam.batch.images import Underway
from napari_fastsam.batch.places import lineage_path, table_path, work_folder
from napari_fastsam.batch.tasks import Done, Finish, Look, Task, Whole, Work, lineage_rows
from napari_fastsam.batch.workers import IMAGE_FAULTS, DiskFullError
from napari_fastsam.files.coco import Coco
from napari_fastsam.files.inputs import file_names
from napari_fastsam.files.measurements import measure, write_measurements
from napari_fastsam.files.outputs import COCO, clear_leftovers, refuse_existing, whole
from napari_fastsam.files.readers import PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_fastsam.batch.job import Job
    from napari_fastsam.batch.manifest import Manifest
    from napari_fastsam.batch.workers import Workers
    from napari_fastsam.files.inputs import Input
    from napari_fastsam.pipeline import Index

_FLUSHED = 600  # seconds after which what was written is on the disk, whatever becomes of the power
_ALL = ""  # what the manifest calls the annotations of all images together


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """An image that was not segmented, and why.

    Parameters
    ----------
    path
        The image.
    error
        The first that was met.
    planes
        Those of a stack that failed.
    kept
        How many others are done and kept, for when the same is asked again.
    """

    path: Path
    error: Exception
    planes: tuple[Index, ...] = ()
    kept: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class UpToDate:
    """An image that was segmented before, with the same settings, and whose labels are there."""

    name: str
    path: Path
    output: Path


class Run:
    """What is left to do of a batch, and what was done.

    Parameters
    ----------
    notes
        What earlier runs did, and where to note what this one does.
    job
        What is asked of each image.
    overwrite, listed, progress
        As for `segment_files`.
    """

    def __init__(
        self,
        notes: Manifest,
        job: Job,
        *,
        overwrite: bool,
        listed: int | None,
        progress: Callable[[Path, int, int], None],
    ) -> None:
        self.images: dict[str, Underway] = {}
        self._notes, self._job = notes, job
        self._overwrite, self._listed, self._progress = overwrite, listed, progress
        self._annotations: Path | None = None
        self._todo: deque[Underway] = deque()
        self._ready: deque[Task] = deque()
        self._failed: list[Failed] = []
        self._full: DiskFullError | None = None
        self._workers: Workers

    def plan(self, inputs: Sequence[Input], outputs: Sequence[Path]) -> Iterator[UpToDate]:
        """Find out what is left to do, and yield what is up to date.

        Raises
        ------
        ValueError, FileExistsError
            If something may not be replaced.
        """
        batch = list(zip(file_names(inputs), inputs, outputs, strict=True))
        current = {
            name
            for name, item, to in batch
            if self._notes.is_done(name, item.path, to)
            and all(path.exists() for path in self._tables(to))
        }
        together = outputs[0].suffix.lower() == COCO
        if together:
            self._annotations = outputs[0]
            current = current if len(current) == len(batch) else set()
        if not self._overwrite:
            self._notes.require_same_settings(name for name, _, _ in batch if name not in current)
        mine = {
            to
            for name, _, to in batch
            if self._notes.has_written(_ALL if together else name, to)
            or self._notes.wrote(_ALL, to)
        }
        new = dict.fromkeys(to for name, _, to in batch if name not in current and to not in mine)
        refuse_existing([path for to in new for path in (to, *self._tables(to))], self._overwrite)
        for name, item, output in batch:
            if name in current:
                if not together and work_folder(output).exists():  # killed just before its removal
                    self._notes.claim()
                    shutil.rmtree(work_folder(output))
                yield UpToDate(name, item.path, output)
                continue
            folder = work_folder(output)
            work = Work(
                name=name,
                path=item.path,
                output=None if together else output,
                folder=folder / _short(name) if together else folder,
                job=self._job,
                provenance={"napari_fastsam": self._notes.settings},
                overwrite=self._overwrite or output in mine,
                listed=self._listed,
            )
            self.images[name] = Underway(work)
            self._todo.append(self.images[name])

    def perform(self, workers: Workers) -> Iterator[Done | Failed]:
        """Have everything done, and yield what became of each image.

        Raises
        ------
        OSError
            If the disk is full, or annotations cannot be written.
        """
        self._workers = workers
        done: list[Done] = []
        try:
            for task, result, error in workers.perform(self._next):
                yield from self._taken_failures()  # of images before this one
                finished = self._took(task, result, error)
                if finished is not None:
                    done.append(finished)
                    yield finished
            yield from self._taken_failures()
            if self._full is not None:
                raise self._full
            if self._annotations is not None and done:
                self._annotate(self._annotations, {one.name for one in done})
        finally:
            if self._notes.path is None:  # nobody could go on with it
                self._remove_stores()

    def _next(self) -> Task | None:
        """Return the next task."""
        while not self._ready and self._todo and self._full is None:
            image = self._todo[0]
            if image.axes is None:
                self._begin(image)
            self._ready.extend(tasks := list(image.next()))
            if not tasks:
                self._todo.popleft()
        return self._ready.popleft() if self._ready else None

    def _begin(self, image: Underway) -> None:
        """Open an image, and see what is left of it."""
        work = image.work
        self._notes.claim()
        if work.output is not None and work.path.suffix.lower() in PICTURES:  # never a stack
            self._end(Whole(work))
            return
        try:
            opened = work.open()
            large = max(opened.axes.plane_shape) > tiles.IN_PARTS
            if work.output is not None and not opened.axes.steps and not large:
                self._end(Whole(work))
                return
            planes = self._job.indices(opened.axes)
            self._job.request(opened, ())  # says what does not fit
            image.axes = opened.axes
            known = self._notes.planes(work.name, work.path)
            begun = self._notes.begun(work.name, work.path)
            if not begun or not image.store.is_there(work.name):
                known = set()
                self._notes.begin_anew(work.name)
                image.store.make(work.name)
                self._notes.add_planes(work.name, work.path, ())
            since = self._notes.changed - _FLUSHED
            known = {index for index in known if image.store.is_whole(index, since)}
        except IMAGE_FAULTS as error:
            self._fail(image, error)
            return
        image.workers = self._workers.count
        image.begin(planes, known, large=large)
        self._progress(work.path, *image.progress)
        if image.is_over:
            self._end(Finish(work))

    def _took(self, task: Task, result: Any, error: Exception | None) -> Done | None:
        """Take what became of a task; return the image if that was its last."""
        image = self.images[task.work.name]
        if isinstance(error, DiskFullError):
            self._full = _disk_full(error, task.work)
            image.give_up()
        if isinstance(task, Whole | Finish):
            return self._finished(image, result, error)
        assert isinstance(task, Look | tiles.TileTask)
        before = image.done
        self._ready.extend(image.took(task, result, error))
        if image.done > before:
            planes = task.indices if isinstance(task, Look) else (task.index,)
            self._notes.add_planes(task.work.name, task.work.path, planes)
        if error is None:
            self._progress(task.work.path, *image.progress)
        if image.is_over and image.errors:
            self._fail(image, next(iter(image.errors.values())))
        elif image.is_over:
            self._end(Finish(image.work, image.unanswered))
        return None

    def _end(self, task: Whole | Finish) -> None:
        """Have the labels of an image written, as its last task."""
        work = task.work
        if work.output is not None:
            try:
                refuse_existing([work.output, *self._tables(work.output)], work.overwrite)
            except FileExistsError as error:  # since the run began
                self._fail(self.images[work.name], error)
                return
            again = self._notes.was_writing(work.name, work.output)
            self._notes.add_writing(work.name, work.path, work.output)
            if again:
                clear_leftovers(work.output)
            # From now on it is this run's own: a task whose worker dies is done again by another.
            task = replace(task, work=replace(work, overwrite=True))
        self._ready.append(task)

    def _tables(self, output: Path) -> list[Path]:
        """Return the tables that are written beside an output."""
        if not self._job.tables:
            return []
        return [table_path(output), *([lineage_path(output)] if self._job.link else [])]

    def _finished(
        self, image: Underway, result: Done | None, error: Exception | None
    ) -> Done | None:
        """Take what became of an image."""
        if error is not None or result is None:
            assert error is not None
            self._fail(image, error)
            return None
        work = image.work
        if work.output is not None:
            self._notes.add_output(work.name, work.path, work.output, result.summary.count)
            if image.axes is not None:
                image.store.remove()
        if image.axes is None:
            self._progress(work.path, 1, 1)
        return result

    def _fail(self, image: Underway, error: Exception) -> None:
        """Note that an image cannot be done."""
        work = image.work
        if work.output is None or not self._notes.has_written(work.name, work.output):
            self._notes.drop_writing(work.name)
        if image.axes is not None and not image.done:
            image.store.remove()
            self._notes.begin_anew(image.work.name)
        planes = tuple(sorted(image.errors)) if image.total > 1 else ()
        self._failed.append(Failed(image.work.path, error, planes, image.done))

    def _taken_failures(self) -> Iterator[Failed]:
        """Yield what has failed since this was last asked, once."""
        failed, self._failed = self._failed, []
        yield from failed

    def _annotate(self, path: Path, done: set[str]) -> None:
        """Write the annotations of all images that are done."""
        coco = Coco({"napari_fastsam": self._notes.settings}, folder=path.parent)
        linked = self._job.link
        images = {name: image for name, image in self.images.items() if name in done}
        for name, image in images.items():
            assert image.axes is not None
            labels, scores = image.store.labels(linked=linked), image.scores(linked)
            indices, found = self._job.indices(image.axes), image.found(linked)
            coco.add_labels(name, image.axes, labels, scores, found, indices=indices)
        replaced = any(image.work.overwrite for image in images.values())
        self._notes.add_writing(_ALL, path, path)
        with whole(path, overwrite=replaced) as partial:
            coco.save(partial)
        if self._job.tables:
            write_measurements(table_path(path), self._measured(images), overwrite=replaced)
        if self._job.tables and linked:
            rows = chain.from_iterable(
                lineage_rows(name, image.store.lineage()) for name, image in images.items()
            )
            write_measurements(lineage_path(path), rows, overwrite=replaced)
        count = coco.count
        if len(done) < len(self.images):
            self._notes.add_output(_ALL, path, path, count)
        else:
            for name, image in self.images.items():
                self._notes.add_output(name, image.work.path, path, count)
            self._notes.begin_anew(_ALL)
            self._remove_stores()

    def _measured(self, images: Mapping[str, Underway]) -> Iterator[dict[str, Any]]:
        """Yield what is measured of the objects of images that are in their stores."""
        linked = self._job.link
        for name, image in images.items():
            labels, scores = image.store.labels(linked=linked), image.scores(linked)
            opened = image.work.open()
            yield from measure(
                opened,
                labels,
                name=name,
                linked=linked,
                scores=scores,
                found=image.found(linked),
                indices=self._job.indices(opened.axes),
            )

    def _remove_stores(self) -> None:
        """Remove what was only needed on the way."""
        for image in self.images.values():
            if image.axes is not None:
                image.store.remove()
        if self._annotations is not None:
            for folder in {image.work.folder.parent for image in self.images.values()}:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()


def _short(name: str) -> str:
    """Return a name for a folder that no other image's has, whatever the images' order."""
    return hashlib.sha1(name.encode("utf-8"), usedforsecurity=False).hexdigest()[:16]


def _disk_full(error: DiskFullError, work: Work) -> DiskFullError:
    """Return the error of a run that has no room left."""
    return DiskFullError(
        message(
            f"room on the disk for the labels of {work.path.name}",
            str(error).rstrip("."),
            "make room and give the same command again: what is done stays done",
        )
    )
