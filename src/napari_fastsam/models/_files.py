"""Where files of models are kept on this machine, and how they get there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_VARIABLE = "NAPARI_FASTSAM_CACHE"


def cache_dir() -> Path:
    """Return the folder for models; it need not exist yet.

    The environment variable ``NAPARI_FASTSAM_CACHE`` overrides the platform's own cache folder.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("napari-fastsam", appauthor=False))


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a new name beside `path` to write to, which becomes `path` if no exception is raised.

    Readers see the old file or the new one, never a part of it, and nothing is left of a failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
