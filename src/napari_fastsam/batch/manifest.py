"""What a run has done so far, on disk beside its output: so that the same command goes on there.

A manifest is a text file of JSON lines that is only ever appended to. A line that was cut off by
the end of the process counts for nothing.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_fastsam.pipeline import Index

Stamp = tuple[int, int, int]
"""Of a file, or of all files of a zarr's arrays: how many, their bytes, when one changed last."""

_GROUP = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")  # changes when labels are added
_LABELS = "labels"


def stamp(path: Path) -> Stamp | None:
    """Return what shows that a file or zarr has changed; None if there is none.

    Labels inside an OME-Zarr are no part of it.
    """
    try:
        files = _files_of(path) if path.is_dir() else [path]
        states = [file.stat() for file in files]
    except OSError:
        return None
    newest = max((state.st_mtime_ns for state in states), default=0)
    return len(states), sum(state.st_size for state in states), newest


def _files_of(folder: Path) -> list[Path]:
    """Return the files of a zarr that say what its pixels are."""
    is_array = (folder / ".zarray").exists() or _is_array(folder / "zarr.json")
    found = []
    for place, folders, names in os.walk(folder):
        top = Path(place) == folder
        if top and not is_array:
            folders[:] = [name for name in folders if name != _LABELS]
            names = [name for name in names if name not in _GROUP]
        found += [Path(place, name) for name in names]
    return found


def _is_array(metadata: Path) -> bool:
    """Whether a file says that it lies in a zarr array."""
    if not metadata.exists():
        return False
    try:
        return bool(json.loads(metadata.read_bytes()).get("node_type") == "array")
    except ValueError:
        return False


@dataclass(slots=True)
class Known:
    """What a manifest says of one image.

    Parameters
    ----------
    settings
        With which it was worked on.
    source
        The stamp of the image then.
    store
        Whether there is a store of its work.
    planes
        Those whose labels are in it.
    output, written
        Where its labels are, and the stamp of that file, once they are all there.
    objects
        How many they are.
    writing, before
        Where they were about to be written when the run was last heard of, and the stamp of what
        was there then.
    """

    settings: Mapping[str, Any]
    source: Stamp | None = None
    store: bool = False
    planes: set[Index] = field(default_factory=set)
    output: str = ""
    written: Stamp | None = None
    objects: int = 0
    writing: str = ""
    before: Stamp | None = None


class Manifest:
    """The record of a run.

    Parameters
    ----------
    path
        The file; made when there is something to note. ``None`` notes nothing.
    settings
        All that the labels depend on besides the images, as plain values.

    Raises
    ------
    ValueError
        If the file is no manifest.
    BlockingIOError
        If another process writes to it.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.images: dict[str, Known] = {}
        self._file: IO[str] | None = None
        self._noted = False  # whether this run has written a line
        self._whole = 0  # bytes of the file up to the end of its last whole line
        self._last: Mapping[str, Any] | None = None
        self._sources: dict[Path, Stamp | None] = {}
        self.changed = 0.0  # when the last line was written before this run
        self._found = path is not None and path.exists()
        if path is not None and self._found:
            self.claim()
            self.changed = path.stat().st_mtime
            try:
                self._read(path)
            except BaseException:
                self._release()
                raise

    def claim(self) -> None:
        """Keep other processes from writing here until this one ends.

        Raises
        ------
        BlockingIOError
            If another one does, or has since this one looked.
        """
        if self.path is None or self._file is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a", encoding="utf-8", newline="\n")
        try:
            _lock(file, self.path)
            same = self.path.exists() and os.path.samestat(
                os.fstat(file.fileno()), self.path.stat()
            )
            _refuse_other(not same or (not self._found and file.tell() > 0), self.path)
        except BaseException:
            file.close()
            raise
        self._file = file

    def close(self) -> None:
        """Let others write to the file, which goes if nothing was done."""
        if self._file is None:
            return
        if self.path is not None and not any(map(_is_worth_keeping, self.images.values())):
            with suppress(PermissionError):  # Windows: not as long as it is open
                self.path.unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        """Let others have the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def is_done(self, name: str, source: Path, output: Path) -> bool:
        """Whether the labels of an image as it is now are in a file, made with these settings."""
        known = self._of_now(name, source)
        return (
            known is not None
            and known.written is not None
            and known.output == str(output)
            and known.written == stamp(output)
        )

    def wrote(self, name: str, output: Path) -> bool:
        """Whether a file is as a run left it that could not do all of `name`."""
        known = self.images.get(name)
        ours = known is not None and known.output == str(output)
        return ours and known is not None and known.written == stamp(output)

    def was_writing(self, name: str, output: Path) -> bool:
        """Whether a run may have been killed while it wrote labels, or before it noted that."""
        known = self.images.get(name)
        return known is not None and known.writing == str(output)

    def has_written(self, name: str, output: Path) -> bool:
        """Whether labels that are there were written by a run that was killed before noting it."""
        known = self.images.get(name)
        wrote = known is not None and known.writing == str(output)
        return wrote and known is not None and stamp(output) not in (None, known.before)

    def planes(self, name: str, source: Path) -> set[Index]:
        """Return the planes of an image that are in its store."""
        known = self._of_now(name, source)
        return set() if known is None else set(known.planes)

    def require_same_settings(self, names: Iterable[str]) -> None:
        """Raise ValueError if work on one of the images was begun with other settings."""
        for name in names:
            known = self.images.get(name)
            if known is None or known.written or not known.planes:
                continue
            differ = differences(known.settings, self.settings)
            fail_if(
                differ,
                f"the settings with which the unfinished work on {name} was begun",
                "; ".join(differ),
                "give the same command again to finish it, or begin anew with --overwrite",
            )

    def begin_anew(self, name: str) -> None:
        """Forget the planes of an image."""
        if name in self.images:
            self._note({"anew": name})
            del self.images[name]

    def add_planes(self, name: str, source: Path, planes: Iterable[Index]) -> None:
        """Note planes whose labels are in the store; without any, that there is a store."""
        known = self._known(name, source)
        added = list(planes)
        known.store = True
        known.planes.update(added)
        self._note({"image": name, "source": known.source, "planes": added})

    def add_writing(self, name: str, source: Path, output: Path) -> None:
        """Note that the labels of an image will be in a file soon."""
        known = self._known(name, source)
        known.writing, known.before = str(output), stamp(output)
        line = {"image": name, "source": known.source, "writing": known.writing}
        self._note(line | {"before": known.before})

    def begun(self, name: str, source: Path) -> bool:
        """Whether the store of an image holds work on it as it is now, with these settings."""
        known = self._of_now(name, source)
        return known is not None and known.written is None

    def drop_writing(self, name: str) -> None:
        """Note that the labels of an image could not be written."""
        known = self.images.get(name)
        if known is not None and known.writing:
            known.writing, known.before = "", None
            self._note({"image": name, "source": known.source})

    def add_output(self, name: str, source: Path, output: Path, objects: int) -> None:
        """Note that all labels of an image are in a file."""
        known = Known(
            self.settings,
            self._stamp_of(source),
            output=str(output),
            written=stamp(output),
            objects=objects,
        )
        self.images[name] = known
        line = {"image": name, "source": known.source, "output": known.output}
        self._note(line | {"written": known.written, "objects": objects})

    def _of_now(self, name: str, source: Path) -> Known | None:
        """Return what is known of an image, if it and the settings are as they were."""
        known = self.images.get(name)
        same = known is not None and known.settings == self.settings
        return known if same and known and known.source == self._stamp_of(source) else None

    def _known(self, name: str, source: Path) -> Known:
        """Return what is known of an image, from now on if it was nothing."""
        if name not in self.images:
            self.images[name] = Known(self.settings, self._stamp_of(source))
        return self.images[name]

    def _stamp_of(self, source: Path) -> Stamp | None:
        """Return the stamp that an image had when the run began."""
        if source not in self._sources:
            self._sources[source] = stamp(source)
        return self._sources[source]

    def _read(self, path: Path) -> None:
        """Read what was noted before."""
        content = path.read_bytes().rstrip(b"\0")  # as a power cut may leave
        self._whole = content.rfind(b"\n") + 1
        settings: Mapping[str, Any] = {}
        try:
            for line in content[: self._whole].decode("utf-8").splitlines():
                entry = json.loads(line)
                if "settings" in entry:
                    settings = self._last = entry["settings"]
                elif "anew" in entry:
                    self.images.pop(entry["anew"], None)
                else:
                    self._take(entry, settings)
        except (ValueError, KeyError, TypeError) as error:
            fail_if(
                True,
                "a manifest of napari-fastsam, JSON lines",
                f"{path}: {error}",
                "move that file away; its run begins anew then",
            )

    def _take(self, entry: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Take a line about an image."""
        name = entry["image"]
        source = tuple(entry["source"]) if entry["source"] else None
        known = self.images.get(name)
        if known is None or known.settings != settings or known.source != source:
            known = self.images[name] = Known(settings, source)
        known.store |= "planes" in entry
        known.planes.update(tuple(plane) for plane in entry.get("planes", ()))
        known.writing = entry.get("writing", "")
        known.before = tuple(entry["before"]) if entry.get("before") else None
        if "output" in entry:
            known.output, known.objects = entry["output"], entry["objects"]
            known.written = tuple(entry["written"]) if entry["written"] else None
            known.store = False
            known.planes.clear()

    def _note(self, entry: Mapping[str, Any]) -> None:
        """Append a line, and what the settings are if the last run had others."""
        if self.path is None:
            return
        self.claim()
        if not self._noted:
            assert self._file is not None
            self._file.truncate(self._whole)  # a line that was cut off
            if self._last != self.settings:
                self._append({"settings": self.settings})
            self._noted = True
        self._append(entry)

    def _append(self, entry: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """Return in words which settings differ."""
    found: list[str] = []
    for key in sorted({*before, *now}):
        one, other = before.get(key), now.get(key)
        name = f"{path}{key}"
        if isinstance(one, dict) and isinstance(other, dict):
            found += differences(one, other, f"{name}.")
        elif one != other:
            found.append(f"{name} was {one!r} and is {other!r}")
    return found


def _is_worth_keeping(known: Known) -> bool:
    """Whether a later run can make use of what is known of an image."""
    wrote = known.writing and Path(known.writing).exists()
    return bool(known.store or known.planes or known.written or wrote)


def _lock(file: IO[str], path: Path) -> None:
    """Keep other processes out until the file is closed, also by the end of this one."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _refuse_other(True, path)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise  # else the file system knows no locks


def _refuse_other(other: bool, path: Path) -> None:
    """Raise BlockingIOError if another run writes to a manifest."""
    fail_if(
        other,
        "no other run that writes to the same output",
        f"one that holds {path}",
        "wait until it ends, or stop it",
        BlockingIOError,
    )
