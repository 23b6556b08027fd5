"""A network in the form that another runtime reads: converted once, and kept in the cache.

Converted files are named after the SHA-256 of the weights that they were made of, and appear whole
or not at all, so that processes that convert the same weights at once do no harm.
"""

from __future__ import annotations

import contextlib
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from filelock import FileLock, Timeout

from napari_fastsam._checks import fail_if
from napari_fastsam._files import whole
from napari_fastsam.models._files import CACHE_VARIABLE, cache_dir
from napari_fastsam.models._openvino import openvino
from napari_fastsam.models.layers import Layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_fastsam.models.checkpoint import Checkpoint

    _Network = TypeVar("_Network")

Form = Literal["onnx", "openvino"]
"""What a network can be converted to: ``"onnx"`` is a file, ``"openvino"`` a folder of two."""

INPUT = "frames"
OUTPUTS = ("sides", "scores", "coefficients", "prototypes")

NETWORK = "network.xml"
"""The layers in a folder of OpenVINO; their weights are beside it."""

ABOUT = "napari_fastsam"
"""Where a converted file tells what it is: before each name in ONNX, around them in OpenVINO."""

_PACKAGES: dict[Form, str] = {"onnx": "onnx", "openvino": "openvino"}
_OPSET = 17
_VERSION = "1"  # of what is written here: another one is converted anew
_PATIENCE = 300  # seconds for another process that converts the same


def convert(checkpoint: Checkpoint, form: Form, path: Path, *, overwrite: bool = False) -> None:
    """Write a network for another runtime; it takes frames of any size, as `Layers` does.

    Parameters
    ----------
    checkpoint
        The weights.
    form
        What to write.
    path
        The file or folder; what it lies in is made.
    overwrite
        Whether to replace what is there.

    Raises
    ------
    ValueError
        If the package that writes it is not installed.
    FileExistsError
        If there is something, unless `overwrite`.
    OSError
        If it cannot be written.
    """
    require_package(_PACKAGES[form], f"which writes {form} files", form)
    with whole(path, overwrite=overwrite) as partial:
        if form == "onnx":
            _write_onnx(checkpoint, partial)
        else:
            write_openvino(to_openvino(checkpoint), partial, about(checkpoint, "fp32"))


def require_package(package: str, does: str, extra: str) -> None:
    """Refuse to go on without a package, saying what it is for and which extra brings it."""
    fail_if(
        find_spec(package) is None,
        f"the package {package}, {does}",
        "an environment without it",
        f'install it, with pip install "napari-fastsam[{extra}]"',
    )


def about(checkpoint: Checkpoint, precision: str) -> dict[str, str]:
    """Return what a converted file tells about itself."""
    told = {
        "format": _VERSION,
        "name": checkpoint.path.stem,
        "architecture": str(checkpoint.architecture),
        "precision": precision,
        "source_sha256": checkpoint.sha256,
    }
    if checkpoint.image_size:
        told["image_size"] = str(checkpoint.image_size)
    if "names" in checkpoint.metadata:
        told["names"] = checkpoint.metadata["names"]
    return told


def kept(checkpoint: Checkpoint, form: str) -> Path:
    """Return where a converted network is kept, whether it is there or not."""
    ending = ".onnx" if form == "onnx" else f"-{form}"
    return cache_dir() / "converted" / f"{checkpoint.sha256}-{_VERSION}{ending}"


def read_converted(
    checkpoint: Checkpoint, form: Form, read: Callable[[Path], _Network]
) -> _Network:
    """Return what a runtime makes of a network's file, converted if it was not yet.

    Parameters
    ----------
    checkpoint
        The weights.
    form
        What the runtime reads.
    read
        Called with the file or folder. Where that fails, the network is converted anew, once.

    Raises
    ------
    OSError
        If it cannot be kept in the cache folder.
    """
    path = kept(checkpoint, form)
    with contextlib.suppress(Exception):  # each runtime has classes of its own for a damaged file
        return read(path)
    try:
        with alone(path):
            with contextlib.suppress(Exception):  # another process made it meanwhile
                return read(path)
            convert(checkpoint, form, path, overwrite=True)
    except OSError as error:
        raise OSError(
            f"Expected to keep {checkpoint.path.name} converted in {path.parent}, but {error}. "
            f"Set {CACHE_VARIABLE} to a folder that can be written, or use "
            'runtime="torch".'
        ) from error
    return read(path)


def converted(checkpoint: Checkpoint, form: Form) -> Path:
    """Return the file or folder of a network in the cache, converted if it was not yet."""
    return read_converted(checkpoint, form, _existing)


def _existing(path: Path) -> Path:
    """Return a path; FileNotFoundError if there is nothing."""
    path.lstat()
    return path


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process or thread at a time do the body, of those that want to make `path`.

    One that waits too long goes on all the same: what is written appears whole or not at all.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    with contextlib.suppress(Timeout):
        lock.acquire(timeout=_PATIENCE)
    try:
        yield
    finally:
        lock.release()


def to_openvino(checkpoint: Checkpoint) -> Any:
    """Return a network as an `openvino.Model` that takes frames of any size."""
    package = openvino()
    traced, example = _traced(checkpoint)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of deprecations inside torch
        model = package.convert_model(traced, example_input=example)
    model.reshape({model.input(0): package.PartialShape([-1, -1, -1, 3])})
    model.input(0).get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    return model


def write_openvino(model: Any, folder: Path, told: dict[str, str]) -> None:
    """Write the layers, and their weights beside them, into a folder that is made."""
    for name, text in told.items():
        model.set_rt_info(text, [ABOUT, name])
    folder.mkdir()
    network = folder / NETWORK
    openvino().serialize(model, str(network), str(network.with_suffix(".bin")))


def _write_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Write one file."""
    import onnx

    traced, example = _traced(checkpoint)
    sizes = {INPUT: {0: "batch", 1: "height", 2: "width"}}
    sizes |= {name: {0: "batch", 2: "anchors"} for name in OUTPUTS[:3]}
    sizes[OUTPUTS[3]] = {0: "batch", 2: "rows", 3: "columns"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of deprecations inside torch
        torch.onnx.export(
            traced,
            (example,),
            str(path),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes=sizes,
            opset_version=_OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    told = about(checkpoint, "fp32")
    onnx.helper.set_model_props(model, {f"{ABOUT}.{name}": text for name, text in told.items()})
    onnx.save(model, str(path))


def _traced(checkpoint: Checkpoint) -> tuple[torch.jit.ScriptModule, torch.Tensor]:
    """Return a network as torch has seen it run, and the frame that it ran on."""
    layers, example = Layers.of(checkpoint), torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        # Running it twice more, to compare, takes longer than all else.
        return torch.jit.trace(layers, (example,), check_trace=False), example
