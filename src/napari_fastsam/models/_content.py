"""What kind of file something is, judged by its first bytes, and what to do about a wrong one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from napari_fastsam.models._refusal import CheckpointError, shown

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 12 << 30
"""The largest CLIP, ViT-bigG-14, is 10 GB; FastSAM-x is 145 MB."""

_FETCH = "Fetch the file itself, from a link that downloads it."
_RESAVE = (
    "Files of torch before 1.6 are not read, as they cannot be read safely: "
    "if you trust the file, load it and save it again with a newer torch."
)


class Kind(Enum):
    """A format that weights come in."""

    TORCH = "a file of torch.save"
    SAFETENSORS = "a safetensors file"


def kind_of(path: Path) -> Kind:
    """Return the format of a file of weights.

    Raises
    ------
    CheckpointError
        If it is neither format; the message says what it looks like instead.
    """
    with path.open("rb") as file:
        head = file.read(512)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _refused(f"it has {size:,} bytes", f"Weights have at most {MAX_FILE_BYTES:,}.")
    if head.startswith(b"PK\x03\x04"):
        return Kind.TORCH
    if head[8:9] == b"{":
        return Kind.SAFETENSORS
    raise _refused(*_told_apart(head))


def _refused(arrived: str, remedy: str) -> CheckpointError:
    return CheckpointError.because("weights, as a .pt or .safetensors file", arrived, remedy)


def _told_apart(head: bytes) -> tuple[str, str]:
    """Return what a file is that holds no weights, and what to do."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "it is empty", _FETCH
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer", "Run `git lfs pull` where it came from, or download it."
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is a web page", _FETCH
    if head.startswith(b"\x80") or head[257:262] == b"ustar":
        return "it is a bare pickle or an archive in torch's old format", _RESAVE
    return f"it starts with {shown(head[:16])}", _FETCH
