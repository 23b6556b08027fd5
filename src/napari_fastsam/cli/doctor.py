"""The arguments of `napari-fastsam doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from napari_fastsam.cli.console import print_line, tell
from napari_fastsam.cli.options import ImageSize, Model


def doctor(
    model: Model = "starter",
    image_size: ImageSize = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Say what this machine has, how fast the network runs here, and what would speed it up.

    The report can be pasted into an issue: it names no images.
    """
    from napari_fastsam.models.diagnosis import SIDE, diagnose

    found = diagnose(
        model, image_size=image_size, told=lambda what: None if as_json else tell("doctor", what)
    )
    if as_json:
        print(json.dumps(found.to_json()))
        return
    width = max(map(len, (*found.versions, *found.machine))) + 2
    for title, rows in (("Versions", found.versions), ("Machine", found.machine)):
        print_line(f"{title}\n")
        for name, value in rows.items():
            print_line(f"    {name:{width}}{value}")
        print_line("")
    print_line("Models\n")
    for one in found.models:
        print_line(f"    {one['name']:{width}}{one['bytes']:,} bytes, SHA-256 {one['sha256']}")
    print_line(f"\nOne image of {SIDE} x {SIDE}, best of three, and the first time\n")
    for run in found.runs:
        told = run.error or f"{run.best:.2f} s, {run.first:.2f} s  ({run.description})"
        print_line(f"    {run.runtime:{width}}{told}")
    if found.advice:
        print_line("\nWhat would help\n")
        for line in found.advice:
            print_line(f"    {line}")
