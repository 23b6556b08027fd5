"""The arguments of `napari-fastsam doctor`, and its report as text."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fastsam.cli.console import print_line, tell
from napari_fastsam.cli.options import ImageSize, Model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_fastsam.models.diagnosis import Diagnosis

_WIDTH = 78
_MARGIN = 18


def doctor(
    model: Model = "starter",
    image_size: ImageSize = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Say what this machine has, how fast the network runs here, and what would speed it up.

    The report can be pasted into an issue as it is: it names no images.
    """
    from napari_fastsam.models.diagnosis import diagnose
    from napari_fastsam.models.registry import MODELS, model_path

    if model not in MODELS:  # a named one that is missing or damaged is part of the report
        model_path(model)
    found = diagnose(
        model, image_size=image_size, told=lambda what: None if as_json else tell("doctor", what)
    )
    if as_json:
        print(json.dumps(found.to_json()))
    else:
        print_line("\n".join(["```text", *_report(found), "```"]))


def _report(found: Diagnosis) -> Iterator[str]:
    """Yield the lines of a report, for a terminal of 80 columns and for an issue."""
    from napari_fastsam.models.diagnosis import SIDE

    yield from _rows("Versions", found.versions)
    yield from _rows("Machine", found.machine)
    yield "Models"
    for one in found.models:
        yield f"  {one['name']:{_MARGIN - 2}}{one['bytes']:,} bytes, {one['state']}"
        yield f"    {one['sha256']}"
    yield ""
    yield f"An image of {SIDE} x {SIDE} px, in seconds"
    yield f"  {'':{_MARGIN - 2}}{'start':>7}{'first':>7}{'best':>7}{'network':>9}  candidates"
    for run in found.runs:
        if run.error:
            yield from _filled(run.runtime, f"does not run: {run.error}")
            continue
        numbers = f"{run.start:7.2f}{run.first:7.2f}{run.best:7.2f}{run.network:9.2f}"
        yield f"  {run.runtime:{_MARGIN - 2}}{numbers}{run.candidates:12}"
        yield f"    {run.description}"
    if found.advice:
        yield ""
        yield "What would help"
        for line in found.advice:
            yield from _filled("", line, margin=4, bullet="  - ")


def _rows(title: str, rows: Mapping[str, str]) -> Iterator[str]:
    """Yield a title, and a line for each name and value, and an empty one."""
    yield title
    for name, value in rows.items():
        yield from _filled(name, value)
    yield ""


def _filled(name: str, value: str, *, margin: int = _MARGIN, bullet: str = "") -> Iterator[str]:
    """Yield a value beside its name, on as many lines as it takes."""
    head = bullet or f"  {name:{margin - 2}}"
    if len(head) > margin:
        head += " "
    yield from textwrap.wrap(
        value,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * margin,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]
