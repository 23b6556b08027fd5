"""What tests of labelling share: planes of objects, and a person's strokes."""

from __future__ import annotations

import numpy as np

from napari_fastsam import Display, Instances, Labelling, PlaneAxes
from napari_fastsam.history import Edit

SHAPE = (9, 12)


def nested(shape=SHAPE, seed=0) -> Instances:
    """Return rectangles with holes that lie in, on and beside each other."""
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(9):
        mask = np.zeros(shape, bool)
        top, left = rng.integers(0, shape[0] - 2), rng.integers(0, shape[1] - 2)
        height, width = rng.integers(1, 6, 2)
        mask[top : top + height, left : left + width] = True
        if rng.random() < 0.3:
            mask[top + height // 2, left + width // 2] = False
        if mask.any():
            masks.append(mask)
    return Instances.from_masks(shape, masks, scores=rng.random(len(masks)))


def stroke(work: Labelling, plane, window, value) -> Edit:
    """Paint by hand: the array changes, and the labelling is told."""
    before = work.canvas.read(plane, window)
    after = np.full_like(before, value)
    work.canvas.write(plane, window, after)
    edit = Edit.between(plane, window, before, after)
    work.painted([edit])
    return edit


class Pool:
    """An image whose planes show numbered rectangles: the network that finds them is a look-up."""

    spec = "pool"

    def __init__(self, planes, seed=0) -> None:
        self.pools = [nested(seed=seed + n) for n in range(planes)]

    def segment(self, image) -> Instances:
        return self.pools[int(image[0, 0, 0])]


def numbered(layout: PlaneAxes) -> np.ndarray:
    """Return an image, 8 bit, each plane of which holds its own number."""
    image = np.zeros(layout.shape, np.uint8)
    for n, plane in enumerate(layout.indices()):
        image[layout.key(plane)] = n
    return image


AS_IS = Display(contrast_limits=(0, 255))
