"""What a safetensors file holds, once the shapes of its tensors are found to be the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from napari_fastsam.models._refusal import CheckpointError, shown, unsafe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_HEADER_BYTES = 4 << 20
"""The header of FastSAM-x as safetensors has 70,000."""


def read_safetensors(
    path: Path, check: Callable[[Mapping[str, tuple[int, ...]], Mapping[str, str]], object]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file.

    Parameters
    ----------
    path
        The file.
    check
        Called with the shapes of the tensors and the metadata before a tensor is read; raises
        where they are wrong.

    Raises
    ------
    CheckpointError
        If the file is damaged, or its header far larger than weights need.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER_BYTES:
        raise unsafe(f"its header has {length:,} bytes, far more than weights need")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            metadata = dict(file.metadata() or {})
            check({name: tuple(file.get_slice(name).get_shape()) for name in names}, metadata)
            return {name: file.get_tensor(name) for name in names}, metadata
    except SafetensorError as error:
        raise CheckpointError.because(
            "a whole safetensors file",
            f"it is damaged ({shown(error)})",
            "The download or copy is probably incomplete: fetch it again.",
        ) from error


def require_finite(state: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights with a NaN or an infinity: the network would find nothing and not say why."""
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise CheckpointError.because(
            "finite weights",
            f"{len(broken)} tensors hold NaN or infinity (the first: {broken[0]})",
            "Training diverged or the file is damaged: use an earlier one or fetch it again.",
        )
