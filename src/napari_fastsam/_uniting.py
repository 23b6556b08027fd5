"""How the pieces of an object, each seen in a tile, become one object again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._seams import MARGIN, Window, crop
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from numpy.typing import NDArray

COVERED = 0.5
"""Share of an object, or of its end, from which others stand for it."""

_OUTWARD = np.array([-1, -1, 1, 1])  # where top, left, bottom, right lie


def union(pieces: Instances) -> Instances:
    """Return the union of an object's pieces.

    Its score is theirs, weighted by area, and its class that of the largest.
    """
    bbox = np.append(pieces.bboxes[:, :2].min(0), pieces.bboxes[:, 2:].max(0))
    canvas = np.zeros(bbox[2:] - bbox[:2], bool)
    for n in range(len(pieces)):
        top, left, bottom, right = pieces.bboxes[n] - np.tile(bbox[:2], 2)
        canvas[top:bottom, left:right] |= pieces.mask(n)
    score = np.average(pieces.scores, weights=pieces.areas)
    united = Instances.from_masks(pieces.shape, [canvas], [bbox], [score])
    return united.classed_as(pieces, [int(pieces.areas.argmax())])


def is_whole(pieces: Instances, frames: NDArray[np.int64], cut: NDArray[np.bool_]) -> bool:
    """Return whether each end that a tile cuts off goes on in a tile that sees further.

    Parameters
    ----------
    pieces
        N candidates of tiles.
    frames
        (N, 4) the tile that each comes from.
    cut
        (N, 4): whether the tile's top, left, bottom, right edge cuts it.
    """
    for n, side in zip(*np.nonzero(cut), strict=True):
        end = _end(pieces.bboxes[n], int(side))
        own = crop(pieces, int(n), end)
        further = (frames[:, side] - frames[n, side]) * _OUTWARD[side] > 0
        others = np.zeros_like(own)
        for m in np.flatnonzero(further):
            if end.meet(Window(*pieces.bboxes[m].tolist())):
                others |= crop(pieces, int(m), end)
        if np.count_nonzero(own & others) < COVERED * np.count_nonzero(own):
            return False
    return True


def _end(bbox: NDArray[np.int32], side: int) -> Window:
    """Return the strip of a box that lies at its top, left, bottom or right."""
    strip = bbox.tolist()
    inner, axis = (side + 2) % 4, side % 2
    reach = min(MARGIN, int(bbox[axis + 2] - bbox[axis]))
    strip[inner] = strip[side] - int(_OUTWARD[side]) * reach
    return Window(*strip)
