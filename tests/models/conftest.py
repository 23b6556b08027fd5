"""Weights to test with: those of the shared data, and random ones that tests write."""

from __future__ import annotations

import functools
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fastsam.models.architecture import Architecture
    from napari_fastsam.models.data import Pair
    from napari_fastsam.models.fastsam import FastSAM


@pytest.fixture(scope="session")
def coco_weights(shared_data: Path) -> Path:
    """YOLOv8n-seg trained on COCO, 80 classes."""
    return shared_data / "weights" / "yolov8n-seg-coco.safetensors"


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one class that was never trained, sure of itself everywhere."""
    from napari_fastsam.models._ultralytics import network
    from napari_fastsam.models.architecture import Architecture
    from napari_fastsam.models.checkpoint import save_checkpoint

    torch.manual_seed(0)
    model = network(Architecture("n", reg_max=16, classes=1))
    state = model.state_dict()
    for branch in range(3):
        state[f"model.22.cv3.{branch}.2.bias"].fill_(0.0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_checkpoint(path, state, {"image_size": "320"})
    return path


@pytest.fixture(scope="session")
def random_sam(random_weights: Path) -> FastSAM:
    """That network on small frames, so that a test can afford many images."""
    from napari_fastsam.models.fastsam import FastSAM

    return FastSAM(random_weights, device="cpu", image_size=64, max_candidates=20)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, which does not exist yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def built() -> Callable[[Architecture], torch.nn.Module]:
    """``built(architecture)``: a random network in half precision, the same at every call."""
    from napari_fastsam.models._ultralytics import network

    @functools.cache
    def build(architecture: Architecture) -> torch.nn.Module:
        torch.manual_seed(7)
        return network(architecture).half()

    return build


@pytest.fixture(scope="session")
def published() -> Callable[..., dict[str, Any]]:
    """``published(module, **changes)``: what ultralytics saves, the module itself among it."""

    def checkpoint(module: torch.nn.Module, **changes: Any) -> dict[str, Any]:
        from ultralytics.utils import IterableSimpleNamespace

        module.args = IterableSimpleNamespace(imgsz=1024, task="segment")
        module.names = {0: "object"}
        head = module.model[-1]
        head.kept = head.forward  # a bound method pickles as `getattr`, as in published files
        return {
            "epoch": -1,
            "best_fitness": np.float64(0.5),
            "model": module,
            "ema": None,
            "updates": None,
            "optimizer": None,
            "train_args": {"imgsz": 1024, "data": PurePosixPath("sa.yaml"), "classes": None},
            "train_metrics": {"fitness": np.float64(0.5)},
            "date": "2023-06-20T00:00:00",
            "version": "8.0.120",
            **changes,
        }

    return checkpoint


@pytest.fixture(scope="session")
def nano(built: Callable[[Architecture], torch.nn.Module]) -> torch.nn.Module:
    """The smallest network."""
    from napari_fastsam.models.architecture import Architecture

    return built(Architecture("n"))


@pytest.fixture(scope="session")
def nano_file(
    nano: torch.nn.Module,
    published: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A sound checkpoint of it, as `torch.save` writes it."""
    path = tmp_path_factory.mktemp("nano") / "nano.pt"
    torch.save(published(nano), path)
    return path


@pytest.fixture
def refused(cache: Path) -> Callable[[Path, str], None]:
    """``refused(path, told)``: loading gives one clear error of three parts and keeps nothing."""
    from napari_fastsam.models.checkpoint import CheckpointError, load_checkpoint

    def check(path: Path, told: str) -> None:
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        message = str(caught.value)
        assert re.search(told, message), message
        pattern = rf"{re.escape(str(path))}: Expected [^\n]+, but [^\n]+\. [A-Z][^\n]+\."
        assert re.fullmatch(pattern, message, re.ASCII), message
        assert message.count("Expected ") == 1
        assert not cache.exists()

    return check


CLIP_CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 8,
        "width": 32,
        "head_width": 16,
        "layers": 3,
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 2,
    },
}


@pytest.fixture(scope="session")
def clip_config() -> dict[str, Any]:
    """The configuration of a very small CLIP, as open_clip writes one."""
    return json.loads(json.dumps(CLIP_CONFIG))


@pytest.fixture(scope="session")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Path]:
    """``clip_of(config)``: a file of random weights, the same at every call."""
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    def write(config: dict[str, Any]) -> Path:
        torch.manual_seed(5)
        state = CLIP(**config).state_dict()
        path = tmp_path_factory.mktemp("clip") / "clip.safetensors"
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        save_file(tensors, path, {"model_cfg": json.dumps(config)})
        return path

    return write


@pytest.fixture(scope="session")
def clip_file(clip_config: dict[str, Any], clip_of: Callable[[dict[str, Any]], Path]) -> Path:
    """Random weights of it."""
    return clip_of(clip_config)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    """Two photographs and two cells of two objects, one large and one small."""
    from napari_fastsam.models.data import Pair

    made = []
    for name in ("cells/1", "cells/2", "photos/1", "photos/2"):
        labels = np.zeros((64, 64), np.uint8)
        labels[8:40, 8:40], labels[44:60, 44:60] = 1, 2
        image, truth = tmp_path / "i" / f"{name}.tif", tmp_path / "l" / f"{name}.tif"
        for path, array in ((image, labels * 100), (truth, labels)):
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, array)
        made.append(Pair(name, image, truth))
    return made
