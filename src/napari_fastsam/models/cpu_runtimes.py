"""Runtimes that were made for CPUs: OpenVINO and ONNX Runtime, each behind the same call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fastsam._checks import fail_if
from napari_fastsam.models._onnxruntime import onnxruntime
from napari_fastsam.models._openvino import openvino
from napari_fastsam.models.conversion import INPUT, NETWORK, OUTPUTS, kept, read_converted
from napari_fastsam.models.network import Raw, require_finite
from napari_fastsam.models.processor import thread_count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
        self._model = read_converted(checkpoint, "openvino", compiled)

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Raw]:
        """Return what the network says of frames (h, w, 3), RGB, all of one size."""
        found = self._model.create_infer_request().infer({INPUT: np.stack(frames)})
        return each([found[name] for name in OUTPUTS])


class OpenVINOInt8(OpenVINO):
    """The same in 8-bit whole numbers, once `quantising.quantise` made that of the checkpoint.

    Raises
    ------
    FileNotFoundError
        If it was not made.
    """

    description = "CPU · OpenVINO · int8"

    def __init__(self, checkpoint: Checkpoint) -> None:
        path = kept(checkpoint, "openvino-int8")
        fail_if(
            not path.exists(),
            f"{checkpoint.path.name} in int8 in {path.parent}",
            "none, since images of your own are needed to make it",
            f"run `napari-fastsam models convert {checkpoint.path} --to openvino --int8 "
            "--calibrate IMAGES`",
            FileNotFoundError,
        )
        self._model = compiled(path)


class ONNXRuntime:
    """The network of a checkpoint, run by ONNX Runtime; any number of threads may call it.

    Parameters and errors as for `OpenVINO`.
    """

    description = "CPU · ONNX Runtime · fp32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._session = read_converted(checkpoint, "onnx", session)

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Raw]:
        """Return what the network says of frames (h, w, 3), RGB, all of one size."""
        return each(self._session.run(list(OUTPUTS), {INPUT: np.stack(frames)}))


def compiled(folder: Path) -> Any:
    """Return the network in a folder as OpenVINO runs it here."""
    return compiled_model(str(folder / NETWORK))


def compiled_model(model: Any) -> Any:
    """Return an `openvino.Model`, or one at a path, as OpenVINO runs it here."""
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": thread_count(),
        # Each process would bind its threads to the same processors.
        "ENABLE_CPU_PINNING": False,
    }
    return openvino().Core().compile_model(model, "CPU", options)


def session(file: Path) -> Any:
    """Return the network of a file as ONNX Runtime runs it here."""
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = thread_count()
    options.log_severity_level = 3
    return onnxruntime().InferenceSession(
        os.fspath(file), options, providers=["CPUExecutionProvider"]
    )


def each(parts: list[NDArray[np.float32]]) -> list[Raw]:
    """Return the outputs of a batch frame by frame."""
    require_finite(all(bool(np.isfinite(part).all()) for part in parts))
    tensors = [torch.from_numpy(np.array(part)) for part in parts]
    return [Raw(*of_one) for of_one in zip(*tensors, strict=True)]
