"""From the user's layers to a `Request`, and `segment_layers`, which runs it without a viewer."""

from __future__ import annotations

import warnings
from dataclasses import replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._napari.canvas import LayerCanvas
from napari_fastsam._napari.counting import LargestLabel
from napari_fastsam._napari.drawn import (
    PromptsByPlane,
    groups_of,
    polarity_of,
    prompts_by_plane,
)
from napari_fastsam._napari.labels import check_labels, labels_like
from napari_fastsam._napari.layer_search import Answers, described, with_search
from napari_fastsam._napari.source import Source, source_of
from napari_fastsam._napari.views import View, carry, in_view
from napari_fastsam.cleanup import Cleanup
from napari_fastsam.labelling import Labelling, counts_on_each_plane, run_record
from napari_fastsam.origins import KEY, provenance
from napari_fastsam.pipeline import Request, run
from napari_fastsam.segmenter import ModelSpec
from napari_fastsam.sources import source_record

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.layers import Image, Labels, Points, Shapes

    from napari_fastsam._napari.grid import Placed
    from napari_fastsam._napari.shown import Contrast
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index, Scorer
    from napari_fastsam.placing import Existing
    from napari_fastsam.planes import Display, PlaneAxes
    from napari_fastsam.prompts import Prompts
    from napari_fastsam.segmenter import Segmenter


def segment_layers(
    image: Image,
    *,
    points: Points | None = None,
    shapes: Shapes | None = None,
    labels: Labels | None = None,
    text: str | None = None,
    similar: bool = False,
    threshold: float | None = None,
    top_k: int | None = None,
    scorer: Scorer | None = None,
    model: str | PathLike[str] | ModelSpec | Segmenter = "starter",
    confidence: float | None = None,
    cleanup: Cleanup | None = None,
    plane: int | tuple[int, ...] | None = None,
    existing: Existing = "keep",
    link: bool = False,
    display: Display | None = None,
    colours: Sequence[Image | None] = (),
    channel_axis: int | None = None,
    channels: Sequence[int] | None = None,
    contrast: Contrast = "shown",
) -> Labels:
    """Segment an image layer as the dock widget does, without a viewer.

    Parameters
    ----------
    image
        Its last two axes are the planes; all others, but a `channel_axis`, are stepped through.
    points
        Each that is shown asks for its own object. The feature ``polarity`` (``"+"`` or ``"-"``)
        makes a point negative, and points with the same value of the feature ``group`` ask for
        one object. Axes that the image lacks are left out.
    shapes
        Upright rectangles are boxes; other rectangles, ellipses and polygons are rough masks; paths
        and lines are scribbles.
    labels
        The layer to write to; ``None`` makes a new one.
    text
        Words for the objects that are wanted on every plane, as in `Prompts`. On planes where
        points or shapes lie, these say on what, on what not (negative points), and where.
    similar
        What points and shapes ask for are examples: each object on their plane that looks like one.
    threshold, top_k
        As in `Prompts`.
    scorer
        What compares objects with words and examples, as for `run`.
    model
        A name of the registry, the path of a checkpoint, a `ModelSpec` or a `Segmenter`.
    confidence, cleanup
        As in `Request`.
    plane
        The only plane to look at, by its position on the stepped axes. Prompt layers with fewer
        axes than the image speak of this plane. ``None`` looks at each plane that has prompts or,
        without prompts, at every plane.
    existing
        ``"keep"`` leaves objects in `labels` untouched, ``"overwrite"`` writes over them where new
        objects lie, ``"clear"`` removes those on the planes looked at.
    link
        Give an object one label through the last of the stepped axes.
    display
        How intensities become what the network sees, in place of `contrast`.
    colours
        Up to three layers with the pixels of `image`, to be shown to the network as red, green and
        blue in its place; ``None`` for a colour without a layer.
    channel_axis, channels
        The axis of `image` that holds channels, if one does, and up to three positions on it to be
        shown as red, green and blue; ``None`` takes the first ones.
    contrast
        ``"shown"`` takes contrast limits and gamma as each layer has them, ``"percentiles"`` robust
        percentiles of each plane and channel, ``(low, high)`` these percentiles.

    Returns
    -------
    Labels
        `labels`, or a new layer with the image's transform. Each plane is one undo step. All
        channels have the same labels: a first `channel_axis` is left out of them, another one has
        one position. Of a search, the features ``score``, ``text`` and ``likeness`` say what each
        label answers, and how well.

    Raises
    ------
    ValueError, TypeError
        If the layers do not fit each other, or what is in them cannot be shown.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> from napari.layers import Image, Points
    >>> from skimage.data import coins
    >>> image = Image(coins())
    >>> fs.segment_layers(image, points=Points([(126, 103)]), model="starter").data.max()
    np.uint32(1)
    """
    source = source_of(
        image,
        colours=colours,
        channel_axis=channel_axis,
        channels=channels,
        contrast=contrast,
    )
    view = None if plane is None else View(source.axes, _index(plane, source.axes))
    if labels is None:
        labels = labels_like(image, source.axes, source.grid)
    check_labels(labels, source.grid, source.axes)
    found = None
    if points is not None or shapes is not None:
        found = read_prompts(
            source.grid,
            source.axes,
            points=points,
            shapes=shapes,
            view=view,
            narrowing=text is not None,
        )
    planes = source.axes.indices() if view is None else (view.index,)
    search = {"text": text, "similar": similar, "threshold": threshold, "top_k": top_k}
    found = with_search(found, planes, **search)
    request = make_request(
        source,
        prompts=found,
        view=view,
        display=display,
        confidence=confidence,
        cleanup=cleanup,
        link=link,
    )
    spec = ModelSpec(model=fspath(model)) if isinstance(model, str | PathLike) else model
    answers = _write(labels, source, request, spec, scorer, existing)
    left_out = "" if found is None else found.reasons.words()
    if answers.unanswered or answers.missing or left_out:
        warnings.warn(answers.shortfall(left_out), stacklevel=2)
    return labels


def read_prompts(
    image: Placed,
    axes: PlaneAxes,
    *,
    points: Points | None = None,
    shapes: Shapes | None = None,
    view: View | None = None,
    narrowing: bool = False,
) -> PromptsByPlane:
    """Return what is in prompt layers, in pixels of the image, each on its own plane.

    Parameters
    ----------
    image
        What the prompts are about.
    axes
        How it falls into planes.
    points, shapes
        See `segment_layers`.
    view
        The plane that layers with fewer axes than the image speak of. Of layers with more axes,
        what lies elsewhere than the sliders on an axis that the image lacks is left out: it is not
        shown over the image.
    narrowing
        As in `prompts_by_plane`.

    Raises
    ------
    ValueError
        If the plane of such a layer is not said, or a polarity is not understood.
    """
    asked: dict[str, Any] = {}
    if points is not None:
        shown = np.asarray(points.shown, bool) & in_view(points.data, points, image, view)
        features = points.features[shown]
        asked["points"] = carry(points.data[shown], points, image, view)
        if "polarity" in features:
            asked["positive"] = polarity_of(features["polarity"].tolist())
        if "group" in features:
            asked["group"] = groups_of(features["group"].tolist())
    if shapes is not None:
        asked["shapes"] = [
            (kind, carry(vertices, shapes, image, view))
            for kind, vertices in zip(shapes.shape_type, shapes.data, strict=True)
            if in_view(vertices, shapes, image, view).all()
        ]
    return prompts_by_plane(axes, narrowing=narrowing, **asked)


def make_request(
    source: Source | Image,
    axes: PlaneAxes | None = None,
    *,
    prompts: PromptsByPlane | None = None,
    view: View | None = None,
    display: Display | None = None,
    confidence: float | None = None,
    cleanup: Cleanup | None = None,
    link: bool = False,
    key: Hashable | None = None,
) -> Request:
    """Return the request for one plane of an image (`view`), or for all of them.

    Parameters
    ----------
    source
        What the network is shown; an image layer is shown as it is.
    axes, display
        In place of the source's own.
    prompts, confidence, cleanup, link, key
        As in `Request`.
    view
        The only plane wanted.

    Raises
    ------
    ValueError
        If the plane is not in the image.
    """
    if not isinstance(source, Source):
        source = source_of(source)
    return Request(
        data=source.data,
        levels=source.levels,
        axes=axes or source.axes,
        indices=None if view is None else (view.index,),
        prompts=None if prompts is None else prompts.planes,
        display=display or source.display,
        confidence=confidence,
        cleanup=cleanup or Cleanup(),
        link=link,
        key=key,
    )


def _write(
    labels: Labels,
    source: Source,
    request: Request,
    model: ModelSpec | Segmenter,
    scorer: Scorer | None,
    existing: Existing,
) -> Answers:
    """Run a request, write what it finds, and return what came of the prompts."""
    canvas = LayerCanvas(labels, request.layout, few_pixels=None)
    work = Labelling(canvas, _unasked, first=LargestLabel(labels.data).next_label)
    step = work.begin(run_record(request, existing))
    numbers: dict[int, int] = {}
    answers = Answers()
    for result in run(request, model, scorer=scorer):
        if counts_on_each_plane(request):
            numbers = {}
        planned = work.plan(result.index, result.labels, existing, numbers, windows=result.windows)
        work.write(planned, step=step)
        answers.add(result, (request.prompts or {}).get(result.index), planned.numbers)
    answers.show(labels, step, work.history)
    told = source_record(
        replace(source, display=request.display),
        getattr(model, "spec", model),
        closer=request.closer,
        scorer=described(scorer, request),
    )
    labels.metadata[KEY] = provenance(work, [told])
    return answers


def _unasked(_: Index, __: Prompts) -> Instances:
    """Stand in for candidates: a run has its own."""
    raise NotImplementedError


def _index(plane: int | tuple[int, ...], axes: PlaneAxes) -> Index:
    """Return the position of a plane as a tuple, on axes with one position as well."""
    index = [int(at) for at in np.atleast_1d(plane)]
    sizes = [axes.shape[axis] for axis in axes.steps]
    if len(index) == sum(size > 1 for size in sizes) < len(sizes):
        given = iter(index)
        index = [next(given) if size > 1 else 0 for size in sizes]
    return tuple(index)
