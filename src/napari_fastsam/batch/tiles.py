"""The tiles of a large plane as tasks of their own: planned, looked at, and put together.

What was found in each tile lies in the store until its plane is done, so that a run goes on in the
middle of a plane, and any number of processes share it.
"""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._packing import pack, unpack
from napari_fastsam.batch.store import Store
from napari_fastsam.batch.tasks import Piece, unanswered_of
from napari_fastsam.large import Plan, plan, shown
from napari_fastsam.pictures import Picture
from napari_fastsam.pipeline import CandidateCache, run_regions
from napari_fastsam.planes import Display
from napari_fastsam.tiling import Tiling, put_together

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fastsam._seams import Window
    from napari_fastsam.batch.job import Job
    from napari_fastsam.batch.tasks import Models
    from napari_fastsam.closer import Seen
    from napari_fastsam.files.readers import Image
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index, Request
    from napari_fastsam.segmenter import Segmenter

IN_PARTS = 2048
"""Planes that are longer than this many pixels are shared out tile by tile."""

_PLAN = "plan.npz"


@dataclass(frozen=True, slots=True)
class Survey(Piece):
    """A large plane whose tiles are not known yet; one look may be all that it needs."""

    index: Index

    def perform(self, models: Models) -> int | tuple[str, ...]:
        """Do it, and return how many tiles are to be looked at.

        If one look was all, the labels are in the store, and the prompts without an answer are
        returned instead.
        """
        plane, model = _Plane.of(self), models.segmenter()
        if not plane.path.exists():
            seen = plan(plane.request, self.index, model, lambda: plane.picture(model))
            assert seen is not None  # as nobody could cancel
            if not isinstance(seen, Plan):
                return plane.write(seen, models)
            plane.save(seen)
        return len(plane.plan().tiles)


@dataclass(frozen=True, slots=True)
class LookInTiles(Piece):
    """Some tiles of a plane, by their numbers: what is found in them goes to the store."""

    index: Index
    tiles: tuple[int, ...]

    def perform(self, models: Models) -> None:
        """Do it; what was found before stays."""
        plane = _Plane.of(self)
        known = plane.plan()
        for n in self.tiles:
            if not plane.tile(n).exists():
                _save(plane.tile(n), pack(known.look_at(models.segmenter(), known.tiles[n])))


@dataclass(frozen=True, slots=True)
class Compose(Piece):
    """A plane whose tiles are all in the store: its labels go there too."""

    index: Index

    def perform(self, models: Models) -> tuple[str, ...]:
        """Do it, and return the prompts that no object answers."""
        plane = _Plane.of(self)
        if not plane.path.exists():
            return ()  # a worker died after it had done it
        known = plane.plan()
        number = {tile: n for n, tile in enumerate(known.tiles)}

        def found_in(tile: Window) -> Instances:
            return unpack(_load(plane.tile(number[tile])))

        request = plane.request
        found = put_together(
            known.tiles,
            known.large,
            found_in,
            confidence=0.0 if request.prompts is not None else request.least_score,
        )
        assert found is not None  # as nobody could cancel
        unanswered = plane.write(known.seen(models.segmenter(), found), models)
        shutil.rmtree(plane.folder)
        return unanswered


TileTask = Survey | LookInTiles | Compose


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """A large plane of an image, and where what is known of it lies."""

    image: Image
    store: Store
    request: Request
    index: Index
    job: Job

    @classmethod
    def of(cls, task: TileTask) -> _Plane:
        """Return the plane of a task."""
        image = task.work.open()
        request = replace(task.work.job.request(image, (task.index,)), key="plane")
        return cls(image, Store(task.work.store, image.axes), request, task.index, task.work.job)

    @property
    def folder(self) -> Path:
        return self.store.tiles(self.index)

    @property
    def path(self) -> Path:
        return self.folder / _PLAN

    def tile(self, number: int) -> Path:
        """Return where it lies what was found in a tile."""
        return self.folder / f"{number}.npz"

    def picture(self, model: Segmenter) -> Any:
        """Return the plane as the network sees it."""
        return shown(self.request, self.index, model)

    def save(self, known: Plan) -> None:
        """Write down in which tiles the plane is looked at."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = {"tiling": asdict(known.tiling), "display": asdict(known.plane.settled)}
        text = np.array(json.dumps(about, default=float))
        _save(self.path, {**pack(known.large), "about": text})

    def plan(self) -> Plan:
        """Return what was written down."""
        return _plan(self.path, self.image, self.index, self.path.stat().st_mtime_ns)

    def write(self, seen: Seen, models: Models) -> tuple[str, ...]:
        """Write the labels of the plane, and return the prompts that no object answers."""
        model, job = models.segmenter(), self.job
        scorer = models.scorer() if job.searching else None
        cache = CandidateCache()
        cache.put(self.request.place(model, self.index), seen)
        unanswered: list[str] = []
        for result in run_regions(self.request, model, scorer=scorer, cache=cache):
            self.store.write_regions(result)
            unanswered += unanswered_of(self.request, result)
        return tuple(unanswered)


@lru_cache(maxsize=1)
def _plan(path: Path, image: Image, index: Index, state: object) -> Plan:
    """Return the plan of a plane, kept for the tasks that follow."""
    arrays = _load(path)
    about = json.loads(str(arrays["about"]))
    display = Display(**{name: _tuples(value) for name, value in about["display"].items()})
    plane = Picture(image.data, image.axes, index, display, settled=True)
    return Plan(plane, Tiling(**about["tiling"]), unpack(arrays))


def _tuples(value: Any) -> Any:
    """Return what JSON made lists of."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _save(path: Path, arrays: dict[str, Any]) -> None:
    """Write a file of arrays, which appears whole or not at all."""
    partial = path.with_suffix(f".{uuid.uuid4().hex[:8]}.part")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.replace(path)


def _load(path: Path) -> dict[str, Any]:
    """Return the arrays of a file."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
