"""The arguments of `napari-fastsam train`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fastsam.cli.console import print_line, progress_bar, tell
from napari_fastsam.files.outputs import refuse_existing

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fastsam.models.run import Progress

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def train(
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", show_default=False, help="Folder of images.")
    ],
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            show_default=False,
            help="Folder of label images of the same names; 0 is background.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, help="A .safetensors file."
        ),
    ],
    start: Annotated[
        str, typer.Option("--from", metavar="MODEL", help="Name or file to begin with.")
    ] = "starter",
    epochs: Annotated[int, typer.Option(metavar="N", help="Times through the images.")] = 30,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")] = "auto",
    image_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Pixels of an image's longer side when used; else that of MODEL.",
        ),
    ] = None,
    crop_size: Annotated[
        int, typer.Option(metavar="N", help="Pixels of the squares that are learned from.")
    ] = 384,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Squares per step.")] = 8,
    learning_rate: Annotated[float, typer.Option(metavar="F", help="Its highest value.")] = 2e-4,
    photographs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER", help="A folder in IMAGES that shows everyday scenes; repeat."
        ),
    ] = None,
    validation: Annotated[
        float, typer.Option(metavar="F", help="Share of the images to judge on.")
    ] = 0.1,
    patience: Annotated[
        int, typer.Option(metavar="N", help="Stop after N epochs without progress.")
    ] = 10,
    seed: Annotated[int, typer.Option(metavar="N", help="Of everything drawn at random.")] = 0,
    no_resume: Annotated[
        bool, typer.Option("--no-resume", help="Begin anew, not where a run was interrupted.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing FILE.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> int:
    """Fine-tune a model on images and label images, and report how good it became.

    Folders inside IMAGES and LABELS are domains, learned from in balance. Learning from one
    kind of image makes a model worse at others: keep the old one, or learn from both.

    An interrupted run goes on when the same command is given again.
    """
    refuse_existing([output], overwrite)
    from napari_fastsam.models.train import train as fine_tune

    try:
        with progress_bar("steps", quiet=as_json) as show:
            report = fine_tune(
                images,
                labels,
                output,
                start=start,
                epochs=epochs,
                photographs=photographs or (),
                image_size=image_size,
                crop_size=crop_size,
                batch_size=batch_size,
                learning_rate=learning_rate,
                device=device,
                seed=seed,
                validation=validation,
                patience=patience,
                resume=not no_resume,
                progress=_progress(show, lines=not as_json and not sys.stderr.isatty()),
            )
    except KeyboardInterrupt:
        tell("stopped", "to go on, give the same command again; to begin anew, add --no-resume")
        return INTERRUPTED
    if as_json:
        print(json.dumps(report.to_json()))
    else:
        print_line(str(report))
    return 0


def _progress(show: Callable[[str, int, int], None], *, lines: bool) -> Callable[[Progress], None]:
    """Return what moves the bar, and, with `lines`, writes one after each epoch."""
    epochs_told = 0

    def tell_progress(at: Progress) -> None:
        nonlocal epochs_told
        judged = "" if at.validation_loss is None else f", validation {at.validation_loss:.3f}"
        text = f"epoch {at.epoch}/{at.epochs}, loss {at.loss:.3f}{judged}"
        show(text, at.step, at.steps)
        if lines and at.epoch > epochs_told:
            epochs_told = at.epoch
            tell("progress", text)

    return tell_progress
