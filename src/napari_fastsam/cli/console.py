"""How the command line speaks: tables on stdout, one line per fault and progress on stderr."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_fastsam.batch import Done, Failed, UpToDate
    from napari_fastsam.models.registry import ModelStatus

MOST_ROWS = 25
"""A table of objects ends after this many, and says how many more there are."""


def one_line(text: object) -> str:
    """Return a text without its line breaks; an error that says nothing by its name."""
    return " ".join(str(text).split()) or type(text).__name__


def tell(kind: str, text: str) -> None:
    """Write one line to stderr."""
    print(f"napari-fastsam: {kind}: {text}", file=sys.stderr)


@contextmanager
def progress_bar(what: str, *, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr, if that is a terminal, and give a function that moves it.

    The function takes a description, the number of steps that are done, and their total.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda text, done, total: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("starting", total=None)
    with bar:
        yield lambda text, done, total: bar.update(
            task, description=text, completed=done, total=total
        )


_TOLD = ("text", "likeness", "class")


def print_objects(done: Done, *, most: int = MOST_ROWS) -> None:
    """Print a table of the objects of one image or stack."""
    stacked = len(done.objects[0].centroid) - 2 if done.objects else 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    told = [name for name in _TOLD if any(name in found.told for found in done.objects)]
    for name in ("Label", "Score", *map(str.title, told), "Area (px)", "Centre", "Box"):
        words = name in ("Text", "Class")
        table.add_column(name, justify="left" if words else "right", no_wrap=True)
    for found in done.objects[:most]:
        low, high = found.bbox[: 2 + stacked], found.bbox[2 + stacked :]
        table.add_row(
            str(found.label),
            f"{found.score:.2f}",
            *(_shown(found.told.get(name, "")) for name in told),
            f"{found.area:,}",
            ", ".join(f"{value:.1f}" for value in found.centroid),
            ", ".join(f"{a}:{b}" for a, b in zip(low, high, strict=True)),
        )
    print_line(f"{done.path.name}: {count(done.summary.count, 'object')}, {done.seconds:.1f} s")
    if done.objects:
        Console().print(table)
    if done.summary.count > most:
        print_line(f"... and {done.summary.count - most} more; --json prints them all")


def _shown(value: str | float) -> str:
    """Return what is told of an object as it is printed."""
    return value if isinstance(value, str) else f"{value:.2f}"


def print_images(images: Sequence[Done]) -> None:
    """Print a table of several images, a row for each."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Image", overflow="fold")
    for name in ("Objects", "Mean score", "Median area (px)", "Seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for done in images:
        found = done.summary
        table.add_row(
            done.name,
            str(found.count),
            f"{found.score:.2f}" if found.count else "",
            f"{found.area:,.0f}" if found.count else "",
            f"{done.seconds:.1f}",
        )
    Console().print(table)


def print_models(models: Sequence[ModelStatus]) -> None:
    """Print the models that have a name, where they are, and how to get those that are missing."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Model", "State", "MB", "Image size", "What for"):
        table.add_column(name, justify="right" if name in ("MB", "Image size") else "left")
    for model in models:
        table.add_row(
            model.name,
            model.state,
            f"{model.size / 1e6:.1f}" if model.size else "",
            str(model.image_size),
            model.summary,
        )
    Console().print(table)
    if any(model.state == "missing" for model in models):
        print_line("To get a missing one: napari-fastsam models fetch NAME")


def print_json(
    done: Sequence[Done], failed: Sequence[Failed] = (), skipped: Sequence[UpToDate] = ()
) -> None:
    """Print everything as JSON."""
    content = {
        "images": [
            {
                "input": str(image.path),
                "output": str(image.output),
                "axes": image.axes,
                "shape": list(image.shape),
                "seconds": round(image.seconds, 3),
                "objects": [found.as_json() for found in image.objects],
                "unanswered": list(image.unanswered),
            }
            for image in done
        ],
        "up_to_date": [
            {"input": str(image.path), "output": str(image.output)} for image in skipped
        ],
        "failed": [{"input": str(image.path), "error": one_line(image.error)} for image in failed],
    }
    print(json.dumps(content))


def print_line(text: str) -> None:
    """Print a line, however long."""
    Console().print(text, soft_wrap=True, markup=False, highlight=False)


def count(number: int, what: str) -> str:
    """Return a number of things in words, as ``"2 objects"``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def print_paths(paths: Sequence[tuple[str, Path]]) -> None:
    """Print where things are, a line for each."""
    width = max(len(name) for name, _ in paths)
    for name, path in paths:
        print_line(f"{name:{width}}  {path}")
