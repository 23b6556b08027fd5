"""Which weights a file holds: every tensor named, shaped and finite as its network needs it.

A file is judged by its content, never by its ending, and nothing in it is ever run.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from napari_fastsam._files import whole
from napari_fastsam.models._branches import needed
from napari_fastsam.models._class_names import class_names
from napari_fastsam.models._content import Kind, kind_of
from napari_fastsam.models._files import CACHE_VARIABLE, cache_dir, sha256_of
from napari_fastsam.models._refusal import CheckpointError
from napari_fastsam.models._safetensors import read_safetensors, require_finite
from napari_fastsam.models._torch_file import read_torch_file
from napari_fastsam.models.architecture import Architecture, recognise, recognise_shapes

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    _Read = tuple[dict[str, torch.Tensor], dict[str, str]]

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint", "recognise", "save_checkpoint"]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Weights that fit their network.

    Parameters
    ----------
    state
        Tensors by name, as ``load_state_dict(strict=True)`` takes them: float32, but for the
        counters of batch normalisation, which are int64.
    architecture
        The network they fit.
    metadata
        What the file tells about itself, as text: ``image_size``, ``names`` (JSON) and others.
    sha256
        Of the file that was asked for, in hexadecimal digits.
    path
        That file.
    """

    state: dict[str, torch.Tensor]
    architecture: Architecture
    metadata: Mapping[str, str]
    sha256: str
    path: Path

    @property
    def image_size(self) -> int | None:
        """The image size in pixels that the network was trained at, where the file tells it."""
        text = self.metadata.get("image_size", "")
        return int(text) if text.isascii() and text.isdigit() and 32 <= int(text) <= 8192 else None

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, where there are several and the file tells it."""
        return class_names(self.metadata.get("names", ""), self.architecture.classes)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read weights from a ``.safetensors`` file, or from a ``.pt`` file without running it.

    Parameters
    ----------
    path
        The file. FastSAM, every YOLOv8, v9, 11, 12 or 26 segmentation network of any scale and
        number of classes, and every YOLOE that needs no prompt is recognised from its tensors.

    Raises
    ------
    CheckpointError
        If the file holds no such network, is damaged, or holds more than weights.
    FileNotFoundError
        If there is no file.

    Notes
    -----
    A ``.pt`` file is converted to ``.safetensors`` in the cache folder the first time; afterwards
    a file of the same SHA-256 is not read again but for its hash.
    """
    path = _existing(Path(path))
    try:
        kind = kind_of(path)
        sha256 = sha256_of(path)
        read = _read_safetensors(path) if kind is Kind.SAFETENSORS else _converted(path, sha256)
        state, metadata = read
        weights = {name: _as_computed(tensor) for name, tensor in needed(state).items()}
        require_finite(weights)
        return Checkpoint(weights, recognise(weights), metadata, sha256, path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error.__cause__


def save_checkpoint(
    path: str | os.PathLike[str],
    state: Mapping[str, torch.Tensor],
    metadata: Mapping[str, object] | None = None,
) -> None:
    """Write weights as ``.safetensors``, whole or not at all.

    Parameters
    ----------
    path
        Where to; the folder is made. An existing file is replaced.
    state
        Tensors by name, of any dtype: half precision halves the file.
    metadata
        What the file shall tell about itself; what is not text is written as JSON.

    Raises
    ------
    CheckpointError
        If the tensors are those of no supported network, or not finite numbers in float32.
    """
    architecture = recognise(state)
    require_finite({name: _as_computed(tensor) for name, tensor in state.items()})
    told = {"architecture": str(architecture), **(metadata or {})}
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with whole(Path(path), overwrite=True) as partial:
        partial.write_bytes(save(tensors, texts))  # save_file would hide it from other users


def halved(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights in half precision where that loses nothing, else as they are."""
    halves = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    exact = all(torch.equal(halves[name].to(t.dtype), t) for name, t in state.items())
    return halves if exact else dict(state)


def _existing(path: Path) -> Path:
    """Return the path of a file that is there."""
    if not path.is_file():
        arrived = "this is a folder" if path.is_dir() else "there is none"
        raise FileNotFoundError(
            f"Expected a file of weights at {path}, but {arrived}. "
            "Check the path, or see which models there are with `napari-fastsam models list`."
        )
    return path


def _converted(path: Path, sha256: str) -> _Read:
    """Return what a file of `torch.save` holds; from the cache where it was read before."""
    converted = cache_dir() / "converted" / f"{sha256}.safetensors"
    if converted.is_file():
        try:
            return _read_safetensors(converted)
        except CheckpointError:
            pass  # a damaged copy is made again
    with path.open("rb") as file:
        state, metadata = read_torch_file(file)
    metadata |= {"source_sha256": sha256}
    state = needed(state)
    try:
        save_checkpoint(converted, state, metadata)
    except OSError as error:
        warnings.warn(
            f"Expected to keep {path.name} converted in {converted.parent}, but {error}. "
            f"It is read anew each time: set {CACHE_VARIABLE} to a folder that can be written.",
            stacklevel=3,
        )
    return state, metadata


def _read_safetensors(path: Path) -> _Read:
    """Return tensors and metadata; shapes are checked before a tensor is read."""
    return read_safetensors(path, lambda shapes, _: recognise_shapes(shapes))


def _as_computed(tensor: torch.Tensor) -> torch.Tensor:
    """Return weights as float32, and the counters of batch normalisation, scalars, as int64."""
    if tensor.ndim and not tensor.is_floating_point():
        raise CheckpointError.because(
            "weights of 16, 32 or 64 bits in floating point",
            f"a tensor of {tuple(tensor.shape)} is {tensor.dtype}",
            "Save the network as it was trained, neither quantised nor converted.",
        )
    return tensor.to(torch.float32 if tensor.ndim else torch.int64)
