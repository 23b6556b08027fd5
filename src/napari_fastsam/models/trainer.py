"""One step of learning after the other: what is drawn, how far the weights move, what is averaged.

Everything drawn at random follows from the seed and the number of the step, so a run that was
interrupted goes on as if it had not been.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fastsam.models._ultralytics import network
from napari_fastsam.models.augment import view
from napari_fastsam.models.forgetting import forgotten
from napari_fastsam.models.loss import Outputs, loss
from napari_fastsam.models.scenes import target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_fastsam.models.checkpoint import Checkpoint
    from napari_fastsam.models.lessons import Lessons
    from napari_fastsam.models.recipe import Recipe
    from napari_fastsam.models.scenes import Scene, Scenes

_WARM_UP = 150  # steps over which the learning rate rises, or a tenth of all
_DECAY = 0.4  # the last part of the run, over which it falls
_LEAST_RATE = 0.02  # to this share
_BACKBONE = 10  # layers before this one see what every image has, and change less
_BACKBONE_RATE = 0.3
_LONGEST_STEP = 10.0  # norm of the gradient
_AVERAGED = 0.9985  # share that the average of the weights keeps at each step
_NEW_BIAS = -5.0  # a new class begins with a score near zero


class Trainer:
    """A network that learns, the first network that it comes from, and the average that is kept.

    Parameters
    ----------
    start
        The first network.
    lessons
        What the objects train.
    scenes, chances
        What is learned from, and how often each is drawn, (N,), of sum 1.
    recipe
        The numbers of the run.
    device
        Where it runs.
    """

    def __init__(
        self,
        start: Checkpoint,
        lessons: Lessons,
        scenes: Scenes,
        chances: NDArray[np.float64],
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        self.recipe, self.step_count = recipe, 0
        self._scenes, self._chances, self._device = scenes, chances, device
        self.first = _network(start, device).eval().requires_grad_(False)
        self.model = _network(start, device)
        self._average = _network(start, device).requires_grad_(False)
        _forget_classes(self.model, lessons.new)
        self._average.load_state_dict(self.model.state_dict())
        classes = range(start.architecture.classes)
        self._known = torch.tensor([c for c in classes if c not in lessons.new], device=device)
        self._optimizer = torch.optim.AdamW(_groups(self.model), lr=0.0, weight_decay=0.0)

    @property
    def steps_per_epoch(self) -> int:
        """How many steps draw as many images as there are."""
        return math.ceil(len(self._scenes) / self.recipe.batch_size)

    @property
    def averaged(self) -> dict[str, Tensor]:
        """The weights to keep: the running average over the steps."""
        return {name: tensor.clone() for name, tensor in self._average.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """Return all that changes as the run goes on."""
        return {
            "step": self.step_count,
            "model": self.model.state_dict(),
            "average": self.averaged,
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.step_count = state["step"]
        self.model.load_state_dict(state["model"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])

    def step(self) -> float:
        """Learn from one batch and return its loss."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, self.step_count])
        picked = rng.choice(len(self._scenes), recipe.batch_size, p=self._chances)
        rate = recipe.learning_rate * self._rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["share"]
        total = self._loss(self.model, [self._scenes[int(n)] for n in picked], rng, remember=True)
        self._optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _LONGEST_STEP)
        self._optimizer.step()
        self.step_count += 1
        self._update_average()
        return float(total.detach())

    @torch.no_grad()
    def validate(self, scenes: Sequence[Scene]) -> float:
        """Return the mean loss of the averaged weights, on one fixed square of each scene."""
        size = self.recipe.batch_size
        total = 0.0
        for start in range(0, len(scenes), size):
            part = [scenes[n] for n in range(start, min(start + size, len(scenes)))]
            rng = np.random.default_rng([self.recipe.seed, start, 1])
            total += float(self._loss(self._average, part, rng, remember=False)) * len(part)
        return total / len(scenes)

    def _loss(
        self,
        model: torch.nn.Module,
        scenes: Sequence[Scene],
        rng: np.random.Generator,
        *,
        remember: bool,
    ) -> Tensor:
        """Return the loss of a network on one square of each scene."""
        size, recipe = self.recipe.crop_size, self.recipe
        generator = torch.Generator().manual_seed(recipe.seed + self.step_count)
        views = [view(scene, size, recipe.image_size, rng) for scene in scenes]
        squares = torch.from_numpy(np.stack([image for image, _ in views])).to(self._device)
        batch = squares.permute(0, 3, 1, 2) / 255
        targets = [
            target_of(labels, scene.classes).to(self._device)
            for (_, labels), scene in zip(views, scenes, strict=True)
        ]
        outputs = self._outputs(_learning(model), batch)
        total = loss(outputs, targets, generator)
        photographs = [n for n, scene in enumerate(scenes) if scene.upright]
        if remember and photographs:
            with torch.no_grad():
                first = self._outputs(_learning(self.first), batch[photographs])
            lost = forgotten(outputs[photographs], first, self._known)
            total = total + lost.sum() / len(scenes)
        return total

    def _outputs(self, model: torch.nn.Module, batch: Tensor) -> Outputs:
        """Run a network, in half the precision where the device is faster for it."""
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=_halves(self._device)):
            return Outputs.of(model(batch))

    def _rate(self) -> float:
        """Return the share of the learning rate at this step: up, level, down."""
        steps = self.recipe.epochs * self.steps_per_epoch
        up = (self.step_count + 1) / max(1, min(_WARM_UP, steps // 10))
        down = (1 - self.step_count / steps) / _DECAY
        return min(1.0, up) * max(_LEAST_RATE, min(1.0, down))

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average towards the weights, faster in the beginning."""
        kept = min(_AVERAGED, (1 + self.step_count) / (10 + self.step_count))
        now = self.model.state_dict()
        for name, tensor in self._average.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(now[name], 1 - kept)


def _network(start: Checkpoint, device: torch.device) -> torch.nn.Module:
    """Return the network of a checkpoint, laid out as convolutions like it."""
    model = network(start.architecture)
    model.load_state_dict(start.state)
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _learning(model: torch.nn.Module) -> torch.nn.Module:
    """Return a network that says what the loss needs, its normalisation held fixed.

    Statistics of a batch of nuclei and photographs are those of neither.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return model


@torch.no_grad()
def _forget_classes(model: torch.nn.Module, classes: Sequence[int]) -> None:
    """Let classes begin anew: nothing is one of them."""
    for name, parameter in model.named_parameters():
        if ".cv3." in name and name.endswith((".2.weight", ".2.bias")):
            parameter[list(classes)] = _NEW_BIAS if name.endswith("bias") else 0.0


def _groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    """Return what is learned, and each part's share of the learning rate."""
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for name, parameter in model.named_parameters():
        learned = ".dfl." not in name  # that one only holds the numbers 0, 1, 2, …
        parameter.requires_grad_(learned)
        if learned:
            parts[int(name.split(".")[1]) >= _BACKBONE].append(parameter)
    backbone, rest = parts
    return [{"params": rest, "share": 1.0}, {"params": backbone, "share": _BACKBONE_RATE}]


def _halves(device: torch.device) -> bool:
    """Whether the device computes bfloat16 faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Only oneDNN knows, where torch was built with it, and says so under no public name.
    asked = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available() or asked is None:
        return False
    return bool(asked())
