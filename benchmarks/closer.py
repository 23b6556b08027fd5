"""What closer looks find where a click has no answer, on images that the starter did not learn.

    python benchmarks/closer.py
    python benchmarks/closer.py --grid 6

A click is on the middle of a true object, or on background well away from all. It is *right* if the
answer's IoU with the object is at least 0.5. Mosaics of N x N images stand for planes that are
large beside their objects.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from _beside import print_table
from accuracy import judged
from napari_fastsam import FastSAM, Instances, Prompts, look_closer, select, to_rgb
from napari_fastsam.models.evaluate import FOUND_IOU, inner_point
from napari_fastsam.models.reading import read_pair
from starter_data import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.data import Pair

    Plane = tuple[NDArray[np.uint8], NDArray[np.int64]]

CELL = 256
CLICKS = 30
AWAY = 4
MOST_POINTS = 200


def planes(
    pairs: Sequence[Pair], grid: int, most: int, rng: np.random.Generator
) -> Iterator[Plane]:
    """Yield up to `most` images with their labels, or one mosaic of grid x grid images."""
    pairs = [pairs[n] for n in rng.permutation(len(pairs))]
    read = [read_pair(pair) for pair in pairs[: grid**2 if grid else most]]
    every = [(to_rgb(image), labels.astype(np.int64)) for image, labels in read]
    if not grid:
        yield from every
        return
    cells = [cell for cell in every if min(cell[1].shape) >= CELL]
    if not cells:
        return
    image = np.zeros((grid * CELL, grid * CELL, 3), np.uint8)
    labels = np.zeros(image.shape[:2], np.int64)
    for n in range(grid**2):
        row, col = CELL * np.array(divmod(n, grid))
        part, truth = cells[n % len(cells)]
        top, left = (int(rng.integers(side - CELL + 1)) for side in truth.shape)
        window = np.s_[top : top + CELL, left : left + CELL]
        image[row : row + CELL, col : col + CELL] = part[window]
        number = np.where(truth[window] > 0, truth[window] + labels.max(), 0)
        labels[row : row + CELL, col : col + CELL] = number
    yield image, labels


def judge(sam: FastSAM, plane: Plane, rng: np.random.Generator) -> Counter[str]:
    """Count what clicks without an answer get on one plane."""
    image, labels = plane
    truth = Instances.from_labels(labels)
    candidates = sam.segment(image)
    inner = [inner_point(truth.mask(n)) + truth.bboxes[n, :2] for n in range(len(truth))]
    away = np.argwhere(ndimage.distance_transform_edt(np.pad(labels == 0, 1))[1:-1, 1:-1] > AWAY)
    count = Counter(objects=len(truth))
    for kind, points in (("object", np.reshape(inner, (-1, 2))), ("background", away)):
        points = rng.permutation(points)[:MOST_POINTS] if kind == "background" else points
        open_ = rng.permutation(select(candidates, Prompts(points=points)).unanswered)
        count[f"{kind}s unanswered"] += len(open_)
        open_ = open_[:CLICKS]
        prompts = Prompts(points=points[open_])
        more = look_closer(sam, image, candidates, prompts)
        best = select(more, prompts).best
        count[f"{kind} clicks"] += len(best)
        count[f"{kind} answered"] += int((best >= 0).sum())
        if kind == "object" and len(more):
            iou = more.iou(truth[open_])[np.arange(len(best)), best]
            count["right"] += int(((iou >= FOUND_IOU) & (best >= 0)).sum())
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--grid", type=int, default=0, help="judge mosaics of N x N images")
    parser.add_argument("--most", type=int, default=20, help="images of each domain at most")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    sam, rng = FastSAM(options.model, device="cpu"), np.random.default_rng(0)
    domains = defaultdict(list)
    rows = []
    with tempfile.TemporaryDirectory() as written:
        for pair in judged(Path(written), options.data.resolve()):
            domains[pair.domain].append(pair)
        for domain, pairs in sorted(domains.items()):
            count: Counter[str] = Counter()
            for plane in planes(pairs, options.grid, options.most, rng):
                count += judge(sam, plane, rng)
            if not count:
                continue  # no image of this domain is large enough for a mosaic
            wrong = count["object answered"] - count["right"]
            names = ("objects", "objects unanswered", "object clicks", "right")
            numbers = [*(count[name] for name in names), wrong]
            numbers += [count["background clicks"], count["background answered"]]
            rows.append([domain, *map(str, numbers)])
    print_table(
        ["", "objects", "unanswered", "looked at", "right", "wrong", "background", "answered"], rows
    )
