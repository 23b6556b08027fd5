"""Decides how torch runs the network: on which device, at which precision, and what if it is full.

Plain arrays go in and come out; nothing that torch owns leaves this module.
"""

from __future__ import annotations

import threading
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fastsam.models.device import choose_device, describe_device
from napari_fastsam.models.layers import Layers
from napari_fastsam.models.network import Raw, require_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.checkpoint import Checkpoint

HALF_DEVICES = ("cuda",)
"""Kinds of device on which half precision is faster."""
# Only CUDA's own allocator has an exception for it; MPS, cuBLAS and cuDNN just say so.
_NO_MEMORY = ("out of memory", "alloc_failed")


class TorchRuntime:
    """The network of a checkpoint, run by torch; any number of threads may call it.

    Parameters
    ----------
    checkpoint
        Weights and their architecture.
    device
        As `choose_device` takes it. Half precision is used on CUDA, unless the weights overflow it.

    Raises
    ------
    ValueError
        If the device is not there.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto") -> None:
        chosen = choose_device(device)
        self._lock = threading.Lock()
        self._half = True
        self._single = Layers.of(checkpoint)
        self._place(torch.device("cpu"))
        self._wanted = chosen

    @property
    def description(self) -> str:
        """Device and precision, as ``"CPU · fp32"``."""
        precision = "fp16" if self._precision(self._wanted) == torch.float16 else "fp32"
        return f"{describe_device(self._wanted)} · {precision}"

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Raw]:
        """Return what the network says of frames (h, w, 3), RGB, all of one size.

        If the device's memory does not hold them, they are computed in halves, and a single one
        and all after it on the CPU, with a warning.

        Raises
        ------
        ValueError
            If the weights are so large that the predictions are no numbers.
        """
        with self._lock:
            return self._fitting(np.stack(frames))

    def _fitting(self, frames: NDArray[np.uint8]) -> list[Raw]:
        """Run the network on (B, h, w, 3), in as many parts as it takes."""
        try:
            return self._run(frames)
        except RuntimeError as error:
            if self._wanted.type == "cpu" or not is_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        # Outside the handler, the traceback no longer holds on to what the device computed.
        if len(frames) > 1:
            half = len(frames) // 2
            return self._fitting(frames[:half]) + self._fitting(frames[half:])
        warnings.warn(
            f"Out of memory on {describe_device(self._wanted)}, going on with the CPU, which "
            f"is slower ({reason}). To avoid this, close other programs that use the "
            "device, or choose a smaller image size or model.",
            RuntimeWarning,
            stacklevel=4,
        )
        self._wanted = torch.device("cpu")
        return self._run(frames)

    @torch.inference_mode()
    def _run(self, frames: NDArray[np.uint8]) -> list[Raw]:
        """Run the network where it is wanted."""
        if self._device != self._wanted:
            self._place(self._wanted)
        outputs = self._model(torch.from_numpy(frames).to(self._device))
        if not all(bool(part.isfinite().all()) for part in outputs):
            require_finite(self._dtype != torch.float32)
            self._half = False
            self._place(self._device)
            return self._run(frames)
        return [Raw(*of_one) for of_one in zip(*outputs, strict=True)]

    def _place(self, device: torch.device) -> None:
        """Put the network on a device, in that device's precision."""
        dtype = self._precision(device)
        plain = device.type == "cpu" and dtype == torch.float32
        # The copy in memory stays: what half precision rounds away does not come back.
        model = self._single if plain else deepcopy(self._single).to(device, dtype)
        # Together, so that a move that fails leaves the network where it was.
        self._device, self._dtype, self._model = device, dtype, model

    def _precision(self, device: torch.device) -> torch.dtype:
        return torch.float16 if self._half and device.type in HALF_DEVICES else torch.float32


def is_of_memory(error: RuntimeError) -> bool:
    """Say whether an error means that the device's memory is full."""
    told = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(text in told for text in _NO_MEMORY)
