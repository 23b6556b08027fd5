"""Where the network's predictions stand, and how their boxes are told from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

STRIDES = (8, 16, 32)


def anchors(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return (A, 2) x, y of every anchor in network pixels, and its stride, (A,)."""
    points, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        points.append((torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((x.numel(),), float(stride)))
    return torch.cat(points), torch.cat(strides)


def boxes_from(reach: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Return (A, 4) boxes from the distances to their left, top, right and bottom, in strides."""
    reach = reach * strides[:, None]
    return torch.cat([points - reach[:, :2], points + reach[:, 2:]], dim=1)


def sides_from(boxes: Tensor, points: Tensor, strides: Tensor, bins: int) -> Tensor:
    """Return (A, 4) distances in strides from each anchor to its box, within what bins can say."""
    reach = torch.cat([points - boxes[:, :2], boxes[:, 2:] - points], dim=1) / strides[:, None]
    return reach.clamp(0, bins - 1.01)
