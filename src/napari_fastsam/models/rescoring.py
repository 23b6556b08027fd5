"""Decides how sure a score may be, from how steady its mask is.

A mask is where logits are above 0. Where it is drawn firmly, a threshold a little higher or lower
gives the same mask; where it is guessed, another one. The IoU of the two is its *stability* [1]_,
which follows the mask's IoU with the truth more closely than the network's score, that of a box.

References
----------
.. [1] Kirillov et al. 2023, "Segment Anything", arXiv 2304.02643, appendix B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fastsam.models.decode import CELL

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_fastsam.models.letterbox import Letterbox

OFFSET = 1.0
"""Logits by which the threshold is raised, and lowered."""
STEADY = 0.5
"""From this stability on, a score stays as it is."""
TOGETHER = 64
"""Objects whose logits are on a device at once, on all of the prototypes' grid."""


def rescored(scores: NDArray[np.float32], stability: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return scores (N,), lower for masks (N,) that are not steady.

    Never higher: what scores above a confidence then did so before, so that filtering by a
    confidence afterwards is the same as asking for it.
    """
    share = np.sqrt(np.minimum(stability / STEADY, 1))
    return np.asarray(scores * share, np.float32)


def stability(
    prototypes: Tensor,
    coefficients: NDArray[np.float32],
    bboxes: NDArray[np.int32],
    letterbox: Letterbox,
) -> NDArray[np.float64]:
    """Return (N,) in (0, 1]: IoU of each mask at a raised threshold with it at a lowered one.

    1 where nothing is above the raised threshold: such a mask gives no measure of its logits, as
    those of a network that draws all of its masks with small ones.

    Parameters
    ----------
    prototypes
        (32, h, w) on any device; the masks are compared on this grid.
    coefficients
        (N, 32).
    bboxes
        (N, 4) half-open ``(min_row, min_col, max_row, max_col)`` in image pixels.
    letterbox
        How the image lies in the frame.
    """
    gain = np.divide(letterbox.content, letterbox.image)
    low = np.floor((bboxes[:, :2] * gain + letterbox.offset) / CELL).astype(np.int64)
    high = np.ceil((bboxes[:, 2:] * gain + letterbox.offset) / CELL).astype(np.int64)
    windows = np.concatenate([low, high], 1)
    count = _count if prototypes.device.type == "cpu" else _count_on_device
    firm, faint = count(prototypes, coefficients, windows)
    return np.where(firm > 0, firm / np.maximum(faint, 1), 1.0)


def _count(
    prototypes: Tensor, coefficients: NDArray[np.float32], windows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (N,) cells above the raised and the lowered threshold, looking into windows alone."""
    cells = prototypes.float().numpy()
    counts = np.zeros((2, len(windows)), np.int64)
    for n, (top, left, bottom, right) in enumerate(windows.tolist()):
        logits = np.tensordot(coefficients[n], cells[:, top:bottom, left:right], 1)
        counts[:, n] = np.count_nonzero(logits > OFFSET), np.count_nonzero(logits > -OFFSET)
    return counts[0], counts[1]


def _count_on_device(
    prototypes: Tensor, coefficients: NDArray[np.float32], windows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the same, of many objects at once, where the prototypes are."""
    device = prototypes.device
    weights = torch.from_numpy(np.ascontiguousarray(coefficients)).to(device)
    sides = torch.from_numpy(windows).to(device)[..., None]
    row, col = (torch.arange(side, device=device) for side in prototypes.shape[1:])
    counts = []
    for start in range(0, len(windows), TOGETHER):
        top, left, bottom, right = sides[start : start + TOGETHER].unbind(1)
        inside = ((row >= top) & (row < bottom))[:, :, None] & ((col >= left) & (col < right))[
            :, None
        ]
        logits = (weights[start : start + TOGETHER] @ prototypes.float().flatten(1)).view_as(inside)
        counts.append(
            torch.stack([((logits > by) & inside).sum((1, 2)) for by in (OFFSET, -OFFSET)])
        )
    firm, faint = torch.cat(counts, 1).cpu().numpy() if counts else np.zeros((2, 0), np.int64)
    return firm, faint
