"""The arguments of `napari-fastsam models`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from napari_fastsam._checks import fail_if
from napari_fastsam._files import refuse_existing, whole
from napari_fastsam.cli.console import count, print_line, print_models, progress_bar, tell
from napari_fastsam.planes import to_rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam.models.checkpoint import Checkpoint
    from napari_fastsam.models.conversion import Form

_MOST_PLANES = 100
"""More do not make better numbers, and take longer."""

app = typer.Typer(help="List the models, fetch one, or convert one.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    """List the models, fetch one, or convert one."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """List the models that have a name, and which of them are on this machine."""
    from napari_fastsam.models import registry

    models = registry.list_models()
    if as_json:
        rows = [
            {
                "name": model.name,
                "state": model.state,
                "path": str(model.path),
                "bytes": model.size,
                "image_size": model.image_size,
                "licence": model.licence,
                "sha256": model.sha256,
            }
            for model in models
        ]
        print(json.dumps({"models": rows}))
    else:
        print_models(models)


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name of the list.", show_default=False)
    ],
) -> None:
    """Download a model into this machine's cache folder."""
    from napari_fastsam.models import registry

    with progress_bar("MB") as show:
        path = registry.fetch(
            name, progress=lambda came, total: show(name, came >> 20, total >> 20)
        )
    print_line(f"{name}: {path}")


@app.command()
def convert(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A name of the list, or a checkpoint.", show_default=False
        ),
    ],
    to: Annotated[
        str,
        typer.Option(metavar="FORM", help="safetensors; or onnx or openvino, for that runtime."),
    ] = "safetensors",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            show_default=False,
            help="A .safetensors or .onnx file, or a folder for openvino; the cache folder, for "
            "onnx and openvino.",
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="For openvino: in 8-bit whole numbers.")
    ] = False,
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGES",
            show_default=False,
            help="With --int8: some dozens of your images, as files, folders or globs; repeat.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="With --int8: label images of the one folder of IMAGES, to judge both on.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing PATH.")] = False,
) -> None:
    """Convert a model: to safetensors, or for a runtime of the CPU.

    Nothing in a checkpoint is run. The runtimes onnx, openvino and openvino-int8
    take what is in the cache folder, and convert what they miss; but not to int8.

    napari-fastsam models convert FastSAM-s.pt -o FastSAM-s.safetensors

    napari-fastsam models convert starter --to onnx -o starter.onnx

    napari-fastsam models convert starter --to openvino --int8 --calibrate cells/
    """
    _check_conversion(to, output, int8=int8, calibrate=calibrate, labels=labels)
    refuse_existing([] if output is None else [output], overwrite)
    from napari_fastsam.models.checkpoint import halved, load_checkpoint, save_checkpoint
    from napari_fastsam.models.conversion import convert as convert_to
    from napari_fastsam.models.conversion import converted
    from napari_fastsam.models.exports import is_export
    from napari_fastsam.models.registry import MODELS, model_path

    fail_if(
        model not in MODELS and is_export(Path(model)),
        "a checkpoint, .pt or .safetensors",
        f"{model}, an export",
        "convert the checkpoint that it was made of",
    )
    checkpoint = load_checkpoint(model_path(model))
    if to == "safetensors":
        assert output is not None
        save_checkpoint(output, halved(checkpoint.state), checkpoint.metadata)
        written = output
    elif int8:
        written = _quantise(checkpoint, model, calibrate or [], labels)
        if output is not None:
            with whole(output, overwrite=overwrite) as partial:
                shutil.copytree(written, partial)
            written = output
    elif output is None:
        written = converted(checkpoint, cast("Form", to))
    else:
        convert_to(checkpoint, cast("Form", to), output, overwrite=overwrite)
        written = output
    print_line(f"{checkpoint.architecture}: {written}")


def _check_conversion(
    to: str,
    output: Path | None,
    *,
    int8: bool,
    calibrate: list[str] | None,
    labels: Path | None,
) -> None:
    """Refuse what does not go together."""
    fail_if(
        to not in ("safetensors", "onnx", "openvino"),
        "safetensors, onnx or openvino after --to",
        repr(to),
        "choose one of these",
    )
    ending = {"safetensors": ".safetensors", "onnx": ".onnx", "openvino": ""}[to]
    fail_if(
        output is None and to == "safetensors",
        "--output PATH, where the safetensors go",
        "none",
        "add it, as --output model.safetensors",
    )
    fail_if(
        output is not None and output.suffix.lower() != ending,
        f"a PATH that ends in {ending}" if ending else "a folder without ending, for openvino",
        str(output),
        f"write {output and output.with_suffix(ending)}",
    )
    fail_if(
        int8 and (to != "openvino" or not calibrate),
        "--to openvino and --calibrate IMAGES beside --int8",
        f"--to {to}{'' if calibrate else ', and no images'}",
        "add them: 8-bit numbers are chosen on images like those that the model is for",
    )
    fail_if(
        not int8 and (calibrate or labels),
        "--int8 beside --calibrate and --labels",
        "none",
        "add it, or leave them out",
    )
    fail_if(
        labels is not None
        and (len(calibrate or []) != 1 or not Path((calibrate or [""])[0]).is_dir()),
        "one folder of images after --calibrate, beside --labels",
        " ".join(calibrate or []),
        "name the folder whose label images these are",
    )


def _quantise(checkpoint: Checkpoint, name: str, patterns: list[str], labels: Path | None) -> Path:
    """Quantise a model, say what it lost, and return where it is."""
    from napari_fastsam.files.inputs import find_images
    from napari_fastsam.models.agreement import agreement
    from napari_fastsam.models.data import find_pairs
    from napari_fastsam.models.evaluate import evaluate, table
    from napari_fastsam.models.fastsam import FastSAM
    from napari_fastsam.models.quantising import FORM, quantise

    pairs = [] if labels is None else find_pairs(patterns[0], labels)
    planes = _planes([image.path for image in find_images(patterns)])
    right = FastSAM(name, device="cpu", runtime="torch")
    tell("int8", f"measuring on {count(len(planes), 'plane')}")
    written = quantise(checkpoint, planes, image_size=right.image_size)
    small = FastSAM(name, device="cpu", runtime=FORM)
    tell("int8", "comparing with float32")
    print_line(f"Beside float32: {agreement(right, small, planes)}.")
    if pairs:
        for title, model in (("float32", right), ("int8", small)):
            print_line(f"\n{title}\n{table(evaluate(model, pairs))}")
        print_line("")
    return written


def _planes(paths: list[Path]) -> list[NDArray[np.uint8]]:
    """Return planes as the network sees them, at most `_MOST_PLANES`, spread over all there are."""
    from napari_fastsam.files.readers import read_image

    images = [read_image(path) for path in paths]
    there = [(image, index) for image in images for index in image.axes.indices()]
    step = -(-len(there) // _MOST_PLANES)
    return [to_rgb(image.axes.read(image.data, index)) for image, index in there[::step]]
