"""The arguments of `napari-fastsam segment`."""

from __future__ import annotations

import re
from contextlib import ExitStack
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_fastsam._checks import fail_if
from napari_fastsam.cli.console import (
    MOST_ROWS,
    count,
    one_line,
    print_images,
    print_json,
    print_line,
    print_objects,
    progress_bar,
    tell,
)
from napari_fastsam.cli.options import (
    AsJson,
    Axes,
    Background,
    Boxes,
    ClearBorder,
    Closing,
    Confidence,
    Device,
    Exact,
    FillHoles,
    ImageSize,
    Inputs,
    LargestPiece,
    Link,
    LooksFrom,
    MinArea,
    Model,
    Opening,
    Output,
    Overwrite,
    Points,
    Runtime,
    Scheduler,
    Similar,
    Smoothing,
    Spans,
    Tables,
    Text,
    TextMode,
    TextModel,
    Threshold,
    TileSide,
    Top,
    Workers,
)
from napari_fastsam.segmenter import CANDIDATE_CONFIDENCE, LEAST_TILE, ModelSpec, TextSpec

if TYPE_CHECKING:
    from napari_fastsam.batch import Cluster, Failed, Job, Span
    from napari_fastsam.segmenter import TextMode as Mode
    from napari_fastsam.segmenter import Tile, Views

STOPPED = 130
"""Exit status after the interrupt key."""


def segment(
    inputs: Inputs,
    output: Output,
    model: Model = "starter",
    device: Device = "auto",
    runtime: Runtime = "auto",
    confidence: Confidence = None,
    image_size: ImageSize = None,
    views: LooksFrom = "one",
    exact: Exact = False,
    point: Points = None,
    background: Background = None,
    box: Boxes = None,
    text: Text = None,
    similar: Similar = False,
    threshold: Threshold = None,
    top: Top = None,
    text_model: TextModel = None,
    text_mode: TextMode = None,
    axes: Axes = None,
    planes: Spans = None,
    link: Link = False,
    tile: TileSide = "auto",
    min_area: MinArea = 0,
    opening: Opening = 0,
    closing: Closing = 0,
    smoothing: Smoothing = 0.0,
    fill_holes: FillHoles = 0,
    largest_piece: LargestPiece = False,
    clear_border: ClearBorder = False,
    workers: Workers = 0,
    scheduler: Scheduler = "",
    tables: Tables = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> int:
    """Segment images and stacks: files in, labels out.

    Without prompts, everything is labelled. Examples:

    napari-fastsam segment cells.tif -o labels.tif

    napari-fastsam segment cells.tif -o cell.tif --point 120,88

    napari-fastsam segment stack.tif -o volume.zarr --axes ZYX --link

    napari-fastsam segment street.png -o cars.tif --text 'car | bus, not truck'

    napari-fastsam segment 'plate/*.png' -o labels/ --min-area 20 --tables

    A run that was stopped goes on where it was if the same command is given again.
    """
    from napari_fastsam.batch import Done, Failed, Job, UpToDate, manifest_path, segment_files
    from napari_fastsam.cleanup import Cleanup
    from napari_fastsam.files.inputs import find_images
    from napari_fastsam.files.outputs import plan_outputs

    job = Job(
        points=tuple((row, col) for row, col in _numbers(point, 2, "--point")),
        background=tuple((row, col) for row, col in _numbers(background, 2, "--background")),
        boxes=tuple((a, b, c, d) for a, b, c, d in _numbers(box, 4, "--box")),
        text=text,
        similar=similar,
        threshold=threshold,
        top_k=top,
        axes=axes,
        spans=tuple(_span(text) for text in planes or ()),
        confidence=confidence,
        cleanup=Cleanup(
            opening=opening,
            closing=closing,
            smoothing=smoothing,
            fill_holes=fill_holes,
            largest_piece=largest_piece,
            min_area=min_area,
            clear_border=clear_border,
        ),
        link=link,
        tables=tables,
    )
    written = manifest_path(Path(output), folder=True).exists()
    images = find_images(inputs, output=Path(output), written=written)
    several = len(inputs) > 1 or _stands_for_several(inputs[0], images[0].path)
    fail_if(
        several and job.for_one_plane,
        "one 2D image for points and boxes",
        f"a folder, a glob or several images: {' '.join(inputs)}",
        "name one image, or leave the prompts out",
    )
    spec = ModelSpec(
        model=model,
        device=device,
        runtime=runtime,
        image_size=image_size,
        refine=not exact,
        views=cast("Views", views),  # refused there if it is none
        confidence=min(CANDIDATE_CONFIDENCE, 1.0 if confidence is None else confidence),
        tile=_tile(tile),
    )
    words = _words(job, text_model, text_mode, device)
    # Whether outputs may be replaced depends on what the manifest says of them.
    outputs = plan_outputs(images, output, several=several, overwrite=True)
    into_folder = outputs[0] != Path(output)
    results = []
    with ExitStack() as stack:
        show = stack.enter_context(progress_bar("planes", quiet=as_json))
        number = {image.path: f"{n}/{len(images)} " for n, image in enumerate(images, 1)}
        try:
            for result in segment_files(
                images,
                outputs,
                spec,
                job,
                scorer=words,
                overwrite=overwrite,
                manifest=manifest_path(Path(output), folder=into_folder),
                workers=_workers(stack, spec, words, workers, scheduler),
                listed=None if as_json else MOST_ROWS,
                progress=lambda path, done, total: show(
                    (number[path] if several else "") + path.name, done, total
                ),
            ):
                results.append(result)
        except KeyboardInterrupt:
            tell("stopped", "give the same command again to go on from here")
            return STOPPED
    order = {image.path: n for n, image in enumerate(images)}
    results.sort(key=lambda result: order[result.path])
    done = [result for result in results if isinstance(result, Done)]
    failed = [result for result in results if isinstance(result, Failed)]
    skipped = [result for result in results if isinstance(result, UpToDate)]
    if failed and not several and not failed[0].kept:
        raise failed[0].error
    if as_json:
        print_json(done, failed, skipped)
    elif several and done:
        print_images(done)
        objects = sum(image.summary.count for image in done)
        print_line(f"{count(len(done), 'image')}, {count(objects, 'object')}: labels in {output}")
    elif done:
        print_objects(done[0])
        print_line(f"Labels: {done[0].output}")
    if skipped and not as_json:
        print_line(f"{count(len(skipped), 'image')} up to date, nothing to do: {output}")
    for image in done:
        for question in image.unanswered:
            tell("warning", f"no object found {_asked(question)} in {image.path}")
    for bad in failed:
        tell("failed", f"{bad.path}: {_where(bad)}{one_line(bad.error)}")
    return 1 if failed else 0


def _words(job: Job, model: str | None, mode: str | None, device: str) -> TextSpec | None:
    """Return what knows words, None if none are asked for."""
    fail_if(
        not job.searching and (model is not None or mode is not None),
        "--text WORDS, or --similar, beside --text-model and --text-mode",
        "neither",
        "say what is looked for, as --text nucleus",
    )
    if not job.searching:
        return None
    usual = TextSpec()
    chosen = cast("Mode", usual.mode if mode is None else mode)  # refused if it is none
    return TextSpec(model=usual.model if model is None else model, device=device, mode=chosen)


def _asked(question: str) -> str:
    """Return what nothing answers, as part of a sentence."""
    kind, _, words = question.partition(" ")
    return f"for {words!r}" if kind == "text" else f"at {question}"


def _workers(
    stack: ExitStack, spec: ModelSpec, words: TextSpec | None, workers: int, scheduler: str
) -> Cluster | None:
    """Return who does the work, None for this process."""
    fail_if(
        workers and scheduler,
        "either --workers or --scheduler",
        "both",
        "leave out --workers: the scheduler has its own",
    )
    if not workers and not scheduler:
        return None
    from napari_fastsam.batch import cluster

    return stack.enter_context(cluster(spec, scorer=words, workers=workers, scheduler=scheduler))


def _where(bad: Failed) -> str:
    """Return which planes of a stack failed, and what is kept of the others."""
    if not bad.planes:
        return ""
    names = [",".join(map(str, index)) for index in bad.planes]
    named = f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
    return f"plane {named} failed, {count(bad.kept, 'other')} kept for the next run: "


def _stands_for_several(pattern: str, first: Path) -> bool:
    """Whether an INPUT is a folder of images or a glob, however many it stands for."""
    path = Path(pattern)
    return path != first or (has_magic(pattern) and not path.exists())


def _numbers(texts: list[str] | None, length: int, option: str) -> list[list[float]]:
    """Return the numbers of options like ``--point 12,34``."""
    rows = []
    for text in texts or []:
        try:
            row = [float(part) for part in text.split(",")]
        except ValueError:
            row = []
        example = "120,88" if length == 2 else "10,20,110,140"
        fail_if(
            len(row) != length,
            f"{length} numbers with commas between for {option}",
            f"{text!r}",
            f"write it as {option} {example}",
        )
        rows.append(row)
    return rows


def _span(text: str) -> Span:
    """Return the planes that are written as ``10:50``, ``::2``, ``7`` or ``T=0:10``."""
    from napari_fastsam.batch import Span

    match = re.fullmatch(r"(?:([A-Za-z])=)?(?:(-?\d+)|(-?\d*):(-?\d*)(?::(\d*))?)", text)
    fail_if(
        match is None,
        "planes as FROM:TO or FROM:TO:EVERY, counted from 0, for --planes",
        repr(text),
        "write --planes 10:50, --planes ::2, --planes 7 or --planes T=0:10",
    )
    assert match is not None
    axis, only, start, stop, step = match.groups()
    if only:
        return Span(axis or "", int(only), int(only) + 1 or None)
    first, last = (int(bound) if bound else None for bound in (start, stop))
    return Span(axis or "", first, last, int(step or 1))


def _tile(text: str) -> Tile:
    """Return the side of a tile, or the word."""
    fail_if(
        text not in ("auto", "off") and not (text.isdecimal() and int(text) >= LEAST_TILE),
        f"--tile auto, off, or a number of pixels from {LEAST_TILE} on",
        repr(text),
        "write --tile 1024",
    )
    if text.isdecimal():
        return int(text)
    return "off" if text == "off" else "auto"
