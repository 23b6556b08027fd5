"""How a folder of images and label images becomes a model, from the first look to the report."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.models._ultralytics import fused, network
from napari_fastsam.models.checkpoint import load_checkpoint, save_checkpoint
from napari_fastsam.models.data import divide, find_pairs, require_numbered, shares
from napari_fastsam.models.device import choose_device
from napari_fastsam.models.evaluate import evaluate
from napari_fastsam.models.fastsam import DEFAULT_IMAGE_SIZE, FastSAM
from napari_fastsam.models.lessons import Lessons, all_domains, earlier_domains, plan
from napari_fastsam.models.outcome import Report
from napari_fastsam.models.reading import read_pair
from napari_fastsam.models.recipe import Recipe
from napari_fastsam.models.registry import MODELS, model_path
from napari_fastsam.models.run import Progress, Run
from napari_fastsam.models.scenes import Scene, Scenes
from napari_fastsam.models.trainer import Trainer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Sequence

    import torch
    from torch import Tensor

    from napari_fastsam.models.checkpoint import Checkpoint
    from napari_fastsam.models.data import Pair

__all__ = ["Progress", "Report", "train"]

_VALIDATED = 64  # images at most whose loss is looked at after each epoch


def train(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    start: str | os.PathLike[str] = "starter",
    epochs: int = 30,
    photographs: Collection[str] = (),
    image_size: int | None = None,
    crop_size: int = 384,
    batch_size: int = 8,
    learning_rate: float = 2e-4,
    device: str = "auto",
    seed: int = 0,
    validation: float = 0.1,
    patience: int = 10,
    resume: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Fine-tune a model on images and label images, and report how good it became.

    Parameters
    ----------
    images, labels
        Folders of image files and of label images (one whole number per object, 0 for background),
        matched by relative path, ending aside. Any size and dtype that `FastSAM.segment` takes.
        Top-level folders are domains, and are balanced.
    output
        The model's file, ``.safetensors``. A file beside it, ending in ``.resume``, holds the state
        of the run until it ends.
    start
        The model to begin with: a name of the registry or a path.
    epochs
        How often as many images are drawn as there are.
    photographs
        Domains that show everyday scenes: kept upright, drawn a third of the time, and what
        the first network knows of them is kept.
    image_size
        Length in network pixels of an image's longer side when the model will be used; ``None``
        takes the first model's own.
    crop_size
        Side in network pixels of the squares learned from; a multiple of 32, at most the image
        size.
    batch_size
        Squares per step.
    learning_rate
        Its highest value.
    device
        As for `FastSAM`.
    seed
        Of everything drawn at random.
    validation
        Share of the images, in [0, 1), that is not learned from but judged on. A folder of a single
        image is learned from.
    patience
        Stop after this many epochs without a lower loss on them.
    resume
        Go on with an interrupted run, where there is one; else begin anew.
    progress
        Told after each step. An exception that it raises ends the run, which can then be resumed
        from the last whole epoch.

    Returns
    -------
    Report

    Raises
    ------
    FileNotFoundError
        If there is no image or no model, or an image has no label image.
    ValueError
        If a number is out of range, a file is not what it should be, no image has an object, the
        label images are masks, the interrupted run was another one, the memory does not hold a
        batch, or learning diverges.

    Notes
    -----
    On a CPU a step of 8 squares takes about a second. The defaults suit hundreds of images. An
    epoch draws as many squares as there are images, so a dozen need more epochs: some hundreds of
    steps in all. What is learned from one kind of image alone makes the model worse at others.
    """
    path = Path(output)
    fail_if(
        path.suffix != ".safetensors",
        "an output that ends in .safetensors",
        repr(path.name),
        "change its ending",
    )
    first = load_checkpoint(model_path(str(start)))
    recipe = Recipe(
        epochs=epochs,
        image_size=_own_image_size(first, str(start)) if image_size is None else image_size,
        crop_size=crop_size,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        validation=validation,
        patience=patience,
    )
    began = time.monotonic()
    pairs = find_pairs(images, labels)
    _check_photographs(pairs, photographs)
    chosen = choose_device(device)
    require_numbered(pairs)
    learn, held = divide(pairs, validation)
    for pair in held:
        read_pair(pair)  # a faulty one is told of now, not after hours
    lessons, trainer = _prepared(first, learn, photographs, recipe, chosen)
    fingerprint = _fingerprint(
        first.sha256,
        asdict(replace(recipe, patience=1)),  # it may change
        [_identity(pair) for pair in learn],
        [_identity(pair) for pair in held],
        sorted(photographs),
        [lessons.domains, lessons.new],
    )
    run = Run(trainer, path.with_name(f"{path.name}.resume"), fingerprint, patience)
    if resume:
        run.resume()
    scenes = _validation_scenes(held, lessons, photographs)
    while not run.finished:
        run.epoch(scenes, progress)
    metadata = {
        "name": path.stem,
        "image_size": str(recipe.image_size),
        **_licence(first, str(start)),
        "trained_from": first.sha256,
        "recipe": {**asdict(recipe), "epochs_done": run.epochs_done, "fingerprint": fingerprint},
        "domains": all_domains(earlier_domains(first.metadata), lessons.domains),
    }
    save_checkpoint(path, _in_half(run.best), metadata)
    figures = evaluate(FastSAM(path, device=device), held)
    run.end()
    return Report(
        output=str(path),
        images=len(learn),
        objects=sum(map(len, lessons.objects)),
        epochs=run.epochs_done,
        seconds=time.monotonic() - began,
        losses=tuple(run.losses),
        figures=figures,
    )


def _prepared(
    first: Checkpoint,
    learn: Sequence[Pair],
    photographs: Collection[str],
    recipe: Recipe,
    device: torch.device,
) -> tuple[Lessons, Trainer]:
    """Return what is to be learned, and what learns it."""
    model = network(first.architecture)
    model.load_state_dict(first.state)
    lessons = plan(
        learn,
        fused(model).to(device),
        first.architecture.classes,
        image_size=recipe.image_size,
        photographs=photographs,
        earlier=earlier_domains(first.metadata).values(),
    )
    fail_if(
        not any(map(len, lessons.objects)),
        "label images with objects, numbered from 1",
        f"{len(learn)} that are background alone",
        "check that these are label images",
    )
    scenes = Scenes(learn, lessons.objects, photographs)
    chances = shares([pair.domain for pair in learn], photographs)
    return lessons, Trainer(first, lessons, scenes, chances, recipe, device)


def _validation_scenes(
    held: Sequence[Pair], lessons: Lessons, photographs: Collection[str]
) -> Sequence[Scene]:
    """Return an even choice of the images held back; their objects train no class of their own."""
    some = held[:: -(-len(held) // _VALIDATED)] if held else []
    scenes = []
    for pair in some:
        image, labels = read_pair(pair)
        classes = np.full(int(labels.max()), lessons.domains.get(pair.domain, 0))
        scenes.append(Scene(image, labels, classes, pair.domain in photographs))
    return scenes


def _check_photographs(pairs: Sequence[Pair], photographs: Collection[str]) -> None:
    """Refuse folders that are not there."""
    domains = sorted({pair.domain for pair in pairs})
    fail_if(
        set(photographs) - set(domains),
        f"photographs among the top-level folders {domains}",
        f"{sorted(photographs)}",
        "name folders that are there",
    )


def _own_image_size(first: Checkpoint, start: str) -> int:
    """Return the image size that a model was trained at, as far as it is known."""
    known = MODELS[start].image_size if start in MODELS else DEFAULT_IMAGE_SIZE
    return first.image_size or known


def _licence(first: Checkpoint, start: str) -> dict[str, str]:
    """Return the licence that a model passes on to what is made of it, where it is known."""
    known = MODELS[start].licence if start in MODELS else first.metadata.get("licence")
    return {"licence": known} if known else {}


def _identity(pair: Pair) -> tuple[str, list[tuple[int, int]]]:
    """Return what changes when a pair's files do."""
    stats = [path.stat() for path in (pair.image, pair.labels)]
    return pair.name, [(stat.st_size, stat.st_mtime_ns) for stat in stats]


def _fingerprint(*parts: Any) -> str:
    """Return a short hash of everything that a run depends on."""
    text = json.dumps(parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _in_half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in half precision; counters stay whole numbers."""
    return {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
