"""The main job on the real images inside scikit-image: files in a folder, labels beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.batch import Done, Failed, Job, segment_files
from napari_fastsam.files.inputs import Input
from napari_fastsam.files.outputs import require_writable, whole
from napari_fastsam.files.readers import read_image
from napari_fastsam.overlay import overlay
from napari_fastsam.segmenter import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_fastsam.segmenter import Segmenter

FOLDER = Path("napari-fastsam-demo")
"""Where the demo's files go unless said otherwise."""

IMAGES = {"coins": "coins", "ihc": "immunohistochemistry"}
"""By name the functions of `skimage.data` whose pictures are inside scikit-image's wheel."""

IMAGE_SIZES = {"ihc": 1280}
"""Where the model's own image size is too small: the nuclei of *ihc* are about ten pixels wide."""


def image_path(folder: Path, name: str) -> Path:
    """Return where the demo puts an image."""
    return folder / f"{name}.png"


def labels_path(folder: Path, name: str) -> Path:
    """Return where the demo puts the labels of an image."""
    return folder / f"{name}_labels.tif"


def overlay_path(folder: Path, name: str) -> Path:
    """Return where the demo puts the picture of the labels on an image."""
    return folder / f"{name}_overlay.png"


def run_demo(
    folder: Path,
    model: ModelSpec | Segmenter,
    *,
    progress: Callable[[Path, int, int], None] = lambda path, done, total: None,
) -> Iterator[Done]:
    """Segment the demo's images, and yield what became of each.

    Parameters
    ----------
    folder
        Where images, label images and overlays go; the demo's own files there are replaced.
    model
        Built for each image if it is a `ModelSpec`, at the image size of `IMAGE_SIZES`.
    progress
        As for `batch.segment_files`.

    Yields
    ------
    Done
        One for each of `IMAGES`, in order.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    require_writable(folder)
    for name in IMAGES:
        _write_png(image_path(folder, name), _picture(name))
    for name in IMAGES:
        seen_at = IMAGE_SIZES.get(name)
        (outcome,) = segment_files(
            [Input(image_path(folder, name), name)],
            [labels_path(folder, name)],
            replace(model, image_size=seen_at) if isinstance(model, ModelSpec) else model,
            Job(),
            overwrite=True,
            progress=progress,
        )
        if isinstance(outcome, Failed):
            raise outcome.error
        assert isinstance(outcome, Done)  # as there is no manifest
        labels = np.asarray(read_image(outcome.output).data)
        _write_png(overlay_path(folder, name), overlay(_picture(name), labels))
        yield outcome


def _picture(name: str) -> np.ndarray:
    """Return one of the images."""
    import skimage.data

    return np.asarray(getattr(skimage.data, IMAGES[name])())


def _write_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture of 8 bits."""
    import PIL.Image

    with whole(path, overwrite=True) as partial:
        PIL.Image.fromarray(picture).save(partial, format="PNG")
