"""How many objects keep one identity when only the labels of single planes are known.

The labels of every plane of a true volume are shuffled, then linked: by `napari_fastsam.link`, by
chaining each object to what it overlaps most on the plane before, with scikit-image only, and by
laptrack, by overlap and by centroid. The volumes are the cells of ``plant3d``, sliced along each of
its axes, and films of nuclei made of DSB2018 crops. *starter* rows link what the starter model
segments, on images that it was not trained on.

*One identity*: one label covers at least 95 % of the object's voxels, and no other object has more
than 5 % of that label's. *Unbroken*: the first half of that. *Strict*: one label on every voxel,
whatever else it covers. *Time* is of the processor, 1 for `link`. Nuclei that divide or come out of
a division count in IDF1 and AP50 only.

    pip install --group benchmarks
    python benchmarks/linking.py
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from skimage.io import imread

from _beside import print_table
from _identity import ap50, identities, idf1, named_as_neighbours, shuffled
from _linkers import chained, laptrack_centroids, laptrack_overlaps
from _moving import moving_nuclei, unseen
from napari_fastsam import FastSAM, link, segment_stack
from starter_data import DATA

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

METHODS = {
    "link": link,
    "overlap chaining": chained,
    "laptrack, overlap": laptrack_overlaps,
    "laptrack, centroid": laptrack_centroids,
}
HEADER = (
    "volume",
    "objects",
    "method",
    "one identity",
    "unbroken",
    "strict",
    "IDF1",
    "AP50",
    "time",
)


class Volume(NamedTuple):
    """A true volume, (Z, Y, X), its images, and the objects that are not counted one by one."""

    truth: NDArray[np.integer]
    images: NDArray | None = None
    left_out: Collection[int] = ()


def volumes(data: Path) -> Iterator[tuple[str, Volume]]:
    """Yield each volume with its name."""
    named, images = (imread(next((data / "plant3d" / n).iterdir())) for n in ("masks", "images"))
    cells = named_as_neighbours(named)
    yield "plant3d as in the file", Volume(named)
    yield "plant3d", Volume(cells, images)
    for axis, name in ((1, "y"), (2, "x")):
        yield f"plant3d along {name}", Volume(np.moveaxis(cells, axis, 0))
    for speed in (1, 2, 3):
        film = moving_nuclei(unseen(data), speed=speed)
        yield f"nuclei, speed {speed}", Volume(film.truth, film.images, film.dividing)


def rows(name: str, planes: NDArray[np.uint32], volume: Volume, is_true: bool) -> Iterator[list]:
    """Yield the figures of each method; `planes` are the labels that it is given."""
    first = None
    for method, linker in METHODS.items():
        linker(planes[:2])  # what is loaded at first
        start = time.process_time()
        linked = linker(planes)
        elapsed = time.process_time() - start
        first = first or elapsed
        figures = ["", "", "", ""]
        if is_true:
            kept = identities(volume.truth, linked, volume.left_out)
            figures = [f"{figure:.3f}" for figure in (*kept, idf1(volume.truth, linked))]
        count = len(np.unique(volume.truth[volume.truth > 0]))
        accuracy = f"{ap50(volume.truth, linked):.3f}"
        yield [name, str(count), method, *figures, accuracy, f"{elapsed / first:.1f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    data = parser.parse_args().data.resolve()
    sam = FastSAM("starter", device="cpu")
    table: list[list[str]] = []
    for name, volume in volumes(data):
        table += rows(name, shuffled(volume.truth), volume, True)
        if name == "plant3d":
            for drop in (0.02, 0.05):
                planes = shuffled(volume.truth, drop=drop)
                true = np.where(planes > 0, volume.truth, 0)
                table += rows(f"{name}, {drop:.0%} left out", planes, Volume(true), True)
        if volume.images is not None:
            planes = segment_stack(volume.images, sam, axes="ZYX", link=False)
            table += rows(f"{name}, starter", planes, volume, False)
    print_table(HEADER, table)


if __name__ == "__main__":
    main()
