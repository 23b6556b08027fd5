"""How long, and in how much memory, every object of an image is found, beside ultralytics.

Rows time a whole call, from the image to the masks at its full resolution, on the CPU. Memory is
what a call adds, at its peak, to a process that has loaded the model and run it once. Both sides
run torch and give FastSAM's candidates; `fast.py` times other runtimes, and refined candidates.

    python benchmarks/everything.py
    python benchmarks/everything.py --repeats 1 --case 1024 640 300
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import psutil

from _beside import CONFIDENCE, IOU, discs, interleaved, print_table, ultralytics_predictor
from napari_fastsam import FastSAM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIDES = ("ours", "ultralytics")
CASES = [(1024, 640, 300), (1024, 1024, 300), (4096, 1024, 500)]


def segmenter(side: str, weights: str, image_size: int, count: int) -> Callable[..., object]:
    """Return what takes an image (H, W, 3) and returns its `count` best candidates."""
    if side == "ultralytics":
        predictor = ultralytics_predictor(weights, image_size, count)
        return lambda image: predictor(image)[0]  # grey in three channels: their order is no matter
    ours = FastSAM(
        weights,
        device="cpu",
        image_size=image_size,
        confidence=CONFIDENCE,
        iou=IOU,
        max_candidates=count,
        runtime="torch",
        refine=False,
    )
    return ours.segment


def added_bytes(work: Callable[[], object]) -> int:
    """Return by how much the process's resident memory grows, at most, during `work`."""
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = work()
    peak = max(peak, process.memory_info().rss)
    done.set()
    watcher.join()
    del result
    return peak - before


def memory_of(side: str, weights: str, case: Sequence[int]) -> float:
    """Return the megabytes that a side adds, measured in a process of its own."""
    command = [sys.executable, __file__, "--weights", weights, "--memory", side, "--case"]
    done = subprocess.run(
        command + [str(n) for n in case], capture_output=True, text=True, check=True
    )
    return float(done.stdout) / 1e6


def row(weights: str, case: Sequence[int], repeats: int) -> list[str]:
    """Compare both sides on one image."""
    side, image_size, count = case
    image = discs(side, count)
    runs = [segmenter(name, weights, image_size, count) for name in SIDES]
    found = [len(run(image)) for run in runs]  # type: ignore[arg-type]
    ours, theirs = interleaved([lambda run=run: run(image) for run in runs], repeats)
    memory = [memory_of(name, weights, case) for name in SIDES]
    return [
        f"{side}² at {image_size}",
        "/".join(str(n) for n in found),
        f"{ours:.3f}",
        f"{theirs:.3f}",
        f"{theirs / ours:.1f}",
        *(f"{megabytes:.0f}" for megabytes in memory),
    ]


def main() -> None:
    """Print the table, or one side's memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", default="starter", help="name or file of a model")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--case", type=int, nargs=3, action="append", metavar=("SIDE", "IMAGE_SIZE", "OBJECTS")
    )
    parser.add_argument("--memory", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = options.case or CASES
    if options.memory:
        side, image_size, count = cases[0]
        run = segmenter(options.memory, options.weights, image_size, count)
        run(np.zeros((image_size, image_size, 3), np.uint8))
        image = discs(side, count)
        print(added_bytes(lambda: run(image)))
        return
    header = ["image", "objects", "ours s", "ultralytics s", "times faster", "ours MB", "theirs MB"]
    print_table(header, (row(options.weights, case, options.repeats) for case in cases))


if __name__ == "__main__":
    main()
