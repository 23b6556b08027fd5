"""How a file or folder appears on disk: whole or not at all, also when the power goes.

It is written under another name beside its own, flushed to the disk, and renamed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fastsam._checks import fail_if, message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a new name beside `path` to write a file or folder to, which becomes `path` at the end.

    Readers see what was there before or all of the new, never a part, and nothing is left of a
    failure.

    Raises
    ------
    FileExistsError
        If `path` exists, unless `overwrite`.
    OSError
        If the disk is full, or cannot be written to, or a file would replace a folder.

    Notes
    -----
    A process that is killed leaves what it had written under a name of its own, see
    `clear_leftovers`.
    """
    refuse_existing([path], overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    partial, old = (path.with_name(f".{path.name}-{mark}.{kind}") for kind in ("part", "old"))
    try:
        yield partial
        refuse_existing([path], overwrite)
        _flush(partial)
        if path.is_dir() and partial.is_dir():
            path.rename(old)  # a folder, unlike a file, cannot be renamed over
        try:
            partial.replace(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        _flush_names(path.parent)
    except OSError as error:
        if error.errno in _FULL:
            raise _disk_full(path, error) from error
        raise
    finally:
        for leftover in (partial, old):
            _remove(leftover)


def clear_leftovers(path: Path) -> None:
    """Remove what a killed process left beside `path`, and put back what it was about to replace.

    Nobody else may be writing to `path`.
    """
    marked = re.compile(rf"\.{re.escape(path.name)}-[0-9a-f]{{8}}\.(part|old)")
    for left in path.parent.glob("*"):
        match = marked.fullmatch(left.name)
        if match and match[1] == "old" and not path.exists():
            left.rename(path)
        elif match:
            _remove(left)


def refuse_existing(paths: Sequence[Path], overwrite: bool) -> None:
    """Raise FileExistsError if one of the paths exists, unless `overwrite`."""
    existing = [] if overwrite else [path for path in paths if path.exists() or path.is_symlink()]
    more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
    fail_if(
        existing,
        "an output that does not exist yet",
        f"{existing[0] if existing else ''}{more}",
        "choose another OUTPUT, or replace it with --overwrite",
        FileExistsError,
    )


def _disk_full(path: Path, error: OSError) -> OSError:
    """Return the error for a disk without room, which keeps its number."""
    full = OSError(
        message(
            f"room on the disk for {path}",
            f"{error.strerror}; nothing of it was kept",
            "free some space or write to another disk, and run it again",
        )
    )
    full.errno = error.errno
    return full


def _flush(path: Path) -> None:
    """Have the disk hold a file, or every file in a folder, before its name says that it does."""
    if path.is_dir():
        for folder, _, names in os.walk(path.absolute()):
            for name in names:
                _flush(Path(folder, name))
            _flush_names(Path(folder))
        return
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_names(folder: Path) -> None:
    """Have the disk hold the names in a folder, where the system can be asked for that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
