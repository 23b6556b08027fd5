"""What only a CUDA device can show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.data import coins

from napari_fastsam import FastSAM, Instances
from napari_fastsam.models import torch_runtime
from napari_fastsam.models.candidates import candidates
from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.graphs import OFTEN, Recording
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.network import Raw
from napari_fastsam.models.registry import MODELS
from napari_fastsam.models.torch_runtime import MOST_FRAMES, TorchRuntime
from napari_fastsam.planes import to_rgb

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cuda() -> FastSAM:
    return FastSAM("starter", device="cuda", image_size=320)


def frames(count: int = 1) -> list[np.ndarray]:
    picture = np.tile(to_rgb(coins()), (2, 2, 1))
    return [np.ascontiguousarray(picture[n : n + 320, 3 * n : 3 * n + 320]) for n in range(count)]


def require_alike(found: Instances, expected: Instances, *, share: float = 0.95) -> None:
    assert abs(len(found) - len(expected)) <= 0.02 * len(expected) + 1
    assert (expected.iou(found).max(1) >= 0.97).mean() >= share


def test_half_precision_finds_what_the_cpu_finds(cuda: FastSAM) -> None:
    cpu = FastSAM("starter", device="cpu", runtime="torch", image_size=320)
    assert "fp16" in cuda.description
    sure = 0.25
    found, expected = cuda.segment(coins()), cpu.segment(coins())
    require_alike(found[found.scores > sure], expected[expected.scores > sure], share=0.9)


def test_graphs_say_what_was_said_without_them() -> None:
    runtime = TorchRuntime(load_checkpoint(MODELS["starter"].path), "cuda")
    (first,) = runtime(frames())
    for _ in range(OFTEN):
        runtime(frames())
    assert isinstance(runtime._model, Recording)
    assert list(runtime._model._kept) == [torch.Size((1, 320, 320, 3))]
    one, other = (runtime([frame])[0] for frame in frames(2))
    assert not torch.equal(one.scores, other.scores)  # not overwritten by the next
    for part, right in zip(one, first, strict=True):
        torch.testing.assert_close(part, right, rtol=1e-2, atol=1e-2)


def test_boxes_and_masks_are_those_of_numpy(cuda: FastSAM) -> None:
    (frame,) = frames()
    (raw,) = cuda._runtime([frame])
    assert isinstance(raw, Raw)
    letterbox = Letterbox.fit((320, 320), 320)
    found = candidates(raw, letterbox, frame, cuda.spec)
    here = Raw(*(part.float().cpu() for part in raw))
    require_alike(found, candidates(here, letterbox, frame, cuda.spec))


def test_many_images_give_what_each_gives_alone(cuda: FastSAM) -> None:
    assert cuda.batch_size == MOST_FRAMES
    many = frames(3 * MOST_FRAMES + 1)
    for found, image in zip(cuda.segment_many(many), many, strict=True):
        require_alike(found, cuda.segment(image), share=0.9)


def test_as_many_frames_are_shown_at_once_as_the_memory_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = TorchRuntime(load_checkpoint(MODELS["starter"].path), "cuda")
    needed, free = runtime._memory_for(640, 640)
    assert 1 << 20 < needed < free
    monkeypatch.setattr(torch_runtime, "SHARE", 2.5 * needed / free)
    assert runtime.batch_for(640, 640) == 2
    assert runtime.batch_for(32, 32) >= 2
