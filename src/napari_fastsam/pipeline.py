"""From an array to labels, plane by plane: the one path of widget, script and command line.

``plane -> candidates -> chosen -> cleaned -> labels``: only the first arrow needs the network, and
what it finds is kept in a `CandidateCache`, so every further prompt is an array look-up. Where a
prompt has no answer, the plane is looked at closer, see `napari_fastsam.closer`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.caching import CandidateCache
from napari_fastsam.cleanup import Cleanup, clean
from napari_fastsam.closer import Seen, extend, first_look, next_window, reach
from napari_fastsam.linking import Linker
from napari_fastsam.planes import Display, PlaneAxes, level_for
from napari_fastsam.requests import Index, PlaneResult, Request
from napari_fastsam.segmenter import ModelSpec, ScaledSegmenter, Segmenter, find
from napari_fastsam.selection import (
    DEFAULT_CONFIDENCE,
    Selection,
    everything,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances
    from napari_fastsam.prompts import Prompts

__all__ = [
    "CandidateCache",
    "Course",
    "Index",
    "PlaneResult",
    "Request",
    "build",
    "run",
    "segment_stack",
]


def build(model: str | PathLike[str] | ModelSpec | Segmenter) -> Segmenter:
    """Return the segmenter that a name, a path or a `ModelSpec` means; one is returned as it is."""
    if isinstance(model, str | PathLike):
        model = ModelSpec(model=fspath(model))
    if not isinstance(model, ModelSpec):
        fail_if(
            not callable(getattr(model, "segment", None)),
            "a model: a name, a path, a ModelSpec or a Segmenter",
            f"a {type(model).__name__}",
            'pass "starter", or an object with segment(image) -> Instances',
            TypeError,
        )
        return model
    from napari_fastsam.models.fastsam import FastSAM

    segmenter: Segmenter = FastSAM.from_spec(model)
    return segmenter


@dataclass(slots=True, eq=False)
class Course:
    """How far a run has come: with it, a later run over the planes that are left goes on.

    Parameters
    ----------
    linker
        What it knows of the objects of the planes before.
    series
        The position on the axes before the one that is linked along; ``None`` before the start.
    asked
        How many prompts had a number so far.
    """

    linker: Linker = field(default_factory=Linker)
    series: Index | None = None
    asked: int = 0


def run(
    request: Request,
    model: str | PathLike[str] | ModelSpec | Segmenter,
    *,
    cache: CandidateCache | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    course: Course | None = None,
) -> Iterator[PlaneResult]:
    """Yield the result of each plane of a request, as it is done.

    Parameters
    ----------
    request
        What to segment and what to choose.
    model
        Built on first use if it is a name of the registry, the path of a checkpoint or a
        `ModelSpec`.
    cache
        Where candidates are looked up and kept, under ``(request.key, index)`` and the model.
    cancelled
        Asked before each look; when it says True, the run ends, and what was yielded stays good.
    course
        Where a run that ended early had come to, after the last plane that it yielded; this one
        then gives the planes that are left the labels that they would have had. Kept up to date.

    Yields
    ------
    PlaneResult
        In the order of `Request.planes`. With prompts, question i of the whole request has label
        i + 1, counted through the planes. *Everything* counts from 1 on each plane. With
        ``link=True`` an object has one label through the last stepped axis instead.

    Raises
    ------
    ValueError
        If a plane cannot be shown to the network.
    """
    network = lru_cache(lambda: build(model))
    course = Course() if course is None else course
    sizes = [request.layout.shape[n] for n in request.layout.steps]
    along = max((n for n, size in enumerate(sizes) if size > 1), default=0)
    for index in request.planes():
        if cancelled():
            return
        place = request.place(model, index)
        kept = cache if request.key is not None else None
        known = kept.get(place) if kept is not None else None
        seen = _see(request, index, known, network, cancelled)
        if kept is not None and seen is not known:
            kept.put(place, seen)
        if request.prompts is not None and seen is not known and cancelled():
            return  # a look that would have found an answer may be missing
        candidates = seen.candidates
        selection, labels, scores = _choose(request, candidates, index)
        numbers = np.arange(len(scores) + 1, dtype=np.uint32)  # a plane's label -> the run's
        if request.prompts is not None:
            numbers[1:] += np.uint32(course.asked)
            course.asked += len(scores)
        if request.link:
            if course.series is not None and course.series != index[:along]:
                course.linker.reset()
            course.series = index[:along]
            numbers = course.linker.push(labels)
        # The linker does not number what cleanup removed: 0, or beyond the last label.
        by_label = {
            int(n): float(score)
            for n, score in zip(numbers[1:], scores, strict=False)
            if n and not np.isnan(score)
        }
        given = () if selection is None else _given(labels, numbers, len(scores))
        linked = numbers[labels]
        yield PlaneResult(index, candidates, selection, linked, by_label, seen.windows, given)


def _given(labels: NDArray[np.uint32], numbers: NDArray[np.uint32], count: int) -> tuple[int, ...]:
    """Return the label that each prompt got, 0 where it has no pixel."""
    there = np.bincount(labels.ravel(), minlength=count + 1)[1 : count + 1] > 0
    padded = np.zeros(count, np.int64)
    known = numbers[1 : count + 1]
    padded[: len(known)] = known
    return tuple(int(n) for n in np.where(there, padded, 0))


def _see(
    request: Request,
    index: Index,
    known: Seen | None,
    network: Callable[[], Segmenter],
    cancelled: Callable[[], bool],
) -> Seen:
    """Return what is known of a plane after the looks that the request asks for."""
    prompts = request.prompts[index] if request.prompts is not None and request.closer else None
    confidence = request.confidence or 0.0
    if known is not None and (
        prompts is None or next_window(known, prompts, confidence=confidence) is None
    ):
        return known  # neither read nor segmented again
    image = lru_cache(lambda: request.display(request.layout.read(request.data, index)))
    seen = known if known is not None else _first_look(request, network(), index, image)
    if prompts is None or next_window(seen, prompts, confidence=confidence) is None:
        return seen
    return extend(seen, network(), image(), prompts, confidence=confidence, cancelled=cancelled)


def _first_look(
    request: Request, segmenter: Segmenter, index: Index, image: Callable[[], NDArray[np.uint8]]
) -> Seen:
    """Return what the network finds on a plane, shown at the resolution that it sees, if it can."""
    axes = request.layout
    if request.levels and isinstance(segmenter, ScaledSegmenter) and segmenter.image_size:
        level = level_for(axes, request.levels, segmenter.image_size)
        if level is not None:
            at_level = replace(axes, shape=tuple(level.shape))
            picture = request.display(at_level.read(level, index))
            candidates = find(segmenter, picture, shape=axes.plane_shape)
            return Seen(candidates, reach(segmenter, candidates.shape))
    return first_look(segmenter, image())


def _choose(
    request: Request, candidates: Instances, index: Index
) -> tuple[Selection | None, NDArray[np.uint32], NDArray[np.float32]]:
    """Answer a plane's prompts, or take everything: labels from 1, and each one's score or NaN."""
    if request.prompts is None:
        kept = everything(
            candidates,
            confidence=DEFAULT_CONFIDENCE if request.confidence is None else request.confidence,
            min_area=request.min_area,
            max_area=request.max_area,
        )
        return None, clean(kept.to_labels(), request.cleanup), kept.scores
    selection = select(candidates, request.prompts[index], confidence=request.confidence or 0.0)
    labels = clean(selection.to_labels(), request.cleanup)
    scores = np.append(candidates.scores, np.float32(np.nan))[selection.best]  # -1: no answer
    return selection, labels, scores


def segment_stack(
    stack: Any,
    model: str | PathLike[str] | ModelSpec | Segmenter,
    *,
    axes: str | None = None,
    link: bool = False,
    prompts: Mapping[Index, Prompts] | None = None,
    confidence: float | None = None,
    cleanup: Cleanup | None = None,
    display: Display | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint32]:
    """Return the labels of every plane of an array.

    Parameters
    ----------
    stack
        An image or stack of any numeric dtype (NumPy, dask, zarr).
    model
        A `FastSAM`, another `Segmenter`, a `ModelSpec`, a name of the registry or a path.
    axes
        A letter for each axis, as ``"ZYX"``, ``"TZYXC"``; ``None`` guesses from the shape.
    link
        One label per object through the last stepped axis.
    prompts
        For each plane, by its position on the stepped axes, its prompts; ``None`` is everything.
    confidence, cleanup, display
        As in `Request`.
    progress
        Called with the number of planes done and their total.

    Returns
    -------
    uint32, the shape of `stack` without its channel axis.

    Raises
    ------
    ValueError
        If the axes do not fit the array, or a prompt names a plane that is not there.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> import numpy as np
    >>> from skimage.data import coins
    >>> stack = np.stack([coins()] * 2)
    >>> fs.segment_stack(stack, fs.FastSAM("starter", device="cpu"), axes="ZYX").shape
    (2, 303, 384)
    """
    request = Request(
        data=stack,
        axes=None if axes is None else PlaneAxes(axes, tuple(stack.shape)),
        prompts=prompts,
        display=display or Display(),
        confidence=confidence,
        cleanup=cleanup or Cleanup(),
        link=link,
    )
    labels = np.zeros(request.layout.label_shape, np.uint32)
    total = len(request.planes())
    for done, result in enumerate(run(request, model), 1):
        request.layout.write(labels, result.index, result.labels)
        if progress is not None:
            progress(done, total)
    return labels
