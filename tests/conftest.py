"""What the tests of every module share: a segmenter without a network, and data kept elsewhere."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import hypothesis
import pytest

from fakes import BlobSegmenter

hypothesis.settings.register_profile("no timing", deadline=None, max_examples=50)
hypothesis.settings.load_profile("no timing")

# Which runtime is the fastest is a race, with conversions: that is a test of its own.
os.environ["NAPARI_FASTSAM_RUNTIME"] = "torch"

SHARED_DATA = Path(__file__).parents[1] / "../shared/data"

SMALL_CLIP = Path(__file__).parent / "clip" / "shapes.safetensors"
"""Knows coloured shapes; see the folder's README."""


def pytest_collection_finish() -> None:
    """Let the garbage collector, which runs for each layer that goes, pass over what stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def small_clip(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the small CLIP be what is called ViT-B-32, whose weights nobody has fetched."""
    from napari_fastsam.models import clip

    find = clip.find
    monkeypatch.setattr(clip, "find", lambda name: SMALL_CLIP if name == "ViT-B-32" else find(name))
    return SMALL_CLIP


@pytest.fixture
def blobs() -> BlobSegmenter:
    return BlobSegmenter()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the data folder {SHARED_DATA}, which is kept beside the repository")
    return SHARED_DATA.resolve()
