"""Who performs tasks: this process, or the processes of a dask.distributed cluster.

A cluster's workers build the model once each, from its `ModelSpec`, and what knows words when a
task first asks for it; tasks and what comes back of them are small.
"""

from __future__ import annotations

import errno
import logging
import pickle
import time
import warnings
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from napari_fastsam._checks import fail_if, message
from napari_fastsam.pipeline import build, build_scorer
from napari_fastsam.segmenter import ModelSpec, TextSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_fastsam.batch.tasks import Models, Task
    from napari_fastsam.segmenter import Segmenter, TextScorer

IMAGE_FAULTS = (Exception,)
"""What one image may fail with, while the others are done: readers and torch raise all kinds."""

FULL = (errno.ENOSPC, errno.EDQUOT)

_AHEAD = 4  # tasks that a cluster is given for each of its threads, so that none waits
_STALE = 1.0  # seconds after which a cluster is asked anew how large it is

_Spec = TypeVar("_Spec", ModelSpec, TextSpec)

Outcome = tuple["Task", Any, Exception | None]
"""A task, what it returned, and the error if it failed."""


class DiskFullError(OSError):
    """A disk without room, on which no other image can be written either."""


class Workers(Protocol):
    """Performs tasks."""

    @property
    def count(self) -> int:
        """How many tasks are performed at a time."""
        ...

    def perform(self, tasks: Callable[[], Task | None]) -> Iterator[Outcome]:
        """Yield what became of each task, as it is done.

        Parameters
        ----------
        tasks
            Gives the next one; None while there is none, or no more once nothing is under way.
        """
        ...


class Here:
    """Performs one task after the other, in the process that asks.

    Parameters
    ----------
    model
        A `ModelSpec`, built at once, or a segmenter.
    scorer
        What knows words, if they are asked for: a `TextSpec`, built at once too, or a scorer.
    """

    count = 1

    def __init__(
        self, model: ModelSpec | Segmenter, scorer: TextSpec | TextScorer | None = None
    ) -> None:
        self._segmenter = build(model)
        self._scorer = None if scorer is None else build_scorer(scorer)

    def segmenter(self) -> Segmenter:
        """Return what finds the candidates."""
        return self._segmenter

    def scorer(self) -> TextScorer:
        """Return what compares them with words."""
        if self._scorer is None:
            self._scorer = build_scorer(None)
        return self._scorer

    def perform(self, tasks: Callable[[], Task | None]) -> Iterator[Outcome]:
        """Yield what became of each task."""
        while (task := tasks()) is not None:
            try:
                outcome: Outcome = (task, task.perform(self), None)
            except IMAGE_FAULTS as error:
                outcome = (task, None, _told(error))
            yield outcome


class Cluster:
    """The workers of a dask.distributed cluster.

    A task whose worker dies is given to another one. Tasks are taken back when the work is broken
    off.

    Parameters
    ----------
    client
        Connected to the scheduler.
    spec
        The model.
    scorer
        What knows words, where they are asked for.
    """

    def __init__(self, client: Any, spec: ModelSpec, scorer: TextSpec | None = None) -> None:
        fail_if(
            not isinstance(spec, ModelSpec),
            "a ModelSpec, from which each worker builds the model",
            f"a {type(spec).__name__}",
            'pass ModelSpec(model="starter")',
            TypeError,
        )
        self._models = _Models(_absolute(spec), scorer and _absolute(scorer))
        self._client, self._base = client, Path.cwd()
        self._threads, self._asked = 1, -_STALE

    @property
    def count(self) -> int:
        """How many threads the workers have together; ConnectionError if nobody can say."""
        now = time.monotonic()
        if now - self._asked >= _STALE:
            try:
                threads = self._client.nthreads().values()
            except OSError as error:
                raise _gone() from error
            self._threads, self._asked = max(1, sum(map(int, threads))), now
        return self._threads

    def perform(self, tasks: Callable[[], Task | None]) -> Iterator[Outcome]:
        """Yield what became of each task, as it is done.

        Raises
        ------
        ConnectionError
            If the scheduler is gone.
        """
        from distributed import as_completed

        underway: dict[Any, Task] = {}
        finished = as_completed()
        try:
            while True:
                room = _AHEAD * self.count - len(underway)
                given: list[Task] = list(islice(iter(tasks, None), max(room, 0)))
                if given:
                    sent = [task.based(self._base) for task in given]
                    futures = self._client.map(_perform, sent, models=self._models, pure=False)
                    underway.update(zip(futures, given, strict=True))
                    finished.update(futures)
                if not underway:
                    return
                # One message each for all that came meanwhile, lest the scheduler be what is slow.
                together = finished.next_batch()
                results = self._results(together)
                for future in together:
                    task = underway.pop(future)
                    yield (task, *results[future]) if future in results else _failed(future, task)
        finally:
            if underway:
                with suppress(OSError):  # a scheduler that is gone has nothing to take back
                    self._client.cancel(list(underway), force=True)

    def _results(self, futures: list[Any]) -> dict[Any, tuple[Any, Exception | None]]:
        """Return what tasks returned that some worker ended."""
        ended = [future for future in futures if future.status == "finished"]
        try:
            return dict(zip(ended, self._client.gather(ended), strict=True))
        except (OSError, CancelledError) as error:
            raise _gone() from error


def _failed(future: Any, task: Task) -> Outcome:
    """Return what became of a task that no worker ended; its own errors are returned, not raised.

    Raises
    ------
    ConnectionError
        If nobody knows, since the scheduler is gone.
    """
    if future.status == "error":
        return task, None, RuntimeError(_lost(future.exception()))
    raise _gone()


def _gone() -> ConnectionError:
    """Return the error of a run whose scheduler went away."""
    return ConnectionError(
        message(
            "a scheduler that can be reached until the end",
            "a connection that was lost",
            "start it again and give the same command: what is done stays done",
        )
    )


def _lost(error: BaseException) -> str:
    """Return what is said of a task that no worker could end."""
    return message(
        "workers that live as long as a task takes",
        f"{type(error).__name__}: {error}",
        "look at the workers' logs, memory first, and give the same command again",
    )


def _perform(task: Task, models: Models) -> tuple[Any, Exception | None]:
    """Perform a task in a worker, and return its result or its error."""
    try:
        return task.perform(models), None
    except IMAGE_FAULTS as error:
        told = _told(error)
        try:
            pickle.loads(pickle.dumps(told))
        except Exception:  # its class cannot be made of its text alone
            return None, RuntimeError(f"{type(told).__name__}: {told}")
        return None, told


def _told(error: Exception) -> Exception:
    """Return an error as it is handed on: one of few kinds, which cross to other processes."""
    if isinstance(error, OSError) and error.errno in FULL:
        return DiskFullError(str(error))
    if isinstance(error, ValueError | TypeError | OSError | RuntimeError | MemoryError):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


_building = Lock()


@dataclass(frozen=True, slots=True)
class _Models:
    """The one model of each kind that a worker builds, named so that it can be sent there."""

    spec: ModelSpec
    text: TextSpec | None = None

    def segmenter(self) -> Segmenter:
        """Return what finds the candidates."""
        with _building:
            return _built(self.spec)

    def scorer(self) -> TextScorer:
        """Return what compares them with words."""
        with _building:
            return _built_scorer(self.text or TextSpec())


@lru_cache(maxsize=1)
def _built(spec: ModelSpec) -> Segmenter:
    return build(spec)


@lru_cache(maxsize=1)
def _built_scorer(spec: TextSpec) -> TextScorer:
    return build_scorer(spec)


def _absolute(spec: _Spec) -> _Spec:
    """Return a spec whose model is found from every folder, if it is a file."""
    file = Path(spec.model)
    return replace(spec, model=str(file.absolute())) if file.exists() else spec


@contextmanager
def cluster(
    spec: ModelSpec,
    *,
    scorer: TextSpec | None = None,
    workers: int = 0,
    scheduler: str = "",
) -> Iterator[Cluster]:
    """Connect to a cluster, or start one on this machine that ends with the block.

    Parameters
    ----------
    spec
        The model.
    scorer
        What knows words, where they are asked for.
    workers
        How many processes to start here, with one thread each.
    scheduler
        The address of a scheduler, as ``"tcp://10.0.0.1:8786"``, in place of starting one.

    Raises
    ------
    ModuleNotFoundError
        If dask.distributed is not installed.
    ConnectionError
        If no scheduler answers.
    """
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            message(
                "dask.distributed for --workers and --scheduler",
                "none",
                'pip install "napari-fastsam[cluster]"',
            )
        ) from error
    with _quiet():
        yield from _connected(spec, scorer, workers, scheduler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what dask logs of lost connections: a run says what comes of them."""
    loggers = [  # some have levels and handlers of their own
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.split(".")[0] == "distributed" and isinstance(logger, logging.Logger)
    ]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _connected(
    spec: ModelSpec, scorer: TextSpec | None, workers: int, scheduler: str
) -> Iterator[Cluster]:
    """Yield the cluster."""
    from distributed import Client, LocalCluster

    if not scheduler:
        options = {"threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(n_workers=workers, **options) as local, Client(local) as client:
            yield Cluster(client, spec, scorer)
        return
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            message(
                "the address of a dask scheduler",
                f"{scheduler}, where none answers",
                "start one with `dask scheduler`, and give the address that it prints",
            )
        ) from error
    with client:
        if not client.nthreads():
            warnings.warn(f"{scheduler} has no workers yet; waiting for them", stacklevel=2)
        yield Cluster(client, spec, scorer)
