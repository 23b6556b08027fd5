"""Instances as a few plain arrays, masks in bits, for files that any program can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def pack(found: Instances) -> dict[str, NDArray[Any]]:
    """Return all of some instances as arrays, as `numpy.savez` takes them."""
    return {
        "shape": np.array(found.shape, np.int64),
        "bboxes": found.bboxes,
        "scores": found.scores,
        "masks": np.packbits(found.buffer),
    }


def unpack(arrays: Mapping[str, NDArray[Any]]) -> Instances:
    """Return the instances that `pack` made arrays of."""
    height, width = (int(n) for n in arrays["shape"])
    bboxes = arrays["bboxes"]
    pixels = int((bboxes[:, 2:] - bboxes[:, :2]).astype(np.int64).prod(1).sum())
    buffer = np.unpackbits(arrays["masks"], count=pixels).astype(bool)
    return Instances((height, width), bboxes, arrays["scores"], buffer)
