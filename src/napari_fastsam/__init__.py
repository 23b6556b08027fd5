"""Segment anything in napari with one pass of the network.

Every object of a plane is found once, and a prompt only chooses. The public names are here;
importing them loads no network library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fastsam._napari.layers import segment_layers
    from napari_fastsam.caching import CandidateCache
    from napari_fastsam.cleanup import Cleanup, clean
    from napari_fastsam.closer import look_closer
    from napari_fastsam.following import Followed, follow
    from napari_fastsam.given import FromLabels
    from napari_fastsam.instances import Instances
    from napari_fastsam.labelling import Labelling
    from napari_fastsam.linking import Linker, link
    from napari_fastsam.matching import Looks
    from napari_fastsam.models.clip import OpenClip
    from napari_fastsam.models.fastsam import FastSAM
    from napari_fastsam.models.train import train
    from napari_fastsam.origins import provenance
    from napari_fastsam.pipeline import run, run_regions, segment_stack
    from napari_fastsam.planes import Display, PlaneAxes, to_rgb
    from napari_fastsam.prompts import Prompts
    from napari_fastsam.replaying import replay
    from napari_fastsam.requests import PlaneRegions, PlaneResult, Request
    from napari_fastsam.script import as_script
    from napari_fastsam.segmenter import ModelSpec, Segmenter, TextScorer, TextSpec
    from napari_fastsam.selection import Selection, everything, fastsam_mask, select
    from napari_fastsam.tiling import Tiled
    from napari_fastsam.tracks import Tracks, track_data

_HOMES = {
    "CandidateCache": "caching",
    "Cleanup": "cleanup",
    "Display": "planes",
    "FastSAM": "models.fastsam",
    "Followed": "following",
    "FromLabels": "given",
    "Instances": "instances",
    "Labelling": "labelling",
    "Linker": "linking",
    "Looks": "matching",
    "ModelSpec": "segmenter",
    "OpenClip": "models.clip",
    "PlaneAxes": "planes",
    "PlaneRegions": "requests",
    "PlaneResult": "requests",
    "Prompts": "prompts",
    "Request": "requests",
    "Segmenter": "segmenter",
    "Selection": "selection",
    "TextScorer": "segmenter",
    "TextSpec": "segmenter",
    "Tiled": "tiling",
    "Tracks": "tracks",
    "as_script": "script",
    "clean": "cleanup",
    "everything": "selection",
    "fastsam_mask": "selection",
    "follow": "following",
    "link": "linking",
    "look_closer": "closer",
    "provenance": "origins",
    "replay": "replaying",
    "run": "pipeline",
    "run_regions": "pipeline",
    "segment_layers": "_napari.layers",
    "segment_stack": "pipeline",
    "select": "selection",
    "to_rgb": "planes",
    "track_data": "tracks",
    "train": "models.train",
}

__all__ = [
    "CandidateCache",
    "Cleanup",
    "Display",
    "FastSAM",
    "Followed",
    "FromLabels",
    "Instances",
    "Labelling",
    "Linker",
    "Looks",
    "ModelSpec",
    "OpenClip",
    "PlaneAxes",
    "PlaneRegions",
    "PlaneResult",
    "Prompts",
    "Request",
    "Segmenter",
    "Selection",
    "TextScorer",
    "TextSpec",
    "Tiled",
    "Tracks",
    "as_script",
    "clean",
    "everything",
    "fastsam_mask",
    "follow",
    "link",
    "look_closer",
    "provenance",
    "replay",
    "run",
    "run_regions",
    "segment_layers",
    "segment_stack",
    "select",
    "to_rgb",
    "track_data",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used."""
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-fastsam")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
