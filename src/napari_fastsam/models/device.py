"""Decides which device the network runs on, and says so in words."""

from __future__ import annotations

import torch

from napari_fastsam._checks import fail_if

_KINDS = ("cpu", "cuda", "mps")


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
