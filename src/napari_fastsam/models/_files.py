"""Where files of models are kept on this machine, and what tells one from another."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs

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
    """Return a file's SHA-256 in lower-case hexadecimal digits; of a folder, that of its files."""
    if path.is_dir():
        told = [f"{sha256_of(file)}  {file.name}\n" for file in sorted(path.glob("*.[bxy]*"))]
        return hashlib.sha256("".join(told).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
