"""The arguments of `napari-fastsam demo`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fastsam.cli.console import (
    print_json,
    print_line,
    print_objects,
    print_paths,
    progress_bar,
)
from napari_fastsam.demo import FOLDER, IMAGES, image_path, labels_path, overlay_path, run_demo
from napari_fastsam.segmenter import ModelSpec

if TYPE_CHECKING:
    from napari_fastsam.batch import Done

VIEWER_MODULE = "napari_fastsam._napari.demo"
"""Opens the results in napari: a program of its own, so that the command line needs no Qt."""


def demo(
    viewer: Annotated[
        bool, typer.Option("--viewer", help="Open images, labels and the plugin in napari.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the results go.")
    ] = FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> int:
    """Segment two real images that are already on this machine.

    For scikit-image's coins and ihc it prints a table of the objects,
    and writes a label image (TIFF) and an overlay (PNG). It needs no network.
    """
    with progress_bar("images", quiet=as_json) as show:
        number = {image_path(output, name): n for n, name in enumerate(IMAGES)}
        results = list(
            run_demo(
                output,
                ModelSpec(),
                progress=lambda path, done, total: show(
                    path.name, number[path] + done, len(IMAGES)
                ),
            )
        )
    if as_json:
        print_json(results)
    else:
        _print_tables(results, output)
    if viewer:
        return subprocess.run([sys.executable, "-m", VIEWER_MODULE, str(output)]).returncode
    return 0


def _print_tables(results: list[Done], output: Path) -> None:
    """Print the objects of each image, and where the files are."""
    for done in results:
        print_objects(done)
        print_line("")
    paths = [(f"{name} labels", labels_path(output, name)) for name in IMAGES]
    paths += [(f"{name} overlay", overlay_path(output, name)) for name in IMAGES]
    print_paths(sorted(paths))
