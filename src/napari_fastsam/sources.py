"""What candidates depend on: the image and the model, in plain numbers and words, and found again.

A record holds no pixels and no weights, but says which they were; what does not fit it is refused.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if
from napari_fastsam.composite import Channel, Composite, composites
from napari_fastsam.given import FromLabels
from napari_fastsam.records import display_to_json, plain
from napari_fastsam.segmenter import ModelSpec, TextSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from napari_fastsam.pipeline import Scorer
    from napari_fastsam.segmenter import Segmenter


def pyramid(image: Any) -> list[Any]:
    """Return the arrays of an image, the finest first: of a layer, a pyramid or one array."""
    data = getattr(image, "data", None) if hasattr(image, "events") else image
    if hasattr(data, "dtype") and hasattr(data, "shape") and not getattr(image, "multiscale", 0):
        return [data]
    levels = list(data) if data is not None and hasattr(data, "__len__") else []
    fail_if(
        not levels
        or not all(hasattr(level, "dtype") and hasattr(level, "shape") for level in levels),
        "an image: an array, a pyramid of arrays, or an Image layer",
        f"a {type(image).__name__}",
        "pass the layer, or its data",
    )
    return levels


def source_record(source: Any, spec: Any, *, closer: bool, scorer: Any = None) -> dict[str, Any]:
    """Return what candidates depend on, in plain numbers and words; cheap when asked again.

    Parameters
    ----------
    source
        What the network is shown, with `data`, `levels`, `axes` and `display`, and a `name` or the
        `image` layer that it comes from. Of a `Composite`, the `layers` as well.
    spec
        The model, if a `ModelSpec` describes it.
    closer
        Whether planes are looked at closer where a prompt has no answer.
    scorer
        What compares objects with words, if a `TextSpec` describes it.
    """
    layer = getattr(source, "image", source)
    image: dict[str, Any] = {
        "name": str(layer.name),
        "shape": [int(size) for size in source.data.shape],
        "dtype": str(source.data.dtype),
    }
    if source.levels:
        image["levels"] = [[int(size) for size in level.shape] for level in source.levels]
    image |= _path(layer)
    if isinstance(source.data, Composite) and hasattr(source, "layers"):
        image |= _composition(source)
    found: dict[str, Any] = {
        "image": image,
        "axes": source.axes.axes,
        "display": display_to_json(source.display),
        "closer": closer,
    }
    if isinstance(spec, ModelSpec):
        found["model"] = plain(**asdict(spec))
        found["sha256"] = model_hash(spec)
    elif isinstance(spec, FromLabels):
        found["candidates"] = {
            "labels": spec.name,
            "shape": [int(size) for size in spec.labels.shape],
            "dtype": str(spec.labels.dtype),
        }
    if isinstance(scorer, TextSpec):
        found["scorer"] = plain(**asdict(scorer))
        found["scorer_sha256"] = scorer_hash(scorer)
    return found


def _path(layer: Any) -> dict[str, Any]:
    """Return the file that a layer was opened from, if one is known."""
    path = getattr(getattr(layer, "source", None), "path", None)
    return {} if path is None else {"path": str(path)}


def _composition(source: Any) -> dict[str, Any]:
    """Return what a composite consists of: positions on an axis of one layer, or several layers."""
    parts = source.data.parts
    first = next(part for part in parts if part is not None)
    if isinstance(first, Channel):
        return {
            "array": [int(size) for size in first.array.shape],
            "channel_axis": first.axis,
            "channels": [None if part is None else part.position for part in parts],
            "kept": first.kept,
        }
    layers = iter(source.layers[1:])  # the first one is that whose pixels count
    named = [None if part is None else next(layers) for part in parts]
    return {
        "colours": [None if one is None else {"name": str(one.name), **_path(one)} for one in named]
    }


def model_hash(spec: ModelSpec) -> str | None:
    """Return the SHA-256 of a model's file or folder, None if it is not on this machine.

    It is read once, and again when it has changed.
    """
    from napari_fastsam.models.registry import MODELS, whole_of

    path = MODELS[spec.model].path if spec.model in MODELS else whole_of(Path(spec.model))
    try:
        states = [file.stat() for file in (path, *(path.iterdir() if path.is_dir() else ()))]
    except OSError:
        return None
    newest = max(state.st_mtime_ns for state in states)
    return _hash(path, newest, sum(state.st_size for state in states))


def scorer_hash(spec: TextSpec) -> str | None:
    """Return the SHA-256 of the file of what knows words, None if it is not on this machine."""
    from napari_fastsam.models._clip_names import find

    try:
        found = find(spec.model)
        path = found if isinstance(found, Path) else found.model.path
        state = path.stat()
    except OSError:
        return None
    return _hash(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=32)
def _hash(path: Path, mtime: int, size: int) -> str:
    """Return the SHA-256 of a file, remembered as long as it does not change."""
    from napari_fastsam.models._files import sha256_of

    return sha256_of(path)


def images_of(image: Any, sources: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the image of each source."""
    several = isinstance(image, list | tuple) and len(sources) > 1 and len(image) == len(sources)
    if several and not all(_fits(image, source) for source in sources):
        return list(image)
    return [image] * len(sources)


def _fits(image: Any, source: Mapping[str, Any]) -> bool:
    """Whether this is the image of a source."""
    try:
        arrays_of(image, source["image"])
    except ValueError:
        return False
    return True


def arrays_of(image: Any, told: Mapping[str, Any]) -> list[Any]:
    """Return the arrays of an image as they were shown, the finest first.

    Parameters
    ----------
    image
        An array, a pyramid or a layer; of colours, a list of these.
    told
        What `source_record` says of the image.

    Raises
    ------
    ValueError
        If it is another one.
    """
    wanted = [told["shape"], *told.get("levels", ())]
    try:
        levels = _composed(image, told) or pyramid(image)
    except ValueError:
        if "colours" not in told:
            raise
        levels = []
    if len(wanted) == 1:  # of a pyramid, the finest was seen
        levels = levels[:1]
    shapes = [[int(size) for size in level.shape] for level in levels]
    dtype = str(levels[0].dtype) if levels else None
    expected, remedy = _expected(told)
    fail_if(
        shapes != wanted or dtype != told["dtype"],
        expected,
        f"shape {_shapes(shapes)} and dtype {dtype}" if levels else "others",
        remedy,
    )
    return levels


def _expected(told: Mapping[str, Any]) -> tuple[str, str]:
    """Return which image a record speaks of, and what to pass, in words."""
    dtype, wanted = told["dtype"], [told["shape"], *told.get("levels", ())]
    if "colours" in told:
        names = [colour["name"] for colour in told["colours"] if colour is not None]
        return (
            f"the layers {names}, shown as colours, of shape {tuple(told['shape'][:-1])} and "
            f"together of dtype {dtype}",
            f"pass a list of these {len(names)} layers in this order, or of their arrays",
        )
    what = f"the image {told['name']!r} of shape {_shapes(wanted)}"
    if "array" in told:
        what = f"the image {told['name']!r} of shape {tuple(told['array'])}"
        what += f" with channels on axis {told['channel_axis']}"
    return f"{what} and dtype {dtype}", "pass the image as it was, not cropped or converted"


def _composed(image: Any, told: Mapping[str, Any]) -> list[Any]:
    """Return the composites of an image's channels or of layers, none if it was shown as it is."""
    if "array" in told:
        arrays, axis = pyramid(image), told["channel_axis"]
        if list(arrays[0].shape) == told["array"]:
            chosen = [n if n is None else (axis, n, told["kept"]) for n in told["channels"]]
            return composites([c and [Channel(array, *c) for array in arrays] for c in chosen])
    if "colours" in told:
        given = list(image) if isinstance(image, list | tuple) else [image]
        pyramids = [pyramid(one) for one in given if one is not None]
        shown = [colour is not None for colour in told["colours"]]
        shapes = [list(arrays[0].shape) for arrays in pyramids]
        if shapes == [told["shape"][:-1]] * sum(shown):
            left = iter(pyramids)
            return composites([next(left) if one else None for one in shown])
    return []


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    """Return the shapes of an image's levels as a person writes them."""
    return ", ".join(str(tuple(shape)) for shape in shapes)


def scorer_spec(source: Mapping[str, Any]) -> TextSpec | None:
    """Return what compared objects with words is built from, None if nothing is said of it."""
    if "scorer" not in source:
        return None
    told = dict(source["scorer"])
    return TextSpec(**{**told, "background": tuple(told.get("background", ()))})


def scorer_of(source: Mapping[str, Any], given: Scorer | None) -> Scorer | None:
    """Return what compared objects with words, or the given one; refuse another file of its name.

    ``None`` if nothing was compared.
    """
    spec = scorer_spec(source)
    if given is not None or spec is None:
        return given
    wanted, known = source.get("scorer_sha256"), scorer_hash(spec)
    fail_if(
        None not in (wanted, known) and wanted != known,
        f"the CLIP {spec.model} with SHA-256 {wanted}",
        f"a file with {known}",
        "get the file that was used, or pass scorer= to use this one all the same",
    )
    return spec


def model_of(
    source: Mapping[str, Any], given: str | PathLike[str] | ModelSpec | Segmenter | None
) -> str | PathLike[str] | ModelSpec | Segmenter:
    """Return the model of a source, or the given one; refuse another file of the same name."""
    fail_if(
        given is None and "model" not in source,
        "the name or file of the model that was used",
        "a record without one",
        "pass it, as replay(layer, image, model=…)",
    )
    if given is None:
        spec = ModelSpec.from_record(source["model"])
        known = model_hash(spec)
        fail_if(
            known is not None and source.get("sha256") not in (None, known),
            f"the model {spec.model} with SHA-256 {source.get('sha256')}",
            f"a file with {known}",
            "get the file that was used, or pass model= to use this one all the same",
        )
        return spec
    used = getattr(given, "spec", given)
    if isinstance(used, str):
        used = ModelSpec(model=used)
    if isinstance(used, ModelSpec) and source.get("sha256") not in (None, model_hash(used)):
        warnings.warn(
            f"The labels were made with another model than {used.model}: "
            "other objects may be found.",
            stacklevel=5,
        )
    return given
