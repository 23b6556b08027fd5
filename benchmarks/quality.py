"""What each way to better candidates wins on held-back images, and what it takes.

    python benchmarks/quality.py
    python benchmarks/quality.py --most 8

The images are those of the training data that were held back for validation, all or at most so many
of each kind. AP50 and AP75 are tp / (tp + fp + fn) of the label image of everything, an object
being found from an IoU of 0.5 or 0.75 on; *click* is the mean IoU of what one click on the
innermost pixel of an object takes; *F* is the boundary F-measure within one pixel, see `_edges`,
mean over the objects that are found. Counts are pooled over the images. Differences to *FastSAM*
carry their standard error, by drawing the images anew. *Time* is the processor's, network included,
as the median over the images of its ratio to that of *FastSAM*.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from _beside import print_table
from _edges import boundary_f
from napari_fastsam import FastSAM, Instances, Prompts, everything, select
from napari_fastsam.models.data import divide, find_pairs
from napari_fastsam.models.evaluate import inner_point
from napari_fastsam.models.reading import read_pair
from starter_data import DATA, lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.data import Pair

HELD_BACK = 0.15
DRAWS = 500
FIGURES = ("AP50", "AP75", "click", "F")
PLAIN = "FastSAM"
REFINED = "edges and scores"


def with_scores(objects: Instances, others: Instances) -> Instances:
    """Return objects with the scores of others of the same boxes, the best first."""
    known = {tuple(bbox): score for bbox, score in zip(others.bboxes, others.scores, strict=True)}
    scores = np.array([known.get(tuple(bbox), 0) for bbox in objects.bboxes], np.float32)
    return replace(objects, scores=scores)[np.argsort(-scores, kind="stable")]


def counted(labels: NDArray[np.uint16], candidates: Instances) -> NDArray[np.float64]:
    """Return (7,) sums: true, painted, found at 0.5 and 0.75, IoU of clicks, F, how many F."""
    truth = Instances.from_labels(labels)
    painted = Instances.from_labels(everything(candidates).to_labels())
    iou = painted.iou(truth)
    found = [min((hits := iou >= t).any(0).sum(), hits.any(1).sum()) for t in (0.5, 0.75)]
    points = [inner_point(truth.mask(n)) + truth.bboxes[n, :2] for n in range(len(truth))]
    best = select(candidates, Prompts(points=np.reshape(points, (-1, 2)))).best
    pool = candidates.iou(truth)
    clicks = sum(row[answer] for row, answer in zip(pool, best, strict=True) if answer >= 0)
    edges = [boundary_f(painted, n, truth, k) for k, n in zip(*np.nonzero(iou >= 0.5), strict=True)]
    sums = (len(truth), len(painted), *found, clicks, sum(edges), len(edges))
    return np.array(sums, np.float64)


def figures(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (..., 4) `FIGURES` of counts (..., 7)."""
    true, painted, half, most, clicks, edges, matched = np.moveaxis(sums, -1, 0)
    found = [hits / np.maximum(true + painted - hits, 1) for hits in (half, most)]
    return np.stack([*found, clicks / np.maximum(true, 1), edges / np.maximum(matched, 1)], -1)


def row(sums: NDArray[np.float64], plain: NDArray[np.float64]) -> list[str]:
    """Return the figures of counts (images, 7), with what they differ by from the plain ones."""
    drawn = np.random.default_rng(0).integers(len(sums), size=(DRAWS, len(sums)))
    error = (figures(sums[drawn].sum(1)) - figures(plain[drawn].sum(1))).std(0)
    total, before = figures(sums.sum(0)), figures(plain.sum(0))
    if sums is plain:
        return [f"{value:.3f}" for value in total]
    return [
        f"{value:.3f} ({value - old:+.3f} ± {e:.3f})"
        for value, old, e in zip(total, before, error, strict=True)
    ]


def at_most(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """Return at most so many of each domain, spread over those there are."""
    sizes = Counter(pair.domain for pair in pairs)
    seen: Counter[str] = Counter()
    kept = []
    for pair in pairs:
        n, size = seen[pair.domain], sizes[pair.domain]
        seen[pair.domain] += 1
        if size <= most or n * most // size != (n + 1) * most // size:
            kept.append(pair)
    return kept


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--most", type=int, default=1000, help="images of each kind at most")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options = {
        PLAIN: {"refine": False},
        REFINED: {},
        "the same, three looks": {"views": "flips"},
        "the same, five looks": {"views": "scales"},
    }
    sams = {name: FastSAM(arguments.model, device="cpu", **o) for name, o in options.items()}
    counts: dict[str, dict[str, list[NDArray[np.float64]]]] = defaultdict(lambda: defaultdict(list))
    times = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        _, held = divide(find_pairs(*lay_out(Path(folder), arguments.data)), HELD_BACK)
        for pair in at_most(held, arguments.most):
            image, labels = read_pair(pair)
            found = {}
            for name, sam in sams.items():
                start = time.process_time()
                found[name] = sam.segment(image)
                times[name].append(time.process_time() - start)
            found["edges alone"] = with_scores(found[REFINED], found[PLAIN])
            found["scores alone"] = with_scores(found[PLAIN], found[REFINED])
            for name, candidates in found.items():
                for domain in ("all", pair.domain):
                    counts[domain][name].append(counted(labels, candidates))
    for domain, by_name in counts.items():
        print(f"\n{domain}, {len(by_name[PLAIN])} images")
        plain = np.array(by_name[PLAIN])
        rows = [
            [name, *row(plain if name == PLAIN else np.array(sums), plain)]
            for name, sums in by_name.items()
        ]
        print_table(["", *FIGURES], rows)
    print()
    ratios = {
        name: float(np.median(np.divide(taken, times[PLAIN]))) for name, taken in times.items()
    }
    print_table(["", "time"], [[name, f"{ratio:.2f}"] for name, ratio in ratios.items()])
