"""Which weights a file holds: every tensor named, shaped and finite as its network needs it.

A file is judged by its content, never by its ending, and nothing in it is ever run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_fastsam.models._files import sha256_of, whole_file
from napari_fastsam.models.architecture import (
    SUPPORTED,
    Architecture,
    CheckpointError,
    recognise,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint", "recognise", "save_checkpoint"]

MAX_FILE_BYTES = 2 << 30
"""FastSAM-x is 145 MB; with an optimiser's state it stays well below this."""


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


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read weights from a ``.safetensors`` file.

    Parameters
    ----------
    path
        The file. FastSAM and every YOLOv8 segmentation network of scale n, s, m, l or x, with any
        number of classes, is recognised from its tensors.

    Raises
    ------
    CheckpointError
        If the file holds no such network, is damaged, or would do more than hold weights.
    FileNotFoundError
        If there is no file.
    """
    path = _existing(Path(path))
    state, metadata = _read_safetensors(path)
    return Checkpoint(
        state={name: _as_computed(tensor) for name, tensor in state.items()},
        architecture=recognise(state),
        metadata=metadata,
        sha256=sha256_of(path),
        path=path,
    )


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
        If the tensors are those of no supported network, or not finite.
    """
    architecture = recognise(state)
    _require_finite(state, Path(path))
    told = {"architecture": str(architecture), **(metadata or {})}
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with whole_file(Path(path)) as partial:
        save_file(tensors, partial, texts)


def _existing(path: Path) -> Path:
    """Return the path of a file of a size that weights can have."""
    if not path.is_file():
        arrived = "this is a folder" if path.is_dir() else "there is none"
        raise FileNotFoundError(
            f"Expected a file of weights at {path}, but {arrived}. "
            "Check the path, or see which models there are with `napari-fastsam models list`."
        )
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise CheckpointError.because(
            f"weights of at most {MAX_FILE_BYTES:,} bytes in {path}",
            f"the file has {size:,}",
            f"Use {SUPPORTED}.",
        )
    return path


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return tensors and metadata; shapes are checked before a tensor is read."""
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            recognise({name: _Shape(tuple(file.get_slice(name).get_shape())) for name in names})
            state = {name: file.get_tensor(name) for name in names}
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise CheckpointError.because(
            f"a whole safetensors file in {path}",
            f"it is damaged ({error})",
            "Fetch or copy it again.",
        ) from error
    _require_finite(state, path)
    return state, metadata


@dataclass(frozen=True, slots=True)
class _Shape:
    shape: tuple[int, ...]


def _require_finite(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse weights with a NaN or an infinity: the network would find nothing and not say why."""
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise CheckpointError.because(
            f"finite numbers in the weights of {path.name}",
            f"{len(broken)} tensors hold NaN or infinity (the first: {broken[0]})",
            "Training diverged or the file is damaged: use an earlier one or fetch it again.",
        )


def _as_computed(tensor: torch.Tensor) -> torch.Tensor:
    """Return weights as float32; whole numbers stay what they are."""
    return tensor.float() if tensor.is_floating_point() else tensor
