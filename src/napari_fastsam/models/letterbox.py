"""Decides how an image fits into the network's frame, and how the frame maps back to its pixels.

The longer side takes the network's image size, the shorter keeps the aspect ratio, and grey fills
both sides of it up to the next multiple of the stride. x, y order is that of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.models._ultralytics import opencv

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIDE = 32
"""Sides of what the network sees are multiples of this."""
FILL = 114
"""The grey that the network was trained to see around an image."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where an image lies in the frame that the network sees.

    Parameters
    ----------
    image
        (H, W) of the image in pixels.
    frame
        (h, w) of the frame in network pixels, multiples of `STRIDE`.
    content
        (h, w) of the resized image inside the frame.
    offset
        (row, column) of its first pixel inside the frame.

    Examples
    --------
    >>> Letterbox.fit((300, 400), 640)
    Letterbox(image=(300, 400), frame=(480, 640), content=(480, 640), offset=(0, 0))
    >>> Letterbox.fit((100, 400), 640).offset
    (0, 0)
    """

    image: tuple[int, int]
    frame: tuple[int, int]
    content: tuple[int, int]
    offset: tuple[int, int]

    @classmethod
    def fit(
        cls, image: tuple[int, int], size: int, frame: tuple[int, int] | None = None
    ) -> Letterbox:
        """Return how an image of shape (H, W) fits, with its longer side scaled to `size` px.

        Or, where `frame` (h, w) says which frame it has to be, as large as fits into that.
        """
        scale = size / max(image)
        if frame is not None:
            scale = min(frame[0] / image[0], frame[1] / image[1])
        height, width = (max(round(side * scale), 1) for side in image)
        if frame is None:
            frame = (-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE)
        offset = ((frame[0] - height) // 2, (frame[1] - width) // 2)
        return cls(image, frame, (height, width), offset)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the frame, (h, w, 3), that shows an image (H, W, 3), or a picture of it."""
        height, width = self.content
        resized = np.ascontiguousarray(image)
        if self.content != resized.shape[:2]:
            cv2 = opencv()
            resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)
        top, left = self.offset
        frame = np.full((*self.frame, 3), FILL, np.uint8)
        frame[top : top + height, left : left + width] = resized
        return frame

    def to_image(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return boxes (N, 4), x0, y0, x1, y1, of the frame in the image's pixels, clipped."""
        (top, left), (height, width) = self.offset, self.image
        gain = np.array([self.content[1] / width, self.content[0] / height] * 2)
        limit = np.array([width, height] * 2)
        moved = (boxes - np.array([left, top] * 2)) / gain
        inside: NDArray[np.float32] = np.clip(moved, 0, limit).astype(np.float32)
        return inside
