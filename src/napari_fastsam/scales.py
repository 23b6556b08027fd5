"""In which tiles a plane is looked at, chosen from the plane's size and that of its objects.

The network sees every image at one size of its own, and finds best what is about `SEEN_LENGTH`
pixels long there.

- Planes up to `LARGE` times as long as the network's size are looked at once.
- So are larger ones whose objects the look at the whole shows at least that long.
- Else parts of the plane are looked at as they are, at full resolution, where the look at the whole
  shows medium, more and most detail. Where they add few objects beside those that the look at the
  whole has found there, that was enough. Where they add more, tiles are of the size that shows the
  objects that were added about `SEEN_LENGTH` long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._seams import Window, cut_sides
from napari_fastsam.segmenter import find
from napari_fastsam.selection import everything
from napari_fastsam.tiling import Tiling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances
    from napari_fastsam.segmenter import Segmenter, Shown

LARGE = 2
"""Planes that are longer than this many times the network's size may be looked at in tiles."""

SEEN_LENGTH = 20
"""Square root of an object's area, in network pixels, from which it is seen well."""

_ENOUGH = 8  # objects whose median length says something
_ADDED = 4  # objects that closer looks add at least
_GAIN = 0.25  # and as a share of those that the look at the whole has found there
_PLACES = (0.0, 0.25, 0.5)  # where to look closer, as shares of all places, most detail first
_SAME_IOU = 0.5
_STEP = 64  # sides of tiles are multiples of this
_NEARLY_WHOLE = 0.75  # tiles as long as this share of the plane show it hardly larger


def choose_tiling(
    segmenter: Segmenter,
    image: Shown,
    small: NDArray[np.uint8],
    coarse: Instances,
    image_size: int,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Tiling | None:
    """Return the tiles to look at a plane in, None if one look at the whole is enough.

    Parameters
    ----------
    segmenter
        What looks.
    image
        The plane, read where it is looked at closer.
    small
        (h, w, 3) uint8: the picture of the whole that was looked at.
    coarse
        What was found in it, on the plane or on a smaller one of the same proportions.
    image_size
        Pixels of the longer side that the network sees.
    cancelled
        Asked before each look; tiles are not chosen any more then.
    """
    shape = (image.shape[0], image.shape[1])
    length = max(shape)
    if length <= LARGE * image_size:
        return None
    coarse = everything(coarse)
    seen_at = image_size / max(coarse.shape)
    if len(coarse) >= _ENOUGH and np.median(np.sqrt(coarse.areas)) * seen_at >= SEEN_LENGTH:
        return None
    added: list[float] = []
    known = 0
    for window in _places(small, shape, image_size):
        if cancelled():
            return None
        found = everything(find(segmenter, np.ascontiguousarray(image[window.slices])))
        found = found.shift((window.top, window.left), shape)
        frames = np.tile(window, (len(found), 1))
        found = found[~cut_sides(found.bboxes, frames, shape).any(1)]
        same = _matched(found, coarse)
        known += int(same.sum())
        added += np.sqrt(found.areas[~same]).tolist()
    if len(added) < max(_ADDED, _GAIN * known):
        return None
    size = image_size * float(np.median(added)) / SEEN_LENGTH
    size = -(-max(size, image_size / 2) // _STEP) * _STEP
    return None if size > _NEARLY_WHOLE * length else Tiling.of(int(size))


def _matched(found: Instances, coarse: Instances) -> NDArray[np.bool_]:
    """Return (N,): which objects the look at the whole, maybe on a smaller plane, has found too."""
    ratio = np.tile(np.array(coarse.shape) / found.shape, 2)
    boxes = found.bboxes * ratio
    low = np.maximum(boxes[:, None, :2], coarse.bboxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], coarse.bboxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    sizes = [(b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, coarse.bboxes.astype(float))]
    union = sizes[0][:, None] + sizes[1][None] - shared
    return np.asarray((shared >= _SAME_IOU * union).any(1))


def _places(small: NDArray[np.uint8], shape: tuple[int, int], side: int) -> Sequence[Window]:
    """Return the parts of a plane, `side` long, to look at closer; none twice."""
    from scipy.ndimage import uniform_filter

    grey = small.mean(2)
    ratio = max(shape) / max(grey.shape)
    detail = sum(np.abs(np.diff(grey, axis=axis, append=0)) for axis in (0, 1))
    detail[-1], detail[:, -1] = 0, 0  # no neighbours there
    length = max(int(side / ratio), 1)
    detail = uniform_filter(detail, length, mode="constant")
    starts = [
        np.unique(np.linspace(0, max(full - side, 0), -(-2 * full // side)).astype(int))
        for full in shape
    ]
    corners = np.array([(top, left) for top in starts[0] for left in starts[1]])
    middles = np.minimum((corners + side / 2) / ratio, np.array(grey.shape) - 1).astype(int)
    order = np.argsort(-detail[tuple(middles.T)], kind="stable")
    chosen = {int(order[int(share * len(order))]): None for share in _PLACES}
    return [
        Window(top, left, min(top + side, shape[0]), min(left + side, shape[1]))
        for top, left in corners[list(chosen)].tolist()
    ]
