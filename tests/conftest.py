"""What the tests of every module share: a segmenter without a network, and data kept elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.measure import label

from napari_fastsam import Instances

SHARED_DATA = Path(__file__).parents[1] / "../shared/data"


class BlobSegmenter:
    """Finds every bright connected object of an image exactly, and counts its calls."""

    spec = "blobs"

    def __init__(self, threshold: int = 127) -> None:
        self.threshold = threshold
        self.shapes: list[tuple[int, ...]] = []

    @property
    def calls(self) -> int:
        return len(self.shapes)

    def segment(self, image: np.ndarray) -> Instances:
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)
        self.shapes.append(image.shape)
        return Instances.from_labels(label(image[..., 0] > self.threshold, connectivity=1))


@pytest.fixture
def blobs() -> BlobSegmenter:
    return BlobSegmenter()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the data folder {SHARED_DATA}, which is kept beside the repository")
    return SHARED_DATA.resolve()
