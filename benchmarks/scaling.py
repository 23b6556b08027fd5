"""What the engine of folders and clusters costs: memory on long stacks, overhead, more workers.

    python benchmarks/scaling.py memory                       stacks of 10, 100 and 1000 planes
    python benchmarks/scaling.py memory --model threshold     the same, seconds long
    python benchmarks/scaling.py overhead                     beside the network in a plain loop
    python benchmarks/scaling.py workers                      1 and 2 processes of a cluster
    python benchmarks/scaling.py plane                        planes of 2048² at 16 bit, in tiles

Planes are 512² of 60 discs, all different, in a zarr on the disk; labels go to another zarr, and
what is done to a manifest, as with the command line. Seconds are of the whole run, from opening the
image to labels under their own name, on one thread in each process. CPU is the time that the
process had on any core, which other programs disturb less. With ``--link``, an object has one label
through the planes. The model "threshold" stands for a network that takes no time: everything else
is real.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
import zarr
from skimage.measure import label

from _beside import discs, print_table, seconds
from everything import added_bytes
from napari_fastsam import Instances, ModelSpec, PlaneAxes, Request, run, to_rgb
from napari_fastsam.batch import Failed, Here, Job, cluster, manifest_path, segment_files
from napari_fastsam.files.inputs import find_images
from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.registry import model_path
from napari_fastsam.models.torch_runtime import TorchRuntime
from napari_fastsam.pipeline import build
from napari_fastsam.report import objects_of
from starter_data import DATA
from tiles import CHUNK, cells, mosaic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.batch import Cluster
    from napari_fastsam.segmenter import Segmenter

SIDE = 512
OBJECTS = 60
DIFFERENT = 50
"""So many different planes; longer stacks repeat them."""


class Threshold:
    """Finds what is bright and connected: a network that takes no time."""

    spec = "threshold"

    def segment(self, image: NDArray[Any]) -> Instances:
        """Return the candidates of an image (H, W, 3)."""
        return Instances.from_labels(label(image[..., 0] > 100))


@dataclass(frozen=True, slots=True)
class Warm:
    """A task for which a worker has to build its model, and that takes so long that each gets one.

    Parameters
    ----------
    seconds
        How long it takes at least.
    """

    seconds: float

    def based(self, folder: Path) -> Warm:
        """Return the same, which needs no files."""
        return self

    def perform(self, segmenter: Callable[[], Segmenter]) -> None:
        """Do it."""
        segmenter().segment(np.zeros((SIDE, SIDE, 3), np.uint8))
        time.sleep(self.seconds)


def segmenter_of(model: str) -> Segmenter:
    """Return the model of a name, run once."""
    segmenter = Threshold() if model == "threshold" else build(ModelSpec(model=model))
    segmenter.segment(np.zeros((SIDE, SIDE, 3), np.uint8))
    return segmenter


def write_stack(path: Path, planes: int) -> list[NDArray[np.uint8]]:
    """Write a stack of discs with a chunk per plane, and return its different planes."""
    different = [discs(SIDE, OBJECTS, seed)[..., 0] for seed in range(min(planes, DIFFERENT))]
    stack = zarr.create_array(
        path, shape=(planes, SIDE, SIDE), chunks=(1, SIDE, SIDE), dtype="uint8"
    )
    for n in range(planes):
        stack[n] = different[n % DIFFERENT]
    return different


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of work: on the clock, and of all cores together."""

    clock: float
    cpu: float

    @classmethod
    def by(cls, work: Callable[[], object]) -> Spent:
        """Return what some work takes."""
        cpu = time.process_time()
        clock = seconds(work)
        return cls(clock, time.process_time() - cpu)


def segment(stack: Path, workers: Here | Cluster, model: Any, job: Job) -> Path:
    """Segment a stack on disk, and return where its labels are.

    Raises
    ------
    Exception
        What the stack failed with.
    """
    output = stack.with_name(f"labels-{time.monotonic_ns()}.zarr")
    notes = manifest_path(output, folder=False)
    arguments = find_images([str(stack)]), [output], model, job
    (outcome,) = segment_files(*arguments, manifest=notes, workers=workers, listed=0)
    if isinstance(outcome, Failed):
        raise outcome.error
    return output


def memory(planes: int, model: str, job: Job) -> None:
    """Print seconds, and added and all megabytes at their peak, of one stack."""
    segmenter = segmenter_of(model)
    with tempfile.TemporaryDirectory() as folder:
        # The allocator keeps more and more for the network's first planes, also in a plain loop.
        for image in write_stack(Path(folder) / "first.zarr", DIFFERENT):
            segmenter.segment(to_rgb(image))
        stack = Path(folder) / "stack.zarr"
        write_stack(stack, planes)
        before, added = psutil.Process().memory_info().rss, 0

        def work() -> None:
            nonlocal added
            added = added_bytes(lambda: segment(stack, Here(segmenter), segmenter, job))

        spent = Spent.by(work)
    print(spent.clock, spent.cpu, added / 1e6, (before + added) / 1e6)


def memory_rows(sizes: Sequence[int], model: str, link: bool) -> Iterator[list[str]]:
    """Yield a row for each length of a stack, measured in a process of its own."""
    least = None
    for planes in sizes:
        command = [sys.executable, __file__, "memory", "--model", model, "--one", str(planes)]
        command += ["--threads", str(torch.get_num_threads()), *(["--link"] if link else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        clock, cpu, added, peak = map(float, done.stdout.split())
        least = least or peak
        times = [f"{clock:.1f}", f"{planes / clock:.2f}", f"{planes / cpu:.2f}"]
        yield [str(planes), *times, f"{added:.0f}", f"{peak:.0f}", f"{peak / least:.2f}"]


def overhead_rows(planes: int, model: str, repeats: int) -> Iterator[list[str]]:
    """Yield a row for each way to see the same planes; the ways take turns."""
    segmenter = segmenter_of(model)
    sides: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        stack = Path(folder) / "stack.zarr"
        different = write_stack(stack, planes)
        images = [different[n % DIFFERENT] for n in range(planes)]
        if model != "threshold":
            network = TorchRuntime(load_checkpoint(model_path(model)), "auto")
            box = Letterbox.fit((SIDE, SIDE), segmenter.spec.image_size)
            sides["network"] = lambda: [network(box.apply(to_rgb(image))) for image in images]
        sides["segment"] = lambda: [segmenter.segment(to_rgb(image)) for image in images]
        for name, link in (("engine", False), ("engine, linked", True)):
            job = Job(axes="ZYX", link=link)
            sides[name] = lambda job=job: segment(stack, Here(segmenter), segmenter, job)
        turns = [{name: Spent.by(work) for name, work in sides.items()} for _ in range(repeats)]
    for name in sides:
        row = [name]
        for kind in ("clock", "cpu"):
            each = [getattr(turn[name], kind) for turn in turns]
            alone = [getattr(turn["segment"], kind) for turn in turns]
            above = median(np.divide(each, alone)) - 1
            row += [f"{1e3 * median(each) / planes:.1f}", f"{100 * above:+.0f} %"]
        yield row


def workers_rows(planes: int, model: str, counts: Sequence[int], repeats: int, link: bool) -> Any:
    """Yield a row for each number of workers; the clusters are all there and take turns."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    spec, job = ModelSpec(model=model), Job(axes="ZYX", link=link)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack_of:
        stack = Path(folder) / "stack.zarr"
        write_stack(stack, planes)
        clusters, start_up = [], []
        for count in counts:
            start = time.perf_counter()
            clusters.append(stack_of.enter_context(cluster(spec, workers=count)))
            warm = iter([Warm(0.5)] * (4 * count))
            for _, _, error in clusters[-1].perform(lambda warm=warm: next(warm, None)):
                assert error is None, error
            start_up.append(time.perf_counter() - start)
        turns = [
            [seconds(lambda one=one: segment(stack, one, spec, job)) for one in clusters]
            for _ in range(repeats)
        ]
    for n, count in enumerate(counts):
        taken = median(turn[n] for turn in turns)
        faster = median(turn[0] / turn[n] for turn in turns)
        each = " ".join(f"{turn[0] / turn[n]:.2f}" for turn in turns)
        rate = f"{planes / taken:.2f}"
        yield [str(count), f"{taken:.1f}", rate, f"{faster:.2f}", each, f"{start_up[n]:.1f}"]


def plane_rows(planes: int, model: str, link: bool, data: Path) -> Iterator[list[str]]:
    """Yield what large planes take and leave: mosaics of nuclei of 2048² at 16 bit."""
    segmenter, job = segmenter_of(model), Job(axes="ZYX", link=link)
    parts = cells("fluorescence", data)
    with tempfile.TemporaryDirectory() as folder:
        path, shape = Path(folder) / "stack.zarr", (planes, 2 * CHUNK, 2 * CHUNK)
        stack = zarr.create_array(path, shape=shape, chunks=(1, CHUNK, CHUNK), dtype="uint16")
        for n, top, left in np.ndindex(planes, 2, 2):
            image, _ = mosaic(parts, CHUNK, seed=4 * n + 2 * top + left)
            rows, columns = (slice(k * CHUNK, (k + 1) * CHUNK) for k in (top, left))
            stack[n, rows, columns] = image[..., 0].astype(np.uint16) * 16
        request = Request(data=stack, axes=PlaneAxes("ZYX", shape), indices=((0,),))
        looks: list[int] = []
        (result,) = run(request, segmenter, looked=lambda done, total: looks.append(total))
        outputs = []
        spent = Spent.by(lambda: outputs.append(segment(path, Here(segmenter), segmenter, job)))
        size = sum(file.stat().st_size for file in outputs[0].rglob("*") if file.is_file())
        rows_size = len(json.dumps([asdict(row) for row in objects_of(result)]))
    times = [f"{spent.clock / planes:.2f}", f"{spent.cpu / planes:.2f}"]
    sizes = [f"{size / planes / 1e3:.0f}", f"{rows_size / 1e3:.0f}"]
    yield [str(planes), str(max(looks, default=1)), str(len(result.scores)), *times, *sizes]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("memory", "overhead", "workers", "plane"))
    parser.add_argument("--planes", type=int, nargs="+", help="of the stacks, or stack")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", default="starter", help='name or file, or "threshold"')
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each process, but workers")
    parser.add_argument("--link", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"load of {os.cpu_count()} cores before: {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if options.one:
        memory(options.one, options.model, Job(axes="ZYX", link=options.link))
    elif options.what == "memory":
        header = [
            "planes",
            "s",
            "planes per s",
            "per CPU s",
            "added MB",
            "peak MB",
            "beside the first",
        ]
        sizes = options.planes or [10, 100, 1000]
        print_table(header, memory_rows(sizes, options.model, options.link))
    elif options.what == "overhead":
        (planes,) = options.planes or [50]
        rows = overhead_rows(planes, options.model, options.repeats)
        header = ["", "ms per plane", "beside segment", "CPU ms", "beside segment"]
        print_table(header, rows)
    elif options.what == "plane":
        (planes,) = options.planes or [4]
        header = ["planes", "looks", "objects", "s per plane", "CPU s", "labels kB", "objects kB"]
        print_table(header, plane_rows(planes, options.model, options.link, options.data))
    else:
        (planes,) = options.planes or [100]
        header = ["workers", "s", "planes per s", "times faster", "each turn", "start-up s"]
        rows = workers_rows(planes, options.model, options.workers, options.repeats, options.link)
        print_table(header, rows)


if __name__ == "__main__":
    main()
