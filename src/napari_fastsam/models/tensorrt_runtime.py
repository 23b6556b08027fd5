"""NVIDIA's TensorRT, through ONNX Runtime: an option for those who have both installed.

It tries for minutes which of its programs are the fastest on a card, and keeps what it finds, for
each size of frames.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.models._onnxruntime import onnxruntime
from napari_fastsam.models.conversion import INPUT, OUTPUTS, converted
from napari_fastsam.models.cpu_runtimes import each
from napari_fastsam.models.device import choose_device, describe_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.checkpoint import Checkpoint
    from napari_fastsam.models.network import Raw

_PROVIDER = "TensorrtExecutionProvider"


class TensorRT:
    """The network of a checkpoint, run by TensorRT in half precision; any threads may call it.

    Parameters
    ----------
    checkpoint
        Weights and their architecture.
    device
        As `choose_device` takes it; a CUDA device.

    Raises
    ------
    ValueError
        If there is no such device, or TensorRT is not installed.
    OSError
        If the converted network cannot be kept.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto") -> None:
        chosen = choose_device(device)
        fail_if(
            chosen.type != "cuda",
            'a CUDA device for the runtime "tensorrt"',
            f"the device {device!r}",
            'use runtime="auto"',
        )
        remedy = 'install onnxruntime-gpu, onnx and TensorRT, or use runtime="torch"'
        missing = [name for name in ("onnx", "onnxruntime") if not find_spec(name)]
        fail_if(missing, "ONNX Runtime with TensorRT", f"no {' and no '.join(missing)}", remedy)
        there = onnxruntime().get_available_providers()
        fail_if(_PROVIDER not in there, f"{_PROVIDER} in ONNX Runtime", ", ".join(there), remedy)
        self._session = _session(converted(checkpoint, "onnx"), chosen.index or 0)
        used = self._session.get_providers()
        # It goes on without, and only logs why, where TensorRT's libraries are not found.
        fail_if(_PROVIDER not in used, "TensorRT's libraries", f"only {', '.join(used)}", remedy)
        self.description = f"{describe_device(chosen)} · TensorRT · fp16"

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Raw]:
        """Return what the network says of frames (h, w, 3), RGB, all of one size."""
        return each(self._session.run(list(OUTPUTS), {INPUT: np.stack(frames)}))


def _session(file: os.PathLike[str], index: int) -> Any:
    """Return the network of a file as TensorRT runs it on one of the cards."""
    options = {
        "device_id": index,
        "trt_fp16_enable": True,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": f"{os.fspath(file)}-tensorrt",
    }
    return onnxruntime().InferenceSession(os.fspath(file), providers=[(_PROVIDER, options)])
