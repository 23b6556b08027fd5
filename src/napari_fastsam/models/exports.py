"""Networks that were exported for a runtime, and what their files tell about them.

Read are what ultralytics exports of a segmentation network, for ONNX or OpenVINO, with any frames
or only one size of them, with its own suppression of boxes or without; and what `napari-fastsam
models convert` writes. Both are graphs of operations on arrays: reading one runs no program of its
author's, though it can ask for any amount of memory. TorchScript is such a program, and is refused.
"""

from __future__ import annotations

import ast
import contextlib
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from napari_fastsam._checks import fail_if
from napari_fastsam.models._class_names import MAX_CLASSES, plain_names
from napari_fastsam.models._refusal import CheckpointError, shown
from napari_fastsam.models._sessions import onnx_session, openvino_session, refused
from napari_fastsam.models.conversion import OUTPUTS
from napari_fastsam.models.detect import COEFFICIENTS
from napari_fastsam.models.network import Decoded, Raw, require_finite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fastsam.models._sessions import Session

_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}
_PRECISIONS = ("fp32", "fp16", "int8")  # that a file may tell, as text of a stranger is shown
_SUPPRESSED = 6 + COEFFICIENTS
"""Columns of a box that the network chose itself: x0, y0, x1, y1, score, class, coefficients."""


class Export:
    """An exported network, on the CPU; any number of threads may call it.

    Parameters
    ----------
    session
        What runs it.

    Raises
    ------
    CheckpointError
        If it is none of a segmentation network.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._own = session, session.outputs == OUTPUTS
        task = session.about.get("task", "segment")
        batch, *sizes = session.sizes or (None,)
        channels = sizes.pop(-1 if self._own else 0) if len(sizes) == 3 else None
        if task != "segment" or len(sizes) != 2 or channels not in (3, None):
            raise refused(f"one whose task is {shown(task)}, of frames {session.sizes}")
        if not self._own and len(session.outputs) != 2:
            raise refused(f"one with {len(session.outputs)} outputs")
        if batch not in (1, None):
            raise refused(f"one that takes {batch} frames at a time", "Export it with batch=1.")
        height, width = sizes
        self.frame = (height, width) if height and width else None
        self.names = _names(session.about)
        precision = session.about.get("precision", "")
        if precision not in _PRECISIONS:
            precision = "fp16" if session.dtype == np.float16 else "fp32"
        self.description = f"CPU · {session.name} · {precision}"

    @property
    def image_size(self) -> int | None:
        """The image size in pixels that it was exported for, where the file tells it."""
        told = self._session.about
        sizes = _literal(told.get("image_size") or told.get("imgsz", ""))
        sizes = sizes if isinstance(sizes, list | tuple) else [sizes]
        known = [n for n in sizes if type(n) is int and 32 <= n <= 8192]
        return max(known, default=None)

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Raw | Decoded]:
        """Return what the network says of frames (h, w, 3), RGB, all of one size."""
        return [self._look(frame) for frame in frames]

    def _look(self, frame: NDArray[np.uint8]) -> Raw | Decoded:
        """Return what it says of one."""
        if self._own:
            frames = frame[None]
        else:
            frames = (frame.transpose(2, 0, 1)[None] / np.float32(255)).astype(self._session.dtype)
        outputs = [np.asarray(part[0], np.float32) for part in self._session.run(frames)]
        require_finite(all(bool(np.isfinite(part).all()) for part in outputs))
        if self._own:
            return Raw(*map(torch.from_numpy, outputs))
        boxes, prototypes = sorted(outputs, key=np.ndim)
        cells = (COEFFICIENTS, frame.shape[0] // 4, frame.shape[1] // 4)
        if boxes.ndim != 2 or prototypes.shape != cells:
            raise refused(f"one whose outputs are {[part.shape for part in outputs]}")
        plain = len(boxes) == 4 + len(self.names) + COEFFICIENTS if self.names else False
        if boxes.shape[1] == _SUPPRESSED and not plain:
            boxes = _spread(boxes, len(self.names))
        if len(boxes) <= 4 + COEFFICIENTS:
            raise refused(f"one whose boxes are {boxes.shape}")
        return Decoded(torch.from_numpy(boxes), torch.from_numpy(prototypes))


def open_export(path: Path, *, device: str, runtime: str) -> Export:
    """Return the network of an exported file or folder.

    Parameters
    ----------
    path
        An ``.onnx`` file, or a folder with what OpenVINO reads.
    device, runtime
        As for `FastSAM`; an export runs on the CPU, with the runtime that it was made for.

    Raises
    ------
    ValueError
        If that runtime is not installed, or another one or another device is asked for.
    CheckpointError
        If it is no export of a segmentation network.
    """
    form = "openvino" if path.is_dir() else "onnx"
    fail_if(
        runtime not in ("auto", form) or device not in ("auto", "cpu"),
        f'the runtime "{form}" on the CPU for {path.name}',
        f"runtime {runtime!r}, device {device!r}",
        "leave them out, or use the checkpoint that the export was made of",
    )
    fail_if(
        find_spec(_PACKAGES[form]) is None,
        f"{_PACKAGES[form]}, which runs {path.name}",
        "an environment without it",
        f'install it, with pip install "napari-fastsam[{form}]"',
    )
    try:
        session = openvino_session(path) if form == "openvino" else onnx_session(path)
    except CheckpointError:
        raise
    except Exception as error:  # each runtime has classes of its own for what it cannot read
        reason = str(error).strip().partition("\n")[0]
        raise refused(f"what cannot be read ({shown(reason)})") from error
    return Export(session)


def is_export(path: Path) -> bool:
    """Whether a model is an export, by its ending or because it is a folder."""
    return path.is_dir() or path.suffix.lower() == ".onnx"


def _spread(boxes: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return boxes that the network chose itself, (N, 38), as `Decoded` has them."""
    low, high, (scores, classes) = boxes[:, :2].T, boxes[:, 2:4].T, boxes[:, 4:6].T
    classes = np.clip(np.nan_to_num(classes), 0, MAX_CLASSES).astype(np.intp)
    if len(classes) and classes.max() >= MAX_CLASSES:
        raise refused(f"one that names class {classes.max()}")
    likely = np.zeros((max(count, classes.max(initial=0) + 1), len(boxes)), np.float32)
    likely[classes, np.arange(len(boxes))] = scores
    return np.concatenate([(low + high) / 2, high - low, likely, boxes[:, 6:].T])


def _names(about: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of all classes, a single one too."""
    names = plain_names(_literal(about.get("names", "")))
    return tuple(names.get(str(n), str(n)) for n in range(len(names)))


def _literal(text: str) -> object:
    """Return the value that is written as JSON or as Python writes it; None for anything else."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return cast("object", read(text))
    return None
