"""The same labels again, from what they say of how they came about; see `origins`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if, message
from napari_fastsam.canvas import ArrayCanvas
from napari_fastsam.cleanup import clean
from napari_fastsam.labelling import Labelling, chosen
from napari_fastsam.looking import Looking
from napari_fastsam.origins import record_of
from napari_fastsam.pipeline import Course
from napari_fastsam.planes import PlaneAxes
from napari_fastsam.prompts import Prompts
from napari_fastsam.records import cleanup_from_json, display_from_json, prompts_from_json
from napari_fastsam.runs import Runs
from napari_fastsam.sources import arrays_of, images_of, model_of, scorer_of

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from napari_fastsam.pipeline import Index, Scorer
    from napari_fastsam.segmenter import ModelSpec, Segmenter


def replay(
    layer: Any,
    image: Any,
    *,
    model: str | PathLike[str] | ModelSpec | Segmenter | None = None,
    scorer: Scorer | None = None,
) -> NDArray[Any]:
    """Return the labels that were made step by step, made again from the image.

    Parameters
    ----------
    layer
        A Labels layer that was made with the dock widget, or what `provenance` returned, also after
        it was saved as JSON.
    image
        The image that they were made on: an array, a pyramid of them with the finest first, or an
        image layer. Where layers were shown as colours, these layers in a list. Where there were
        several sources, one image for each in a list, or one for all.
    model
        Finds the candidates in place of the model that was used; then other objects may be found.
    scorer
        Compares objects with words in place of the CLIP that was used, as for `run`.

    Returns
    -------
    The labels, exactly as they were after the last step: objects, what was painted by hand, and
    what was there before.

    Raises
    ------
    ValueError
        If nothing says how the labels came about, if the image is another one, or the model's file.

    Notes
    -----
    Planes that no step touched are copied from the layer; without one they are background. A
    network may give slightly other masks on another device, in half precision for instance.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> from skimage.data import coins
    >>> work = fs.Labelling.of(coins())
    >>> work.take(fs.Prompts(points=[(56, 101)]))
    [Outcome(state='new', label=1)]
    >>> labels = fs.replay(fs.provenance(work), coins())
    >>> bool((labels == work.labels).all())
    True
    """
    record = record_of(layer)
    sources = record["sources"]
    images = images_of(image, sources)
    told = record["labels"]
    array = np.zeros(told["shape"], told["dtype"])
    if not isinstance(layer, Mapping) and getattr(layer, "data", None) is not None:
        shape = tuple(layer.data.shape)
        fail_if(
            shape != array.shape,
            f"labels of shape {array.shape}, as they were made",
            f"some of shape {shape}",
            "pass the layer as it was, or only its metadata",
        )
        array[...] = np.asarray(layer.data)
    seers: dict[int, Looking] = {}

    def turn(step: Mapping[str, Any]) -> None:
        """See what a step saw, and as it saw it."""
        number = step.get("source", 0)
        if number < len(sources):
            if number not in seers:
                seers[number] = _looking(images[number], sources[number], model, scorer)
            work.candidates = seers[number]
        work.canvas = ArrayCanvas(array, PlaneAxes(step.get("axes", told["axes"]), array.shape))

    work = Labelling(ArrayCanvas(array, PlaneAxes(told["axes"], array.shape)), _nothing, first=1)
    # The first snapshot of a pixel is the one from before all steps, so it is written last.
    for start in reversed(record["start"]):
        turn(start)
        whole = (slice(None), slice(None))
        work.canvas.write(tuple(start["plane"]), whole, Runs.from_json(start).array())
    work.skip(int(array.max(initial=0)))  # another model may find what had no number
    for step in record["steps"]:
        _follow(work, step, turn)
    return array


def _follow(work: Labelling, record: Mapping[str, Any], turn: Any) -> None:
    """Do one step again."""
    turn(record)
    plane = tuple(record.get("plane", ()))
    existing, cleanup = record.get("existing", "keep"), cleanup_from_json(record.get("cleanup"))
    if "looked" in record and record["do"] != "run":
        looking = _looking_of(work)
        looking.closer = False  # what was seen then, and no more
        looking.look(record["looked"], plane=plane)
    match record["do"]:
        case "together":
            with work.together():
                for step in record["steps"]:
                    _follow(work, step, turn)
        case "take":
            prompts, labels = prompts_from_json(record["prompts"]), record["labels"]
            if prompts.searching:  # another model may find more objects, or fewer
                work.skip(min((label for label in labels if label), default=1) - 1)
                labels = None
            work.take(
                prompts,
                plane=plane,
                labels=labels,
                choices=record.get("choices"),
                without=record.get("without", ()),
                existing=existing,
                cleanup=cleanup,
            )
        case "remove":
            work.remove(record["labels"], plane=plane)
        case "spread":
            work.spread(record["label"])
        case "extend":
            work.extend(record["label"], record, plane=plane, existing=existing)
        case "give back":
            work.give_back(record["label"], plane=plane)
        case "everything":
            pool = _looking_of(work)(plane, Prompts()).candidates
            found = chosen(pool, **record["how"]).to_labels()
            numbers = dict(record["numbers"])
            planned = work.plan(plane, clean(found, cleanup), existing, numbers, exactly=True)
            work.write(planned, dict(record))
        case "clean":
            work.clean(cleanup, plane=plane)
        case "paint":
            work.paint(record["edits"])
        case "run":
            run_again(work, record)
        case other:
            raise ValueError(
                message("a step that this version knows", f"{other!r}", "install a newer version")
            )


def run_again(work: Labelling, record: Mapping[str, Any]) -> None:
    """Do a run over many planes again, as far as it went, from its record."""
    looking = _looking_of(work)
    given = zip(record["planes"], record["numbers"], strict=False)
    numbers: dict[Index, Any] = {tuple(plane): pairs for plane, pairs in given}
    looked = {tuple(plane["plane"]): plane["windows"] for plane in record.get("looked", ())}
    planes, prompts = list(numbers), None
    if "prompts" in record:  # they are counted through the planes, up to the last one that came
        parts = record["prompts"]
        last = max(
            (n for n, part in enumerate(parts) if tuple(part["plane"]) in numbers), default=-1
        )
        prompts = {
            tuple(part["plane"]): prompts_from_json(part["prompts"]) for part in parts[: last + 1]
        }
        planes = list(prompts)
    request = looking.request(
        indices=tuple(planes),
        prompts=prompts,
        confidence=record.get("confidence"),
        min_area=record.get("min_area", 0),
        max_area=record.get("max_area"),
        link=record.get("link", False),
        cleanup=cleanup_from_json(record.get("cleanup")),
        closer=False,
    )
    step = work.begin({**record, "planes": list(record["planes"]), "numbers": [], "looked": []})
    # Another answer to a search, on another machine, leaves those on other planes their numbers.
    course = Course() if request.searching else None
    results = looking.run(request, course)
    for plane in request.planes():
        looking.look(looked.get(plane, ()), plane=plane)  # just before, while the cache has it
        pairs = numbers.get(plane)
        if course is not None and pairs and not request.link:
            course.asked = min(number for number, _ in pairs) - 1
        result = next(results)
        if pairs is not None:
            planned = work.plan(
                result.index,
                result.labels,
                record["existing"],
                dict(pairs),
                exactly=True,
                windows=result.windows,
                keep=prompts is not None,
            )
            work.write(planned, step=step)
    work.paint(record.get("edits", ()))


def _looking(
    image: Any,
    source: Mapping[str, Any],
    model: str | PathLike[str] | ModelSpec | Segmenter | None,
    scorer: Scorer | None,
) -> Looking:
    """Return the candidates of a source, checked to be the same."""
    levels = arrays_of(image, source["image"])
    return Looking(
        levels if len(levels) > 1 else levels[0],
        model_of(source, model),
        axes=source["axes"],
        display=display_from_json(source["display"]),
        closer=source.get("closer", True),
        scorer=scorer_of(source, scorer),
    )


def _looking_of(work: Labelling) -> Looking:
    """Return what a replayed labelling chooses from."""
    assert isinstance(work.candidates, Looking)
    return work.candidates


def _nothing(plane: Index, prompts: Prompts) -> Any:
    """Stand for the candidates as long as there is no source."""
    raise ValueError(
        message(
            "a record of the image that objects were chosen from",
            f"a step on plane {plane} without one",
            "pass the provenance as it was saved",
        )
    )
