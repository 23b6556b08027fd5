"""Which runtime runs a network: the one asked for, or the fastest that is installed."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._files import whole
from napari_fastsam.models._files import cache_dir
from napari_fastsam.models.cpu_runtimes import ONNXRuntime, OpenVINO
from napari_fastsam.models.device import choose_device
from napari_fastsam.models.torch_runtime import TorchRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fastsam.models.checkpoint import Checkpoint
    from napari_fastsam.models.network import Network

RUNTIMES = ("auto", "torch", "openvino", "onnx")
"""What can be asked for."""

PACKAGES = {"torch": "torch", "openvino": "openvino", "onnx": "onnxruntime"}
"""What each runtime is installed as."""

VARIABLE = "NAPARI_FASTSAM_RUNTIME"
"""The environment variable that says what ``"auto"`` is, as for machines that are to be alike."""

_CONVERTERS = {"torch": (), "openvino": (), "onnx": ("onnx",)}
_TRIAL_SIDE = 640
_TRIALS = 3
_WARM_UP = 1
_CLEARLY = 0.9  # of torch's time, from which on another runtime is worth its start


def network_for(checkpoint: Checkpoint, *, device: str, runtime: str = "auto") -> Network:
    """Return what runs the network of a checkpoint.

    Parameters
    ----------
    checkpoint
        Weights and their architecture.
    device
        As `choose_device` takes it.
    runtime
        ``"torch"`` on any device; ``"openvino"`` or ``"onnx"`` on the CPU; ``"auto"`` is torch on a
        GPU, and on the CPU the fastest of those installed, found out once by trying and remembered,
        or what the environment variable `VARIABLE` says.

    Raises
    ------
    ValueError
        If there is no such runtime or device, it is not installed, or does not run there.
    OSError
        If the network has to be converted, and cannot be kept.
    """
    fail_if(
        runtime not in RUNTIMES,
        f"one of the runtimes {', '.join(map(repr, RUNTIMES))}",
        f"runtime {runtime!r}",
        'use runtime="auto"',
    )
    on_cpu = choose_device(device).type == "cpu"
    if runtime == "auto" and on_cpu and os.environ.get(VARIABLE):
        runtime = os.environ[VARIABLE]
        fail_if(
            runtime not in RUNTIMES,
            f"one of the runtimes {', '.join(map(repr, RUNTIMES))} in {VARIABLE}",
            repr(runtime),
            "change that environment variable, or remove it",
        )
    if runtime == "torch" or (runtime == "auto" and not on_cpu):
        return TorchRuntime(checkpoint, device)
    if runtime == "auto":
        return _fastest(checkpoint, device)
    fail_if(
        not on_cpu,
        f"the CPU for the runtime {runtime!r}",
        f"the device {device!r}",
        'use device="cpu", or runtime="torch" on this device',
    )
    fail_if(
        not installed(runtime),
        f"the runtime {runtime!r}",
        "an environment without it",
        f'install it, with pip install "napari-fastsam[{runtime}]"',
    )
    return _BUILDERS[runtime](checkpoint)


def installed(runtime: str) -> bool:
    """Whether a runtime, and what converts networks for it, can be imported."""
    return all(find_spec(name) for name in (PACKAGES[runtime], *_CONVERTERS[runtime]))


_BUILDERS: dict[str, Callable[[Checkpoint], Network]] = {
    "openvino": OpenVINO,
    "onnx": ONNXRuntime,
}


def _fastest(checkpoint: Checkpoint, device: str) -> Network:
    """Return the fastest runtime on this CPU; torch where none is clearly faster."""
    others = [name for name in _BUILDERS if installed(name)]
    torch = TorchRuntime(checkpoint, device)
    if not others:
        return torch
    key = _key(checkpoint, others)
    known = _remembered().get(key)
    if known == "torch":
        return torch
    if known in others:
        with contextlib.suppress(Exception):  # it ran here before; if not now, torch does
            return _BUILDERS[known](checkpoint)
        return torch
    networks: dict[str, Network] = {"torch": torch}
    for name in others:
        with contextlib.suppress(Exception):  # what does not start is not the fastest
            networks[name] = _BUILDERS[name](checkpoint)
    seconds = _race(networks)
    best = min(seconds, key=lambda name: seconds[name])
    if seconds[best] > _CLEARLY * seconds["torch"]:
        best = "torch"
    _remember(key, best)
    return networks[best]


def _race(networks: dict[str, Network]) -> dict[str, float]:
    """Return the best time of each network in seconds; they take turns."""
    frame = np.random.default_rng(0).integers(0, 256, (_TRIAL_SIDE, _TRIAL_SIDE, 3), np.uint8)
    seconds = dict.fromkeys(networks, float("inf"))
    for turn in range(_WARM_UP + _TRIALS):
        for name, network in networks.items():
            start = time.perf_counter()
            network([frame])
            if turn >= _WARM_UP:
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def _key(checkpoint: Checkpoint, others: list[str]) -> str:
    """Return what the race depends on: architecture, machine, and versions."""
    parts = [str(checkpoint.architecture), platform.processor() or platform.machine()]
    parts += [f"{os.cpu_count()} CPUs"]
    for name in ("torch", *others):
        with contextlib.suppress(PackageNotFoundError):
            parts.append(f"{PACKAGES[name]} {version(PACKAGES[name])}")
    return ", ".join(parts)


def _remembered() -> dict[str, str]:
    """Return which runtime was the fastest, by what that depends on."""
    try:
        found = json.loads((cache_dir() / "runtimes.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(key: str, best: str) -> None:
    """Write down which runtime was the fastest, if that can be kept."""
    path = cache_dir() / "runtimes.json"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, overwrite=True) as partial:
            partial.write_text(json.dumps({**_remembered(), key: best}, indent=1), "utf-8")
