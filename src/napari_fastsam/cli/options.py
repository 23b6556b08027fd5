"""What `napari-fastsam segment` can be told: each option's form, help and place in the help."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_fastsam.matching import SIMILAR_THRESHOLD, TEXT_THRESHOLD
from napari_fastsam.segmenter import TextSpec
from napari_fastsam.selection import DEFAULT_CONFIDENCE

_MODEL, _PROMPTS, _PLANES = "Model", "Prompts, for one 2D image", "Stacks and large images"
_WORDS = "Words, for images and stacks: prompts then say where, on every plane"
_MACHINES = "Several processes or machines"
_TIDY, _OUTPUT = "Tidying the labels (all off unless asked for)", "Output"

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        show_default=False,
        help="Image or stack (TIFF, PNG, JPEG, NPY, zarr; OME's too), a folder, or a glob in "
        "quotes.",
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        show_default=False,
        help="File ending in .tif, .ome.tif, .npy, .zarr, .ome.zarr or .json (COCO); "
        "a folder for several images.",
        rich_help_panel=_OUTPUT,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="A name of 'models list', a checkpoint or an export.",
        rich_help_panel=_MODEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.", rich_help_panel=_MODEL),
]
Runtime = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="auto, torch, torch-compiled or tensorrt; on a CPU openvino, onnx or openvino-int8.",
        rich_help_panel=_MODEL,
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="F",
        help=f"Leave out what scores less: {DEFAULT_CONFIDENCE}, or 0 with points and boxes.",
        rich_help_panel=_MODEL,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=32,
        metavar="N",
        help="Pixels of a plane's longer side as the network sees it; the model's own.",
        rich_help_panel=_MODEL,
    ),
]
Points = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROW,COL",
        help="A pixel of an object that is wanted; repeat for more objects.",
        rich_help_panel=_PROMPTS,
    ),
]
Background = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROW,COL",
        help="A pixel that no object may hold.",
        rich_help_panel=_PROMPTS,
    ),
]
Boxes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="R0,C0,R1,C1",
        help="A box around one object, half-open.",
        rich_help_panel=_PROMPTS,
    ),
]
Text = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        show_default=False,
        help="All objects that words describe, as 'nucleus', 'red cell | yeast' or 'cell, not "
        "debris'.",
        rich_help_panel=_WORDS,
    ),
]
Similar = Annotated[
    bool,
    typer.Option(
        "--similar",
        help="No words: what --point and --box point at are examples, on one 2D image.",
        rich_help_panel=_WORDS,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="F",
        show_default=False,
        help=f"Least probability of words, {TEXT_THRESHOLD}; likeness to examples, "
        f"{SIMILAR_THRESHOLD}.",
        rich_help_panel=_WORDS,
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        show_default=False,
        help="At most N objects for each phrase on a plane, the best.",
        rich_help_panel=_WORDS,
    ),
]
TextModel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        show_default=False,
        help=f"CLIP: a name of open_clip or a checkpoint file; {TextSpec().model}.",
        rich_help_panel=_WORDS,
    ),
]
TextMode = Annotated[
    str | None,
    typer.Option(
        metavar="crops|dense",
        show_default=False,
        help=f"Show it each object by itself, or many in one look; {TextSpec().mode}.",
        rich_help_panel=_WORDS,
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        metavar="ZYX",
        help="A letter per axis, C for channels; the file's own.",
        rich_help_panel=_PLANES,
    ),
]
Spans = Annotated[
    list[str] | None,
    typer.Option(
        "--planes",
        metavar="FROM:TO:EVERY",
        show_default=False,
        help="Only these planes, as 10:50 or ::2; of a named axis as T=0:10. Repeat per axis.",
        rich_help_panel=_PLANES,
    ),
]
Link = Annotated[
    bool,
    typer.Option(
        "--link", help="One label per object through the planes.", rich_help_panel=_PLANES
    ),
]
LooksFrom = Annotated[
    str,
    typer.Option(
        metavar="one|flips|scales",
        help="Look once; thrice, mirrored; or five times, at other sizes too.",
        rich_help_panel=_MODEL,
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Candidates of FastSAM as they are: edges and scores are not refined.",
        rich_help_panel=_MODEL,
    ),
]
TileSide = Annotated[
    str,
    typer.Option(
        metavar="auto|off|N",
        help="Tiles of N pixels; auto: where objects are small beside a large plane.",
        rich_help_panel=_PLANES,
    ),
]
MinArea = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        show_default=False,
        help="Drop objects of fewer pixels.",
        rich_help_panel=_TIDY,
    ),
]
Opening = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        show_default=False,
        help="Radius: remove spikes and bridges.",
        rich_help_panel=_TIDY,
    ),
]
Closing = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        show_default=False,
        help="Radius: fill notches and cracks.",
        rich_help_panel=_TIDY,
    ),
]
Smoothing = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="F",
        show_default=False,
        help="Sigma: smooth the outlines.",
        rich_help_panel=_TIDY,
    ),
]
FillHoles = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        show_default=False,
        help="Fill holes of up to so many pixels.",
        rich_help_panel=_TIDY,
    ),
]
LargestPiece = Annotated[
    bool,
    typer.Option(
        "--largest-piece", help="Keep each object's largest piece.", rich_help_panel=_TIDY
    ),
]
ClearBorder = Annotated[
    bool,
    typer.Option(
        "--clear-border", help="Drop objects at the plane's border.", rich_help_panel=_TIDY
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        show_default=False,
        help="Start N processes here, each with the model and one thread.",
        rich_help_panel=_MACHINES,
    ),
]
Scheduler = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        show_default=False,
        help="Use the workers of this dask scheduler.",
        rich_help_panel=_MACHINES,
    ),
]
Tables = Annotated[
    bool,
    typer.Option(
        "--tables",
        help="CSV beside OUTPUT: figures of each object, with --link their lineage too.",
        rich_help_panel=_OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace existing OUTPUT, drop unfinished work with other settings.",
        rich_help_panel=_OUTPUT,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, for machines.", rich_help_panel=_OUTPUT)
]
