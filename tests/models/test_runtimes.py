"""The runtime asked for runs the network; "auto" is the fastest that agrees with torch."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from skimage.data import coins, retina

from napari_fastsam.models import conversion, processor, runtimes
from napari_fastsam.models.agreement import agreement
from napari_fastsam.models.checkpoint import Checkpoint, load_checkpoint
from napari_fastsam.models.cpu_runtimes import ONNXRuntime, OpenVINO
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.registry import model_path
from napari_fastsam.models.runtimes import VARIABLE, network_for, race
from napari_fastsam.models.torch_runtime import TorchRuntime
from napari_fastsam.planes import to_rgb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fastsam.models.network import Raw


@pytest.fixture(scope="module")
def checkpoint(random_weights: Path) -> Checkpoint:
    return load_checkpoint(random_weights)


@pytest.fixture(scope="module")
def starter() -> Checkpoint:
    return load_checkpoint(model_path("starter"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the starter is converted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def shared_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(folder))
    return folder


@pytest.fixture
def auto(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing says what "auto" is; its cache folder."""
    monkeypatch.delenv(VARIABLE)
    return cache


class Fake:
    """Stands for another runtime: torch's own numbers, after a while, or others."""

    description = "CPU · fake · fp32"

    def __init__(self, checkpoint: Checkpoint, *, off: float = 0.0) -> None:
        self._checkpoint, self._off = checkpoint, off
        self.runs = 0

    def __call__(self, frames: Any) -> list[Raw]:
        self.runs += 1
        outputs = TorchRuntime(self._checkpoint, "cpu")(frames)
        return [raw._replace(scores=raw.scores + self._off) for raw in outputs]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Checkpoint], Any]]:
    """What builds the runtimes beside torch: fakes."""
    builders: dict[str, Callable[[Checkpoint], Any]] = {"openvino": Fake, "onnx": Fake}
    monkeypatch.setattr(runtimes, "_BUILDERS", builders)
    return builders


def _timed(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> list[list[str]]:
    """Let runtimes take so many seconds; returns whom each race was between."""
    races: list[list[str]] = []

    def timed(networks: dict[str, Any]) -> dict[str, float]:
        races.append(sorted(networks))
        return {name: seconds[name] for name in networks}

    monkeypatch.setattr(runtimes, "race", timed)
    return races


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_each_runtime_finds_what_torch_finds(runtime: str, shared_cache: Path) -> None:
    right = FastSAM("starter", device="cpu", runtime="torch", image_size=512)
    other = FastSAM("starter", device="cpu", runtime=runtime, image_size=512)
    images = [to_rgb(image) for image in (coins(), retina()[::3, ::3])]
    found = agreement(right, other, images)
    assert found.objects >= 15
    assert found.matched == found.objects
    assert found.iou >= 0.97
    assert abs(found.found - found.objects) <= 0.02 * found.objects


def test_the_fastest_is_chosen_once_and_remembered(
    auto: Path, checkpoint: Checkpoint, others: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    races = _timed(monkeypatch, torch=0.3, openvino=0.2, onnx=0.25)
    for _ in range(2):
        assert isinstance(network_for(checkpoint, device="cpu"), Fake)
    assert races == [["onnx", "openvino", "torch"]]
    ((key, best),) = json.loads((auto / "runtimes.json").read_text()).items()
    assert best == "openvino"
    assert f"{torch.get_num_threads()} threads" in key


def test_torch_stays_where_none_is_clearly_faster(
    auto: Path, checkpoint: Checkpoint, others: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    races = _timed(monkeypatch, torch=0.3, openvino=0.29, onnx=0.28)
    for _ in range(2):
        assert isinstance(network_for(checkpoint, device="cpu"), TorchRuntime)
    assert len(races) == 1


def test_another_number_of_threads_is_another_race(
    auto: Path, checkpoint: Checkpoint, others: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    races = _timed(monkeypatch, torch=0.3, openvino=0.2, onnx=0.25)
    network_for(checkpoint, device="cpu")
    monkeypatch.setattr(runtimes, "thread_count", lambda: 64)
    network_for(checkpoint, device="cpu")
    assert len(races) == 2


def test_a_race_is_between_those_that_agree_with_torch(checkpoint: Checkpoint) -> None:
    networks = {
        "torch": TorchRuntime(checkpoint, "cpu"),
        "right": Fake(checkpoint),
        "wrong": Fake(checkpoint, off=1.0),
        "broken": _broken,
    }
    with pytest.warns(RuntimeWarning, match="wrong|broken") as told:
        seconds = race(networks)
    assert seconds.keys() == {"torch", "right"}
    assert all(0 < value < float("inf") for value in seconds.values())
    assert ["numbers are not those of torch" in str(one.message) for one in told] == [True, False]
    assert networks["wrong"].runs == 1


def _broken(frames: object) -> list[Raw]:
    raise RuntimeError("cannot run here\nand a traceback")


@pytest.mark.parametrize("best", ["openvino", "torch"])
def test_one_that_does_not_start_is_told_and_left_out(
    best: str,
    auto: Path,
    checkpoint: Checkpoint,
    others: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others["onnx"] = _broken
    races = _timed(monkeypatch, **{"torch": 0.3, "openvino": 0.31, best: 0.1})
    with pytest.warns(RuntimeWarning, match="runtime onnx does not run .*: cannot run here$"):
        network = network_for(checkpoint, device="cpu")
    assert isinstance(network, TorchRuntime if best == "torch" else Fake)
    assert races == [["openvino", "torch"]]


def test_what_was_the_fastest_and_is_broken_now_leaves_torch(
    auto: Path,
    checkpoint: Checkpoint,
    others: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _timed(monkeypatch, torch=0.3, openvino=0.2, onnx=0.25)
    network_for(checkpoint, device="cpu")
    others["openvino"] = _broken
    with pytest.warns(RuntimeWarning, match="openvino"):
        assert isinstance(network_for(checkpoint, device="cpu"), TorchRuntime)


def test_without_a_cache_torch_runs_and_says_why(
    auto: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto.parent.mkdir(exist_ok=True)
    auto.write_text("no folder")
    with pytest.warns(RuntimeWarning, match="torch is used") as told:
        assert isinstance(network_for(checkpoint, device="cpu"), TorchRuntime)
    assert len(told) == 1


def test_a_damaged_memory_is_a_race_anew(
    auto: Path, checkpoint: Checkpoint, others: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    races = _timed(monkeypatch, torch=0.3, openvino=0.2, onnx=0.25)
    auto.mkdir()
    for text in ("{", "[]"):
        (auto / "runtimes.json").write_text(text)
        network_for(checkpoint, device="cpu")
    assert len(races) == 2


def test_where_nothing_else_is_installed_torch_runs(
    auto: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide(monkeypatch)
    assert isinstance(network_for(checkpoint, device="cpu"), TorchRuntime)
    assert not auto.exists()
    with pytest.raises(ValueError, match=r'runtime \'openvino\'.*"napari-fastsam\[openvino\]"'):
        network_for(checkpoint, device="cpu", runtime="openvino")


def _hide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let OpenVINO and ONNX Runtime not be installed."""
    hidden = ("openvino", "onnx", "onnxruntime")
    there = runtimes.find_spec
    for module in (runtimes, conversion):
        monkeypatch.setattr(
            module, "find_spec", lambda name: None if name in hidden else there(name)
        )


def test_the_environment_says_what_auto_is(
    cache: Path, checkpoint: Checkpoint, others: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert os.environ[VARIABLE] == "torch"
    assert isinstance(network_for(checkpoint, device="cpu"), TorchRuntime)
    monkeypatch.setenv(VARIABLE, "onnx")
    assert isinstance(network_for(checkpoint, device="cpu"), Fake)
    for other in ("fastest", "openvino-int8"):  # other numbers are never what auto is
        monkeypatch.setenv(VARIABLE, other)
        with pytest.raises(ValueError, match=f"in {VARIABLE}.*'{other}'"):
            network_for(checkpoint, device="cpu")


def test_a_runtime_that_there_is_not_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match=r"one of the runtimes 'auto', 'torch'.*'tensorflow'"):
        network_for(checkpoint, device="cpu", runtime="tensorflow")


@pytest.mark.parametrize("runtime", ["openvino", "onnx", "openvino-int8"])
def test_runtimes_of_the_cpu_are_refused_elsewhere(
    runtime: str, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "choose_device", lambda name: torch.device("cuda"))
    with pytest.raises(ValueError, match=f"the CPU for the runtime '{runtime}'"):
        network_for(checkpoint, device="cuda", runtime=runtime)


def test_each_runtime_uses_as_many_threads_as_torch(
    shared_cache: Path, starter: Checkpoint
) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        model = OpenVINO(starter)._model
        assert model.get_property("INFERENCE_NUM_THREADS") == 1
        assert model.get_property("ENABLE_CPU_PINNING") is False
        session = ONNXRuntime(starter)._session
        assert session.get_session_options().intra_op_num_threads == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("share", "threads", "allowed"),
    [
        pytest.param("200000 100000", 8, 2, id="two processors"),
        pytest.param("50000 100000", 8, 1, id="half of one"),
        pytest.param("max 100000", 8, 8, id="all"),
        pytest.param("", 8, 8, id="nothing told"),
        pytest.param("900000 100000", 8, 8, id="more than torch uses"),
    ],
)
def test_a_container_share_bounds_the_threads(
    share: str, threads: int, allowed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(share)
    monkeypatch.setattr(processor, "_SHARE", tmp_path / "cpu.max")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert processor.thread_count() == allowed


@pytest.mark.parametrize("runtime", [OpenVINO, ONNXRuntime])
def test_many_threads_may_call_each_runtime(
    runtime: type[OpenVINO | ONNXRuntime], shared_cache: Path, starter: Checkpoint
) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (1, 32, 32, 3), np.uint8) for _ in range(12)]
    network = runtime(starter)
    alone = [network(frame)[0] for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = [raw for (raw,) in pool.map(network, frames)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-4)
