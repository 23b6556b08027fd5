"""Labels from one array into another, chunk by chunk, so that memory does not follow their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.planes import PlaneAxes

CHUNK = 1024
"""Pixels along Y and X of a chunk."""

_WINDOW = 4096 * 4096  # pixels that are read at once to choose from


class Reordered:
    """An array whose axes are in another order; indexed by a slice for each axis."""

    def __init__(self, data: Any, order: Sequence[int]) -> None:
        self.data, self.order = data, tuple(order)
        self.shape = tuple(data.shape[n] for n in order)

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        inner = [slice(None)] * len(key)
        for n, part in zip(self.order, key, strict=True):
            inner[n] = part
        return np.asarray(self.data[tuple(inner)]).transpose(self.order)


def label_plane(
    axes: PlaneAxes,
    labels: Any,
    index: tuple[int, ...],
    window: tuple[slice, slice] | None = None,
) -> NDArray[Any]:
    """Return the (H, W) labels of one plane of an image with these axes.

    Of the plane only `window`, its rows and columns, if that is given.
    """
    plane = np.asarray(labels[axes.key(index, window)])
    return plane if axes.axes.index("Y") < axes.axes.index("X") else plane.T


def new_array(
    path: Path,
    shape: Sequence[int],
    chunks: Sequence[int],
    names: Sequence[str],
    *,
    zarr_format: Literal[2, 3] = 3,
    attributes: dict[str, Any] | None = None,
) -> Any:
    """Make a zarr array of zeros for labels that names its axes."""
    import zarr

    return zarr.create_array(
        path,
        shape=tuple(shape),
        dtype="uint32",
        chunks=tuple(chunks),
        fill_value=0,
        zarr_format=zarr_format,
        chunk_key_encoding={"name": "v2" if zarr_format == 2 else "default", "separator": "/"},
        dimension_names=list(names) if zarr_format == 3 else None,
        attributes=attributes or {},
    )


def copy(labels: Any, target: Any) -> None:
    """Copy labels into an empty zarr array, chunk by chunk; those without labels are left out."""
    for place in _grid(target.shape, target.chunks):
        chunk = np.asarray(labels[place], np.uint32)
        if chunk.any():
            target[place] = chunk


def copy_nearest(labels: Any, target: Any) -> None:
    """Fill an empty zarr array of fewer pixels with those of the labels that are nearest.

    Pixel i of the target is pixel ``i * before // after`` of the labels on each axis, so that both
    begin at the same place.
    """
    factor = [-(-big // small) for big, small in zip(labels.shape, target.shape, strict=True)]
    block = list(target.chunks)
    while (np.array(block) * factor).prod() > _WINDOW and max(block) > 1:
        widest = int(np.argmax(block))
        block[widest] = -(-block[widest] // 2)
    for place in _grid(target.shape, block):
        wanted = [
            np.arange(part.start, min(part.stop, small)) * big // small
            for part, big, small in zip(place, labels.shape, target.shape, strict=True)
        ]
        window = tuple(slice(int(at[0]), int(at[-1]) + 1) for at in wanted)
        near = np.asarray(labels[window], np.uint32)[np.ix_(*(at - at[0] for at in wanted))]
        if near.any():
            target[place] = near


def _grid(shape: Sequence[int], block: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield the blocks that an array falls into."""
    starts = [range(0, size, step) for size, step in zip(shape, block, strict=True)]
    for n in np.ndindex(*map(len, starts)):
        yield tuple(
            slice(at[k], at[k] + step) for at, k, step in zip(starts, n, block, strict=True)
        )
