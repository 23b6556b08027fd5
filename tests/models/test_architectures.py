"""Networks besides YOLOv8, as ultralytics saves them: read without running, and computed alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_fastsam.models import _ultralytics
from napari_fastsam.models.architecture import (
    Architecture,
    expected_shapes,
    recognise,
    recognise_shapes,
)
from napari_fastsam.models.checkpoint import CheckpointError, load_checkpoint
from napari_fastsam.models.layers import Layers
from napari_fastsam.models.network import Raw, predictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Published = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("cache")

NAMES = {0: "cell", 1: "nucleus", 2: "debris"}
SIDE = 64


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory, published: Published
) -> Callable[[str], tuple[Path, torch.nn.Module]]:
    """``saved(kind)``: a random network of that kind and its checkpoint, made once."""
    made: dict[str, tuple[Path, torch.nn.Module]] = {}

    def save(kind: str) -> tuple[Path, torch.nn.Module]:
        if kind not in made:
            torch.manual_seed(3)
            with torch.random.fork_rng():
                model = _MAKERS[kind]() if kind in _MAKERS else _plain(f"{kind}.yaml")
            _stirred(model)
            path = tmp_path_factory.mktemp("saved") / f"{kind}.pt"
            checkpoint = published(model)
            model.names = NAMES
            torch.save(checkpoint, path)
            made[kind] = path, model.float().eval()
        return made[kind]

    return save


def _plain(recipe: str) -> Any:
    tasks = _ultralytics._tasks()
    return tasks.SegmentationModel(recipe, nc=len(NAMES), verbose=False).eval()


def _promptable(version: str) -> Any:
    return _ultralytics._tasks().YOLOESegModel(f"yoloe-{version}-seg.yaml", verbose=False).eval()


def _stirred(model: torch.nn.Module) -> None:
    """Make statistics and biases say something, so that a wrong place for them is seen; halve."""
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_var", "bn.weight", "norm.weight")):
            tensor.uniform_(0.6, 1.4)
        elif name.endswith(("running_mean", "bias")):
            tensor.add_(torch.randn_like(tensor) * 0.1)
    model.half()


def _prompted(version: str) -> Any:
    """A YOLOE whose classes were set, as `YOLOE.set_classes` and `YOLOE.save` leave it."""
    model = _promptable(version)
    model.set_classes(
        list(NAMES.values()), torch.nn.functional.normalize(torch.randn(1, 3, 512), dim=-1)
    )
    return model


def _trained(version: str) -> Any:
    """A YOLOE whose classes are part of its layers, as after training on them."""
    model = _prompted(version)
    model.model[-1].fuse(model.pe)
    return model


def _prompt_free(version: str) -> Any:
    """A YOLOE for use without prompts: where objects are, and which of a vocabulary."""
    model = _promptable(version)
    model.args = {"imgsz": SIDE}
    embedding = torch.nn.functional.normalize(torch.randn(1, 1, 512), dim=-1)
    model.set_classes(["object"], embedding)
    head = model.model[-1]
    head.fuse(embedding)
    for branch in (head.cv3, *([head.one2one_cv3] if head.end2end else [])):
        for level in branch:
            level[-1].bias.data.fill_(-6.9)  # about half of the places are none of an object
    vocab = torch.nn.ModuleList(
        torch.nn.Conv2d(level[-1].in_channels, len(NAMES), 1) for level in head.cv3
    )
    model.set_vocab(vocab, list(NAMES.values()))
    return model


_MAKERS = {
    "yoloe-11n-prompted": lambda: _prompted("11n"),
    "yoloe-v8n-trained": lambda: _trained("v8n"),
    "yoloe-26n-prompt-free": lambda: _prompt_free("26n"),
}
KINDS = {
    "yolo11n-seg": "YOLO11n-seg, reg_max 16, 3 classes",
    "yolo26n-seg": "YOLO26n-seg, reg_max 1, 3 classes",
    "yoloe-11n-prompted": "YOLOE-11n-seg, reg_max 16, 3 classes",
    "yoloe-v8n-trained": "YOLOE-v8n-seg, reg_max 16, 3 classes",
    "yoloe-26n-prompt-free": "YOLOE-26n-seg, reg_max 1, 3 classes",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_read_and_computes_what_ultralytics_does(
    kind: str, saved: Callable[[str], tuple[Path, torch.nn.Module]]
) -> None:
    path, model = saved(kind)
    for _ in ("from the file", "from its converted copy"):
        checkpoint = load_checkpoint(path)
        assert str(checkpoint.architecture) == KINDS[kind]
        assert checkpoint.class_names == tuple(NAMES.values())
    frame = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    model.model[-1].end2end = False  # the branch whose surplus boxes are suppressed afterwards
    with torch.inference_mode():
        outputs = Layers.of(checkpoint)(torch.from_numpy(frame[None]))
        (wanted, prototypes), *_ = model(torch.from_numpy(frame[None]).permute(0, 3, 1, 2) / 255)
    raw = Raw(*(part[0] for part in outputs))
    found = predictions(raw, 1e-9)
    assert torch.allclose(raw.prototypes, prototypes[0], atol=2e-4)
    assert found.shape == wanted[0].shape
    assert found.shape[1] > 10
    assert torch.allclose(found, wanted[0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "architecture",
    [
        *(Architecture(scale, version="11") for scale in "smlx"),
        *(Architecture(scale, version="12") for scale in "nsm"),
        *(Architecture(scale, version="v9") for scale in "ce"),
        *(Architecture(scale, 1, 80, version="26") for scale in "smlx"),
        Architecture("l", 1, 4585, version="26", filtered=True),
        Architecture("n", 16, 2, version="v8", class_width=80),
    ],
    ids=str,
)
def test_every_scale_is_told_apart_by_its_shapes(architecture: Architecture) -> None:
    shapes = expected_shapes(architecture)
    assert recognise_shapes(shapes) == architecture


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("yolo11n.yaml", "24 layers without mask prototypes: it finds boxes alone"),
        ("yolo26n.yaml", "24 layers without mask prototypes: it finds boxes alone"),
        ("yolo11n-pose.yaml", "it finds poses or turned boxes"),
        ("yolo11n-obb.yaml", "it finds poses or turned boxes"),
        ("yolo11n-cls.yaml", "it classifies whole images"),
        ("yolo26n-sem.yaml", "it does something else"),
        ("yoloe-11n-seg.yaml", "one that waits for a prompt. Use one for use without prompts"),
    ],
)
def test_a_network_without_masks_or_vocabulary_is_refused(recipe: str, told: str) -> None:
    tasks = _ultralytics._tasks()
    with torch.device("meta"):
        layers, _ = tasks.parse_model(tasks.yaml_model_load(recipe), ch=3, verbose=False)
    state = {f"model.{name}": tensor for name, tensor in layers.state_dict().items()}
    with pytest.raises(CheckpointError, match=rf"Expected .*, but .*{re.escape(told)}.*\."):
        recognise(state)


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("pe", (1, 3, 512), ""),
        ("pe", (1, 3, 256), "does not fit the vocabulary"),
        ("pe", (3, 512), "waits for a prompt"),
        ("pe", (1, 0, 512), "waits for a prompt"),
        ("pe", (1, 10_001, 512), "a network of 24 layers"),
        ("model.23.cv3.1.2.weight", (512, 80, 1, 1, 2), "does not fit the vocabulary"),
        ("model.23.cv4.2.norm.bias", (511,), "does not fit the vocabulary"),
        ("model.23.cv4.0.bias", (), "does not fit the vocabulary"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(
    name: str, shape: tuple[int, ...], told: str
) -> None:
    tasks = _ultralytics._tasks()
    with torch.device("meta"):
        layers, _ = tasks.parse_model(
            tasks.yaml_model_load("yoloe-11n-seg.yaml"), ch=3, verbose=False
        )
    shapes = {f"model.{key}": tuple(tensor.shape) for key, tensor in layers.state_dict().items()}
    shapes |= {"pe": (1, 3, 512)} | {name: shape}
    if not told:
        assert str(recognise_shapes(shapes)) == KINDS["yoloe-11n-prompted"]
        return
    with pytest.raises(CheckpointError, match=told):
        recognise_shapes(shapes)


def test_a_network_that_waits_for_words_is_refused() -> None:
    shapes = {"model.0.conv.weight": (16, 3, 3, 3), "model.22.cv4.0.logit_scale": ()}
    with pytest.raises(CheckpointError, match="it waits for words"):
        recognise_shapes(shapes)
