"""The candidates of an image's planes, found as they are asked for."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if
from napari_fastsam.closer import Seen, Window, look_at
from napari_fastsam.large import shown
from napari_fastsam.pipeline import CandidateCache, Request, build, build_scorer, run
from napari_fastsam.planes import Display, PlaneAxes
from napari_fastsam.prompts import Prompts
from napari_fastsam.segmenter import ModelSpec
from napari_fastsam.sources import pyramid, source_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from napari_fastsam.pipeline import Course, Index, PlaneResult, Scorer
    from napari_fastsam.segmenter import Segmenter, TextScorer


class Looking:
    """The candidates of an image: one pass of the network over each plane that is asked for.

    Parameters
    ----------
    image
        An array (NumPy, dask, zarr), a pyramid of them with the finest first, or an image layer.
    model
        A `FastSAM`, another `Segmenter`, a `ModelSpec`, a name of the registry or a path.
    axes
        A letter for each axis, as ``"ZYX"``; ``None`` guesses from the shape.
    display
        How intensities become what the network sees.
    closer
        Whether a plane is looked at closer where a prompt has no answer.
    scorer
        What compares objects with words and examples, as for `run`.
    """

    def __init__(
        self,
        image: Any,
        model: str | PathLike[str] | ModelSpec | Segmenter = "starter",
        *,
        axes: str | None = None,
        display: Display | None = None,
        closer: bool = True,
        scorer: Scorer | None = None,
    ) -> None:
        if not isinstance(model, str | PathLike | ModelSpec):
            build(model)  # refused if it is none
        fail_if(
            not isinstance(display, Display | None),
            "a Display, or None",
            f"a {type(display).__name__}",
            "pass Display(contrast_limits=(low, high)), or Display(percentiles=(low, high))",
            TypeError,
        )
        self.name = str(getattr(image, "name", "image"))
        self.data, *levels = pyramid(image)
        shape = tuple(self.data.shape)
        self.levels = tuple(levels)
        self.axes = PlaneAxes.guess(shape) if axes is None else PlaneAxes(axes, shape)
        self.display = display or Display()
        self.closer = closer
        self.cache = CandidateCache()
        self._model = model
        self._scorer = scorer

    def __call__(self, plane: Index, prompts: Prompts) -> Seen:
        """Return what is known of a plane, looked at closer for these prompts if need be."""
        request = self.request(indices=(plane,), prompts={plane: prompts})
        for _ in self.run(request):
            pass
        seen = self.cache.get(request.place(self.model, plane))
        assert seen is not None
        return seen

    @property
    def model(self) -> Segmenter:
        """The network, built when it is first needed."""
        self._model = segmenter = build(self._model)
        return segmenter

    @property
    def scorer(self) -> TextScorer:
        """What compares objects with words, built when it is first needed."""
        self._scorer = scorer = build_scorer(self._scorer)
        return scorer

    def request(self, **asked: Any) -> Request:
        """Return a request for this image; parameters as for `Request`."""
        return Request(
            data=self.data,
            levels=self.levels,
            axes=self.axes,
            display=self.display,
            key="looking",
            **{"closer": self.closer, **asked},
        )

    def run(self, request: Request, course: Course | None = None) -> Iterator[PlaneResult]:
        """Yield the result of each plane of a request for this image, see `pipeline.run`."""
        scorer = self.scorer if request.searching else None
        return run(request, self.model, scorer=scorer, cache=self.cache, course=course)

    def look(self, windows: Iterable[Sequence[int]], *, plane: Index = ()) -> None:
        """Look closer at these parts of a plane, in this order, and at no others.

        Parameters
        ----------
        windows
            Each ``(min_row, min_col, max_row, max_col)`` in pixels; all those so far, and new ones.
        plane
            Its position on the stepped axes.
        """
        wanted = tuple(Window(*map(int, window)) for window in windows)
        seen = self(plane, Prompts())
        if wanted[: len(seen.windows)] != seen.windows:  # start again from the first look
            request = self.request(indices=(plane,), prompts={plane: Prompts()})
            (first,) = run(request, self.model)
            seen = Seen(first.candidates, seen.reach)
        if len(wanted) > len(seen.windows):
            image = shown(self.request(), plane, self.model)
            for window in wanted[len(seen.windows) :]:
                seen = look_at(seen, self.model, image, window)
        self.cache.put(self.request().place(self.model, plane), seen)

    def record(self, *, searching: bool = False) -> dict[str, Any]:
        """Return what the candidates depend on, in plain numbers and words.

        Of a search, what knows the words as well.
        """
        spec = self._model if isinstance(self._model, ModelSpec | str) else self.model
        if isinstance(spec, str):
            spec = ModelSpec(model=spec)
        scorer = None
        if searching:
            scorer = getattr(self.scorer, "spec", None)
        return source_record(self, getattr(spec, "spec", spec), closer=self.closer, scorer=scorer)
