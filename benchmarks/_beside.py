"""What the benchmarks share: an image with so many objects, ultralytics beside us, and a table.

Both sides run the same weights at the same settings in one process and take turns, so that what
else the machine does falls on both.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

CONFIDENCE = 0.001
"""So low that the number of candidates is the largest one allowed, on both sides."""
IOU = 0.7


def discs(side: int, count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return an image (side, side, 3) of `count` bright discs that do not touch, with noise."""
    rng = np.random.default_rng(seed)
    per_row = int(np.ceil(np.sqrt(count)))
    pitch = side / per_row
    image = rng.normal(40, 6, (side, side)).astype(np.float32)
    for n in range(count):
        radius = pitch * rng.uniform(0.25, 0.4)
        slack = pitch / 2 - radius
        row, col = (np.array(divmod(n, per_row)) + 0.5) * pitch + rng.uniform(-slack, slack, 2)
        top, left = int(max(row - radius, 0)), int(max(col - radius, 0))
        window = image[top : int(row + radius) + 2, left : int(col + radius) + 2]
        rows, cols = np.ogrid[: window.shape[0], : window.shape[1]]
        window[(rows + top - row) ** 2 + (cols + left - col) ** 2 <= radius**2] += 120
    grey = np.clip(image, 0, 255).astype(np.uint8)
    return np.stack([grey] * 3, -1)


def ultralytics_predictor(
    weights: str, image_size: int, most: int, *, device: str = "cpu", half: bool = False
) -> Any:
    """Return ultralytics' FastSAM predictor as ``FastSAM(...)(..., retina_masks=True)`` has it."""
    from napari_fastsam.models._ultralytics import contained, network  # torch, which is large
    from napari_fastsam.models.checkpoint import load_checkpoint
    from napari_fastsam.models.registry import model_path

    checkpoint = load_checkpoint(model_path(weights))
    model = network(checkpoint.architecture)
    model.load_state_dict(checkpoint.state)
    classes = range(checkpoint.architecture.classes)
    model.names = {n: str(n) for n in classes}  # type: ignore[assignment]
    with contained():
        from ultralytics.models.fastsam import FastSAMPredictor

        predictor = FastSAMPredictor(
            overrides={
                "mode": "predict",
                "rect": True,
                "imgsz": image_size,
                "conf": CONFIDENCE,
                "iou": IOU,
                "max_det": most,
                "agnostic_nms": True,
                "retina_masks": True,
                "device": device,
                "half": half,
                "save": False,
                "verbose": False,
            }
        )
        predictor.setup_model(model, verbose=False)
    return predictor


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(sides: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median seconds of each of `sides`, which take turns."""
    turns = [[seconds(work) for work in sides] for _ in range(repeats)]
    return [median(times) for times in zip(*turns, strict=True)]


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text under a header, the first column to the left, the rest to the right."""
    lines = [header, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    for line in lines:
        cells = [text.rjust(width) for text, width in zip(line, widths, strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells[1:]]), flush=True)
