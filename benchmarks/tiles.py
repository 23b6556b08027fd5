"""What tiles cost and find on large planes: mosaics of nuclei, photographs that are enlarged.

    python benchmarks/tiles.py                    time and memory from 2048² to 8192²
    python benchmarks/tiles.py --side 16384       one size
    python benchmarks/tiles.py --side 16384 --model threshold
    python benchmarks/tiles.py --choice           what is found, looked at once and in chosen tiles

A mosaic is a zarr of chunks of 1024² on the disk, made of images that the starter did not learn
from, and so are the labels, which are written region by region. Each size runs in a process of its
own; memory is what the run adds, at its peak, to that process with the model loaded and run once.
Time per megapixel is that of the processor, so that other work on the machine counts little.
The model "threshold" stands for a network that takes no time: everything else is real.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from skimage import transform
from skimage.measure import label

from _beside import print_table
from accuracy import judged
from everything import added_bytes
from napari_fastsam import Instances, ModelSpec, PlaneAxes, Request, run, to_rgb
from napari_fastsam.models.evaluate import FOUND_IOU
from napari_fastsam.models.reading import read_pair
from napari_fastsam.pipeline import build, run_regions
from starter_data import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Plane = tuple[NDArray[np.uint8], NDArray[np.int64]]

SIDES = (2048, 4096, 8192)
CELL = 256
CHUNK = 1024
TILE = 448  # what is chosen for the mosaics, where the model is a threshold and cannot choose


class Threshold:
    """Finds what is bright and connected: a network that takes no time."""

    spec = ModelSpec(model="threshold", tile=TILE)

    def segment(self, image: NDArray[Any]) -> Instances:
        """Return the candidates of an image (H, W, 3)."""
        return Instances.from_labels(label(image[..., 0] > 60))


def cells(domain: str, data: Path) -> list[Plane]:
    """Return the images of a domain that the starter did not learn from, at least a cell large."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = [pair for pair in judged(Path(folder), data) if pair.domain == domain]
        read = [read_pair(pair) for pair in pairs]
    return [
        (to_rgb(image), truth.astype(np.int64)) for image, truth in read if min(truth.shape) >= CELL
    ]


def mosaic(parts: Sequence[Plane], side: int, seed: int = 0) -> Plane:
    """Return a plane made of cells of random images, and its labels."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side, 3), np.uint8)
    labels = np.zeros((side, side), np.int64)
    largest = 0
    for row, col in np.ndindex(side // CELL, side // CELL):
        part, truth = parts[rng.integers(len(parts))]
        top, left = (int(rng.integers(length - CELL + 1)) for length in truth.shape)
        window = np.s_[top : top + CELL, left : left + CELL]
        place = np.s_[row * CELL : (row + 1) * CELL, col * CELL : (col + 1) * CELL]
        image[place] = part[window]
        labels[place] = np.where(truth[window] > 0, truth[window] + largest, 0)
        largest = max(largest, int(labels[place].max()))
    return image, labels


def write_mosaic(path: Path, side: int, data: Path) -> Any:
    """Return a grey mosaic that is written chunk by chunk."""
    parts = cells("fluorescence", data)
    array = zarr.create_array(path, shape=(side, side), chunks=(CHUNK, CHUNK), dtype="uint8")
    for row, col in np.ndindex(side // CHUNK, side // CHUNK):
        image, _ = mosaic(parts, CHUNK, seed=row * 1000 + col)
        array[row * CHUNK : (row + 1) * CHUNK, col * CHUNK : (col + 1) * CHUNK] = image[..., 0]
    return array


def measure(side: int, model: str, data: Path) -> list[str]:
    """Run one size, and return what to print."""
    segmenter = Threshold() if model == "threshold" else build(ModelSpec(model=model))
    with tempfile.TemporaryDirectory() as folder:
        image = write_mosaic(Path(folder) / "image.zarr", side, data)
        labels = zarr.create_array(
            Path(folder) / "labels.zarr",
            shape=(side, side),
            chunks=(CHUNK, CHUNK),
            dtype="uint32",
        )
        segmenter.segment(np.zeros((CHUNK, CHUNK, 3), np.uint8))
        request = Request(data=image, axes=PlaneAxes("YX", image.shape))
        done: dict[str, Any] = {}

        def work() -> None:
            start, busy = time.perf_counter(), time.process_time()
            for plane in run_regions(
                request, segmenter, looked=lambda _, total: done.update(tiles=total)
            ):
                done["seen"] = time.process_time() - busy
                done["objects"] = len(plane.scores)
                for region, part in plane.regions(CHUNK):
                    labels[region] = part
            done["seconds"] = time.perf_counter() - start
            done["busy"] = time.process_time() - busy

        memory = added_bytes(work)
    pixels = side**2 / 1e6
    return [
        f"{side}²",
        f"{done['tiles']}",
        f"{done['objects']}",
        f"{done['seconds']:.1f}",
        f"{done['busy'] / pixels:.3f}",
        f"{(done['busy'] - done['seen']) / pixels:.3f}",
        f"{memory / 1e6:.0f}",
    ]


def choice(data: Path) -> Iterator[list[str]]:
    """Yield what is found on each kind of plane, looked at once and as chosen."""
    models = {tile: build(ModelSpec(tile=tile)) for tile in ("off", "auto")}
    for name, image, truth in planes(data):
        request = Request(data=image, axes=PlaneAxes("YXC", image.shape))
        line = [name, f"{len(np.unique(truth)) - 1}"]
        for tile, model in models.items():
            tiles = []
            start = time.perf_counter()
            (result,) = run(
                request, model, looked=lambda _, total, tiles=tiles: tiles.append(total)
            )
            seconds = time.perf_counter() - start
            line += [f"{ap50(result.labels, truth):.3f}", f"{seconds:.1f}"]
            if tile == "auto":
                line.append(f"{tiles[-1] if tiles else 1}")
        yield line


def planes(data: Path) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield the name, image and labels of planes with small and large objects."""
    for domain in ("fluorescence", "stained"):
        parts = cells(domain, data)
        for factor in (1, 2, 4):
            image, truth = mosaic(parts, 2048 // factor)
            yield f"{domain} x {factor}", *enlarged(image, truth, factor)
    for n, (image, truth) in enumerate(cells("photographs", data)[:5], 1):
        yield f"photograph {n} x 4", *enlarged(image, truth, 4)


def enlarged(image: NDArray[np.uint8], truth: NDArray[np.int64], factor: int) -> Plane:
    """Return a plane so many times as long, smooth."""
    if factor == 1:
        return image, truth
    shape = (image.shape[0] * factor, image.shape[1] * factor, 3)
    large = transform.resize(image, shape, order=1, preserve_range=True)
    return large.astype(np.uint8), truth.repeat(factor, 0).repeat(factor, 1)


def ap50(found: NDArray[np.uint32], truth: NDArray[np.int64]) -> float:
    """Return true / (true + false + missed) of a label image, at an IoU of 0.5."""
    _, found = np.unique(found, return_inverse=True)
    _, truth = np.unique(truth, return_inverse=True)
    counts = np.bincount(found.ravel() * (truth.max() + 1) + truth.ravel())
    pairs, shared = np.flatnonzero(counts), counts[counts > 0]
    rows, cols = np.divmod(pairs, truth.max() + 1)
    areas, true_areas = np.bincount(found.ravel()), np.bincount(truth.ravel())
    iou = shared / (areas[rows] + true_areas[cols] - shared)
    true = int(((iou > FOUND_IOU) & (rows > 0) & (cols > 0)).sum())
    return true / max(len(areas) + len(true_areas) - 2 - true, 1)


def main() -> None:
    """Print a table, or the line of one size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, action="append")
    parser.add_argument("--model", default="starter", help='a name, a file, or "threshold"')
    parser.add_argument("--choice", action="store_true", help="what tiles find, not what they cost")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    data = options.data.resolve()
    if options.alone:
        print("\t".join(measure(options.side[0], options.model, data)))
    elif options.choice:
        header = ["plane", "objects", "AP50 once", "s", "AP50 chosen", "s", "tiles"]
        print_table(header, list(choice(data)))
    else:
        command = [sys.executable, __file__, "--alone", "--model", options.model, "--data", data]
        rows = []
        for side in options.side or SIDES:
            one = subprocess.run(
                [*command, "--side", str(side)], capture_output=True, text=True, check=True
            )
            line = one.stdout.strip().split("\t")
            first = rows[0] if rows else line
            line.insert(5, f"{float(line[4]) / float(first[4]):.2f}")
            rows.append(line)
            print(*rows[-1], file=sys.stderr, flush=True)
        header = [
            "plane",
            "tiles",
            "objects",
            "s",
            "CPU s/MP",
            "of the first",
            "of it writing",
            "added MB",
        ]
        print_table(header, rows)


if __name__ == "__main__":
    main()
