"""What is asked of each image of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.cleanup import Cleanup
from napari_fastsam.pipeline import Request
from napari_fastsam.prompts import Prompts

if TYPE_CHECKING:
    from napari_fastsam.files.readers import Image
    from napari_fastsam.pipeline import Index

Tile = int | Literal["auto", "off"]
"""The side of a tile in pixels; tiles for large planes only; or no tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is asked of each image.

    Parameters
    ----------
    points, background
        (row, column) of points inside objects, each asking for its own, and of points that no
        object may hold. Without prompts, every object is asked for.
    boxes
        (min_row, min_col, max_row, max_col), half-open, each around one object.
    axes
        A letter for each axis of the images; ``None`` takes the file's own, else guesses.
    confidence
        As in `Request`.
    cleanup
        What is tidied afterwards.
    link
        Give an object one label through the last of the stepped axes.
    tile
        The side of a tile in pixels; ``"auto"`` tiles planes that are more than twice as long as
        what the network sees; ``"off"`` never does.
    """

    points: tuple[tuple[float, float], ...] = ()
    background: tuple[tuple[float, float], ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    axes: str | None = None
    confidence: float | None = None
    cleanup: Cleanup = field(default_factory=Cleanup)
    link: bool = False
    tile: Tile = "auto"

    @property
    def prompted(self) -> bool:
        """Whether single objects are asked for."""
        return bool(self.points or self.background or self.boxes)

    def request(self, image: Image, indices: tuple[Index, ...] | None = None) -> Request:
        """Return what is asked of an image's planes, each by itself.

        Raises
        ------
        ValueError
            If there are prompts and the image is a stack, or they do not lie on it.
        """
        prompts: dict[Index, Prompts] | None = None
        if self.prompted:
            fail_if(
                image.axes.steps,
                "one 2D image for points and boxes",
                f"a stack of shape {image.axes.shape}, axes {image.axes.axes}, in {image.path}",
                "save the plane as an image of its own, or leave the prompts out to segment "
                "everything on every plane",
            )
            marks = [(point, True) for point in self.points]
            marks += [(point, False) for point in self.background]
            plane = Prompts(
                points=np.array([point for point, _ in marks]),
                positive=np.array([positive for _, positive in marks], bool),
                boxes=np.array(self.boxes),
                shape=image.axes.plane_shape,
            )
            prompts = {(): plane}
        return Request(
            data=image.data,
            axes=image.axes,
            indices=indices,
            prompts=prompts,
            confidence=self.confidence,
            cleanup=self.cleanup,
        )
