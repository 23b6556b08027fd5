"""Files in, labels out: which output belongs to which image, and what a failure leaves behind.

An output appears whole or not at all. One bad image among many is reported, and the others are
done. What was done is noted in a manifest, so that the same run goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from napari_fastsam.batch.job import Job, Span
from napari_fastsam.batch.manifest import Manifest
from napari_fastsam.batch.places import manifest_path
from napari_fastsam.batch.run import Failed, Run, UpToDate
from napari_fastsam.batch.tasks import Done
from napari_fastsam.batch.workers import Cluster, Here, cluster
from napari_fastsam.segmenter import ModelSpec, TextSpec
from napari_fastsam.sources import model_hash, scorer_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_fastsam.batch.workers import Workers
    from napari_fastsam.files.inputs import Input
    from napari_fastsam.segmenter import Segmenter, TextScorer

__all__ = [
    "Cluster",
    "Done",
    "Failed",
    "Here",
    "Job",
    "Span",
    "UpToDate",
    "cluster",
    "manifest_path",
    "segment_files",
]


_SEARCH = ("text", "similar", "threshold", "top_k")
_UNCHOSEN = {"runtime": "auto", "refine": False, "views": "one"}  # as before one could choose


def segment_files(
    inputs: Sequence[Input],
    outputs: Sequence[Path],
    model: ModelSpec | Segmenter,
    job: Job,
    *,
    scorer: TextSpec | TextScorer | None = None,
    overwrite: bool = False,
    manifest: Path | None = None,
    workers: Workers | None = None,
    listed: int | None = None,
    progress: Callable[[Path, int, int], None] = lambda path, done, total: None,
) -> Iterator[Done | Failed | UpToDate]:
    """Segment images, and yield what became of each as it is done.

    Parameters
    ----------
    inputs, outputs
        As `inputs.find_images` and `outputs.plan_outputs` return them.
    model
        Built once by each worker if it is a `ModelSpec`.
    job
        What is asked of each image.
    scorer
        What compares objects with words and examples, built once by each worker if it is a
        `TextSpec`, and only if they are asked for; ``None`` is the usual one.
    overwrite
        Whether existing outputs may be replaced, and unfinished work with other settings dropped.
        What is up to date stays.
    manifest
        Where it is noted what is done: a run with the same one goes on there. ``None`` notes
        nothing.
    workers
        Who does it; ``None`` is this process.
    listed
        How many objects of each image are reported one by one, all if ``None``.
    progress
        Called with an image's path, the number of its planes that are done, and their total.

    Yields
    ------
    Done, Failed or UpToDate

    Raises
    ------
    ValueError, OSError
        If the model cannot be built, an output exists, or annotations that all images share cannot
        be written.
    """
    knows_words = (scorer or TextSpec()) if job.searching else None
    settings = _settings(model, job, knows_words)
    notes = Manifest(manifest, settings)
    try:
        run = Run(notes, job, overwrite=overwrite, listed=listed, progress=progress)
        yield from run.plan(inputs, outputs)
        if run.images:
            yield from run.perform(workers or Here(model, knows_words))
    finally:
        notes.close()


def _settings(
    model: ModelSpec | Segmenter, job: Job, scorer: TextSpec | TextScorer | None
) -> dict[str, Any]:
    """Return what makes the labels reproducible, as plain values."""
    spec = getattr(model, "spec", model)
    named: dict[str, Any] = {"model": str(spec), "sha256": None}
    if isinstance(spec, ModelSpec):
        told = dict(item for item in asdict(spec).items() if item not in _UNCHOSEN.items())
        named = {"model": told, "sha256": model_hash(spec)}
    asked = asdict(job)
    if scorer is None:
        asked = {name: value for name, value in asked.items() if name not in _SEARCH}
    else:
        words = getattr(scorer, "spec", scorer)
        named["scorer"] = asdict(words) if isinstance(words, TextSpec) else str(words)
        named["scorer_sha256"] = scorer_hash(words) if isinstance(words, TextSpec) else None
    return {"version": version("napari-fastsam"), **named, "job": asked}
