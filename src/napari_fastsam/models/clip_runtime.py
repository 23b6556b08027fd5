"""Decides where and at which precision CLIP runs, and what happens if the device's memory is full.

It takes pictures and tokens, and returns plain arrays; nothing that torch owns leaves it.
"""

from __future__ import annotations

import math
import threading
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fastsam._checks import fail_if
from napari_fastsam.models import torch_runtime
from napari_fastsam.models._image_tower import ImageTower
from napari_fastsam.models._text_tower import read
from napari_fastsam.models.device import cpu_instead, why_full

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models._clip_weights import Clip

_CPU_BYTES, _DEVICE_BYTES = 32 << 20, 512 << 20
MOST_SCALE = 100.0
"""CLIP's own training keeps the factor of its cosines below this."""


class ClipRuntime:
    """A CLIP on a device; any number of threads may call it, and take turns.

    Parameters
    ----------
    clip
        The network with its weights, which stays on the CPU in single precision as it is.
    device
        Where it runs; in half precision on CUDA.
    """

    def __init__(self, clip: Clip, device: torch.device) -> None:
        self._clip = clip
        self._lock = threading.Lock()
        self._wanted = device
        self._half = True
        self._place(torch.device("cpu"))
        learnt = clip.network.state_dict()["logit_scale"].item()
        self.scale = math.exp(min(learnt, math.log(MOST_SCALE)))

    @property
    def size(self) -> int:
        """Side of the pictures that it looks at, in pixels."""
        return self._tower.size

    @property
    def grid(self) -> int:
        """Patches along a side of a picture."""
        return self._tower.grid

    @property
    def width(self) -> int:
        """Numbers of which a token consists."""
        return self._tower.width

    @property
    def dimensions(self) -> int:
        """Numbers of which a vector consists."""
        return int(self._clip.config["embed_dim"])

    @property
    def context_length(self) -> int:
        """Tokens that a text may have, with those for beginning and end."""
        return int(self._clip.config["text_cfg"].get("context_length", 77))

    @property
    def mean(self) -> tuple[float, float, float]:
        """The colour, of red, green and blue in [0, 1], that it sees as none."""
        return self._clip.mean

    @property
    def batch_bytes(self) -> int:
        """What the tokens of one batch may take: on a CPU, what stays near its cores."""
        return _CPU_BYTES if self._wanted.type == "cpu" else _DEVICE_BYTES

    @property
    def half(self) -> bool:
        """Whether it runs in half precision."""
        return self._half and self._wanted.type in torch_runtime.HALF_DEVICES

    def pictures(
        self, pixels: torch.Tensor, seen: torch.Tensor | None = None
    ) -> NDArray[np.float32]:
        """Return vectors (B, D), see `ImageTower.pictures`."""
        return self._attempt(
            lambda: self._tower.pictures(
                self._here(pixels), None if seen is None else self._here(seen)
            )
        )

    def regions(self, pixels: torch.Tensor, shares: torch.Tensor) -> NDArray[np.float32]:
        """Return vectors (B, K, D), see `ImageTower.regions`."""
        return self._attempt(lambda: self._tower.regions(self._here(pixels), self._here(shares)))

    def texts(self, texts: Sequence[Sequence[int]], edges: tuple[int, int]) -> NDArray[np.float32]:
        """Return vectors (T, D), see `read`."""
        return self._attempt(lambda: read(self._network, texts, edges))

    def _here(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._device)

    def _attempt(self, work: Callable[[], torch.Tensor]) -> NDArray[np.float32]:
        """Return what `work` computes; on the CPU, with a warning, if the device is full."""
        with self._lock:
            try:
                return self._run(work)
            except RuntimeError as error:
                reason = why_full(error, self._wanted)
            self._wanted = cpu_instead(self._wanted, reason, what=" for text prompts", stacklevel=3)
            return self._run(work)

    @torch.inference_mode()
    def _run(self, work: Callable[[], torch.Tensor]) -> NDArray[np.float32]:
        if self._device != self._wanted:
            self._place(self._wanted)
        result: NDArray[np.float32] = work().cpu().numpy()
        if not np.isfinite(result).all():
            fail_if(
                not self.half,
                "finite numbers from CLIP",
                "infinities or NaN, so its weights are too large",
                "fetch it again, or choose other weights",
            )
            self._half = False
            self._place(self._device)
            return self._run(work)
        return result

    def _place(self, device: torch.device) -> None:
        """Put the network on a device, in that device's precision."""
        half = self._half and device.type in torch_runtime.HALF_DEVICES
        plain = device.type == "cpu" and not half
        dtype = torch.float16 if half else torch.float32
        single = self._clip.network
        network = single if plain else deepcopy(single).to(device, dtype)
        tower = ImageTower(network.visual, self._clip.mean, self._clip.std)
        # Together, so that a move that fails leaves the network where it was.
        self._device, self._network, self._tower = device, network, tower
