"""How a folder of images and label images becomes a model, from the first look to the report."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.models._ultralytics import fused, network
from napari_fastsam.models.checkpoint import load_checkpoint, save_checkpoint
from napari_fastsam.models.data import divide, find_pairs, shares
from napari_fastsam.models.device import choose_device
from napari_fastsam.models.evaluate import Figures, evaluate, table
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.lessons import Lessons, all_domains, earlier_domains, plan
from napari_fastsam.models.letterbox import STRIDE
from napari_fastsam.models.reading import read_pair
from napari_fastsam.models.registry import model_path
from napari_fastsam.models.run import Progress, Run
from napari_fastsam.models.scenes import Scene, Scenes
from napari_fastsam.models.trainer import Recipe, Trainer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Sequence

    import torch
    from torch import Tensor

    from napari_fastsam.models.checkpoint import Checkpoint
    from napari_fastsam.models.data import Pair

__all__ = ["Progress", "Report", "train"]

_VALIDATED = 64  # images at most whose loss is looked at after each epoch


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to.

    Parameters
    ----------
    output
        The model's file.
    images, objects
        How many were learned from.
    epochs
        How many were done; fewer than asked for if nothing improved any more.
    seconds
        How long it took, since it was last begun.
    losses
        Loss on the validation images after each epoch.
    figures
        How good the model is on the validation images, by domain.
    """

    output: str
    images: int
    objects: int
    epochs: int
    seconds: float
    losses: tuple[float, ...] = ()
    figures: dict[str, Figures] = field(default_factory=dict)

    def __str__(self) -> str:
        head = (
            f"{self.output}: {self.images} images, {self.objects:,} objects, "
            f"{self.epochs} epochs, {self.seconds / 60:.0f} min"
        )
        return f"{head}\n{table(self.figures)}" if self.figures else head

    def to_json(self) -> dict[str, Any]:
        """Return the same as numbers, text, lists and dictionaries."""
        return asdict(self)


def train(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    start: str | os.PathLike[str] = "starter",
    epochs: int = 30,
    photographs: Collection[str] = (),
    image_size: int = 640,
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
        Length in network pixels of an image's longer side when the model will be used.
    crop_size
        Side in network pixels of the squares learned from; a multiple of 32.
    batch_size
        Squares per step.
    learning_rate
        Its highest value.
    device
        As for `FastSAM`.
    seed
        Of everything drawn at random.
    validation
        Share of the images, in [0, 1), that is not learned from but judged on.
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
        If a number is out of range, a file is not what it should be, no image has an object, or the
        interrupted run was another one.

    Notes
    -----
    On a CPU a step of 8 squares takes about a second. The defaults suit hundreds of images; for a
    dozen, start from the nearest model and take fewer epochs.
    """
    recipe = Recipe(
        epochs=epochs,
        image_size=image_size,
        crop_size=crop_size,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    path = Path(output)
    _check(path, recipe, validation, patience)
    began = time.monotonic()
    learn, held = divide(find_pairs(images, labels), validation)
    _check_division(learn, photographs)
    first = load_checkpoint(model_path(str(start)))
    chosen = choose_device(device)
    lessons, trainer = _prepared(first, learn, photographs, recipe, chosen)
    fingerprint = _fingerprint(first.sha256, asdict(recipe), learn, held, sorted(photographs))
    run = Run(trainer, path.with_name(f"{path.name}.resume"), fingerprint, patience)
    if resume:
        run.resume()
    scenes = _validation_scenes(held, lessons, photographs)
    while not run.finished:
        run.epoch(scenes, progress)
    metadata = {
        "name": path.stem,
        "image_size": str(image_size),
        "licence": first.metadata.get("licence", "AGPL-3.0-or-later"),
        "trained_from": first.sha256,
        "recipe": {**asdict(recipe), "epochs_done": run.epochs_done, "fingerprint": fingerprint},
        "domains": all_domains(earlier_domains(first.metadata), lessons.domains),
    }
    save_checkpoint(path, _in_half(run.best), metadata)
    run.end()
    return Report(
        output=str(path),
        images=len(learn),
        objects=sum(map(len, lessons.objects)),
        epochs=run.epochs_done,
        seconds=time.monotonic() - began,
        losses=tuple(run.losses),
        figures=evaluate(FastSAM(path, device=device, image_size=image_size), held),
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


def _check(path: Path, recipe: Recipe, validation: float, patience: int) -> None:
    """Refuse settings that cannot be, before hours are spent on them."""
    faults = [
        text
        for wrong, text in (
            (path.suffix != ".safetensors", f"output {path.name!r}"),
            (recipe.epochs < 1, f"epochs {recipe.epochs}"),
            (recipe.batch_size < 1, f"batch_size {recipe.batch_size}"),
            (recipe.image_size < 1, f"image_size {recipe.image_size}"),
            (
                recipe.crop_size < STRIDE or recipe.crop_size % STRIDE,
                f"crop_size {recipe.crop_size}",
            ),
            (not recipe.learning_rate > 0, f"learning_rate {recipe.learning_rate}"),
            (recipe.seed < 0, f"seed {recipe.seed}"),
            (not 0 <= validation < 1, f"validation {validation}"),
            (patience < 1, f"patience {patience}"),
        )
        if wrong
    ]
    fail_if(
        faults,
        "an output that ends in .safetensors, a crop_size that is a multiple of 32, validation in "
        "[0, 1), positive numbers otherwise",
        ", ".join(faults),
        "change these",
    )


def _check_division(learn: Sequence[Pair], photographs: Collection[str]) -> None:
    """Refuse a division that leaves nothing to learn from, and folders that are not there."""
    domains = sorted({pair.domain for pair in learn})
    fail_if(
        not learn,
        "images to learn from",
        "none: all are held back for validation",
        "add images, or hold back a smaller share",
    )
    fail_if(
        set(photographs) - set(domains),
        f"photographs among the top-level folders {domains}",
        f"{sorted(photographs)}",
        "name folders that are there",
    )


def _fingerprint(*parts: Any) -> str:
    """Return a short hash of everything that a run depends on."""
    text = json.dumps(parts, default=lambda pair: pair.name)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _in_half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in half precision; counters stay whole numbers."""
    return {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
