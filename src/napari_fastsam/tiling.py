"""How a plane larger than the network sees is looked at: tile by tile, and once as a whole.

Tiles overlap, and what they find is put together by the masks, see `napari_fastsam._merging`. The
look at the whole, at low resolution, adds the objects that are too large for a tile.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._merging import Merger
from napari_fastsam._resampling import enlarged, shrunk
from napari_fastsam._seams import Window
from napari_fastsam.instances import Instances
from napari_fastsam.segmenter import (
    BatchSegmenter,
    ScaledSegmenter,
    batch_size,
    find,
    find_many,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.segmenter import Segmenter, Shown

MASK_LENGTH = 4096
"""Pixels of the longer side at which the look at a larger plane makes its masks at most."""

_LARGE_PIXELS = 1 << 26  # what all objects of the look at the whole may take, or half of the plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How a plane is cut into tiles.

    Parameters
    ----------
    size
        Length of a tile's side in pixels.
    overlap
        How far in pixels neighbouring tiles overlap at least, from 2 to half of `size`.
    whole
        Look at the whole plane once more, shrunk, for objects longer than half a tile.

    Raises
    ------
    ValueError
        If `size` or `overlap` is out of its range.
    """

    size: int
    overlap: int
    whole: bool = True

    def __post_init__(self) -> None:
        fail_if(
            not 2 <= self.overlap <= self.size // 2,
            "tiles of 4 pixels or more that overlap by at least 2 and at most half of their size",
            f"size={self.size}, overlap={self.overlap}",
            "choose the overlap a little larger than most objects, and tiles of several times that",
        )

    @classmethod
    def of(cls, size: int) -> Tiling:
        """Return tiles of `size` pixels that overlap by an eighth of it."""
        return cls(size=int(size), overlap=max(int(size) // 8, 2))

    def windows(self, shape: tuple[int, int]) -> list[Window]:
        """Return the tiles of a plane of `shape` (H, W), row by row."""
        return windows(shape, self.size, self.overlap)


class Tiled:
    """A `Segmenter` that always looks at large planes in tiles of one size.

    Parameters
    ----------
    segmenter
        What looks at each tile.
    size
        Length of a tile's side in pixels. Planes that are not larger go straight through.
    overlap
        How far in pixels neighbouring tiles overlap at least, from 2 to half of `size`. Objects no
        longer than this are whole in at least one tile.
    whole
        Look at the whole plane once more, shrunk to `size`, for objects longer than half a tile.

    Raises
    ------
    ValueError
        If `size` or `overlap` is out of its range.

    Notes
    -----
    `run` and all that is built on it choose tiles by themselves, as ``ModelSpec(tile="auto")``
    says, and read them one by one; this is for arrays in memory and segmenters of your own. A tile
    shows fewer objects at a larger scale than the plane would: the default size is wrong where the
    objects are large, as then every tile sees only pieces.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> Tiled(fs.FastSAM("starter", device="cpu"), size=512, overlap=64).size
    512
    """

    def __init__(
        self, segmenter: Segmenter, *, size: int = 1024, overlap: int = 128, whole: bool = True
    ) -> None:
        self.tiling = Tiling(size=int(size), overlap=int(overlap), whole=bool(whole))
        self.segmenter = segmenter

    @property
    def size(self) -> int:
        """Length of a tile's side in pixels."""
        return self.tiling.size

    @property
    def spec(self) -> Hashable:
        """What identifies the candidates: the segmenter's own spec and the tiling."""
        return (getattr(self.segmenter, "spec", self.segmenter), self.tiling)

    def segment(self, image: NDArray[Any]) -> Instances:
        """Return the candidates of an image of shape (H, W, 3), uint8, RGB, the best first.

        Raises
        ------
        ValueError
            If the image is anything else.
        """
        fail_if(
            image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8,
            "an image of shape (H, W, 3), uint8",
            f"shape {image.shape}, dtype {image.dtype}",
            "convert the plane as a whole with napari_fastsam.to_rgb, so that tiles look alike",
        )
        shape = (image.shape[0], image.shape[1])
        if max(shape) <= self.size:
            return find(self.segmenter, image)
        large = Instances.empty(shape)
        if self.tiling.whole:
            small = shrunk(image, -(-max(shape) // self.size))
            large = too_large(coarse_look(self.segmenter, small, shape), self.tiling, shape)
        tiles = self.tiling.windows(shape)
        with closing(look_at_tiles(self.segmenter, image, tiles)) as looks:
            found = put_together(tiles, large, lambda tile: next(looks))
        assert found is not None  # as nobody could cancel
        return found


def coarse_look(
    segmenter: Segmenter, small: NDArray[np.uint8], shape: tuple[int, int]
) -> Instances:
    """Return what is found in a small picture of a plane of `shape` (H, W).

    On a plane of `shape` where the segmenter can make masks for that, and on a smaller one,
    `MASK_LENGTH` long at most, where that would take too much memory.
    """
    if not isinstance(segmenter, ScaledSegmenter) or not segmenter.image_size:
        return find(segmenter, small)
    factor = -(-max(shape) // MASK_LENGTH)
    masks = tuple(-(-side // factor) for side in shape)
    return find(segmenter, small, shape=(masks[0], masks[1]))


def too_large(found: Instances, tiling: Tiling, shape: tuple[int, int]) -> Instances:
    """Return the objects of a coarse look that are longer than half a tile, on the whole plane.

    The best of them where all would take too much memory.
    """
    ratio = max(shape) / max(found.shape)
    sides = (found.bboxes[:, 2:] - found.bboxes[:, :2]).astype(np.int64)
    rows = np.flatnonzero(sides.max(1, initial=0) * ratio > tiling.size // 2)
    rows = rows[np.argsort(-found.scores[rows], kind="stable")]
    pixels = np.cumsum(sides[rows].prod(1) * ratio**2)
    affordable = max(_LARGE_PIXELS, shape[0] * shape[1] // 2)
    return enlarged(found[rows[pixels <= affordable]], shape)


def look_at_tile(segmenter: Segmenter, image: Shown, tile: Window) -> Instances:
    """Return what is found in a tile, on the whole plane."""
    found = find(segmenter, np.ascontiguousarray(image[tile.slices]))
    return found.shift((tile.top, tile.left), (image.shape[0], image.shape[1]))


def look_at_tiles(
    segmenter: Segmenter, image: Shown, tiles: Sequence[Window]
) -> Generator[Instances, None, None]:
    """Yield what is found in each of some tiles of one size, in order, on the whole plane.

    Several are looked at together, and read by another thread, where the segmenter likes that.
    """
    if not isinstance(segmenter, BatchSegmenter) or batch_size(segmenter) < 2:
        yield from (look_at_tile(segmenter, image, tile) for tile in tiles)
        return
    shape, first = (image.shape[0], image.shape[1]), tiles[0]
    parts = (np.ascontiguousarray(image[tile.slices]) for tile in tiles)
    side = (first.bottom - first.top, first.right - first.left)
    with closing(find_many(segmenter, parts, side)) as looks:
        for tile, found in zip(tiles, looks, strict=True):
            yield found.shift((tile.top, tile.left), shape)


def put_together(
    tiles: Sequence[Window],
    large: Instances,
    found_in: Callable[[Window], Instances],
    *,
    confidence: float = 0.0,
    cancelled: Callable[[], bool] = lambda: False,
    looked: Callable[[int, int], None] = lambda done, total: None,
) -> Instances | None:
    """Return the objects of a plane, the best first; None if that was cancelled.

    Parameters
    ----------
    tiles
        All of them, row by row.
    large
        Objects that are too large for them, see `too_large`.
    found_in
        Returns what is found in one, on the whole plane, see `look_at_tile`; asked in their order.
    confidence
        What scores below this is left out once it is whole.
    cancelled
        Asked before each tile.
    looked
        Called after each tile with how many are done, and their total.
    """
    merger = Merger(tiles, large, confidence=confidence)
    top = tiles[0].top
    for done, tile in enumerate(tiles, 1):
        if cancelled():
            return None
        if tile.top != top:
            top = tile.top
            merger.settle(top)
        merger.add(tile, found_in(tile))
        looked(done, len(tiles))
    return merger.finish()


def windows(shape: tuple[int, int], size: int, overlap: int) -> list[Window]:
    """Return the tiles of a plane, row by row, evenly spread, overlapping by at least `overlap`.

    Examples
    --------
    >>> [(w.left, w.right) for w in windows((10, 25), 10, 2)]
    [(0, 10), (7, 17), (15, 25)]
    """
    rows, cols = (_starts(length, size, overlap) for length in shape)
    height, width = (min(length, size) for length in shape)
    return [Window(row, col, row + height, col + width) for row, col in product(rows, cols)]


def _starts(length: int, size: int, overlap: int) -> list[int]:
    """Return where the tiles along one axis begin."""
    if length <= size:
        return [0]
    steps = -(-(length - size) // (size - overlap))
    return [step * (length - size) // steps for step in range(steps + 1)]
