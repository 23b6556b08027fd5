"""What is asked of each image of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.cleanup import Cleanup
from napari_fastsam.pipeline import Request
from napari_fastsam.prompts import Prompts

if TYPE_CHECKING:
    from napari_fastsam.files.readers import Image
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes


@dataclass(frozen=True, slots=True)
class Span:
    """Some positions on a stepped axis: from, up to but not including, and every how many.

    Parameters
    ----------
    axis
        Its letter; none is the axis that objects are followed along.
    start, stop
        As in a Python slice: ``None`` is the end, and negative positions count from it.
    step
        1 or more.

    Raises
    ------
    ValueError
        If the step is less than 1.
    """

    axis: str = ""
    start: int | None = None
    stop: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        fail_if(
            self.step < 1,
            "every plane (1) or every so many",
            f"a step of {self.step}",
            "write FROM:TO:EVERY, as 10:50:2",
        )


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
    text, similar, threshold, top_k
        As in `Prompts`. With a text, points, background and boxes say where on every plane, and all
        objects that it describes are asked for.
    axes
        A letter for each axis of the images; ``None`` takes the file's own, else guesses.
    spans
        The planes wanted, one `Span` for an axis at most; axes without any are gone through as a
        whole. Other planes stay without labels.
    confidence
        As in `Request`.
    cleanup
        What is tidied afterwards.
    link
        Give an object one label through the last of the stepped axes. Planes that are left out by
        a step do not count as gaps.
    tables
        Write what is measured of the objects beside the labels, and with `link` their lineage.

    Raises
    ------
    ValueError
        If the prompts are none on any plane, see `Prompts`.
    """

    points: tuple[tuple[float, float], ...] = ()
    background: tuple[tuple[float, float], ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    text: str | None = None
    similar: bool = False
    threshold: float | None = None
    top_k: int | None = None
    axes: str | None = None
    spans: tuple[Span, ...] = ()
    confidence: float | None = None
    cleanup: Cleanup = field(default_factory=Cleanup)
    link: bool = False
    tables: bool = False

    def __post_init__(self) -> None:
        self.prompts()

    @property
    def prompted(self) -> bool:
        """Whether some objects are asked for, and not all."""
        return bool(self.points or self.background or self.boxes or self.searching)

    @property
    def searching(self) -> bool:
        """Whether objects are asked for by words or examples."""
        return self.text is not None or self.similar

    @property
    def for_one_plane(self) -> bool:
        """Whether what is pointed at is on one plane of one image."""
        return self.prompted and self.text is None

    def prompts(self, shape: tuple[int, int] | None = None) -> Prompts:
        """Return what is asked of a plane (H, W)."""
        marks = [(point, True) for point in self.points]
        marks += [(point, False) for point in self.background]
        return Prompts(
            points=np.array([point for point, _ in marks]),
            positive=np.array([positive for _, positive in marks], bool),
            boxes=np.array(self.boxes),
            text=self.text,
            similar=self.similar,
            threshold=self.threshold,
            top_k=self.top_k,
            shape=shape,
        )

    def indices(self, axes: PlaneAxes) -> list[Index]:
        """Return the planes that are wanted of an array, in order.

        Raises
        ------
        ValueError
            If a span names an axis that is not stepped through, or one twice, or no plane is left.
        """
        fail_if(
            0 in axes.shape,
            "at least one pixel on each axis",
            f"an array of shape {axes.shape}, axes {axes.axes}",
            "leave this image out",
        )
        if not self.spans:
            return list(axes.indices())
        letters = [axes.axes[n] for n in axes.steps]
        default = letters[axes.along or 0] if letters else ""
        named = [(span.axis or default).upper() for span in self.spans]
        fail_if(
            not set(named) <= set(letters) or len(set(named)) < len(named),
            f"planes along {' or '.join(letters)}, each axis once" if letters else "a stack",
            f"{' and '.join(name or 'planes' for name in named)} of an array with axes {axes.axes}",
            "name axes that are stepped through, or leave the planes out",
        )
        spans = dict(zip(named, self.spans, strict=True))
        chosen = []
        for n, letter in zip(axes.steps, letters, strict=True):
            span = spans.get(letter, Span())
            chosen.append(range(axes.shape[n])[span.start : span.stop : span.step])
            fail_if(
                not chosen[-1],
                f"planes from 0 to {axes.shape[n] - 1} along {letter}",
                f"{span.start}:{span.stop}, which leaves none",
                "write FROM:TO, the first and the one after the last",
            )
        return list(product(*chosen))

    def step(self, axes: PlaneAxes) -> int:
        """Return how far apart the planes that objects are linked through are."""
        letter = axes.axes[axes.steps[axes.along or 0]] if axes.steps else ""
        return next((s.step for s in self.spans if (s.axis or letter).upper() == letter), 1)

    def request(self, image: Image, indices: tuple[Index, ...] | None = None) -> Request:
        """Return what is asked of an image's planes, each by itself.

        Raises
        ------
        ValueError
            If single objects are asked for and the image is a stack, or prompts do not lie on it.
        """
        prompts: dict[Index, Prompts] | None = None
        if self.prompted:
            fail_if(
                self.for_one_plane and image.axes.steps,
                "one 2D image for points and boxes",
                f"a stack of shape {image.axes.shape}, axes {image.axes.axes}, in {image.path}",
                "save the plane as an image of its own, or leave the prompts out to segment "
                "everything on every plane",
            )
            planes = image.axes.indices() if indices is None else indices
            prompts = dict.fromkeys(planes, self.prompts(image.axes.plane_shape))
        return Request(
            data=image.data,
            levels=image.levels,
            axes=image.axes,
            indices=indices,
            prompts=prompts,
            confidence=self.confidence,
            cleanup=self.cleanup,
        )
