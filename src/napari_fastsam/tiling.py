"""How a plane larger than the network sees is looked at: tile by tile, and once as a whole.

Tiles overlap, and what they find is put together by the masks, see `napari_fastsam._seams`. The
look at the whole, at low resolution, adds the objects that are too large for a tile.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._seams import Look, Window, merge
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from numpy.typing import NDArray

    from napari_fastsam.segmenter import Segmenter


class Tiled:
    """A `Segmenter` for planes larger than the network sees.

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
    A tile shows fewer objects at a larger scale than the plane would: the default size is wrong
    where the objects are large, as then every tile sees only pieces. An object found in the look at
    the whole alone has an outline as coarse as that look.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> Tiled(fs.FastSAM("starter", device="cpu"), size=512, overlap=64).size
    512
    """

    def __init__(
        self, segmenter: Segmenter, *, size: int = 1024, overlap: int = 128, whole: bool = True
    ) -> None:
        fail_if(
            not 2 <= overlap <= size // 2,
            "tiles of 4 pixels or more that overlap by at least 2 and at most half of their size",
            f"size={size}, overlap={overlap}",
            "choose the overlap a little larger than most objects, and tiles of several times that",
        )
        self.segmenter = segmenter
        self.size = int(size)
        self.overlap = int(overlap)
        self.whole = bool(whole)

    @property
    def spec(self) -> Hashable:
        """What identifies the candidates: the segmenter's own spec and the tiling."""
        inner = getattr(self.segmenter, "spec", self.segmenter)
        return (inner, self.size, self.overlap, self.whole)

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
        if max(image.shape[:2]) <= self.size:
            return self.segmenter.segment(image)
        return merge(list(self.looks(image)), image.shape[:2])

    def looks(self, image: NDArray[np.uint8]) -> Iterator[Look]:
        """Yield what is found in each tile, and in the whole, in coordinates of the plane."""
        shape = (image.shape[0], image.shape[1])
        for window in windows(shape, self.size, self.overlap):
            tile = image[window.top : window.bottom, window.left : window.right]
            found = self.segmenter.segment(np.ascontiguousarray(tile))
            yield Look(window, found.shift((window.top, window.left), shape))
        if self.whole:
            factor = -(-max(shape) // self.size)
            found = self.segmenter.segment(shrunk(image, factor))
            sides = (found.bboxes[:, 2:] - found.bboxes[:, :2]).max(1) * factor
            yield Look(
                Window(0, 0, *shape),
                enlarged(found[sides > self.size // 2], factor, shape),
                coarse=True,
            )


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


def shrunk(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return an (H, W, C) image made of the means of its blocks of `factor` x `factor` pixels.

    Row of blocks by row of blocks, so the memory is that of the result.
    """
    height, width = image.shape[:2]
    cols = np.arange(0, width, factor)
    widths = np.diff(np.append(cols, width))[:, None]
    small = np.empty((-(-height // factor), len(cols), image.shape[2]), np.uint8)
    for n, line in enumerate(small):
        strip = image[n * factor : (n + 1) * factor]
        sums = np.add.reduceat(strip.sum(0, dtype=np.uint32), cols, axis=0)
        line[:] = (sums / (widths * len(strip)) + 0.5).astype(np.uint8)
    return small


def enlarged(found: Instances, factor: int, shape: tuple[int, int]) -> Instances:
    """Return objects of a shrunk plane on the plane of `shape` (H, W): each pixel is a block."""
    bboxes = np.minimum(found.bboxes * factor, np.tile(shape, 2))
    sizes = bboxes[:, 2:] - bboxes[:, :2]
    masks = [
        found.mask(n).repeat(factor, 0)[:height].repeat(factor, 1)[:, :width]
        for n, (height, width) in enumerate(sizes)
    ]
    return Instances.from_masks(shape, masks, bboxes, found.scores)


def _starts(length: int, size: int, overlap: int) -> list[int]:
    """Return where the tiles along one axis begin."""
    if length <= size:
        return [0]
    steps = -(-(length - size) // (size - overlap))
    return [step * (length - size) // steps for step in range(steps + 1)]
