"""A network in 8-bit whole numbers: made once, on the user's own images, and used where asked for.

What each layer puts out is measured on these images, to cut it into 256 steps.

References
----------
.. [1] Nagel et al. 2021, "A White Paper on Neural Network Quantization", arXiv 2106.08295.
.. [2] NNCF, https://github.com/openvinotoolkit/nncf.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if
from napari_fastsam._files import whole
from napari_fastsam.models._openvino import silent
from napari_fastsam.models.conversion import (
    about,
    alone,
    kept,
    require_package,
    to_openvino,
    write_openvino,
)
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.planes import to_rgb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam.models.checkpoint import Checkpoint

FORM = "openvino-int8"
"""What it is called among runtimes and converted files."""


def quantise(checkpoint: Checkpoint, images: Sequence[NDArray[Any]], *, image_size: int) -> Path:
    """Quantise a network for OpenVINO, keep it in the cache, and return the folder.

    Parameters
    ----------
    checkpoint
        The weights.
    images
        (H, W) or (H, W, 3) each, as `FastSAM.segment` takes them: some dozens of those that the
        network is to be used on.
    image_size
        At which it sees them, in pixels of the longer side.

    Raises
    ------
    ValueError
        If there are no images, or OpenVINO or NNCF, which quantises, is not installed.
    OSError
        If it cannot be kept.

    Notes
    -----
    Of images unlike these the network makes less than before. Measure what is lost on images with
    known objects, see `napari_fastsam.models.evaluate`.
    """
    require_package("openvino", "which runs what is quantised", "int8")
    require_package("nncf", "which quantises networks", "int8")
    fail_if(not images, "images to measure on", "none", "give some dozens of your own")
    path = kept(checkpoint, FORM)
    with alone(path), whole(path, overwrite=True) as partial:
        model = _quantised(to_openvino(checkpoint), images, image_size)
        write_openvino(model, partial, about(checkpoint, "int8"))
    return path


def _quantised(model: Any, images: Sequence[NDArray[Any]], image_size: int) -> Any:
    """Return a model whose convolutions take and give 8-bit numbers."""

    def frame(image: NDArray[Any]) -> NDArray[np.uint8]:
        rgb = to_rgb(image)
        return Letterbox.fit(rgb.shape[:2], image_size).apply(rgb)[None]

    with _quietly():
        import nncf

        return nncf.quantize(
            model,
            nncf.Dataset(images, frame),
            subset_size=len(images),
            # SiLU goes below zero a little, and far above it.
            preset=nncf.QuantizationPreset.MIXED,
        )


@contextlib.contextmanager
def _quietly() -> Any:
    """Leave to NNCF its bars alone, on stderr: stdout is for results."""
    log = logging.getLogger("nncf")
    with silent(), warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        import nncf  # noqa: F401  # sets the level of its log when it is first imported

        before = log.level
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(before)
