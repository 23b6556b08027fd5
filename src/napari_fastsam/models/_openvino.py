"""Imports OpenVINO without what it does beside its work: it would report each import to its makers.

If a program imported it before, it is used as it is.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_fastsam.models._hiding import hidden
from napari_fastsam.models._ultralytics import restored_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = threading.Lock()
_REPORTS = "openvino_telemetry"
_VARIABLES = ("TF_CPP_MIN_LOG_LEVEL",)


@cache
def openvino() -> Any:
    """Return the module `openvino`; ImportError if it is not installed."""
    with _LOCK, silent():
        return import_module("openvino")


@contextmanager
def silent() -> Iterator[None]:
    """Let the body import what reports to OpenVINO's makers, and have it find no way to."""
    with hidden(_REPORTS), restored_environment(_VARIABLES):
        yield
