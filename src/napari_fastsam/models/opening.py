"""Which network a model's file holds, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fastsam._checks import fail_if
from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.exports import is_export, open_export
from napari_fastsam.models.registry import whole_of
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


def open_model(path: Path, *, device: str, runtime: str, image_size: int | None = None) -> Opened:
    """Return the network of a checkpoint or export; parameters and errors as for `FastSAM`."""
    path = whole_of(path)
    if is_export(path):
        export = open_export(path, device=device, runtime=runtime)
        fail_if(
            export.frame and image_size and image_size != max(export.frame),
            f"image_size {max(export.frame or (0,))}, the only one that {path.name} takes",
            f"{image_size}",
            "leave it out, or export the network with dynamic=True",
        )
        names = export.names if len(export.names) > 1 else ()
        return Opened(export, export.image_size, names, export.frame)
    checkpoint = load_checkpoint(path)
    network = network_for(checkpoint, device=device, runtime=runtime)
    return Opened(network, checkpoint.image_size, checkpoint.class_names)
