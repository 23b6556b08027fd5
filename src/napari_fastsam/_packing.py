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
    arrays: dict[str, NDArray[Any]] = {
        "shape": np.array(found.shape, np.int64),
        "bboxes": found.bboxes,
        "scores": found.scores,
        "masks": np.packbits(found.buffer),
    }
    if found.classes is not None:
        arrays |= {"classes": found.classes, "names": np.array(found.names, str)}
    return arrays


def unpack(arrays: Mapping[str, NDArray[Any]]) -> Instances:
    """Return the instances that `pack` made arrays of."""
    height, width = (int(n) for n in arrays["shape"])
    bboxes = arrays["bboxes"]
    pixels = int((bboxes[:, 2:] - bboxes[:, :2]).astype(np.int64).prod(1).sum())
    buffer = np.unpackbits(arrays["masks"], count=pixels).astype(bool)
    classes, names = (arrays["classes"], arrays["names"]) if "classes" in arrays else (None, ())
    return Instances(
        (height, width), bboxes, arrays["scores"], buffer, classes, tuple(map(str, names))
    )
