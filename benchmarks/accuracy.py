"""How good a model is, domain by domain, on images that the starter model did not learn from.

    python benchmarks/accuracy.py
    python benchmarks/accuracy.py --model ../shared/data/weights/yolov8n-seg-coco.safetensors

The images of the training data that were held back for validation come first, then kinds of images
that it never saw: slices of CT and MR, and of a light-sheet stack of plant cells.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import tifffile

from napari_fastsam import FastSAM
from napari_fastsam.models.data import Pair, divide, find_pairs
from napari_fastsam.models.evaluate import evaluate, table
from starter_data import DATA, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator

HELD_BACK = 0.15
PLANT_STEP = 8


def judged(folder: Path, data: Path) -> list[Pair]:
    """Return the images to judge a model on; `folder` is for what has to be written for it."""
    _, held = divide(find_pairs(*lay_out(folder, data)), HELD_BACK)
    return [*held, *_medical(data), *_plant(folder, data)]


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
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    sam = FastSAM(arguments.model, device=arguments.device, image_size=arguments.image_size)
    print(sam.description)
    with tempfile.TemporaryDirectory() as written:
        print(table(evaluate(sam, judged(Path(written), arguments.data.resolve()))))
