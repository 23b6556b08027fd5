"""How good a model is, domain by domain, on images that the starter model did not learn from.

    python benchmarks/accuracy.py
    python benchmarks/accuracy.py --model ../shared/data/weights/yolov8n-seg-coco.safetensors
    python benchmarks/accuracy.py --int8

With --int8 the model is quantised first, on ten images of each kind that were not held back, into a
cache folder that is thrown away; it and the same in float32 are judged on those held back.

The images of the training data that were held back for validation come first, then kinds of images
that it never saw: slices of CT and MR, and of a light-sheet stack of plant cells.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import tifffile

from napari_fastsam import FastSAM
from napari_fastsam.models.agreement import agreement
from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.data import Pair, divide, find_pairs
from napari_fastsam.models.evaluate import evaluate, table
from napari_fastsam.models.quantising import quantise
from napari_fastsam.models.reading import read_pair
from napari_fastsam.models.registry import model_path
from starter_data import DATA, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator

HELD_BACK = 0.15
PLANT_STEP = 8
CALIBRATING = 10


def judged(folder: Path, data: Path) -> list[Pair]:
    """Return the images to judge a model on; `folder` is for what has to be written for it."""
    _, held = divide(find_pairs(*lay_out(folder, data)), HELD_BACK)
    return [*held, *_medical(data), *_plant(folder, data)]


def quantised_on(folder: Path, data: Path) -> list[Pair]:
    """Return ten images of each domain that are not held back, spread over all there are."""
    rest, _ = divide(find_pairs(*lay_out(folder, data)), HELD_BACK)
    domains = sorted({pair.domain for pair in rest})
    each = [[pair for pair in rest if pair.domain == domain] for domain in domains]
    return [pair for pairs in each for pair in pairs[:: -(-len(pairs) // CALIBRATING)]]


def compare_int8(model: str, image_size: int | None, data: Path) -> None:
    """Print how good a model is in float32 and in int8, and how far the two agree."""
    with tempfile.TemporaryDirectory() as written, tempfile.TemporaryDirectory() as cache:
        folder = Path(written)
        images = [read_pair(pair)[0] for pair in quantised_on(folder, data)]
        _, held = divide(find_pairs(*lay_out(folder, data)), HELD_BACK)
        options = {"device": "cpu", "image_size": image_size}
        checkpoint = load_checkpoint(model_path(model))
        os.environ["NAPARI_FASTSAM_CACHE"] = cache
        right = FastSAM(model, runtime="openvino", **options)
        quantise(checkpoint, images, image_size=right.image_size)
        for sam in (right, FastSAM(model, runtime="openvino-int8", **options)):
            figures = evaluate(sam, held)
            print(sam.description)
            print(table(figures))
            print(f"mean AP50 of the domains {mean(f.ap50 for f in figures.values()):.3f}")
        shown = (read_pair(pair)[0] for pair in held)
        print(agreement(right, sam, shown))


def _medical(data: Path) -> list[Pair]:
    """Return slices of CT and MR with their organs."""
    folder = data / "medical2d"
    return [
        Pair(f"medical/{image.stem}", image, folder / "masks" / f"{image.stem}.png")
        for image in sorted((folder / "images").iterdir())
    ]


def _plant(folder: Path, data: Path) -> Iterator[Pair]:
    """Write every eighth plane of the plant cells' membranes."""
    stacks = [next((data / "plant3d" / kind).iterdir()) for kind in ("images", "masks")]
    image, labels = (tifffile.imread(path) for path in stacks)
    for z in range(PLANT_STEP // 2, len(image), PLANT_STEP):
        files = [folder / f"plant-{kind}-{z}.tif" for kind in ("image", "labels")]
        tifffile.imwrite(files[0], image[z])
        tifffile.imwrite(files[1], labels[z])
        yield Pair(f"plant/{z}", files[0], files[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    if arguments.int8:
        compare_int8(arguments.model, arguments.image_size, arguments.data.resolve())
    else:
        sam = FastSAM(
            arguments.model,
            device=arguments.device,
            runtime=arguments.runtime,
            image_size=arguments.image_size,
        )
        print(sam.description)
        with tempfile.TemporaryDirectory() as written:
            print(table(evaluate(sam, judged(Path(written), arguments.data.resolve()))))
