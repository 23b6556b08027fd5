"""Keeps triton outside where nothing needs it."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_fastsam.models._hiding import hidden

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = threading.RLock()


@contextmanager
def without_triton() -> Iterator[None]:
    """Keep what is imported meanwhile, as torchvision, from loading triton.

    Its LLVM ends the process where Mesa has loaded another one to draw, as in a viewer without a
    graphics card.
    """
    with _LOCK:
        if "triton" in sys.modules:
            yield
            return
        try:
            with hidden("triton"):
                yield
        finally:
            asked: Any = getattr(sys.modules.get("torch.utils._triton"), "has_triton_package", None)
            if hasattr(asked, "cache_clear"):
                asked.cache_clear()  # others may want it
