"""What this machine has for the network, how fast it runs here, and what would make it faster."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from skimage.data import coins

from napari_fastsam.models._files import sha256_of
from napari_fastsam.models.exports import is_export
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.machine import allowed_cpus, home_hidden, machine, versions
from napari_fastsam.models.processor import container_cpus
from napari_fastsam.models.registry import list_models, model_path, whole_of
from napari_fastsam.models.runtimes import PACKAGES, VARIABLE, installed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.network import Decoded, Network, Raw

SIDE = 1024
"""Pixels along the sides of the image that is timed."""

_TURNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How long a runtime took for an image, in seconds.

    Parameters
    ----------
    runtime, description
        Which, and what it says of itself.
    start
        Until the model was ready.
    first, best
        For the image the first time, and the best time after it.
    network
        Of the best time, without what is done before and after it.
    candidates
        How many it found.
    error
        Why it did not run; the numbers are 0 then.
    """

    runtime: str
    description: str = ""
    start: float = 0.0
    first: float = 0.0
    best: float = 0.0
    network: float = 0.0
    candidates: int = 0
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
    """Return what this machine has and how fast it is; what fails here is part of the answer.

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
    runs = []
    for runtime in _runtimes(model):
        told(f"timing {home_hidden(model)} with {runtime}")
        runs.append(_time(model, runtime, image_size))
    return Diagnosis(
        versions={"python": platform.python_version(), **versions()},
        machine=machine(),
        models=_models(),
        runs=runs,
        advice=_advice(runs),
    )


def _runtimes(model: str) -> list[str]:
    """Return the runtimes that would run a model here; an export has its own."""
    with suppress(OSError, ValueError):  # what is wrong with the model is told where it is timed
        if is_export(whole_of(model_path(model))):
            return ["auto"]
    return [name for name in PACKAGES if name == "torch" or _usable(name)]


def _usable(runtime: str) -> bool:
    """Whether a runtime of the CPU is there, and would be used."""
    return installed(runtime) and not torch.cuda.is_available()


def _models() -> list[dict[str, Any]]:
    """Return the models that are there."""
    found = []
    for model in list_models():
        with suppress(OSError):
            found.append(
                {
                    "name": model.name,
                    "state": model.state,
                    "path": home_hidden(str(model.path)),
                    "bytes": model.size,
                    "sha256": sha256_of(model.path),
                }
            )
    return found


def _time(model: str, runtime: str, image_size: int | None) -> Timed:
    """Return how long a runtime takes for an image; an error is one of the answers."""
    image = _many_objects()
    try:
        started = time.perf_counter()
        sam = FastSAM(model, runtime=runtime, image_size=image_size)
        ready = time.perf_counter() - started
        clock = _Clock(sam._runtime)
        sam._runtime = clock
        times = []
        for _ in range(1 + _TURNS):
            before, started = clock.seconds, time.perf_counter()
            candidates = sam.segment(image)
            times.append((time.perf_counter() - started, clock.seconds - before))
    except Exception as error:  # each runtime has classes of its own
        return Timed(runtime=runtime, error=home_hidden(" ".join(str(error).split())))
    best, network = min(times[1:])
    return Timed(
        runtime=runtime,
        description=home_hidden(sam.description),
        start=ready,
        first=times[0][0],
        best=best,
        network=network,
        candidates=len(candidates),
    )


class _Clock:
    """A network that counts the seconds it runs."""

    def __init__(self, network: Network) -> None:
        self._network, self.seconds = network, 0.0
        self.description = network.description

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> Sequence[Raw | Decoded]:
        started = time.perf_counter()
        outputs = self._network(frames)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - started
        return outputs


def _many_objects() -> NDArray[np.uint8]:
    """Return a grey image of `SIDE` squared, full of coins."""
    picture: NDArray[np.uint8] = coins()
    rows, columns = (-(-SIDE // side) for side in picture.shape)
    return np.tile(picture, (rows, columns))[:SIDE, :SIDE]


def _advice(runs: list[Timed]) -> list[str]:
    """Return what would make the network faster."""
    found = [*_advice_on_devices(), *_advice_on_threads()]
    right = [run for run in runs if not run.error]
    fastest = min(right, key=lambda run: run.best, default=None)
    chosen = os.environ.get(VARIABLE)
    if fastest and chosen and "auto" not in (chosen, fastest.runtime) and chosen != fastest.runtime:
        found.append(f"{VARIABLE}={chosen} is set, and {fastest.runtime} is faster: unset it.")
    return found + [f"{run.runtime} does not run: {run.error}" for run in runs if run.error]


def _advice_on_devices() -> list[str]:
    """Return what to install."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return []
    found = []
    if torch.version.cuda is None and platform.system() != "Darwin":
        found.append(
            "If there is an NVIDIA GPU, install torch with CUDA: "
            "https://pytorch.org/get-started/locally"
        )
    elif torch.version.cuda is not None:
        found.append(
            f"torch was built for CUDA {torch.version.cuda} and sees no GPU. If there is one, "
            "update its driver."
        )
    if not any(installed(runtime) for runtime in ("openvino", "onnx")):
        found.append(
            'pip install "napari-fastsam[openvino]": often faster than torch on a CPU; it is '
            "tried then, and used where it is."
        )
    return found


def _advice_on_threads() -> list[str]:
    """Return what to say to torch about the CPUs."""
    threads, allowed, share = torch.get_num_threads(), allowed_cpus(), container_cpus()
    if share is not None and threads > share:
        return [
            f"torch starts {threads} threads where this container may use {share} CPUs: set "
            f"OMP_NUM_THREADS={share}."
        ]
    if os.environ.get("OMP_NUM_THREADS") and 2 * threads < allowed:
        return [f"OMP_NUM_THREADS lets torch use {threads} of {allowed} CPUs: unset it."]
    return []
