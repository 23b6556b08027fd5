"""Decides how torch runs the network: on which device, at which precision, and what if it is full.

On CUDA frames come from pinned memory, in batches as large as the free memory allows, and shapes
that come often are replayed as CUDA graphs.
"""

from __future__ import annotations

import threading
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fastsam._checks import fail_if
from napari_fastsam.models.device import choose_device, cpu_instead, describe_device, why_full
from napari_fastsam.models.graphs import CudaRecorder, Recording
from napari_fastsam.models.layers import Layers
from napari_fastsam.models.network import Raw, require_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_fastsam.models.checkpoint import Checkpoint

    _Work = Callable[[Tensor], tuple[Tensor, ...]]

HALF_DEVICES = ("cuda",)
"""Kinds of device on which half precision is faster."""
BATCH_DEVICES = ("cuda",)
"""Kinds of device that are faster with several frames at once."""
CHECKED_DEVICES = ("mps",)
"""Kinds of device whose first outputs are compared with those of the CPU."""
MOST_FRAMES = 16
"""More at once are not faster."""
SHARE = 0.6
"""Of the memory that is free, what a batch may take."""
TOLERANCE = 0.02
"""How far outputs on a device may be from the CPU's, as a share of the largest of them."""


class TorchRuntime:
    """The network of a checkpoint, run by torch; any number of threads may call it.

    Parameters
    ----------
    checkpoint
        Weights and their architecture.
    device
        As `choose_device` takes it. Half precision is used on CUDA, unless the weights overflow it.
    compiled
        Let ``torch.compile`` make code for this machine from it, for each shape when it first
        comes, which takes a minute or so.

    Raises
    ------
    ValueError
        If the device is not there.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str = "auto", *, compiled: bool = False
    ) -> None:
        chosen = choose_device(device)
        self._lock = threading.Lock()
        self._half = True
        self._compiled = compiled
        self._checked = False
        self._sizes: dict[tuple[int, int], int] = {}
        self._single = Layers.of(checkpoint)
        self._place(torch.device("cpu"))
        self._wanted = chosen

    @property
    def description(self) -> str:
        """Device and precision, as ``"CPU · fp32"``."""
        precision = "fp16" if self._precision(self._wanted) == torch.float16 else "fp32"
        how = " · compiled" if self._compiled else ""
        return f"{describe_device(self._wanted)} · {precision}{how}"

    @property
    def most_frames(self) -> int:
        """How many frames it takes at most, whatever their size."""
        return MOST_FRAMES if self._wanted.type in BATCH_DEVICES else 1

    def batch_for(self, height: int, width: int) -> int:
        """Return how many frames (h, w) to show it at once.

        As many as fit into `SHARE` of the device's free memory, a power of two: found out with one
        frame, once for each size.
        """
        if self.most_frames == 1:
            return 1
        with self._lock:
            size = self._sizes.get((height, width))
            if size is None:
                size = self._sizes[height, width] = how_many(*self._memory_for(height, width))
        return min(size, self.most_frames)

    def _memory_for(self, height: int, width: int) -> tuple[int, int]:
        """Return the bytes that a frame takes while the network looks at it, and those free."""
        frames, device = np.zeros((1, height, width, 3), np.uint8), self._wanted
        self._fitting(frames)  # so that the weights, and what libraries keep, do not count
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        self._fitting(frames)
        needed = torch.cuda.max_memory_allocated(device) - before
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return needed, torch.cuda.mem_get_info(device)[0] + unused

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
            reason = why_full(error, self._wanted)
        if len(frames) > 1:
            half = len(frames) // 2
            self._sizes[frames.shape[1], frames.shape[2]] = half
            return self._fitting(frames[:half]) + self._fitting(frames[half:])
        advice = ", or choose a smaller image size or model"
        self._wanted = cpu_instead(self._wanted, reason, advice=advice, stacklevel=4)
        return self._run(frames)

    @torch.inference_mode()
    def _run(self, frames: NDArray[np.uint8]) -> list[Raw]:
        """Run the network where it is wanted."""
        if self._device != self._wanted:
            self._place(self._wanted)
        outputs = self._model(self._sent(frames))
        if self._device.type in CHECKED_DEVICES and not self._checked:
            self._checked = True
            if not self._agrees(frames[:1], outputs):
                return self._run(frames)
        if not torch.stack([part.isfinite().all() for part in outputs]).all():  # waits, once
            require_finite(self._dtype != torch.float32)
            self._half = False
            self._place(self._device)
            return self._run(frames)
        return [Raw(*of_one) for of_one in zip(*outputs, strict=True)]

    def _sent(self, frames: NDArray[np.uint8]) -> Tensor:
        """Return frames on the device, through memory that it can read by itself."""
        host = torch.from_numpy(frames)
        if self._device.type == "cuda":
            host = host.pin_memory()
        return host.to(self._device, non_blocking=True)

    def _agrees(self, frames: NDArray[np.uint8], outputs: Sequence[Tensor]) -> bool:
        """Whether outputs are those of the CPU; if not, that is where all goes on, and is told."""
        expected = self._single(torch.from_numpy(frames))
        if all(_alike(part[:1], right) for part, right in zip(outputs, expected, strict=True)):
            return True
        found = describe_device(self._wanted)
        self._wanted = torch.device("cpu")
        self._place(self._wanted)
        warnings.warn(
            f"Expected the network to say the same on {found} as on the CPU. Got something else "
            "for the first image, so it goes on with the CPU, which is slower. To fix it: update "
            "torch, or choose the CPU as the device.",
            RuntimeWarning,
            stacklevel=5,
        )
        return False

    def _place(self, device: torch.device) -> None:
        """Put the network on a device, in that device's precision."""
        dtype = self._precision(device)
        plain = device.type == "cpu" and dtype == torch.float32
        # The copy in memory stays: what half precision rounds away does not come back.
        model = self._single if plain else deepcopy(self._single).to(device, dtype)
        work: _Work = compiled(model) if self._compiled else model
        if device.type == "cuda":
            work = Recording(work, CudaRecorder())
        # Together, so that a move that fails leaves the network where it was.
        self._device, self._dtype = device, dtype
        self._model: _Work = work

    def _precision(self, device: torch.device) -> torch.dtype:
        return torch.float16 if self._half and device.type in HALF_DEVICES else torch.float32


def how_many(needed: int, free: int) -> int:
    """Return how many frames to show at once, of which each takes so many of the free bytes."""
    fitting = int(SHARE * free) // max(needed, 1)
    return 1 << (min(max(fitting, 1), MOST_FRAMES).bit_length() - 1)


def compiled(model: torch.nn.Module) -> _Work:
    """Return a network that ``torch.compile`` makes code for when it is called.

    Raises
    ------
    ValueError
        When it is called, if there is nothing here that can make code.
    """
    from torch._dynamo.exc import TorchDynamoException

    faster = torch.compile(model, dynamic=False)

    def call(frames: Tensor) -> tuple[Tensor, ...]:
        try:
            outputs: tuple[Tensor, ...] = faster(frames)
        except TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
        else:
            return outputs
        fail_if(
            True,
            "a machine on which torch.compile works: Triton for a GPU, a C++ compiler for the CPU",
            reason,
            'install these, or use runtime="torch"',
        )
        raise AssertionError

    return call


def _alike(part: Tensor, right: Tensor) -> bool:
    """Whether outputs are the same but for rounding."""
    difference = (part.float().cpu() - right).abs().max()
    return bool(difference <= TOLERANCE * right.abs().max())
