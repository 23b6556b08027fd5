"""What runs the network, whatever it is: a batch of frames in, raw outputs out.

Everything around it is shared: letterbox before, and after it the choice of boxes and the masks
inside them. A network computes nothing but its layers, so each runtime can be the fastest that it
is, and no two differ in what becomes of their outputs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch

from napari_fastsam._checks import fail_if
from napari_fastsam.models.anchors import anchors, boxes_from
from napari_fastsam.models.detect import COEFFICIENTS, MAX_COMPARED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


class Raw(NamedTuple):
    """What the network says of one frame of (h, w), with A anchors and C classes.

    Tensors, float32 or float16, on the device where the network ran.

    Parameters
    ----------
    sides
        (4 * reg_max, A) logits of the distance from each anchor to each side of its box, or with a
        reg_max of 1 these distances.
    scores
        (C, A) logits.
    coefficients
        (32, A) of the masks.
    prototypes
        (32, h / 4, w / 4).
    """

    sides: Tensor
    scores: Tensor
    coefficients: Tensor
    prototypes: Tensor


class Decoded(NamedTuple):
    """What an exported network says of one frame, whose boxes it has worked out itself.

    Parameters
    ----------
    columns
        (4 + C + 32, A), as `predictions` returns them, of every anchor.
    prototypes
        (32, h / 4, w / 4).
    """

    columns: Tensor
    prototypes: Tensor


class Network(Protocol):
    """The layers of a network, run somewhere; any number of threads may call it."""

    @property
    def description(self) -> str:
        """What runs where and at which precision, as ``"CPU · fp32"``."""
        ...

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> Sequence[Raw | Decoded]:
        """Return what the network says of frames (h, w, 3), RGB, all of one size."""
        ...


@runtime_checkable
class BatchNetwork(Protocol):
    """A `Network` that is faster when it is shown several frames at once."""

    @property
    def most_frames(self) -> int:
        """How many frames it takes at most, whatever their size."""
        ...

    def batch_for(self, height: int, width: int) -> int:
        """Return how many frames (h, w) to show it at once; finding out may take one look."""
        ...

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> Sequence[Raw | Decoded]:
        """As that of a `Network`."""
        ...


def require_finite(finite: bool) -> None:
    """Refuse outputs with infinities or NaN: nothing would be found, and nobody would know why."""
    fail_if(
        not finite,
        "finite predictions",
        "infinities or NaN, so the weights are too large for the network",
        "fetch the model again, or train it at a lower learning rate",
    )


def predictions(raw: Raw | Decoded, confidence: float) -> Tensor:
    """Return (4 + C + 32, K), float32: the anchors of a score above `confidence`, for `detect`.

    Box centre x, y, width and height in network pixels, class probabilities, mask coefficients.
    Boxes are worked out for these alone, where the network ran.
    """
    if isinstance(raw, Decoded):
        likely = raw.columns[4:-COEFFICIENTS].amax(0) > confidence
        return raw.columns[:, likely].float()
    best = raw.scores.float().amax(0)
    with np.errstate(divide="ignore"):
        least = np.log(np.float64(confidence)) - np.log1p(-np.float64(confidence))
    kept = (best >= float(np.nextafter(np.float32(least), np.float32(-np.inf)))).nonzero()[:, 0]
    if len(kept) > MAX_COMPARED:
        order = best[kept].argsort(descending=True, stable=True)
        kept = kept[order[:MAX_COMPARED]].sort().values
    height, width = (4 * side for side in raw.prototypes.shape[1:])
    points, strides = (part[kept] for part in _anchors(height, width, kept.device))
    bins = raw.sides[:, kept].float().unflatten(0, (4, -1))
    if bins.shape[1] == 1:  # distances, not how likely each is
        reach = bins[:, 0].T
    else:
        steps = torch.arange(bins.shape[1], dtype=bins.dtype, device=bins.device)
        reach = torch.einsum("sba,b->as", bins.softmax(1), steps)
    low, high = boxes_from(reach, points, strides).split(2, 1)
    probabilities = raw.scores[:, kept].float().sigmoid()
    coefficients = raw.coefficients[:, kept].float()
    assert len(coefficients) == COEFFICIENTS
    return torch.cat([((low + high) / 2).T, (high - low).T, probabilities, coefficients])


@lru_cache(maxsize=16)
def _anchors(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return `anchors` on a device, kept for the frames that follow."""
    points, strides = anchors(height, width)
    return points.to(device), strides.to(device)
