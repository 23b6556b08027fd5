"""Files in, labels out: which output belongs to which image, and what a failure leaves behind.

An output appears whole or not at all. One bad image among many is reported, and the others are
done.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.cleanup import Cleanup
from napari_fastsam.files.coco import Coco
from napari_fastsam.files.inputs import file_names
from napari_fastsam.files.outputs import COCO, whole
from napari_fastsam.files.readers import read_image
from napari_fastsam.files.writers import label_file
from napari_fastsam.pipeline import Request, build, run
from napari_fastsam.prompts import Prompts
from napari_fastsam.report import FoundObject, Tally
from napari_fastsam.segmenter import ModelSpec
from napari_fastsam.tiling import Tiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_fastsam.files.inputs import Input
    from napari_fastsam.files.readers import Image
    from napari_fastsam.pipeline import Index, PlaneResult
    from napari_fastsam.segmenter import Segmenter

IMAGE_FAULTS = (ValueError, TypeError, OSError, RuntimeError, MemoryError)
"""What one image may fail with, torch's own errors among them, while the others are done."""

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

    def request(self, image: Image) -> Request:
        """Return what is asked of one image.

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
            prompts=prompts,
            confidence=self.confidence,
            cleanup=self.cleanup,
            link=self.link,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """An image that was segmented: where from and to, what was found, in how many seconds.

    No two images of a batch have the same name.
    """

    name: str
    path: Path
    output: Path
    shape: tuple[int, ...]
    axes: str
    objects: tuple[FoundObject, ...]
    unanswered: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """An image that was not, and why."""

    path: Path
    error: Exception


def segment_files(
    inputs: Sequence[Input],
    outputs: Sequence[Path],
    model: ModelSpec | Segmenter,
    job: Job,
    *,
    overwrite: bool = False,
    progress: Callable[[Path, int, int], None] = lambda path, done, total: None,
) -> Iterator[Done | Failed]:
    """Segment images one after the other, and yield what became of each.

    Parameters
    ----------
    inputs, outputs
        As `inputs.find_images` and `outputs.plan_outputs` return them.
    model
        Built once if it is a `ModelSpec`.
    job
        What is asked of each image.
    overwrite
        Whether existing outputs may be replaced.
    progress
        Called with an image's path, the number of its planes that are done, and their total.

    Yields
    ------
    Done or Failed
        In the order of `inputs`.

    Raises
    ------
    ValueError, OSError
        If the model cannot be built, or annotations that all images share cannot be written.
    """
    provenance = _provenance(model, job)
    segmenter = build(model)
    coco = Coco(provenance) if outputs[0].suffix.lower() == COCO else None
    try:
        for name, item, output in zip(file_names(inputs), inputs, outputs, strict=True):
            outcome: Done | Failed
            try:
                image = read_image(item.path, job.axes)
                target = (
                    coco.image(name)
                    if coco is not None
                    else label_file(output, image.axes, provenance=provenance, overwrite=overwrite)
                )
                with target as write:
                    outcome = _segment(name, image, output, segmenter, job, write, progress)
            except IMAGE_FAULTS as error:
                outcome = Failed(item.path, error)
            yield outcome
    finally:  # the images that are done keep their annotations when the work is broken off
        if coco is not None and coco.images:
            with whole(outputs[0], overwrite=overwrite) as partial:
                coco.save(partial)


def _segment(
    name: str,
    image: Image,
    output: Path,
    segmenter: Segmenter,
    job: Job,
    write: Callable[[PlaneResult], None],
    progress: Callable[[Path, int, int], None],
) -> Done:
    """Segment every plane of an image, pass it to `write`, and return what was found."""
    start = time.perf_counter()
    request = job.request(image)
    total = len(request.planes())
    tally = Tally(across_planes=job.link or job.prompted)
    unanswered: list[str] = []
    progress(image.path, 0, total)
    for done, result in enumerate(run(request, _tiled(segmenter, image, job.tile)), 1):
        write(result)
        tally.add(result)
        unanswered += _unanswered(request, result)
        progress(image.path, done, total)
    return Done(
        name=name,
        path=image.path,
        output=output,
        shape=image.axes.shape,
        axes=image.axes.axes,
        objects=tally.objects,
        unanswered=tuple(unanswered),
        seconds=time.perf_counter() - start,
    )


def _tiled(segmenter: Segmenter, image: Image, tile: Tile) -> Segmenter:
    """Return the segmenter, for tiles where the planes of an image are large."""
    side = tile
    if tile == "auto":
        size = getattr(getattr(segmenter, "spec", None), "image_size", None)
        side = size if size and max(image.axes.plane_shape) > 2 * size else "off"
    return segmenter if isinstance(side, str) else Tiled(segmenter, size=side, overlap=side // 5)


def _unanswered(request: Request, result: PlaneResult) -> list[str]:
    """Return the prompts of a plane that no object answers, as a person would write them."""
    if result.selection is None or request.prompts is None:
        return []
    prompts = request.prompts[result.index]
    places = {"points": prompts.points, "box": prompts.boxes}
    questions = [prompts.questions[n] for n in result.selection.unanswered]
    return [
        f"{question.kind.removesuffix('s')} "
        + ",".join(f"{number:g}" for number in places[question.kind][question.members[0]])
        for question in questions
    ]


def _provenance(model: ModelSpec | Segmenter, job: Job) -> dict[str, object]:
    """Return what makes the labels reproducible, as plain values."""
    spec = getattr(model, "spec", model)
    name = asdict(spec) if isinstance(spec, ModelSpec) else str(spec)
    return {
        "napari_fastsam": {
            "version": version("napari-fastsam"),
            "model": name,
            "job": asdict(job),
        }
    }
