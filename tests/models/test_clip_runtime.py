"""How CLIP is run: what regions see, in which precision, and what if the device is full."""

from __future__ import annotations

import json
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_fastsam.models import torch_runtime
from napari_fastsam.models._clip_config import checked_config
from napari_fastsam.models._clip_weights import load_clip
from napari_fastsam.models._open_clip import architectures, bare_network
from napari_fastsam.models.clip_runtime import ClipRuntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATCHES = 16


@pytest.fixture(scope="module")
def runtime(clip_file: Path) -> ClipRuntime:
    return ClipRuntime(load_clip(clip_file), torch.device("cpu"))


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(-1)


def test_patches_that_are_not_seen_have_no_part(runtime: ClipRuntime, pixels: torch.Tensor) -> None:
    seen = torch.zeros(3, PATCHES, dtype=torch.bool)
    seen[0, :4], seen[1, 5], seen[2] = True, True, True
    changed = pixels.clone()
    changed[0, :, 8:] = 0
    changed[1, :, :8] = 0
    np.testing.assert_allclose(
        runtime.pictures(changed, seen), runtime.pictures(pixels, seen), atol=1e-5
    )
    alone = np.concatenate([runtime.pictures(pixels[n : n + 1], seen[n : n + 1]) for n in range(3)])
    np.testing.assert_allclose(alone, runtime.pictures(pixels, seen), atol=1e-5)
    np.testing.assert_allclose(
        runtime.pictures(pixels, seen)[2], runtime.pictures(pixels)[2], atol=1e-5
    )


def test_regions_do_not_see_each_other(runtime: ClipRuntime, pixels: torch.Tensor) -> None:
    shares = torch.rand(3, 5, PATCHES)
    together = runtime.regions(pixels, shares)
    for picture in range(3):
        for region in range(5):
            alone = runtime.regions(
                pixels[picture : picture + 1], shares[picture : picture + 1, region : region + 1]
            )
            np.testing.assert_allclose(alone[0, 0], together[picture, region], atol=1e-5)


def test_in_one_layer_a_region_sees_its_patches_only(
    clip_config: dict[str, Any],
    clip_of: Callable[[dict[str, Any]], Path],
    pixels: torch.Tensor,
) -> None:
    config = json.loads(json.dumps(clip_config))
    config["vision_cfg"]["layers"] = 1
    runtime = ClipRuntime(load_clip(clip_of(config)), torch.device("cpu"))
    shares = torch.zeros(3, 2, PATCHES)
    shares[:, 0, :4], shares[:, 1, 12:] = 1, 0.5
    changed = pixels.clone()
    changed[:, :, 8:] = 0
    before, after = runtime.regions(pixels, shares), runtime.regions(changed, shares)
    np.testing.assert_allclose(before[:, 0], after[:, 0], atol=1e-5)
    assert float(cosines(before[:, 1], after[:, 1]).max()) < 0.999


def test_regions_that_cover_nothing_are_numbers(runtime: ClipRuntime, pixels: torch.Tensor) -> None:
    assert np.isfinite(runtime.regions(pixels, torch.zeros(3, 1, PATCHES))).all()


@pytest.fixture
def half_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_runtime, "HALF_DEVICES", ("cpu", "cuda"))


@pytest.mark.usefixtures("half_everywhere")
def test_half_precision_sees_what_single_precision_sees(
    clip_file: Path, runtime: ClipRuntime, pixels: torch.Tensor
) -> None:
    half = ClipRuntime(load_clip(clip_file), torch.device("cpu"))
    shares = torch.rand(3, 2, PATCHES)
    texts, edges = [[320, 736]], (49406, 49407)
    for first, second in (
        (half.pictures(pixels), runtime.pictures(pixels)),
        (half.regions(pixels, shares), runtime.regions(pixels, shares)),
        (half.texts(texts, edges), runtime.texts(texts, edges)),
    ):
        assert first.dtype == np.float32
        assert float(cosines(first, second).min()) > 0.999
        assert bool((first != second).any())


@pytest.mark.usefixtures("half_everywhere")
def test_weights_that_overflow_half_precision_are_run_in_single(
    clip_file: Path, pixels: torch.Tensor
) -> None:
    clip = load_clip(clip_file)
    clip.network.visual.ln_post.weight *= 1e6
    runtime = ClipRuntime(clip, torch.device("cpu"))
    assert np.isfinite(runtime.pictures(pixels)).all()
    assert not runtime.half


def test_weights_that_overflow_everything_are_told(clip_file: Path, pixels: torch.Tensor) -> None:
    clip = load_clip(clip_file)
    clip.network.visual.proj.fill_(3e38)
    with pytest.raises(ValueError, match="its weights are too large"):
        ClipRuntime(clip, torch.device("cpu")).pictures(pixels)


class Full:
    """Stands for a device whose memory holds the network and nothing else."""

    def __init__(self, runtime: ClipRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
        place = runtime._place

        def placed(device: torch.device) -> None:
            if device.type != "cpu":
                raise RuntimeError("MPS backend out of memory\nmore about it")
            place(device)

        monkeypatch.setattr(runtime, "_place", placed)
        monkeypatch.setattr(runtime, "_wanted", torch.device("mps"))


def test_a_full_device_is_left_for_the_cpu_with_a_warning(
    clip_file: Path,
    runtime: ClipRuntime,
    pixels: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = ClipRuntime(load_clip(clip_file), torch.device("cpu"))
    Full(other, monkeypatch)
    with pytest.warns(RuntimeWarning, match=r"Out of memory on MPS.*\(MPS backend out of memory\)"):
        found = other.pictures(pixels)
    np.testing.assert_array_equal(found, runtime.pictures(pixels))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.pictures(pixels)


def test_other_errors_of_a_device_are_not_hidden(
    clip_file: Path, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = ClipRuntime(load_clip(clip_file), torch.device("cpu"))

    def broken(_: torch.device) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(runtime, "_place", broken)
    monkeypatch.setattr(runtime, "_wanted", torch.device("mps"))
    with pytest.raises(RuntimeError, match="no such kernel"):
        runtime.pictures(pixels)


def test_threads_take_turns(runtime: ClipRuntime, pixels: torch.Tensor) -> None:
    expected = runtime.pictures(pixels)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(runtime.pictures(pixels))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for vectors in found:
        np.testing.assert_array_equal(vectors, expected)


def test_the_real_architecture_is_built_from_its_name() -> None:
    config = checked_config(json.loads(architectures()["ViT-B-32"].read_text()))
    network = bare_network(config)
    assert sum(tensor.numel() for tensor in network.parameters()) == 151_277_313
