"""Which boxes stay, and which of their pixels are objects, where the outputs are on a GPU.

The same as `detect` and `decode` say, worked out there: what comes back is a box and a score for
each object, and its mask, cut to the box, a bit for each pixel. Arithmetic is in single precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fastsam.models._triton import without_triton
from napari_fastsam.models.decode import Upscaling
from napari_fastsam.models.detect import COEFFICIENTS, MAX_COMPARED, Detections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_fastsam.models.letterbox import Letterbox

MOST_PIXELS = 1 << 22
"""At most so many pixels are scaled up at once."""
MOST_CELLS = 1 << 26
"""At most so many logits on the prototypes' grid, of all objects, are there at once."""

_NMS_DEVICES = ("cpu", "cuda")
_BITS = (128, 64, 32, 16, 8, 4, 2, 1)


def detect(
    predictions: Tensor, *, confidence: float, iou: float, max_candidates: int
) -> Detections:
    """Return what `napari_fastsam.models.detect.detect` does of the same predictions."""
    scores, classes = predictions[4:-COEFFICIENTS].max(0)
    order = scores.argsort(descending=True, stable=True)[:MAX_COMPARED]
    centre, size = predictions[:2, order].T, predictions[2:4, order].T
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    # What scores too low goes afterwards: as it comes last, it removes nothing that stays.
    best = order[kept := _suppress(boxes, scores[order], iou)[:max_candidates]]
    coefficients = predictions[-COEFFICIENTS:, best].T
    told = torch.cat([boxes[kept], scores[best, None], classes[best, None], coefficients], 1)
    found = _fetched(told)
    found = found[found[:, 4] > confidence]
    return Detections(found[:, :4], found[:, 4], found[:, 6:], found[:, 5].astype(np.intp))


@cache
def _nms() -> Any:
    """Import what suppresses boxes."""
    with without_triton():
        from torchvision.ops import nms
    return nms


def _suppress(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Return the rows of boxes that overlap no better one that stays, the best first."""
    where = boxes.device if boxes.device.type in _NMS_DEVICES else "cpu"
    kept: Tensor = _nms()(boxes.to(where), scores.to(where), iou)
    return kept.to(boxes.device)


def decode(
    prototypes: Tensor,
    coefficients: NDArray[np.float32],
    bboxes: NDArray[np.int32],
    letterbox: Letterbox,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which objects have a pixel at all, and the masks of those, cropped to their boxes.

    What `napari_fastsam.models.decode.decode` does of the same, but for logits so near to 0 that
    the order of additions decides.

    Parameters
    ----------
    prototypes
        (32, h / 4, w / 4) for a frame of (h, w), on the device.
    coefficients, bboxes, letterbox
        As there.
    """
    device = prototypes.device
    rows, cols = (_taps(axis, letterbox, device) for axis in (0, 1))
    sides = np.maximum(bboxes[:, 2:].astype(np.int64) - bboxes[:, :2], 0)
    areas = sides.prod(1)
    starts = np.concatenate([[0], np.cumsum(areas)])
    boxes = _Boxes(
        torch.from_numpy(bboxes[:, :2].astype(np.int64)).to(device),
        torch.from_numpy(sides[:, 1]).to(device),
        torch.from_numpy(starts).to(device),
    )
    cells = prototypes.float().flatten(1)
    weighed = torch.from_numpy(np.ascontiguousarray(coefficients)).to(device)
    found = torch.zeros(len(bboxes), dtype=torch.bool, device=device)
    packed: list[Tensor] = []
    pieces: list[tuple[int, int]] = []
    for first, last in _groups(areas, cells.shape[1]):
        logits = (weighed[first:last] @ cells).view(-1, *prototypes.shape[1:])
        for start, stop in _split(int(starts[first]), int(starts[last])):
            inside = np.clip(starts[first : last + 1], start, stop)
            owners = _owners(inside, first, device)
            scaled = _scaled(logits, first, owners, start, boxes, rows, cols)
            found[first:last] |= _any(scaled > 0, inside - start)
            packed.append(_pack(scaled > 0))
            pieces.append((start, stop))
    there = _fetched(found)
    if not packed:
        return there, np.empty(0, bool)
    bits = _fetched(torch.cat(packed))
    buffer = np.empty(int(starts[-1]), bool)
    at = 0
    for start, stop in pieces:
        end = at + -(-(stop - start) // len(_BITS))
        buffer[start:stop] = np.unpackbits(bits[at:end], count=stop - start)
        at = end
    return there, _without_gaps(buffer, starts, there)


@dataclass(frozen=True, slots=True, eq=False)
class _Boxes:
    """Where each box is: corner (N, 2), width (N,), and (N + 1,) where its pixels start."""

    corners: Tensor
    widths: Tensor
    starts: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Taps:
    """An `Upscaling` of (pixels, cells) as its few shares of each pixel that are not 0.

    `cells` and `weights` are (taps, pixels): from which cell, and how much of it.
    """

    cells: Tensor
    weights: Tensor


@lru_cache(maxsize=32)
def _taps(axis: int, letterbox: Letterbox, device: torch.device) -> _Taps:
    """Return the upscaling along an axis, on a device; kept, as planes of a stack are alike."""
    scaling = Upscaling.along(axis, letterbox)
    count = int((scaling.stop - scaling.first).max())
    cells = np.minimum(scaling.first + np.arange(count)[:, None], scaling.weights.shape[1] - 1)
    weights = scaling.weights[np.arange(len(scaling.first)), cells]
    weights[scaling.first + np.arange(count)[:, None] >= scaling.stop] = 0
    return _Taps(torch.from_numpy(cells).to(device), torch.from_numpy(weights).to(device))


def _groups(areas: NDArray[np.int64], cells: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of objects whose pixels and logits fit; one that does not, alone."""
    first, pixels = 0, 0
    for n, area in enumerate(areas.tolist()):
        full = pixels + area > MOST_PIXELS or (n + 1 - first) * cells > MOST_CELLS
        if n > first and full:
            yield first, n
            first, pixels = n, 0
        pixels += area
    if len(areas):
        yield first, len(areas)


def _split(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Split a range of pixels into those that are scaled up at once."""
    return pairwise([*range(start, stop, MOST_PIXELS), stop])


def _owners(inside: NDArray[np.int64], first: int, device: torch.device) -> Tensor:
    """Return for each pixel of a range the object that it is of; `inside` is where each starts."""
    objects = torch.arange(first, first + len(inside) - 1, device=device)
    counts = torch.from_numpy(np.diff(inside)).to(device)
    return objects.repeat_interleave(counts, output_size=int(inside[-1] - inside[0]))


def _scaled(
    logits: Tensor, first: int, owners: Tensor, start: int, boxes: _Boxes, rows: _Taps, cols: _Taps
) -> Tensor:
    """Return the logits, scaled up, at pixels from `start` on; `logits` are of `first` and on."""
    place = torch.arange(start, start + len(owners), device=owners.device) - boxes.starts[owners]
    width = boxes.widths[owners]
    down = place.div(width, rounding_mode="floor")
    row = boxes.corners[owners, 0] + down
    col = boxes.corners[owners, 1] + place - down * width
    base = (owners - first) * logits[0].numel()
    flat = logits.view(-1)
    total = torch.zeros(len(owners), device=owners.device)
    for from_col, by_col in zip(cols.cells, cols.weights, strict=True):
        column = base + from_col[col]
        mixed = torch.zeros_like(total)
        for from_row, by_row in zip(rows.cells, rows.weights, strict=True):
            mixed += by_row[row] * flat[column + from_row[row] * logits.shape[2]]
        total += by_col[col] * mixed
    return total


def _any(inside: Tensor, bounds: NDArray[np.int64]) -> Tensor:
    """Return whether anything is True between each of the bounds and the next."""
    counts = torch.nn.functional.pad(inside.cumsum(0, dtype=torch.int32), (1, 0))
    return counts[torch.from_numpy(bounds).to(inside.device)].diff() > 0


def _pack(inside: Tensor) -> Tensor:
    """Return booleans as bits, uint8, the last byte filled up with zeros: `numpy.packbits`."""
    padded = torch.nn.functional.pad(inside.to(torch.uint8), (0, -len(inside) % len(_BITS)))
    bits = torch.tensor(_BITS, dtype=torch.uint8, device=inside.device)
    return (padded.view(-1, len(_BITS)) * bits).sum(1, dtype=torch.uint8)


def _fetched(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor as an array, through memory that the device can write to by itself."""
    if tensor.device.type != "cuda":
        return np.asarray(tensor.cpu().numpy())
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return np.asarray(host.numpy())


def _without_gaps(
    buffer: NDArray[np.bool_], starts: NDArray[np.int64], found: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the masks of the objects found, one after the other."""
    if found.all():
        return buffer
    parts = [buffer[starts[n] : starts[n + 1]] for n in np.flatnonzero(found)]
    return np.concatenate(parts) if parts else buffer[:0]
