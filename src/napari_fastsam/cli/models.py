"""The arguments of `napari-fastsam models`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_fastsam._checks import fail_if
from napari_fastsam.cli.console import print_line, print_models, progress_bar
from napari_fastsam.files.outputs import refuse_existing

app = typer.Typer(
    help="List the models, fetch one, or convert a checkpoint.", no_args_is_help=False
)


@app.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    """List the models, fetch one, or convert a checkpoint."""
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
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .pt checkpoint.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .safetensors file.", show_default=False)
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing OUT.")] = False,
) -> None:
    """Convert a checkpoint of a YOLO segmentation network to safetensors.

    Nothing in the checkpoint is run.
    """
    fail_if(
        output.suffix.lower() != ".safetensors",
        "an OUT that ends in .safetensors",
        str(output),
        f"write {output.with_suffix('.safetensors')}",
    )
    refuse_existing([output], overwrite)
    from napari_fastsam.models.checkpoint import halved, load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(file)
    save_checkpoint(output, halved(checkpoint.state), checkpoint.metadata)
    print_line(f"{checkpoint.architecture}: {output}")
