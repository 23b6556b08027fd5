"""Keeps modules outside that others import and nothing here needs."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Let imports of a module fail meanwhile, as if it were not installed."""
    absent = object()
    before = sys.modules.get(name, absent)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is absent:
            del sys.modules[name]
        else:
            sys.modules[name] = before  # type: ignore[assignment]
