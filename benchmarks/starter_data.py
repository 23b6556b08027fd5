"""Lays out the images that the starter model learns from, as `napari-fastsam train` wants them.

    python benchmarks/starter_data.py FOLDER

FOLDER gets `images` and `labels`, inside them a folder for each kind of image, and in these links
to the files of the data folder beside the repository.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).resolve().parents[1] / "../shared/data"
DOMAINS = {
    "fluorescence": "fluorescence",
    "H&E_or_stained_colour": "stained",
    "brightfield_gray": "brightfield",
}


def lay_out(folder: Path, data: Path = DATA) -> tuple[Path, Path]:
    """Link the images to learn from into a folder; return where images and label images are."""
    data = data.resolve()
    for domain, image, labels in _files(data):
        for kind, file in (("images", image), ("labels", labels)):
            link = folder / kind / domain / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(file)
    return folder / "images", folder / "labels"


def _files(data: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield domain, image and label image."""
    nuclei = data / "dsb2018"
    with (nuclei / "index.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name = f"{row['id']}.png"
            yield DOMAINS[row["modality"]], nuclei / "images" / name, nuclei / "masks" / name
    for domain, folder in (("photographs", "coco"), ("electron", "em_isbi2012")):
        for image in sorted((data / folder / "images").iterdir()):
            yield domain, image, data / folder / "masks" / f"{image.stem}.png"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    print(*lay_out(arguments.folder, arguments.data))
