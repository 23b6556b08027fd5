"""A network in the form that another runtime reads: converted once, and kept in the cache."""

from __future__ import annotations

import tempfile
import threading
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from napari_fastsam._checks import fail_if
from napari_fastsam._files import whole
from napari_fastsam.models._files import CACHE_VARIABLE, cache_dir
from napari_fastsam.models.layers import Layers

if TYPE_CHECKING:
    from napari_fastsam.models.checkpoint import Checkpoint

Form = Literal["onnx", "openvino"]
"""What a network can be converted to."""

ENDINGS: dict[Form, str] = {"onnx": ".onnx", "openvino": ".xml"}

INPUT = "frames"
OUTPUTS = ("sides", "scores", "coefficients", "prototypes")

_PACKAGES: dict[Form, tuple[str, ...]] = {"onnx": ("onnx",), "openvino": ("openvino",)}
_OPSET = 17
_VERSION = 1  # of what is written here: another one is converted anew
_CONVERTING = threading.Lock()


def convert(checkpoint: Checkpoint, form: Form, path: Path) -> None:
    """Write a network for another runtime; it takes frames of any size, as `Layers` does.

    Parameters
    ----------
    checkpoint
        The weights.
    form
        What to write: ``"onnx"``, one file, or ``"openvino"``, an ``.xml`` and a ``.bin``.
    path
        Where to; the folder is made. An existing file is replaced.

    Raises
    ------
    ValueError
        If the package that writes it is not installed.
    """
    missing = [name for name in _PACKAGES[form] if find_spec(name) is None]
    fail_if(
        missing,
        f"the package {' and '.join(missing)}, which writes {form} files",
        "an environment without",
        f'install it, with pip install "napari-fastsam[{form}]"',
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = Layers.of(checkpoint)
    example = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations inside torch
        with torch.inference_mode(False), torch.no_grad():
            _write_onnx(layers, example, path) if form == "onnx" else _write_openvino(
                layers, example, path
            )


def converted(checkpoint: Checkpoint, form: Form) -> Path:
    """Return the file of a network for another runtime, converted if it was not yet.

    Raises
    ------
    OSError
        If the cache folder cannot be written.
    """
    path = cache_dir() / "converted" / f"{checkpoint.sha256}-{_VERSION}{ENDINGS[form]}"
    with _CONVERTING:
        if not path.is_file():
            try:
                convert(checkpoint, form, path)
            except OSError as error:
                raise OSError(
                    f"Expected to keep {checkpoint.path.name} converted in {path.parent}, but "
                    f"{error}. Set {CACHE_VARIABLE} to a folder that can be written, or use "
                    'runtime="torch".'
                ) from error
    return path


def _write_onnx(layers: Layers, example: torch.Tensor, path: Path) -> None:
    """Write one file."""
    sizes = {INPUT: {0: "batch", 1: "height", 2: "width"}}
    sizes |= {name: {0: "batch", 2: "anchors"} for name in OUTPUTS[:3]}
    sizes[OUTPUTS[3]] = {0: "batch", 2: "rows", 3: "columns"}
    with whole(path, overwrite=True) as partial:
        torch.onnx.export(
            layers,
            (example,),
            str(partial),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes=sizes,
            opset_version=_OPSET,
            dynamo=False,
        )


def _write_openvino(layers: Layers, example: torch.Tensor, path: Path) -> None:
    """Write the layers, and their weights beside them."""
    import openvino

    model = openvino.convert_model(layers, example_input=example)
    model.reshape({model.input(0): openvino.PartialShape([-1, -1, -1, 3])})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        layers_part, weights_part = Path(folder) / "network.xml", Path(folder) / "network.bin"
        openvino.serialize(model, str(layers_part), str(weights_part))
        weights_part.replace(path.with_suffix(".bin"))
        layers_part.replace(path)
