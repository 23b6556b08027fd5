"""What a machine has for the network: packages, processor, memory, graphics cards, settings."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from napari_fastsam.models._files import CACHE_VARIABLE, cache_dir
from napari_fastsam.models.processor import container_cpus, processor_name
from napari_fastsam.models.runtimes import VARIABLE

SHOWN = (
    "napari-fastsam", "napari", "torch", "ultralytics", "open-clip-torch", "numpy", "scikit-image",
    "PyQt6", "PySide6", "openvino", "onnxruntime", "onnx", "nncf", "distributed",
)  # fmt: skip
"""Packages whose versions matter."""

_SETTINGS = (VARIABLE, CACHE_VARIABLE, "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
_GIB = 2**30


def home_hidden(text: str) -> str:
    """Return a text with the user's home folder, which holds a name, as ``~``."""
    with suppress(RuntimeError):  # there is none
        home = str(Path.home())
        if len(home) > 1:
            return text.replace(home, "~")
    return text


def versions() -> dict[str, str]:
    """Return the version of each package that is installed."""
    found = {}
    for name in SHOWN:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine() -> dict[str, str]:
    """Return what the machine is."""
    share = container_cpus()
    bound = "" if share is None else f", of which this container may use {share}"
    found = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor_name(),
        "threads": f"{torch.get_num_threads()} of torch on {allowed_cpus()} CPUs{bound}",
        **_memory(),
        "torch for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU",
        "interpreter": home_hidden(sys.executable),
        "models in": home_hidden(str(cache_dir())),
    }
    for n in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(n)
        found[f"cuda:{n}"] = (
            f"{torch.cuda.get_device_name(n)}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
        )
    if torch.backends.mps.is_available():
        found["mps"] = "Apple's GPU"
    set_here = {name: os.environ[name] for name in _SETTINGS if os.environ.get(name)}
    return found | {name: home_hidden(value) for name, value in set_here.items()}


def _memory() -> dict[str, str]:
    """Return how much memory there is, where the system says."""
    try:
        import psutil

        memory = psutil.virtual_memory()
    except Exception:  # not on each system, nor in each container
        return {}
    return {"memory": f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"}


def allowed_cpus() -> int:
    """Return how many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
