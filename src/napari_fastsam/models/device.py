"""Decides which device a network runs on, says so in words, and what if that device is full."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from napari_fastsam._checks import fail_if

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_KINDS = ("cpu", "cuda", "mps")
# Only CUDA's own allocator has an exception for it; MPS, cuBLAS and cuDNN just say so.
_NO_MEMORY = ("out of memory", "alloc_failed")


def choose_device(name: str) -> torch.device:
    """Return the device of a name.

    Parameters
    ----------
    name
        ``"auto"`` (CUDA, then Apple's MPS, then CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or
        ``"mps"``.

    Raises
    ------
    ValueError
        If there is no such device in this machine, or no such name.
    """
    present = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if name == "auto":
        return torch.device(next(kind for kind, count in present.items() if count))
    kind, _, index = name.partition(":")
    fail_if(
        kind not in _KINDS or (":" in name and not index.isdecimal()),
        'one of the devices "auto", "cpu", "cuda", "cuda:1" or "mps"',
        f"device {name!r}",
        'choose one of these; "auto" takes the fastest that is there',
    )
    fail_if(
        int(index or 0) >= present[kind],
        f"a machine with the device {name!r}",
        f"{present['cuda']} CUDA and {present['mps']} MPS devices, as torch "
        f"{torch.__version__} sees them",
        'use device="auto" or "cpu", or install a build of torch for this machine\'s GPU',
    )
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """Return what a device is called: ``"CPU"``, ``"MPS"`` or the name of the CUDA card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()


def beside(device: torch.device) -> AbstractContextManager[object]:
    """Return a context whose small work on a device does not wait for the network's next batch."""
    return torch.cuda.stream(_stream(device)) if device.type == "cuda" else nullcontext()


@lru_cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream for that; one for all threads, as each has memory of its own."""
    return torch.cuda.Stream(device, priority=-1)


def is_of_memory(error: RuntimeError) -> bool:
    """Say whether an error means that the device's memory is full."""
    told = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(text in told for text in _NO_MEMORY)


def why_full(error: RuntimeError, device: torch.device) -> str:
    """Return what an error says of a device whose memory is full; any other is raised again.

    Call it where the error is caught, and go on outside, where its traceback no longer holds on to
    what the device computed.
    """
    if device.type == "cpu" or not is_of_memory(error):
        raise error
    return str(error).partition("\n")[0]


def cpu_instead(
    device: torch.device, reason: str, *, what: str = "", advice: str = "", stacklevel: int
) -> torch.device:
    """Return the CPU, with a warning that a device is full.

    Parameters
    ----------
    device, reason
        Which one, and what `why_full` says.
    what
        What goes on there, as " for text prompts"; nothing for everything.
    advice
        What helps, besides closing other programs.
    stacklevel
        Of the warning, as if the caller gave it.
    """
    warnings.warn(
        f"Out of memory on {describe_device(device)}, going on with the CPU{what}, which is slower "
        f"({reason}). To avoid this, close other programs that use the device{advice}.",
        RuntimeWarning,
        stacklevel=stacklevel + 1,
    )
    return torch.device("cpu")
