"""How long prompts take on candidates that are already there, beside ultralytics; and the import.

Ours is the time from the prompts to a label image of the plane, one object per prompt. Theirs is
`FastSAMPredictor.prompt` on its own results, which returns masks and no label image.

    python benchmarks/prompts.py
    python benchmarks/prompts.py --repeats 1 --points 1 100 --boxes 1
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from _beside import CONFIDENCE, IOU, discs, interleaved, print_table, ultralytics_predictor
from napari_fastsam import FastSAM, Instances, Prompts, select

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIDE, IMAGE_SIZE, OBJECTS = 2048, 1024, 500
IMPORT = (
    "import sys, time; start = time.perf_counter(); import napari_fastsam; "
    "print(time.perf_counter() - start); assert 'torch' not in sys.modules"
)


def prompts_on(candidates: Instances, count: int, kind: str) -> NDArray[np.int64]:
    """Return (count, 2) points inside objects, or (count, 4) boxes around them."""
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(candidates), count)
    boxes = candidates.bboxes[picked].astype(np.int64)
    if kind == "boxes":
        jittered = boxes + rng.integers(-2, 3, boxes.shape)
        return np.clip(jittered, 0, SIDE)
    inside = [np.argwhere(candidates.mask(n)) for n in picked]
    return boxes[:, :2] + np.array([pixels[rng.integers(len(pixels))] for pixels in inside])


def turns(
    candidates: Instances, predictor: Any, results: Any, kind: str, count: int
) -> list[Callable[[], object]]:
    """Return one turn of each side with the same prompts, theirs with x before y."""
    given = prompts_on(candidates, count, kind)
    flipped = np.ascontiguousarray(given.reshape(count, -1, 2)[..., ::-1].reshape(count, -1))
    name = "points" if kind == "points" else "bboxes"
    return [
        lambda: select(candidates, Prompts(**{kind: given})).to_labels(),
        lambda: predictor.prompt(results, **{name: flipped}),
    ]


def import_seconds(repeats: int) -> float:
    """Return the median seconds of importing the package in a fresh process, without torch."""
    command = [sys.executable, "-c", IMPORT]
    times = [
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    ]
    return median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", default="starter", help="name or file of a model")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--points", type=int, nargs="*", default=[1, 10, 100, 1000])
    parser.add_argument("--boxes", type=int, nargs="*", default=[1, 10, 100, 1000])
    options = parser.parse_args()
    image = discs(SIDE, OBJECTS)
    predictor = ultralytics_predictor(options.weights, IMAGE_SIZE, OBJECTS)
    results = predictor(image)
    candidates = FastSAM(
        options.weights,
        device="cpu",
        image_size=IMAGE_SIZE,
        confidence=CONFIDENCE,
        iou=IOU,
        max_candidates=OBJECTS,
    ).segment(image)
    print(f"{len(candidates)} and {len(results[0])} candidates on a plane of {SIDE} x {SIDE}")
    rows = []
    for kind, counts in (("points", options.points), ("boxes", options.boxes)):
        for count in counts:
            sides = turns(candidates, predictor, results, kind, count)
            ours, theirs = interleaved(sides, options.repeats)
            times = [f"{1e3 * ours:.1f}", f"{1e3 * theirs:.0f}", f"{theirs / ours:.0f}"]
            rows.append([f"{count} {kind}", *times])
    rows.append(["import", f"{1e3 * import_seconds(options.repeats):.0f}", "", ""])
    print_table(["", "ours ms", "ultralytics ms", "times faster"], rows)


if __name__ == "__main__":
    main()
