"""What one dask scheduler sustains: a cluster whose tasks only sleep, over 100,000 planes.

    python benchmarks/scheduler.py
    python benchmarks/scheduler.py --planes 10000 --per-task 16 --sleep 0 0.02 --threads 100

The run is a real one, `segment_files` over a stack that is in a file as a shape only: its tasks go
by `Cluster` to a scheduler and to workers in processes of their own, on this machine. The tasks are
as large as real ones, and sleep instead of segmenting: by ``--sleep`` seconds for each plane, on as
many threads as ``--threads`` says, which stand for so many GPUs. CPU is what a process spent for a
task: its inverse is what it sustains on a core of its own, where here scheduler, client and all
workers share the cores. *Busy* is the share of the threads' time that was slept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import psutil
import zarr

from _beside import print_table
from _sleeping import Sleep
from napari_fastsam import ModelSpec
from napari_fastsam.batch import Failed, Job, cluster, manifest_path, segment_files
from napari_fastsam.batch.tasks import Look
from napari_fastsam.files.inputs import find_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_fastsam.batch import Cluster
    from napari_fastsam.batch.tasks import Task

PROCESSES = 2
SIDE = 2048
TASKS_EACH = 4
"""A stack is shared out in so many tasks for each thread, of 16 planes at most."""
HEADER = [
    "planes per task",
    "sleep s",
    "threads",
    "tasks",
    "tasks per s",
    "busy",
    "scheduler ms",
    "client ms",
    "worker ms",
    "scheduler MB",
    "client MB",
    "task B",
    "manifest B",
]


@dataclass(slots=True)
class Sleeping:
    """The workers of a cluster, to whom tasks are given that sleep.

    Parameters
    ----------
    cluster
        The cluster.
    seconds
        For each plane.
    count
        For how many threads a stack is shared out, which says how many planes a task has.
    tasks, size
        How many there were that look at planes, and the bytes of one of them.
    """

    cluster: Cluster
    seconds: float
    count: int
    tasks: int = 0
    size: int = 0

    def perform(self, tasks: Callable[[], Task | None]) -> Iterator[Any]:
        """Yield what became of each task."""

        def given() -> Sleep | None:
            task = tasks()
            if isinstance(task, Look):
                self.tasks += 1
                self.size = self.size or len(cloudpickle.dumps(task))
            return None if task is None else Sleep(task, self.seconds)

        for asleep, result, error in self.cluster.perform(given):
            yield asleep.task, result, error


@dataclass(frozen=True, slots=True)
class State:
    """CPU seconds and resident megabytes of the processes of a cluster."""

    time: float
    scheduler: float
    client: float
    workers: float
    scheduler_mb: float
    client_mb: float

    @classmethod
    def now(cls, processes: list[psutil.Process]) -> State:
        """Return how it is; the first process is the scheduler, this one the client."""
        all_of_them = [*processes, psutil.Process()]
        cpu = [sum(process.cpu_times()[:2]) for process in all_of_them]
        megabytes = [process.memory_info().rss / 1e6 for process in all_of_them]
        workers = sum(cpu[1:-1])
        return cls(time.perf_counter(), cpu[0], cpu[-1], workers, megabytes[0], megabytes[-1])


@contextmanager
def processes_of(folder: Path, threads: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Start a scheduler and workers; yield its address and all of the processes."""
    found = folder / "scheduler.json"
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parent), OMP_NUM_THREADS="1")
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> None:
        command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
        log = (folder / f"{len(started)}.log").open("wb")
        started.append(subprocess.Popen(command, env=environment, cwd=folder, stderr=log))

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(found))
        while not found.exists():
            time.sleep(0.1)
        address = json.loads(found.read_text())["address"]
        for n in range(PROCESSES):
            each = threads // PROCESSES + (n < threads % PROCESSES)
            start("worker", address, "--nthreads", str(each), "--no-nanny")
        yield address, [psutil.Process(process.pid) for process in started]
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def measure(planes: int, per_task: int, sleep: float, threads: int) -> list[str]:
    """Run one cluster, and return what to print."""
    spec, job = ModelSpec(), Job(axes="ZYX")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack, output = folder / "stack.zarr", folder / "labels.zarr"
        shape, chunks = (planes, SIDE, SIDE), (1, SIDE, SIDE)
        zarr.create_array(stack, shape=shape, chunks=chunks, dtype="uint16")
        notes = manifest_path(output, folder=False)
        with (
            processes_of(folder, threads) as (address, processes),
            cluster(spec, scheduler=address) as whole,
        ):
            while whole.count < threads:
                time.sleep(0.1)
            workers = Sleeping(whole, sleep, planes // (TASKS_EACH * per_task))
            arguments = find_images([str(stack)]), [output], spec, job
            before = State.now(processes)
            (outcome,) = segment_files(*arguments, manifest=notes, workers=workers, listed=0)
            after = State.now(processes)
        if isinstance(outcome, Failed):
            raise outcome.error
        notes_size = notes.stat().st_size
    tasks, taken = workers.tasks, after.time - before.time
    spent = [
        1e3 * (asdict(after)[who] - asdict(before)[who]) / tasks
        for who in ("scheduler", "client", "workers")
    ]
    return [
        str(per_task),
        f"{sleep:g}",
        str(threads),
        str(tasks),
        f"{tasks / taken:.0f}",
        f"{planes * sleep / threads / taken:.2f}",
        *(f"{milliseconds:.2f}" for milliseconds in spent),
        f"{before.scheduler_mb:.0f} to {after.scheduler_mb:.0f}",
        f"{before.client_mb:.0f} to {after.client_mb:.0f}",
        str(workers.size),
        f"{notes_size / planes:.1f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--planes", type=int, default=100_000)
    parser.add_argument("--per-task", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--sleep", type=float, nargs="+", default=[0.0])
    parser.add_argument("--threads", type=int, nargs="+", default=[100])
    options = parser.parse_args()
    cases = [
        (options.planes, per_task, sleep, threads)
        for per_task in options.per_task
        for sleep in options.sleep
        for threads in options.threads
    ]
    print(f"load of {os.cpu_count()} cores before: {os.getloadavg()[0]:.1f}", file=sys.stderr)
    print_table(HEADER, [measure(*case) for case in cases])


if __name__ == "__main__":
    main()
