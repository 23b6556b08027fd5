"""Whether a file is still the one that its name stands for: by the SHA-256 known or first seen."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from napari_fastsam._files import whole
from napari_fastsam.models._files import sha256_of
from napari_fastsam.models._refusal import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def require_known(path: Path, known: Sequence[str], *, remedy: str) -> None:
    """Refuse a file with another SHA-256 than one of those known, or the one first seen.

    Parameters
    ----------
    path
        The file. Where nothing is known, its SHA-256 is recorded beside it, in ``NAME.json``.
    known
        The right ones, in hexadecimal digits; the first is the one to show. May be empty.
    remedy
        What brings the right file.

    Raises
    ------
    CheckpointError
        If it has another one.
    """
    found = sha256_of(path)
    recorded = () if known else (recorded_sha256(path),)
    if recorded == (None,):
        # Where the folder cannot be written, somebody else keeps the file: then it is not noted.
        with contextlib.suppress(OSError), whole(_record_of(path), overwrite=True) as partial:
            partial.write_text(json.dumps({"sha256": found}), "utf-8")
    elif found not in (*known, *recorded):
        also = f" and {_record_of(path).name} beside it" if recorded else ""
        raise CheckpointError.because(
            f"{path.name} with SHA-256 {(*known, *recorded)[0]}",
            f"{path} has {found}",
            f"Delete it{also} and run {remedy}; "
            "if it is a model of your own, give it another name and pass its path.",
        )


def recorded_sha256(path: Path) -> str | None:
    """Return the SHA-256 that a file had when it was first seen, if that was noted."""
    try:
        record = json.loads(_record_of(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    found = record.get("sha256") if isinstance(record, dict) else None
    return found if isinstance(found, str) else None


def _record_of(path: Path) -> Path:
    """Return where the SHA-256 of a file is noted."""
    return path.with_name(f"{path.name}.json")
