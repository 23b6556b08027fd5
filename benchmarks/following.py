"""How much of each object one click in its middle plane gets, followed through the stack.

Each cell of ``plant3d`` and each nucleus of a film made of DSB2018 crops is clicked once, at the
point farthest from its edge on the middle one of its planes, and followed both ways: with the true
objects of each plane as candidates, which is the most that following could get, and with those of
the starter model. A mask is *wrong* if its IoU with the true object on that plane is below 0.5.
The film is made of images that the starter was not trained on; nuclei that divide or come out of a
division are not clicked.

    python benchmarks/following.py
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from skimage.io import imread

from _beside import print_table
from _identity import named_as_neighbours
from _moving import moving_nuclei, unseen
from napari_fastsam import FastSAM, Instances, Prompts, follow, select, to_rgb
from napari_fastsam.models.evaluate import inner_point
from starter_data import DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MIN_PIXELS = 20  # an object smaller than this on its middle plane is not clicked


class Score(NamedTuple):
    """Of one object: IoU over all planes, masks right and wrong, and how following ended."""

    volume_iou: float
    right: int
    wrong: int
    planes: int
    ends: tuple[str, ...]


def followed(
    truth: NDArray[np.integer], candidates: Callable[[int], Instances], label: int
) -> Score | None:
    """Return what a click on the middle plane of an object gets; None if it is too small there."""
    mask = truth == label
    present = np.flatnonzero(mask.any((1, 2)))
    middle = int(present[len(present) // 2])
    if mask[middle].sum() < MIN_PIXELS:
        return None
    click = Prompts(points=[inner_point(mask[middle])])
    chosen = select(candidates(middle), click).chosen
    if not len(chosen):
        return Score(0.0, 0, 0, len(present), ("no answer to the click",))
    found, ends = {middle: chosen}, []
    for step in follow(candidates, {middle: chosen}, range(len(truth))):
        if step.instance is not None:
            found[step.plane] = step.instance
        if step.end:
            ends.append(step.end)
    volume = np.zeros(truth.shape, bool)
    for plane, instance in found.items():
        instance.paint(volume[plane], [True])
    shared, either = (volume & mask).sum((1, 2)), (volume | mask).sum((1, 2))
    right = sum(2 * shared[plane] >= either[plane] for plane in found)
    iou = shared.sum() / either.sum()
    return Score(float(iou), int(right), len(found) - int(right), len(present), tuple(ends))


def row(
    name: str,
    truth: NDArray[np.integer],
    candidates: Callable[[int], Instances],
    left_out: set[int],
) -> list[str]:
    """Return the figures over all objects, and the ways that following ended."""
    start = time.perf_counter()
    labels = set(np.unique(truth[truth > 0]).tolist()) - left_out
    scores = [s for n in labels if (s := followed(truth, candidates, n)) is not None]
    elapsed = (time.perf_counter() - start) / max(sum(s.right + s.wrong for s in scores), 1)
    ious = np.array([score.volume_iou for score in scores])
    right, wrong, planes = (sum(s[n] for s in scores) for n in (1, 2, 3))
    ends = Counter(end for score in scores for end in score.ends).most_common()
    return [
        name,
        str(len(scores)),
        f"{ious.mean():.3f}",
        f"{np.median(ious):.3f}",
        f"{(ious >= 0.5).mean():.2f}",
        f"{right / planes:.2f}",
        f"{wrong / max(right + wrong, 1):.3f}",
        f"{elapsed * 1000:.0f}",
        ", ".join(f"{end} {n}" for end, n in ends),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="starter")
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    sam = FastSAM(arguments.model, device="cpu")
    cells, membranes = (imread(next((data / "plant3d" / n).iterdir())) for n in ("masks", "images"))
    stacks = {"plant cells": (named_as_neighbours(cells), membranes, set())}
    for speed in (1, 2):
        film = moving_nuclei(unseen(data), speed=speed)
        stacks[f"nuclei, speed {speed}"] = film.truth, film.images, film.dividing
    rows = []
    for name, (truth, images, left_out) in stacks.items():
        true = cache(lambda n, truth=truth: Instances.from_labels(truth[n]))
        network = cache(lambda n, images=images: sam.segment(to_rgb(images[n])))
        for plane in range(len(truth)):
            network(plane)  # so that the time is that of following
        rows.append(row(f"{name}, true planes", truth, true, left_out))
        rows.append(row(f"{name}, {arguments.model}", truth, network, left_out))
    header = (
        "stack and candidates,objects,mean IoU,median,IoU ≥ 0.5,planes right,wrong,ms/plane,ends"
    )
    print_table(header.split(","), rows)


if __name__ == "__main__":
    main()
