"""How the objects of a plane are shown to CLIP, batch by batch: each by itself, or in windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from napari_fastsam.models._crops import box_shares, picture, shares, squares
from napari_fastsam.models._windows import Window, cover, surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances
    from napari_fastsam.models.clip_runtime import ClipRuntime
    from napari_fastsam.segmenter import Shown

CLOSE, AROUND = 1.1, 1.6
"""How many times longer than an object is the square that shows it alone, or in context."""
ALONE = 0.5
"""Weight of what an object looks like by itself, beside what it looks like in context."""

_HIDDEN = 12  # numbers at once for each of a token, in units of the network's width


class Batch(NamedTuple):
    """Some objects, and what they look like.

    Parameters
    ----------
    rows
        (B,) which objects.
    vectors
        (B, D) of length 1.
    """

    rows: NDArray[np.intp]
    vectors: NDArray[np.float32]


def by_crops(runtime: ClipRuntime, image: Shown, candidates: Instances) -> Iterator[Batch]:
    """Yield objects, each shown alone, on the colour that CLIP sees as none, and in context."""
    shape, size, grid = candidates.shape, runtime.size, runtime.grid
    close = squares(candidates.bboxes, CLOSE, shape)
    around = squares(candidates.bboxes, AROUND, shape)
    neutral = torch.tensor([round(255 * value) for value in runtime.mean])[:, None, None]
    # Those that fill their squares alike together: what is empty in a square is not computed.
    rows = np.argsort(candidates.areas / close[:, 2] ** 2, kind="stable")
    step = _batch(runtime, grid**2 + 1)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        pixels, seen = [], []
        for n in some:
            alone = torch.from_numpy(shares(candidates, n, close[n], size))
            shown = picture(image, close[n], size)
            pixels.append((alone * shown + (1 - alone) * neutral).round().byte())
            seen.append(torch.from_numpy(shares(candidates, n, close[n], grid) > 0).flatten())
        single = runtime.pictures(torch.stack(pixels), torch.stack(seen))
        context = runtime.pictures(torch.stack([picture(image, around[n], size) for n in some]))
        yield Batch(some, _weighted(single, context))


def by_windows(runtime: ClipRuntime, image: Shown, candidates: Instances) -> Iterator[Batch]:
    """Yield objects, as regions of windows that show several of about the same size."""
    boxes = surroundings(candidates.bboxes, candidates.shape)
    windows = cover(candidates.bboxes, candidates.shape)
    covered = [_covered(candidates, boxes, window, runtime.grid) for window in windows]
    tokens = [1 + len(shares) + np.count_nonzero(shares.any(0)) for shares in covered]
    order = np.argsort(tokens, kind="stable")  # alike ones together leave little empty
    while len(order):
        step = _batch(runtime, tokens[order[-1]])
        some, order = order[-step:], order[:-step]
        yield _regions(runtime, image, [windows[n] for n in some], [covered[n] for n in some])


def _covered(
    candidates: Instances, boxes: NDArray[np.int64], window: Window, grid: int
) -> NDArray[np.float32]:
    """Return which share (2K, P) of each patch the objects of a window and their boxes cover."""
    masks = [shares(candidates, n, window.square, grid) for n in window.rows]
    around = [box_shares(boxes[n], window.square, grid) for n in window.rows]
    return np.stack([*masks, *around]).reshape(2 * len(masks), -1)


def _regions(
    runtime: ClipRuntime, image: Shown, windows: list[Window], covered: list[NDArray[np.float32]]
) -> Batch:
    """Return what the objects of some windows look like, alone and with their surroundings."""
    filled = np.zeros((len(windows), max(map(len, covered)), runtime.grid**2), np.float32)
    for at, parts in enumerate(covered):
        filled[at, : len(parts)] = parts
    pixels = torch.stack([picture(image, window.square, runtime.size) for window in windows])
    vectors = runtime.regions(pixels, torch.from_numpy(filled))
    halves = [
        np.split(found[: len(parts)], 2) for found, parts in zip(vectors, covered, strict=True)
    ]
    alone, context = (np.concatenate(half) for half in zip(*halves, strict=True))
    return Batch(np.concatenate([window.rows for window in windows]), _weighted(alone, context))


def _weighted(alone: NDArray[np.float32], context: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one vector of length 1 for each two."""
    both = ALONE * alone + (1 - ALONE) * context
    lengths = np.linalg.norm(both, axis=1, keepdims=True)
    return np.asarray(both / np.maximum(lengths, 1e-6), np.float32)


def _batch(runtime: ClipRuntime, tokens: int) -> int:
    """Return how many pictures of so many tokens CLIP may see at once."""
    numbers = tokens * (runtime.width * _HIDDEN + tokens)
    return max(runtime.batch_bytes // (numbers * 4), 1)
