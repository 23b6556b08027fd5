"""What this machine has for the network, how fast it runs here, and what would make it faster."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fastsam.models._files import cache_dir, sha256_of
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.registry import list_models
from napari_fastsam.models.runtimes import PACKAGES, installed

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = (
    "napari-fastsam", "napari", "torch", "ultralytics", "open-clip-torch", "numpy", "scikit-image",
    "PyQt6", "PySide6", "openvino", "onnxruntime", "distributed",
)  # fmt: skip
"""Packages whose versions matter."""

SIDE = 1024
"""Pixels along the sides of the image that is timed."""

_TURNS = 3
_FEW_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How long the network took for an image, in seconds: the first time, and the best after it."""

    runtime: str
    description: str
    first: float
    best: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What there is to know of this machine; plain text and numbers.

    Parameters
    ----------
    versions
        By package; those that are not installed are left out.
    machine
        What it is, as text by name.
    models
        Name, state, path, size in bytes and SHA-256 of each model that is there.
    runs
        One for each runtime that is installed.
    advice
        What would make it faster.
    """

    versions: dict[str, str]
    machine: dict[str, str]
    models: list[dict[str, Any]]
    runs: list[Timed] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the same as numbers, text, lists and dictionaries."""
        return asdict(self)


def diagnose(
    model: str = "starter",
    *,
    image_size: int | None = None,
    told: Callable[[str], None] = lambda what: None,
) -> Diagnosis:
    """Return what this machine has and how fast it is.

    Parameters
    ----------
    model
        The one that is timed, on an image of `SIDE` squared.
    image_size
        As for `FastSAM`.
    told
        Called with what is done next, in a few words.
    """
    told("looking at the machine")
    versions = {"python": platform.python_version(), **_versions()}
    machine, models = _machine(), _models()
    runs = []
    for runtime in (name for name in PACKAGES if name == "torch" or _usable(name)):
        told(f"timing {model} with {runtime}")
        runs.append(_time(model, runtime, image_size))
    return Diagnosis(
        versions=versions, machine=machine, models=models, runs=runs, advice=_advice(runs)
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in SHOWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _usable(runtime: str) -> bool:
    """Whether a runtime of the CPU is there, and would be used."""
    return installed(runtime) and not torch.cuda.is_available()


def _machine() -> dict[str, str]:
    """Return what the machine is."""
    import psutil

    memory = psutil.virtual_memory()
    found = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "threads": f"{torch.get_num_threads()} of torch, {os.cpu_count()} CPUs",
        "memory": f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free",
        "python": sys.executable,
        "models in": str(cache_dir()),
    }
    for n in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(n)
        found[f"cuda:{n}"] = (
            f"{torch.cuda.get_device_name(n)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        )
    if torch.backends.mps.is_available():
        found["mps"] = "Apple's GPU"
    return found


def _processor() -> str:
    """Return what the processor is called, as far as the system says."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"


def _models() -> list[dict[str, Any]]:
    """Return the models that are there."""
    return [
        {
            "name": model.name,
            "state": model.state,
            "path": str(model.path),
            "bytes": model.size,
            "sha256": sha256_of(model.path),
        }
        for model in list_models()
        if model.state != "missing"
    ]


def _time(model: str, runtime: str, image_size: int | None) -> Timed:
    """Return how long a runtime takes for an image; an error is one of the answers."""
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    seconds = []
    try:
        sam = FastSAM(model, runtime=runtime, image_size=image_size)
        for _ in range(1 + _TURNS):
            start = time.perf_counter()
            sam.segment(image)
            seconds.append(time.perf_counter() - start)
    except Exception as error:
        return Timed(runtime=runtime, description="", first=0, best=0, error=str(error))
    return Timed(
        runtime=runtime, description=sam.description, first=seconds[0], best=min(seconds[1:])
    )


def _advice(runs: list[Timed]) -> list[str]:
    """Return what would make the network faster."""
    found = []
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        if torch.version.cuda is None and platform.system() != "Darwin":
            found.append("With an NVIDIA GPU, install a build of torch for CUDA: pytorch.org.")
        for runtime in ("openvino", "onnx"):
            if not installed(runtime):
                found.append(
                    f'pip install "napari-fastsam[{runtime}]": often faster on a CPU; it is then '
                    "tried, and used where it is."
                )
        if torch.get_num_threads() <= _FEW_THREADS < (os.cpu_count() or 1):
            found.append(
                f"torch uses {torch.get_num_threads()} of {os.cpu_count()} CPUs: unset "
                "OMP_NUM_THREADS."
            )
    found += [f"{run.runtime} does not run: {run.error}" for run in runs if run.error]
    return found
