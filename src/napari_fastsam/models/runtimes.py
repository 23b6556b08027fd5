"""Which runtime runs a network: the one asked for, or the fastest that is installed."""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._files import whole
from napari_fastsam.models._files import cache_dir
from napari_fastsam.models.conversion import alone
from napari_fastsam.models.cpu_runtimes import ONNXRuntime, OpenVINO, OpenVINOInt8
from napari_fastsam.models.device import choose_device
from napari_fastsam.models.processor import processor_name, thread_count
from napari_fastsam.models.tensorrt_runtime import TensorRT
from napari_fastsam.models.torch_runtime import TorchRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_fastsam.models.checkpoint import Checkpoint
    from napari_fastsam.models.network import Decoded, Network, Raw

RUNTIMES = ("auto", "torch", "torch-compiled", "openvino", "onnx", "openvino-int8", "tensorrt")
"""What can be asked for."""

PACKAGES = {"torch": "torch", "openvino": "openvino", "onnx": "onnxruntime"}
"""What each runtime that computes in float32 is installed as."""

VARIABLE = "NAPARI_FASTSAM_RUNTIME"
"""The environment variable that says what ``"auto"`` is, as for machines that are to be alike."""

_NEEDED = {
    "torch": ("torch",),
    "openvino": ("openvino",),
    "onnx": ("onnxruntime", "onnx"),
    "openvino-int8": ("openvino",),
}
_EXTRAS = {"openvino-int8": "openvino"}
_BUILDERS: dict[str, Callable[[Checkpoint], Network]] = {
    "openvino": OpenVINO,
    "onnx": ONNXRuntime,
    "openvino-int8": OpenVINOInt8,
}
_TORCH = ("torch", "torch-compiled")
_RACING = ("openvino", "onnx")

_TRIAL_SIDE = 320  # the order is the same at 320, 640 and 1024, and large networks are slow
_TRIAL_SECONDS = 1.0  # of all runtimes together; each runs at least twice
_MOST_TRIALS = 8
_CLEARLY = 0.9  # of torch's time, from which on another runtime is worth its start
_AGREEING = 0.01  # of the largest number that torch gives


def network_for(checkpoint: Checkpoint, *, device: str, runtime: str = "auto") -> Network:
    """Return what runs the network of a checkpoint.

    Parameters
    ----------
    checkpoint
        Weights and their architecture.
    device
        As `choose_device` takes it.
    runtime
        ``"torch"`` on any device; ``"torch-compiled"`` there too, which takes a minute to start;
        ``"tensorrt"`` on CUDA, if ONNX Runtime and TensorRT are installed for it;
        ``"openvino"`` or ``"onnx"`` on the CPU; ``"openvino-int8"`` there too, once
        `napari_fastsam.models.quantising` made it for this checkpoint; ``"auto"`` is torch on a
        GPU, and on the CPU the fastest in float32 of those installed, found out once by trying and
        remembered, or what the environment variable `VARIABLE` says.

    Raises
    ------
    ValueError
        If there is no such runtime or device, it is not installed, or does not run there.
    FileNotFoundError
        If the network was not quantised.
    OSError
        If the network has to be converted, and cannot be kept.
    """
    _require_one_of(RUNTIMES, runtime, "", 'use runtime="auto"')
    on_cpu = choose_device(device).type == "cpu"
    if runtime == "auto" and on_cpu and os.environ.get(VARIABLE):
        runtime = os.environ[VARIABLE]
        remedy = "change that environment variable, or remove it"
        _require_one_of(("auto", *PACKAGES), runtime, f" in {VARIABLE}", remedy)  # float32 alone
    if runtime in _TORCH or (runtime == "auto" and not on_cpu):
        return TorchRuntime(checkpoint, device, compiled=runtime == "torch-compiled")
    if runtime == "tensorrt":
        return TensorRT(checkpoint, device)
    if runtime == "auto":
        return _fastest(checkpoint)
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
        f'install it, with pip install "napari-fastsam[{_EXTRAS.get(runtime, runtime)}]"',
    )
    return _BUILDERS[runtime](checkpoint)


def installed(runtime: str) -> bool:
    """Whether a runtime, and what converts networks for it, can be imported."""
    return all(find_spec(name) for name in _NEEDED[runtime])


def _require_one_of(known: Sequence[str], runtime: str, where: str, remedy: str) -> None:
    """Refuse a runtime that is none of those known."""
    fail_if(
        runtime not in known,
        f"one of the runtimes {', '.join(map(repr, known))}{where}",
        f"runtime {runtime!r}",
        remedy,
    )


def _fastest(checkpoint: Checkpoint) -> Network:
    """Return the fastest runtime on this CPU; torch where none is clearly faster, or can be had."""
    others = [name for name in _RACING if installed(name)]
    if not others:
        return TorchRuntime(checkpoint, "cpu")
    key = _key(checkpoint, others)
    try:
        best = _remembered().get(key)
        if best is None:
            # The workers of a cluster start together: one tries, the others read what came of it.
            with alone(_results()):
                best = _remembered().get(key)
                if best is None:
                    return _winner(checkpoint, others, key)
        if best in others:
            return _BUILDERS[best](checkpoint)
    except Exception as error:  # each runtime has classes of its own
        _warn_of(" and ".join(others) if best is None else best, error)
    return TorchRuntime(checkpoint, "cpu")


def _winner(checkpoint: Checkpoint, others: list[str], key: str) -> Network:
    """Try each runtime, write down which is the fastest, and return it."""
    networks: dict[str, Network] = {"torch": TorchRuntime(checkpoint, "cpu")}
    for name in others:
        try:
            networks[name] = _BUILDERS[name](checkpoint)
        except OSError:
            raise  # nothing can be kept
        except Exception as error:
            _warn_of(name, error)
    seconds = race(networks)
    best = min(seconds, key=lambda name: seconds[name])
    if seconds[best] > _CLEARLY * seconds["torch"]:
        best = "torch"
    _remember(key, best)
    return networks[best]


def race(networks: dict[str, Network]) -> dict[str, float]:
    """Return the best time in seconds of each network that agrees with torch; they take turns.

    Parameters
    ----------
    networks
        By runtime; torch is among them.
    """
    frame = np.random.default_rng(0).integers(0, 256, (_TRIAL_SIDE, _TRIAL_SIDE, 3), np.uint8)
    right = networks["torch"]([frame])[0]
    seconds = {"torch": float("inf")}
    for name, network in networks.items():
        try:
            if name == "torch" or _agree(network([frame])[0], right):
                seconds[name] = float("inf")
            else:
                _warn_of(name, ValueError("its numbers are not those of torch"))
        except Exception as error:
            _warn_of(name, error)
    started = time.perf_counter()
    for turn in range(_MOST_TRIALS):
        if turn and time.perf_counter() - started > _TRIAL_SECONDS:
            break
        for name in seconds:
            start = time.perf_counter()
            networks[name]([frame])
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def _agree(found: Raw | Decoded, right: Raw | Decoded) -> bool:
    """Whether two runtimes say the same of a frame, but for rounding."""
    return all(
        a.shape == b.shape and float((a - b).abs().max()) <= _AGREEING * float(b.abs().max())
        for a, b in zip(found, right, strict=True)
    )


def _warn_of(runtime: str, error: Exception) -> None:
    """Say that a runtime is installed, and why torch is used in its place."""
    first_line = str(error).strip().partition("\n")[0]
    warnings.warn(
        f"The runtime {runtime} does not run this network here, torch is used: {first_line}",
        RuntimeWarning,
        stacklevel=6,
    )


def _key(checkpoint: Checkpoint, others: list[str]) -> str:
    """Return what the race depends on: architecture, processor, threads, and versions."""
    parts = [str(checkpoint.architecture), processor_name(), f"{thread_count()} threads"]
    for name in ("torch", *others):
        with contextlib.suppress(PackageNotFoundError):
            parts.append(f"{PACKAGES[name]} {version(PACKAGES[name])}")
    return ", ".join(parts)


def _results() -> Path:
    """Return where it is written down which runtime was the fastest."""
    return cache_dir() / "runtimes.json"


def _remembered() -> dict[str, str]:
    """Return which runtime was the fastest, by what that depends on."""
    try:
        found = json.loads(_results().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(key: str, best: str) -> None:
    """Write down which runtime was the fastest, if that can be kept."""
    with contextlib.suppress(OSError), whole(_results(), overwrite=True) as partial:
        partial.write_text(json.dumps({**_remembered(), key: best}, indent=1), "utf-8")
