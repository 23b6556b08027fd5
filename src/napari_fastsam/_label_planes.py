"""Whether an array is a plane of labels, and small enough ones to index by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

INDEXED = 1 << 26
"""An array that is indexed by label has fewer entries than this."""


def renumbered(plane: NDArray[Any]) -> NDArray[Any]:
    """Return a plane whose largest label is small enough to index by."""
    if plane.max(initial=0) < INDEXED:
        return plane
    values, dense = np.unique(plane, return_inverse=True)
    return np.asarray(dense.reshape(plane.shape) + (values[0] > 0))


def checked(labels: ArrayLike, shape: tuple[int, int] | None = None) -> NDArray[Any]:
    """Return the labels of a plane, or say what is wrong with them."""
    plane = np.asarray(labels)
    fail_if(
        plane.ndim != 2 or plane.dtype.kind not in "biu",
        "planes of integer labels, each (H, W)",
        f"shape {plane.shape}, dtype {plane.dtype}",
        "pass label images, (Z, Y, X), and convert floats with labels.astype(np.uint32)",
    )
    fail_if(
        shape is not None and plane.shape != shape,
        f"planes of one shape, {shape} so far",
        f"shape {plane.shape}",
        "crop or pad the planes to one shape, or reset() between series",
    )
    fail_if(
        plane.dtype.kind == "i" and plane.min(initial=0) < 0,
        "labels from 0, the background",
        f"{plane.min(initial=0)}",
        "set negative labels to 0, np.maximum(labels, 0)",
    )
    return plane.astype(np.uint8) if plane.dtype.kind == "b" else plane
