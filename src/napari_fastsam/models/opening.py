"""Which network a model's file holds, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.runtimes import network_for

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fastsam.models.network import Network


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A network, and what its file tells about it.

    Parameters
    ----------
    network
        What runs it.
    image_size
        Length in pixels of the longer side that it was trained at, where known.
    names
        Of its classes; none if it has a single one.
    frame
        (h, w) of the only frames that it takes; ``None`` if it takes all.
    """

    network: Network
    image_size: int | None
    names: tuple[str, ...] = ()
    frame: tuple[int, int] | None = None


def open_model(path: Path, *, device: str, runtime: str) -> Opened:
    """Return the network of a checkpoint; parameters and errors as for `FastSAM`."""
    checkpoint = load_checkpoint(path)
    network = network_for(checkpoint, device=device, runtime=runtime)
    return Opened(network, checkpoint.image_size, checkpoint.class_names)
