"""Imports ONNX Runtime without what it does beside its work: it would report to its makers.

If a program imported it before, it is used as it is, but for the reports.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from importlib import import_module
from typing import Any

from napari_fastsam.models._ultralytics import restored_environment

_LOCK = threading.Lock()
_VARIABLE = "ORT_DISABLE_TELEMETRY"  # read when it is loaded, before which it keeps no files


@cache
def onnxruntime() -> Any:
    """Return the module `onnxruntime`; ImportError if it is not installed."""
    with _LOCK, restored_environment([_VARIABLE]):
        os.environ[_VARIABLE] = "1"
        module = import_module("onnxruntime")
    module.disable_telemetry_events()
    return module
