"""Runtimes that were made for CPUs: OpenVINO and ONNX Runtime, each behind the same call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fastsam.models.conversion import INPUT, OUTPUTS, converted
from napari_fastsam.models.network import Raw, require_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.checkpoint import Checkpoint


class OpenVINO:
    """The network of a checkpoint, run by OpenVINO on the CPU; any number of threads may call it.

    Parameters
    ----------
    checkpoint
        Weights and their architecture.

    Raises
    ------
    ValueError
        If OpenVINO is not installed.
    OSError
        If the converted network cannot be kept.
    """

    description = "CPU · OpenVINO · fp32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        path = converted(checkpoint, "openvino")
        import openvino

        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        self._model = openvino.Core().compile_model(str(path), "CPU", hints)

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Raw]:
        """Return what the network says of frames (h, w, 3), RGB, all of one size."""
        found = self._model.create_infer_request().infer({INPUT: np.stack(frames)})
        return _each([found[name] for name in OUTPUTS])


class ONNXRuntime:
    """The network of a checkpoint, run by ONNX Runtime; any number of threads may call it.

    Parameters and errors as for `OpenVINO`.
    """

    description = "CPU · ONNX Runtime · fp32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        path = converted(checkpoint, "onnx")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        )
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Raw]:
        """Return what the network says of frames (h, w, 3), RGB, all of one size."""
        return _each(self._session.run(list(OUTPUTS), {INPUT: np.stack(frames)}))


def _each(parts: list[NDArray[np.float32]]) -> list[Raw]:
    """Return the outputs of a batch frame by frame."""
    require_finite(all(bool(np.isfinite(part).all()) for part in parts))
    tensors = [torch.from_numpy(np.array(part)) for part in parts]
    return [Raw(*of_one) for of_one in zip(*tensors, strict=True)]
