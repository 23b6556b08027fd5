"""What is asked of the pipeline, and what it answers, plane by plane: frozen, without a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if
from napari_fastsam.cleanup import Cleanup
from napari_fastsam.planes import Display, PlaneAxes
from napari_fastsam.selection import DEFAULT_CONFIDENCE, Selection, check_confidence

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam.closer import Window
    from napari_fastsam.instances import Instances
    from napari_fastsam.painting import Painting
    from napari_fastsam.prompts import Prompts
    from napari_fastsam.told import Found

Index = tuple[int, ...]
"""The position of a plane on the axes that are stepped through; ``()`` for a single image."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Request:
    """What to segment, and what to choose.

    Parameters
    ----------
    data
        Anything that is indexed like an array (NumPy, dask, zarr); planes are read one at a time.
    levels
        The same at lower resolutions, as in a pyramid. A `ScaledSegmenter` finds candidates on the
        smallest that is as large as the network sees, at full resolution all the same.
    axes
        How `data` falls into planes; ``None`` guesses from its shape.
    indices
        The planes wanted, in order; ``None`` is all of them.
    prompts
        For each plane its prompts; planes without any are left out. ``None`` is *everything*: every
        object of every plane.
    display
        How intensities become what the network sees.
    closer
        Look closer where a prompt has no answer; *everything* never does.
    confidence
        Candidates that score below this are left out; ``None`` is `DEFAULT_CONFIDENCE` for
        *everything* and searches by words or examples, and no limit for other prompts.
    min_area, max_area
        For *everything*: candidates outside this range in pixels are left out.
    cleanup
        What is tidied afterwards.
    link
        Give an object one label through the last of the stepped axes that is longer than one.
        Planes that follow each other in the request count as neighbours, also where planes between
        them are left out.
    key
        Names `data` and `display` in the cache: equal keys mean equal pixels. ``None`` caches
        nothing.
    """

    data: Any
    levels: tuple[Any, ...] = ()
    axes: PlaneAxes | None = None
    indices: tuple[Index, ...] | None = None
    prompts: Mapping[Index, Prompts] | None = None
    display: Display = field(default_factory=Display)
    closer: bool = True
    confidence: float | None = None
    min_area: int = 0
    max_area: int | None = None
    cleanup: Cleanup = field(default_factory=Cleanup)
    link: bool = False
    key: Hashable | None = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        axes = self.axes or PlaneAxes.guess(tuple(self.data.shape))
        object.__setattr__(self, "axes", axes)
        sizes = [axes.shape[n] for n in axes.steps]
        wanted = list(self.indices or ()) + list(self.prompts or ())
        wrong = [
            index
            for index in wanted
            if not isinstance(index, tuple)
            or len(index) != len(sizes)
            or not all(0 <= at < size for at, size in zip(index, sizes, strict=True))
        ]
        fail_if(
            wrong,
            f"planes inside {tuple(sizes)}, the sizes of the stepped axes",
            f"{wrong}",
            "pass a tuple for each plane, and leave those out that are not there",
        )

    @property
    def layout(self) -> PlaneAxes:
        """The axes, given or guessed."""
        assert self.axes is not None
        return self.axes

    @property
    def least_score(self) -> float:
        """The score below which *everything* leaves candidates out."""
        return DEFAULT_CONFIDENCE if self.confidence is None else self.confidence

    @property
    def searching(self) -> bool:
        """Whether objects are asked for by words or examples on any plane."""
        return any(prompts.searching for prompts in (self.prompts or {}).values())

    def planes(self) -> list[Index]:
        """Return the planes that will be looked at, in order."""
        wanted = list(self.layout.indices() if self.indices is None else self.indices)
        if self.prompts is None:
            return wanted
        return [index for index in wanted if index in self.prompts]

    def place(self, model: Any, index: Index) -> Hashable:
        """Return what a `CandidateCache` knows a plane by, as a model sees it."""
        return self.key, _name(model), index


def _name(model: Any) -> Hashable:
    """Return what tells a model from others: its spec, or nothing but itself."""
    name: Hashable = getattr(model, "spec", model)
    try:
        hash(name)
    except TypeError:  # as dataclasses are
        return _Itself(model)
    return name


@dataclass(frozen=True, slots=True, eq=False)
class _Itself:
    """Stands for a model that cannot be hashed: it equals nothing but itself."""

    model: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.model is self.model

    def __hash__(self) -> int:
        return id(self.model)


@dataclass(frozen=True, slots=True, eq=False)
class PlaneResult:
    """What became of one plane.

    Parameters
    ----------
    index
        Its position on the stepped axes.
    candidates
        Everything that the network found on it, at low confidence, closer looks included.
    selection
        The answers to the plane's prompts, or ``None`` for *everything*.
    labels
        (H, W) uint32.
    scores
        By label, the score of the candidate behind it; cleanup may have removed its pixels.
    windows
        Where the plane was looked at closer, in order.
    numbers
        For each prompt of the plane, in the order of `Prompts.questions`, the label that it got, 0
        for none. Of a search, for each of `Selection.answers`.
    found
        By label, what else is said of it: the words that describe it, and how well; its class.
    """

    index: Index
    candidates: Instances
    selection: Selection | None
    labels: NDArray[np.uint32]
    scores: Mapping[int, float]
    windows: tuple[Window, ...] = ()
    numbers: tuple[int, ...] = ()
    found: Mapping[int, Found] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class PlaneRegions:
    """What became of one plane, whose labels are never in memory as a whole.

    Parameters
    ----------
    index, selection, scores, windows, numbers, found
        As those of a `PlaneResult`.
    candidates
        What the network found on it. For *everything* without a cache, of a plane seen in tiles
        only what scores high enough to be labelled.
    painting
        What paints the plane's own labels.
    relabelled
        The label that stands for each label of the plane; the first, of the background, is 0.
    """

    index: Index
    candidates: Instances
    selection: Selection | None
    scores: Mapping[int, float]
    windows: tuple[Window, ...]
    numbers: tuple[int, ...]
    painting: Painting
    relabelled: NDArray[np.uint32]
    found: Mapping[int, Found] = field(default_factory=dict)

    def labels(self, window: tuple[int, int, int, int]) -> NDArray[np.uint32]:
        """Return the labels, uint32, in ``(min_row, min_col, max_row, max_col)`` of the plane."""
        return self.relabelled[self.painting.labels(window)]

    def regions(
        self, side: int | tuple[int, int] = 1024
    ) -> Iterator[tuple[tuple[slice, slice], NDArray[np.uint32]]]:
        """Yield the rows and columns of each region, row by row, and the labels there, uint32.

        Parameters
        ----------
        side
            Height and width of the regions in pixels; take the chunks of what they are written to.
        """
        for window, labels in self.painting.regions(side):
            yield window.slices, self.relabelled[labels]
