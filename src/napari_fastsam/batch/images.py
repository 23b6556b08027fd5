"""An image on its way: which of its planes and tiles are left, and which tasks come of that."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_fastsam.batch.store import Store
from napari_fastsam.batch.tasks import Look
from napari_fastsam.batch.tiles import Compose, LookInTiles, Survey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from napari_fastsam.batch.tasks import Task, Work
    from napari_fastsam.batch.tiles import TileTask
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes
    from napari_fastsam.told import Found

_MOST_PLANES = 16  # of one task
_MOST_TILES = 64
_TASKS_EACH = 4  # of an image at least for each worker, so that all end at about one time
_MOST_FAULTS = 10  # planes of an image that fail, and none is done: the others are left alone


@dataclass(slots=True, eq=False)
class Underway:
    """An image that is worked on.

    Parameters
    ----------
    work
        What is done with it.
    workers
        How many tasks are done at a time.
    axes
        Those of the image, once it is open.
    total, done
        How many of its planes are wanted, and are in the store.
    unanswered
        The prompts that no object answers, as far as is known.
    errors
        What its planes failed with.
    """

    work: Work
    workers: int = 1
    axes: PlaneAxes | None = None
    total: int = 1
    done: int = 0
    unanswered: tuple[str, ...] = ()
    errors: dict[Index, Exception] = field(default_factory=dict)
    _large: bool = False
    _left: deque[Index] = field(default_factory=deque)  # planes that are in no task yet
    _per_task: int = 1
    _tasks: int = 0  # that are not done
    _tiles: dict[Index, set[int]] = field(default_factory=dict)  # not looked at yet
    _of_tiles: int = 0  # planes and tiles that were shared out tile by tile

    @property
    def store(self) -> Store:
        """Where its labels lie meanwhile."""
        assert self.axes is not None
        return Store(self.work.folder, self.axes)

    def scores(self, linked: bool) -> Callable[[Index], Mapping[int, float]]:
        """Return what tells the score of each label of a plane."""
        store = self.store
        return lambda index: store.scores(index, linked=linked)

    def found(self, linked: bool) -> Callable[[Index], Mapping[int, Found]]:
        """Return what tells what a search says of each label of a plane."""
        store = self.store
        return lambda index: store.found(index, linked=linked)

    def begin(self, planes: Collection[Index], known: Collection[Index], *, large: bool) -> None:
        """Share out the planes that are not known yet; those of a large image tile by tile."""
        self._left.extend(index for index in planes if index not in known)
        self.total, self.done = len(planes), len(planes) - len(self._left)
        self._large = large
        if self.workers > 1:
            self._per_task = self._share(len(self._left), _MOST_PLANES)

    @property
    def is_over(self) -> bool:
        """Whether all is done that can be."""
        return not self._left and not self._tasks

    @property
    def progress(self) -> tuple[int, int]:
        """How many steps are done, and their total: planes, or the tiles of a single large one."""
        if self.total > 1 or not self._of_tiles:
            return self.done, self.total
        return self._of_tiles - sum(map(len, self._tiles.values())) + self.done, self._of_tiles + 1

    def next(self) -> Iterator[Task]:
        """Yield the next task on planes, if there is one."""
        if self._left and self._large:
            yield from self._given([Survey(self.work, self._left.popleft())])
        elif self._left:
            count = min(self._per_task, len(self._left))
            planes = tuple(self._left.popleft() for _ in range(count))
            yield from self._given([Look(self.work, planes)])

    def took(self, task: Look | TileTask, result: Any, error: Exception | None) -> Iterator[Task]:
        """Take what became of a task, and yield those that follow from it."""
        self._tasks -= 1
        planes = task.indices if isinstance(task, Look) else (task.index,)
        if error is not None and len(planes) > 1:  # the others of the task may be done
            yield from self._given(Look(self.work, (index,)) for index in planes)
        elif error is not None:
            self.errors.setdefault(planes[0], error)
            self._tiles.pop(planes[0], None)
            if len(self.errors) >= _MOST_FAULTS and not self.done:
                self.give_up()
            self._left.rotate(len(self._left) // 2)  # what is bad may lie together
        elif isinstance(task, Survey) and isinstance(result, int):
            each = self._share(result, _MOST_TILES)
            parts = [range(n, min(n + each, result)) for n in range(0, result, each)]
            self._tiles[task.index] = set(range(result))
            self._of_tiles += result
            yield from self._given(
                LookInTiles(self.work, task.index, tuple(part)) for part in parts
            )
        elif isinstance(task, LookInTiles):
            yield from self._looked(task)
        else:
            self.done += len(planes)
            self.unanswered += result

    def give_up(self) -> None:
        """Leave the planes alone that are in no task yet."""
        self._left.clear()

    def _looked(self, task: LookInTiles) -> Iterator[Task]:
        """Yield the task that puts a plane together after the last of its tiles."""
        left = self._tiles.get(task.index)
        if left is None:  # another of its tiles has failed
            return
        left.difference_update(task.tiles)
        if not left:
            del self._tiles[task.index]
            yield from self._given([Compose(self.work, task.index)])

    def _given(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Yield tasks that are then under way."""
        given = list(tasks)
        self._tasks += len(given)
        yield from given

    def _share(self, count: int, most: int) -> int:
        """Return how many of so many planes or tiles make a task."""
        return max(1, min(most, count // (self.workers * _TASKS_EACH)))
