"""What a petabyte takes on many GPUs, worked out from what the other benchmarks measure.

    python benchmarks/petabyte.py
    python benchmarks/petabyte.py --looks 4 --look-seconds 0.02 --threads 16 --price 1.5

Arithmetic, and no measurement. Defaults that are measured name their benchmark in ``--help``; the
others are assumptions, to be replaced by your own.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from _beside import print_table

DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done, and what a part of it takes.

    Parameters
    ----------
    planes, megapixels, bytes_per_pixel
        The images.
    looks, look_seconds
        Passes of the network for each plane, and the seconds of a GPU for each.
    cpu_seconds, threads
        Seconds of one core that a plane takes besides, and the cores beside each GPU.
    per_task, task_ms
        Planes of a task, and milliseconds that the scheduler spends on one.
    label_kb, objects_kb
        Kilobytes of the labels, and of the rows of the objects, of a plane.
    manifest_b
        Bytes of the manifest for each plane.
    files
        Written for each plane: chunks of labels, twice, and rows of objects.
    link_seconds
        To link a plane to the one before, and write it.
    price
        Of a GPU with its cores for an hour.
    """

    planes: float
    megapixels: float
    bytes_per_pixel: float
    looks: float
    look_seconds: float
    cpu_seconds: float
    threads: float
    per_task: float
    task_ms: float
    label_kb: float
    objects_kb: float
    manifest_b: float
    files: float
    link_seconds: float
    price: float

    @property
    def gpu_seconds(self) -> float:
        """Of a GPU for a plane."""
        return self.looks * self.look_seconds

    @property
    def plane_seconds(self) -> float:
        """Between two planes of a GPU with its cores: what is slower, the GPU or the cores."""
        return max(self.gpu_seconds, self.cpu_seconds / self.threads)

    def on(self, gpus: int) -> list[str]:
        """Return a column of the table."""
        seconds = self.planes * self.plane_seconds / gpus
        feeds = 1e3 / self.task_ms * self.per_task * self.plane_seconds
        tasks = self.planes / self.per_task
        read = self.planes * self.megapixels * self.bytes_per_pixel * 1e6
        rows = self.planes * self.objects_kb * 1e3
        labels = self.planes * self.label_kb * 1e3
        rate = tasks / seconds
        return [
            f"{gpus}",
            f"{self.looks:g}",
            f"{seconds / DAY:.1f}",
            f"{self.gpu_seconds / self.plane_seconds:.0%}",
            f"{tasks / 1e6:.1f}",
            f"{rate:.1f}",
            f"{rate * self.task_ms / 1e3:.1%}",
            f"{feeds:.0f}",
            f"{read / seconds / 1e9:.2f}",
            f"{(2 * labels + rows) / seconds / 1e9:.3f}",
            f"{self.files * self.planes / seconds:.0f}",
            f"{self.planes * self.plane_seconds / 3600 * self.price / 1e3:.0f}",
        ]

    def lines(self) -> list[str]:
        """Return what depends neither on the GPUs nor on the looks."""
        labels, rows = (self.planes * kb / 1e9 for kb in (self.label_kb, self.objects_kb))
        return [
            f"images {self.planes * self.megapixels * self.bytes_per_pixel / 1e9:.2f} PB, "
            f"labels {labels:.1f} TB, rows of objects {rows:.1f} TB",
            f"manifest {self.planes * self.manifest_b / 1e9:.1f} GB, "
            f"files written {self.planes * self.files / 1e9:.2f} thousand million",
            f"linking 10,000 planes of one stack, one after the other, "
            f"{1e4 * self.link_seconds / 3600:.1f} h",
        ]


HEADER = [
    "GPUs",
    "looks",
    "days",
    "GPU busy",
    "million tasks",
    "tasks per s",
    "scheduler busy",
    "it feeds",
    "read GB/s",
    "written GB/s",
    "files per s",
    "cost, thousands",
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, default, source in (
        ("planes", 1.2e8, "given"),
        ("megapixels", 2048**2 / 1e6, "given: 2048 x 2048"),
        ("bytes-per-pixel", 2, "given: 16 bit, not compressed"),
        ("look-seconds", 0.04, "assumed: published for FastSAM at 1024 on an RTX 3090"),
        ("cpu-seconds", 0.47, "measured: scaling.py plane --model threshold"),
        ("threads", 4, "assumed: cores beside a GPU, a worker on each"),
        ("per-task", 16, "what a stack of many planes gets"),
        ("task-ms", 0.58, "measured: scheduler.py"),
        ("label-kb", 109, "measured: scaling.py plane"),
        ("objects-kb", 204, "measured: scaling.py plane"),
        ("manifest-b", 13.5, "measured: scheduler.py"),
        ("files", 9, "counted: 2 x 4 chunks of 1024 x 1024, and rows of objects"),
        (
            "link-seconds",
            0.63,
            "measured: scaling.py plane --model threshold --link, the difference",
        ),
        ("price", 2, "assumed: for an hour of a GPU and its cores"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, help=source)
    parser.add_argument(
        "--looks",
        type=float,
        nargs="+",
        default=[1, 10, 25],
        help="of a plane: the whole alone, nine tiles of 1024 besides, measured on small nuclei",
    )
    parser.add_argument("--gpus", type=int, nargs="+", default=[100, 1000])
    options = vars(parser.parse_args())
    gpus, looks = options.pop("gpus"), options.pop("looks")
    plans = [Plan(looks=count, **options) for count in looks]
    print("\n".join(plans[0].lines()), end="\n\n")
    print_table(HEADER, [plan.on(count) for count in gpus for plan in plans])


if __name__ == "__main__":
    main()
