"""Decides how torch runs the network: on which device, at which precision, and what if it is full.

A runtime takes the frame that the network sees and returns plain arrays; nothing that torch owns
leaves this module.
"""

from __future__ import annotations

import threading
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

import torch

from napari_fastsam._checks import fail_if
from napari_fastsam.models._ultralytics import fused, network
from napari_fastsam.models.anchors import anchors, boxes_from
from napari_fastsam.models.device import choose_device, describe_device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam.models.checkpoint import Checkpoint

HALF_DEVICES = ("cuda",)
"""Kinds of device on which half precision is faster."""
# Only CUDA's own allocator has an exception for it; MPS, cuBLAS and cuDNN just say so.
_NO_MEMORY = ("out of memory", "alloc_failed")


class Outputs(NamedTuple):
    """What the network says of one frame of (h, w).

    Parameters
    ----------
    predictions
        (4 + classes + 32, A): box centre x, y, width and height in network pixels, class
        probabilities, mask coefficients.
    prototypes
        (32, h / 4, w / 4).
    """

    predictions: NDArray[np.float32]
    prototypes: NDArray[np.float32]


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
        model = network(checkpoint.architecture)
        model.load_state_dict(checkpoint.state)
        self._lock = threading.Lock()
        self._half = True
        self._single = fused(model).to(memory_format=torch.channels_last).requires_grad_(False)
        self._place(torch.device("cpu"))
        self._wanted = chosen

    @property
    def description(self) -> str:
        """Device and precision, as ``"CPU · fp32"``."""
        precision = "fp16" if self._precision(self._wanted) == torch.float16 else "fp32"
        return f"{describe_device(self._wanted)} · {precision}"

    def __call__(self, frame: NDArray[np.uint8]) -> Outputs:
        """Return what the network says of a frame (h, w, 3), RGB, sides multiples of 32.

        If the device's memory does not hold it, this and all later frames are computed on the CPU,
        with a warning.

        Raises
        ------
        ValueError
            If the weights are so large that the predictions are no numbers.
        """
        with self._lock:
            try:
                return self._run(frame)
            except RuntimeError as error:
                if self._wanted.type == "cpu" or not is_of_memory(error):
                    raise
                reason = str(error).partition("\n")[0]
            # Outside the handler, the traceback no longer holds on to what the device computed.
            warnings.warn(
                f"Out of memory on {describe_device(self._wanted)}, going on with the CPU, which "
                f"is slower ({reason}). To avoid this, close other programs that use the "
                "device, or choose a smaller image size or model.",
                RuntimeWarning,
                stacklevel=3,
            )
            self._wanted = torch.device("cpu")
            return self._run(frame)

    @torch.inference_mode()
    def _run(self, frame: NDArray[np.uint8]) -> Outputs:
        """Run the network where it is wanted."""
        if self._device != self._wanted:
            self._place(self._wanted)
        batch = torch.from_numpy(frame).to(self._device).permute(2, 0, 1)[None]  # channels last
        ((predictions,), (prototypes,)), raw = self._model(batch.to(self._dtype) / 255)
        if self._dtype == torch.float16:
            predictions = predictions.float()
            predictions[:4] = _boxes(raw["boxes"][0].float(), *frame.shape[:2])
        if not bool(predictions.isfinite().all()):
            fail_if(
                self._dtype == torch.float32,
                "finite predictions",
                "infinities or NaN, so the weights are too large for the network",
                "fetch the model again, or train it at a lower learning rate",
            )
            self._half = False
            self._place(self._device)
            return self._run(frame)
        return Outputs(predictions.cpu().numpy(), prototypes.float().cpu().numpy())

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


def _boxes(sides: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return (4, A) box centre, width and height in a frame, in the precision of `sides`.

    Half precision, in which the network would work them out, knows only whole pixels beyond 1024.

    Parameters
    ----------
    sides
        (4 * reg_max, A) logits of the distance from each anchor to each box side.
    """
    points, strides = (part.to(sides.device) for part in anchors(height, width))
    likely = sides.unflatten(0, (4, -1)).softmax(1)
    steps = torch.arange(likely.shape[1], dtype=sides.dtype, device=sides.device)
    low, high = boxes_from(torch.einsum("sba,b->as", likely, steps), points, strides).split(2, 1)
    return torch.cat([(low + high) / 2, high - low], dim=1).T


def is_of_memory(error: RuntimeError) -> bool:
    """Say whether an error means that the device's memory is full."""
    told = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(text in told for text in _NO_MEMORY)
