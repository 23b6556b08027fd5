"""The layers of a network, ready to run or to be converted: uint8 in, raw outputs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_fastsam.models._ultralytics import fused, network

if TYPE_CHECKING:
    from torch import Tensor

    from napari_fastsam.models.checkpoint import Checkpoint


class Layers(torch.nn.Module):
    """Takes (B, h, w, 3) uint8, RGB, sides multiples of 32; returns the parts of `Raw`, (B, ...).

    Nothing in it depends on the frame's size, so one conversion serves all sizes: boxes are worked
    out by who asks.
    """

    def __init__(self, layers: torch.nn.Module) -> None:
        super().__init__()
        self.layers = layers

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Layers:
        """Return the network of a checkpoint, fused, channels last, without gradients."""
        model = network(checkpoint.architecture)
        model.load_state_dict(checkpoint.state)
        model = fused(model).to(memory_format=torch.channels_last).requires_grad_(False)
        return cls(model).eval()

    def train(self, mode: bool = True) -> Layers:
        """Stay in evaluation mode, whatever the mode; the head leaves its outputs as they are."""
        super().train(False)
        self.layers.model[-1].training = True  # type: ignore[index, union-attr]
        return self

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Run the layers."""
        dtype = next(self.layers.parameters()).dtype
        raw = self.layers(frames.permute(0, 3, 1, 2).to(dtype) / 255)
        return raw["boxes"], raw["scores"], raw["mask_coefficient"], raw["proto"]
