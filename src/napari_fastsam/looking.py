"""The candidates of an image's planes, found as they are asked for, and what that depends on."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if
from napari_fastsam.closer import Seen, Window, look_at
from napari_fastsam.pipeline import CandidateCache, Request, build, run
from napari_fastsam.planes import Display, PlaneAxes
from napari_fastsam.prompts import Prompts
from napari_fastsam.records import display_to_json
from napari_fastsam.segmenter import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_fastsam.pipeline import Index
    from napari_fastsam.segmenter import Segmenter


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
    """

    def __init__(
        self,
        image: Any,
        model: str | PathLike[str] | ModelSpec | Segmenter = "starter",
        *,
        axes: str | None = None,
        display: Display | None = None,
        closer: bool = True,
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

    def __call__(self, plane: Index, prompts: Prompts) -> Seen:
        """Return what is known of a plane, looked at closer for these prompts if need be."""
        request = self.request(indices=(plane,), prompts={plane: prompts})
        for _ in run(request, self.model, cache=self.cache):
            pass
        seen = self.cache.get(request.place(self.model, plane))
        assert seen is not None
        return seen

    @property
    def model(self) -> Segmenter:
        """The network, built when it is first needed."""
        self._model = segmenter = build(self._model)
        return segmenter

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
            image = self.display(self.axes.read(self.data, plane))
            for window in wanted[len(seen.windows) :]:
                seen = look_at(seen, self.model, image, window)
        self.cache.put(self.request().place(self.model, plane), seen)

    def record(self) -> dict[str, Any]:
        """Return what the candidates depend on, in plain numbers and words."""
        spec = self._model if isinstance(self._model, ModelSpec | str) else self.model
        if isinstance(spec, str):
            spec = ModelSpec(model=spec)
        return source_record(self, getattr(spec, "spec", spec), closer=self.closer)


def pyramid(image: Any) -> list[Any]:
    """Return the arrays of an image, the finest first: of a layer, a pyramid or one array."""
    data = getattr(image, "data", None) if hasattr(image, "events") else image
    if hasattr(data, "dtype") and hasattr(data, "shape") and not getattr(image, "multiscale", 0):
        return [data]
    levels = list(data) if data is not None and hasattr(data, "__len__") else []
    fail_if(
        not levels or not all(hasattr(level, "dtype") for level in levels),
        "an image: an array, a pyramid of arrays, or an Image layer",
        f"a {type(image).__name__}",
        "pass the layer, or its data",
    )
    return levels


def source_record(source: Any, spec: Any, *, closer: bool) -> dict[str, Any]:
    """Return what candidates depend on, in plain numbers and words; cheap when asked again.

    Parameters
    ----------
    source
        What the network is shown, with `data`, `levels`, `axes` and `display`, and a `name` or the
        `image` layer that it comes from.
    spec
        The model, if a `ModelSpec` describes it.
    closer
        Whether planes are looked at closer where a prompt has no answer.
    """
    layer = getattr(source, "image", source)
    image: dict[str, Any] = {
        "name": str(layer.name),
        "shape": [int(size) for size in source.data.shape],
        "dtype": str(source.data.dtype),
    }
    if source.levels:
        image["levels"] = [[int(size) for size in level.shape] for level in source.levels]
    path = getattr(getattr(layer, "source", None), "path", None)
    if path is not None:
        image["path"] = str(path)
    found: dict[str, Any] = {
        "image": image,
        "axes": source.axes.axes,
        "display": display_to_json(source.display),
        "closer": closer,
    }
    if isinstance(spec, ModelSpec):
        found["model"] = asdict(spec)
        found["sha256"] = model_hash(spec)
    return found


def model_hash(spec: ModelSpec) -> str | None:
    """Return the SHA-256 of a model's file, None if it is not on this machine.

    The file is read once, and again when it has changed.
    """
    from napari_fastsam.models.registry import MODELS

    path = MODELS[spec.model].path if spec.model in MODELS else Path(spec.model)
    try:
        state = path.stat()
    except OSError:
        return None
    return _hash(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=32)
def _hash(path: Path, mtime: int, size: int) -> str:
    """Return the SHA-256 of a file, remembered as long as it does not change."""
    from napari_fastsam.models._files import sha256_of

    return sha256_of(path)
