"""Which bytes of a checkpoint belong to which entry, for the one kind of zip that torch writes.

`zipfile` reads directories of any length, unpacks, and lets entries share bytes. Torch stores its
entries as they are, one after the other, in one folder; whatever differs is refused before any
entry is read, so that reading never costs more memory than the file is long.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from napari_fastsam.models._refusal import CheckpointError, damaged, shown, unsafe

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ENTRIES = 20_000
MAX_DIRECTORY_BYTES = 4 << 20

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 1
_STORED = 0
# Entries of torch.save; of those with a dot, only the number and the names change with versions.
_KNOWN = re.compile(r"data\.pkl|version|byteorder|data/\d{1,9}|\.[\w./]{1,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Entry:
    offset: int
    size: int
    crc: int
    name: bytes


class Archive:
    """The entries of a file that `torch.save` wrote, by their names inside its folder.

    Parameters
    ----------
    file
        Open for reading; stays open as long as entries are read.

    Raises
    ------
    CheckpointError
        If it is not a plain zip of stored, disjoint entries with torch's names in one folder.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, 2)
        entries, directory_start = _directory(file, size)
        self._spans = _spans(file, entries, directory_start)
        self._crcs = {name: entry.crc for name, entry in entries.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._spans

    def size(self, name: str) -> int:
        """Return the number of bytes of an entry that is there."""
        start, stop = self._span(name)
        return stop - start

    def read(self, name: str, at_most: int | None = None) -> bytearray:
        """Return the bytes of an entry, having checked that they are the ones written.

        An entry of more than `at_most` bytes is refused before it is read.
        """
        start, stop = self._span(name)
        if at_most is not None and stop - start > at_most:
            raise unsafe(f"entry {shown(name)} has {stop - start:,} bytes, far more than it needs")
        self._file.seek(start)
        data = bytearray(stop - start)
        if self._file.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise damaged(f"it became shorter while entry {shown(name)} was read")
        if zlib.crc32(data) != self._crcs[name]:
            raise damaged(f"the bytes of entry {shown(name)} are not those that were written")
        return data

    def _span(self, name: str) -> tuple[int, int]:
        if name not in self._spans:
            raise damaged(f"there is no entry {shown(name)} in it")
        return self._spans[name]


def _directory(file: BinaryIO, file_size: int) -> tuple[dict[str, _Entry], int]:
    """Return the entries by name without their folder, and where the list of them starts."""
    file.seek(max(0, file_size - _END.size))
    tail = file.read(_END.size)
    if len(tail) < _END.size or not tail.startswith(b"PK\x05\x06") or tail[-2:] != b"\0\0":
        raise damaged("its end, where a zip lists its entries, is missing")
    _, disk, _, here, count, length, start, _ = _END.unpack(tail)
    if disk or here != count or start + length > file_size - _END.size:
        raise damaged("the list of its entries does not lie inside it")
    if count > MAX_ENTRIES or length > MAX_DIRECTORY_BYTES:
        raise unsafe(f"it lists {count:,} entries in {length:,} bytes, far more than weights need")
    file.seek(start)
    entries: dict[str, _Entry] = {}
    folders = set()
    for entry in _listed(file.read(length), count):
        folder, name = _parts(entry.name)
        folders.add(folder)
        if name in entries:
            raise unsafe(f"it holds entry {shown(name)} twice")
        entries[name] = entry
    if len(folders) > 1:
        raise unsafe(f"its entries lie in {len(folders)} folders instead of one")
    return entries, start


def _listed(directory: bytes, count: int) -> Iterator[_Entry]:
    """Yield the entries of the list at a zip's end; stored ones only."""
    position = 0
    for _ in range(count):
        if position + _CENTRAL.size > len(directory):
            raise damaged("the list of its entries is cut short")
        fields = _CENTRAL.unpack_from(directory, position)
        flags, method, crc, packed, size, *lengths = (*fields[3:5], *fields[7:13])
        if fields[0] != b"PK\x01\x02":
            raise damaged("the list of its entries is garbled")
        position += _CENTRAL.size
        name = directory[position : position + lengths[0]]
        position += sum(lengths)
        if flags & _ENCRYPTED or method != _STORED or packed != size:
            raise unsafe(f"entry {shown(name)} is packed or encrypted; torch stores entries as is")
        yield _Entry(fields[-1], size, crc, name)
    if position != len(directory):
        raise damaged("the list of its entries has another length than it says")


def _parts(raw: bytes) -> tuple[str, str]:
    """Return an entry's folder and its name in there; names that no torch wrote are refused."""
    folder, _, name = raw.decode("utf-8", errors="replace").partition("/")
    if folder in {"", ".", ".."} or "\\" in folder or "\0" in folder or ".." in name.split("/"):
        raise unsafe(f"entry {shown(raw)} names a path outside the file's folder")
    if name == "constants.pkl":
        raise CheckpointError.because(
            "weights, as a .pt or .safetensors file",
            "this is TorchScript, a program that would have to be run",
            "Use the checkpoint that it was made of, or export that for ONNX or OpenVINO.",
        )
    if not _KNOWN.fullmatch(name):
        raise unsafe(f"entry {shown(raw)} is none that torch.save writes")
    return folder, name


def _spans(
    file: BinaryIO, entries: dict[str, _Entry], directory_start: int
) -> dict[str, tuple[int, int]]:
    """Return where the bytes of each entry start and stop; no two entries may share any."""
    spans = {}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].offset):
        file.seek(entry.offset)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            raise damaged(f"entry {shown(name)} is not where the list says")
        name_length, extra_length = _LOCAL.unpack(header)[-2:]
        if file.read(name_length) != entry.name:
            raise unsafe(f"entry {shown(name)} has two names")
        start = entry.offset + _LOCAL.size + name_length + extra_length
        if entry.offset < end:
            raise unsafe(f"entry {shown(name)} shares bytes with another one")
        end = start + entry.size
        if end > directory_start:
            raise damaged(f"entry {shown(name)} ends outside the file's contents")
        spans[name] = (start, end)
    return spans
