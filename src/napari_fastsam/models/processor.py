"""What the CPU is called, and how many threads a network may use on it: the same for each runtime.

Torch follows ``OMP_NUM_THREADS``, which the workers of a cluster set to 1, and the processors that
the process is bound to. What it does not know is the share of a container.
"""

from __future__ import annotations

import math
import platform
from pathlib import Path

import torch

_SHARE = Path("/sys/fs/cgroup/cpu.max")  # of this process's container
_ABOUT = Path("/proc/cpuinfo")


def thread_count() -> int:
    """Return how many threads a network may use."""
    threads: int = torch.get_num_threads()
    return max(1, min(threads, container_cpus() or threads))


def container_cpus() -> int | None:
    """Return how many processors' time a container may use, rounded up; None if it is not bound."""
    try:
        quota, period = _SHARE.read_text("ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
        return None


def processor_name() -> str:
    """Return what the processor is called, as far as the system says."""
    try:
        lines = _ABOUT.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine() or "unknown"
