"""From an array to labels, plane by plane: the one path of widget, script and command line.

``plane -> candidates -> chosen -> cleaned -> labels``: only the first arrow needs the network, and
what it finds is kept in a `CandidateCache`, so every further prompt is an array look-up. Where a
prompt has no answer, the plane is looked at closer, see `napari_fastsam.closer`. Words need one
more look at the candidates, which is kept as well, see `napari_fastsam.matching`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from os import PathLike, fspath
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.caching import CandidateCache
from napari_fastsam.cleanup import Cleanup, clean
from napari_fastsam.closer import extend, next_window
from napari_fastsam.large import look, shown
from napari_fastsam.linking import Linker
from napari_fastsam.matching import Looks, identity
from napari_fastsam.painting import Painting
from napari_fastsam.planes import Display, PlaneAxes
from napari_fastsam.prompts import Prompts
from napari_fastsam.requests import Index, PlaneRegions, PlaneResult, Request
from napari_fastsam.segmenter import ModelSpec, Segmenter, TextScorer, TextSpec
from napari_fastsam.selection import Selection, everything, least_score, looked_for, select
from napari_fastsam.told import classes_of, told_of
from napari_fastsam.upcoming import Upcoming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_fastsam.closer import Seen
    from napari_fastsam.instances import Instances
    from napari_fastsam.segmenter import Shown
    from napari_fastsam.told import Found
    from napari_fastsam.upcoming import First

_T = TypeVar("_T")

__all__ = [
    "CandidateCache",
    "Course",
    "Index",
    "PlaneRegions",
    "PlaneResult",
    "Request",
    "build",
    "build_scorer",
    "run",
    "run_regions",
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


Scorer = str | PathLike[str] | TextSpec | TextScorer
"""What compares objects with words: a name, a path, what to build, or one that is there."""


_BUILT: WeakValueDictionary[TextSpec, TextScorer] = WeakValueDictionary()
"""Those that somebody still has: what was kept of planes holds on to them, and they are large."""
_BUILDING = Lock()


def build_scorer(scorer: Scorer | None) -> TextScorer:
    """Return what a name, a path or a `TextSpec` means; a scorer is returned as it is."""
    if scorer is None:
        scorer = TextSpec()
    if isinstance(scorer, str | PathLike):
        scorer = TextSpec(model=fspath(scorer))
    if not isinstance(scorer, TextSpec):
        fail_if(
            not isinstance(scorer, TextScorer),
            "what compares objects with words: a name, a path, a TextSpec or a TextScorer",
            f"a {type(scorer).__name__}",
            'pass "ViT-B-32", or an object with embed and score',
            TypeError,
        )
        return scorer
    from napari_fastsam.models.clip import OpenClip

    with _BUILDING:
        built: TextScorer | None = _BUILT.get(scorer)
        if built is None:
            _BUILT[scorer] = built = OpenClip.from_spec(scorer)
    return built


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
    scorer: Scorer | None = None,
    cache: CandidateCache | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    looked: Callable[[int, int], None] = lambda done, total: None,
    course: Course | None = None,
) -> Iterator[PlaneResult]:
    """Yield the result of each plane of a request, as it is done.

    Parameters
    ----------
    request
        What to segment and what to choose.
    model
        Built on first use if it is a name of the registry, the path of a checkpoint or a
        `ModelSpec`. Its `ModelSpec.tile` says how large planes are seen.
    scorer
        What compares objects with words and examples, built when a prompt first asks for that;
        ``None`` is `TextSpec`'s own.
    cache
        Where candidates are looked up and kept, under ``(request.key, index)`` and the model.
    cancelled
        Asked before each look, those at single tiles too; when it says True, the run ends, and what
        was yielded stays good.
    looked
        Called after each tile of a large plane with how many of that plane are done, and their
        total; in a search by words or examples, also after each look at some objects of a plane.
    course
        Where a run that ended early had come to, after the last plane that it yielded; this one
        then gives the planes that are left the labels that they would have had. Kept up to date.

    Yields
    ------
    PlaneResult
        In the order of `Request.planes`. With prompts, question i of the whole request has label
        i + 1, counted through the planes, or of a search answer i. *Everything* counts from 1 on
        each plane. With ``link=True`` an object has one label through the last stepped axis
        instead.

    Raises
    ------
    ValueError
        If a plane cannot be shown to the network.
    OSError
        If a part of a large plane cannot be read.

    See Also
    --------
    run_regions : the same for planes whose labels do not fit into memory.
    """
    course = Course() if course is None else course
    for plane in _planes(request, model, scorer, cache, cancelled, looked):
        labels = np.zeros(plane.found.shape, np.uint32)
        plane.found.paint(labels, plane.values)
        labels = clean(labels, request.cleanup)
        numbers = _numbers(request, course, plane, labels)
        given: tuple[int, ...] = ()
        if plane.selection is not None:
            there = np.bincount(labels.ravel(), minlength=len(plane.scores) + 1) > 0
            given = _given(there, numbers, len(plane.scores))
        yield PlaneResult(
            plane.index,
            plane.seen.candidates,
            plane.selection,
            numbers[labels],
            _by_label(numbers, _floats(plane.scores)),
            plane.seen.windows,
            given,
            _by_label(numbers, plane.told),
        )


def run_regions(
    request: Request,
    model: str | PathLike[str] | ModelSpec | Segmenter,
    *,
    scorer: Scorer | None = None,
    cache: CandidateCache | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    looked: Callable[[int, int], None] = lambda done, total: None,
    course: Course | None = None,
) -> Iterator[PlaneRegions]:
    """Yield each plane of a request, its labels to be painted region by region.

    The labels are those of `run`, and so are the parameters. Only linking needs a plane's labels as
    a whole, for a moment.

    Yields
    ------
    PlaneRegions
        In the order of `Request.planes`.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> import numpy as np
    >>> from skimage.data import coins
    >>> labels = np.zeros(coins().shape, np.uint32)  # or a zarr array
    >>> for plane in run_regions(fs.Request(data=coins()), fs.FastSAM("starter", device="cpu")):
    ...     for region, part in plane.regions(256):
    ...         labels[region] = part
    """
    course = Course() if course is None else course
    for plane in _planes(request, model, scorer, cache, cancelled, looked, lean=True):
        painting = Painting(plane.found, plane.values, request.cleanup)
        whole = painting.labels((0, 0, *painting.shape)) if request.link else None
        numbers = _numbers(request, course, plane, whole)
        given: tuple[int, ...] = ()
        if plane.selection is not None:
            there = np.zeros(len(plane.scores) + 1, bool)
            there[painting.visible] = True
            given = _given(there, numbers, len(plane.scores))
        yield PlaneRegions(
            plane.index,
            plane.seen.candidates,
            plane.selection,
            _by_label(numbers, _floats(plane.scores)),
            plane.seen.windows,
            given,
            painting,
            numbers,
            _by_label(numbers, plane.told),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """What was chosen on a plane: the objects with their labels there, and each label's score."""

    index: Index
    seen: Seen
    selection: Selection | None
    found: Instances
    values: NDArray[np.intp]
    scores: NDArray[np.float32]  # NaN for a prompt without an answer
    told: tuple[Found | None, ...] = ()


def _planes(
    request: Request,
    model: str | PathLike[str] | ModelSpec | Segmenter,
    scorer: Scorer | None,
    cache: CandidateCache | None,
    cancelled: Callable[[], bool],
    looked: Callable[[int, int], None],
    *,
    lean: bool = False,
) -> Iterator[_Plane]:
    """Yield what is chosen on each plane; `lean` keeps no candidates that nobody can choose."""
    network, words = lru_cache(lambda: build(model)), lru_cache(lambda: build_scorer(scorer))
    kept = cache if request.key is not None else None
    least = request.least_score if lean and kept is None and request.prompts is None else 0.0

    def known_now(index: Index) -> bool:
        return kept is not None and request.place(model, index) in kept

    with closing(Upcoming(request, network, known_now)) as upcoming:
        for n, index in enumerate(request.planes()):
            if cancelled():
                return
            place = request.place(model, index)
            searching = request.prompts is not None and request.prompts[index].searching
            if searching:
                words()  # what is missing for that is told before the network runs
            known = kept.get(place) if kept is not None else None
            first = upcoming.take(n) if known is None else None
            image = _picture(request, index, network, first)
            seen = known if first is None else first.seen
            seen = _see(request, index, seen, network, image, cancelled, looked, least)
            if seen is not None and searching:
                if kept is not None and seen is not known:
                    kept.put(place, seen)  # also if what follows is cancelled, or fails
                seen = _look_at_objects(request, index, seen, words(), image, cancelled, looked)
            if seen is None:
                return  # some tiles may be missing
            if kept is not None and seen is not known:
                kept.put(place, seen)
            if request.prompts is not None and seen is not known and cancelled():
                return  # a look that would have found an answer may be missing
            yield _chosen(request, seen, index)


def _picture(
    request: Request, index: Index, network: Callable[[], Segmenter], first: First | None
) -> Callable[[], Shown]:
    """Return what shows a plane, once, when it is first called."""
    if first is not None and first.image is not None:
        image = first.image
        return lambda: image
    return lru_cache(lambda: shown(request, index, network()))


def _numbers(
    request: Request, course: Course, plane: _Plane, labels: NDArray[np.uint32] | None
) -> NDArray[np.uint32]:
    """Return the run's label for each label of a plane, and count on."""
    numbers = np.arange(len(plane.scores) + 1, dtype=np.uint32)
    if request.prompts is not None:
        numbers[1:] += np.uint32(course.asked)
        course.asked += len(plane.scores)
    if request.link:
        assert labels is not None
        along = request.layout.along or 0
        if course.series is not None and course.series != plane.index[:along]:
            course.linker.reset()
        course.series = plane.index[:along]
        numbers = course.linker.push(labels)
    return numbers


def _by_label(numbers: NDArray[np.uint32], values: Iterable[_T | None]) -> dict[int, _T]:
    """Return what belongs to each label.

    The linker does not number what cleanup removed: 0, or beyond the last label.
    """
    return {
        int(n): value
        for n, value in zip(numbers[1:], values, strict=False)
        if n and value is not None
    }


def _floats(scores: NDArray[np.float32]) -> Iterator[float | None]:
    """Return numbers as plain ones, None for NaN."""
    return (None if np.isnan(score) else float(score) for score in scores)


def _given(there: NDArray[np.bool_], numbers: NDArray[np.uint32], count: int) -> tuple[int, ...]:
    """Return the label that each prompt got, 0 where it has no pixel."""
    padded = np.zeros(count, np.int64)
    known = numbers[1 : count + 1]
    padded[: len(known)] = known
    return tuple(int(n) for n in np.where(there[1 : count + 1], padded, 0))


def _see(
    request: Request,
    index: Index,
    known: Seen | None,
    network: Callable[[], Segmenter],
    image: Callable[[], Shown],
    cancelled: Callable[[], bool],
    looked: Callable[[int, int], None],
    least: float,
) -> Seen | None:
    """Return what is known of a plane after the looks that the request asks for."""
    prompts = request.prompts[index] if request.prompts is not None and request.closer else None
    confidence = request.confidence or 0.0
    if known is not None and (
        prompts is None or next_window(known, prompts, confidence=confidence) is None
    ):
        return known  # neither read nor segmented again
    seen = known
    if seen is None:
        seen = look(
            request, index, network(), image, confidence=least, cancelled=cancelled, looked=looked
        )
    if seen is None or prompts is None or next_window(seen, prompts, confidence=confidence) is None:
        return seen
    return extend(seen, network(), image(), prompts, confidence=confidence, cancelled=cancelled)


def _look_at_objects(
    request: Request,
    index: Index,
    seen: Seen,
    scorer: TextScorer,
    image: Callable[[], Shown],
    cancelled: Callable[[], bool],
    looked: Callable[[int, int], None],
) -> Seen | None:
    """Return what is known of a plane, with what its objects look like; None if cancelled."""
    assert request.prompts is not None
    looks = seen.looks
    if looks is None or looks.by != identity(scorer):
        looks = Looks(np.empty((0, 0), np.float32), scorer, identity(scorer))
    elif looks.scorer is not scorer:  # the same, made anew
        looks = replace(looks, scorer=scorer)
    prompts = request.prompts[index]
    wanted = looked_for(seen.candidates, prompts, request.confidence)
    if getattr(identity(scorer), "mode", "") == "dense":
        # Objects are seen in windows with others: which ones must not depend on what is asked.
        wanted |= seen.candidates.scores >= least_score(prompts, request.confidence)
    completed = looks.completed(image, seen.candidates, wanted, cancelled=cancelled, looked=looked)
    if completed is None:
        return None
    return seen if completed is seen.looks else replace(seen, looks=completed)


def _chosen(request: Request, seen: Seen, index: Index) -> _Plane:
    """Answer a plane's prompts, or take everything."""
    candidates = seen.candidates
    if request.prompts is None:
        kept = everything(
            candidates,
            confidence=request.least_score,
            min_area=request.min_area,
            max_area=request.max_area,
        )
        values = np.arange(1, len(kept) + 1)
        return _Plane(index, seen, None, kept, values, kept.scores, classes_of(kept))
    prompts = request.prompts[index]
    selection = select(candidates, prompts, confidence=request.confidence, looks=seen.looks)
    picked, values = selection.labelled()
    scores = np.append(candidates.scores, np.float32(np.nan))[selection.answers]  # -1: no answer
    told = told_of(candidates, selection, prompts.phrases)
    return _Plane(index, seen, selection, candidates[picked], values, scores, told)


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
    text: str | None = None,
    scorer: Scorer | None = None,
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
    text
        Words for the objects that are wanted, on every plane, as in `Prompts`.
    scorer
        As for `run`.
    progress
        Called with the number of planes done and their total.

    Returns
    -------
    uint32, the shape of `stack` without its channel axis.

    Raises
    ------
    ValueError
        If the axes do not fit the array, a prompt names a plane that is not there, or there are
        both prompts and text.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> import numpy as np
    >>> from skimage.data import coins
    >>> stack = np.stack([coins()] * 2)
    >>> fs.segment_stack(stack, fs.FastSAM("starter", device="cpu"), axes="ZYX").shape
    (2, 303, 384)
    """
    shape = tuple(stack.shape)
    layout = PlaneAxes.guess(shape) if axes is None else PlaneAxes(axes, shape)
    if text is not None:
        fail_if(
            prompts is not None,
            "either prompts or text",
            "both",
            "put the text into the prompts of each plane: Prompts(text=…, boxes=…)",
        )
        prompts = dict.fromkeys(layout.indices(), Prompts(text=text))
    request = Request(
        data=stack,
        axes=layout,
        prompts=prompts,
        display=display or Display(),
        confidence=confidence,
        cleanup=cleanup or Cleanup(),
        link=link,
    )
    labels = np.zeros(request.layout.label_shape, np.uint32)
    total = len(request.planes())
    for done, result in enumerate(run(request, model, scorer=scorer), 1):
        request.layout.write(labels, result.index, result.labels)
        if progress is not None:
            progress(done, total)
    return labels
