"""What the candidates of an image are, from what the network says of its frame.

Boxes are chosen and masks made where the network's outputs are: in NumPy, or on the GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.instances import Instances
from napari_fastsam.models import decode, detect
from napari_fastsam.models.device import beside
from napari_fastsam.models.network import predictions
from napari_fastsam.models.quality import improved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fastsam.models.letterbox import Letterbox
    from napari_fastsam.models.network import Decoded, Raw
    from napari_fastsam.segmenter import ModelSpec

SNAP_DISTANCE = 20
"""A box side this close to the border, in network pixels, lies on it."""
HOST_DEVICES = ("cpu",)
"""Kinds of device whose outputs NumPy takes without a copy."""


def candidates(
    raw: Raw | Decoded,
    letterbox: Letterbox,
    frame: NDArray[np.uint8],
    spec: ModelSpec,
    names: tuple[str, ...] = (),
) -> Instances:
    """Return the objects of an image, by descending score.

    Parameters
    ----------
    raw
        What the network says of the frame.
    letterbox
        How the image lies in it.
    frame
        (h, w, 3), RGB.
    spec
        Which boxes stay: its confidence, IoU and most candidates; and whether to refine.
    names
        What the classes of the network are called; empty where they say nothing.
    """
    with beside(raw.prototypes.device):
        return _candidates(raw, letterbox, frame, spec, names)


def _candidates(
    raw: Raw | Decoded,
    letterbox: Letterbox,
    frame: NDArray[np.uint8],
    spec: ModelSpec,
    names: tuple[str, ...],
) -> Instances:
    """Return the same, on whatever stream of the device."""
    above = predictions(raw, spec.confidence)
    limits = {"confidence": spec.confidence, "iou": spec.iou}
    host = above.device.type in HOST_DEVICES
    if host:
        found = detect.detect(above.numpy(), **limits, max_candidates=spec.max_candidates)
    else:
        from napari_fastsam.models import on_device

        found = on_device.detect(above, **limits, max_candidates=spec.max_candidates)
    height, width = letterbox.image
    boxes = letterbox.to_image(found.boxes)
    reach = (
        SNAP_DISTANCE * width / letterbox.content[1],
        SNAP_DISTANCE * height / letterbox.content[0],
    )
    boxes = detect.snap(boxes, (width, height), reach)
    # A pixel belongs to a box if its corner (column, row) does, as in ultralytics.
    bboxes = np.ceil(boxes).astype(np.int32)[:, [1, 0, 3, 2]]
    if host:
        prototypes = raw.prototypes.float().numpy()
        kept, buffer = decode.decode(prototypes, found.coefficients, bboxes, letterbox)
    else:
        kept, buffer = on_device.decode(raw.prototypes, found.coefficients, bboxes, letterbox)
    # Exports need not name each of their classes.
    known = np.where(found.classes < len(names), found.classes, -1)[kept]
    classes = known if names else None
    objects = Instances(letterbox.image, bboxes[kept], found.scores[kept], buffer, classes, names)
    if not spec.refine:
        return objects
    better = improved(objects, found.coefficients[kept], raw.prototypes, frame, letterbox)
    return better[better.scores > spec.confidence]
