"""Files that are no sound checkpoint: each gives one clear error and costs next to nothing."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Refused = Callable[[Path, str], None]
    State = dict[str, torch.Tensor]

STEM = "model.0.conv.weight"
NEXT = "model.1.conv.weight"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return tmp_path / "hostile.pt"


@pytest.fixture(scope="module")
def sound(nano_file: Path) -> dict[str, bytes]:
    """The entries of a sound checkpoint."""
    with zipfile.ZipFile(nano_file) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def zipped(entries: dict[str, bytes], **options: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)
    return file.getvalue()


def html(entries: dict[str, bytes]) -> bytes:
    return b"\n<!DOCTYPE html><html><body>404</body></html>"


def pointer(entries: dict[str, bytes]) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 144943063\n"


def legacy(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    torch.save({"model": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def tar(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return file.getvalue()


def scripted(entries: dict[str, bytes]) -> bytes:
    return zipped({**entries, "nano/code/__torch__.py": b"def f(): pass"})


def bomb(entries: dict[str, bytes]) -> bytes:
    packed = {"compression": zipfile.ZIP_DEFLATED}
    return zipped({**entries, "nano/data/9999": bytes(50_000_000)}, **packed)


def bomb_in_the_pickle(entries: dict[str, bytes]) -> bytes:
    return zipped({**entries, "nano/data.pkl": b"\x80\x02" + b"N0" * (17 << 20) + b"N."})


def many(entries: dict[str, bytes]) -> bytes:
    return zipped({**entries, **{f"nano/data/{i}": b"" for i in range(1000, 22_000)}})


def long_names(entries: dict[str, bytes]) -> bytes:
    return zipped({**entries, **{f"nano/{i:0>60000}": b"" for i in range(80)}})


def overlapping(entries: dict[str, bytes]) -> bytes:
    """Let the list at the end point twice at the same bytes."""
    data = bytearray(zipped({"nano/data/0": b"a" * 100, "nano/data/1": b"a" * 100}))
    first, second = _listed(data)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def nested_entry(entries: dict[str, bytes]) -> bytes:
    """Put an entry into the bytes of another one, as the densest of bombs do."""
    inner = zipped({"nano/data/1": b"a"})
    data = bytearray(zipped({"nano/data/0": inner, "nano/data/1": b"a"}))
    second = _listed(data)[-1]  # the first one is the inner file's
    data[second + 42 : second + 46] = struct.pack("<I", data.index(b"PK\x03\x04", 4))
    return bytes(data)


def two_names(entries: dict[str, bytes]) -> bytes:
    data = zipped(entries)
    return data.replace(b"nano/data.pkl", b"nano/data/000", 1)


def encrypted(entries: dict[str, bytes]) -> bytes:
    data = bytearray(zipped(entries))
    data[_listed(data)[0] + 8] |= 1
    return bytes(data)


def twice(entries: dict[str, bytes]) -> bytes:
    return zipped({**entries, "nano/data/000": b""}).replace(b"nano/data/000", b"nano/data.pkl")


def flipped(entries: dict[str, bytes]) -> bytes:
    data = bytearray(zipped(entries))
    data[data.index(entries["nano/data/1"])] ^= 1
    return bytes(data)


def garbled_list(entries: dict[str, bytes]) -> bytes:
    data = bytearray(zipped(entries))
    data[_listed(data)[3]] = 0
    return bytes(data)


def garbled_entry(entries: dict[str, bytes]) -> bytes:
    data = bytearray(zipped(entries))
    data[data.index(b"nano/data/1") - 30] = 0
    return bytes(data)


def endless_directory(entries: dict[str, bytes]) -> bytes:
    data = bytearray(zipped(entries))
    data[-14:-10] = struct.pack("<2H", 60_000, 60_000)
    return bytes(data)


def outside_directory(entries: dict[str, bytes]) -> bytes:
    data = bytearray(zipped(entries))
    data[-6:-2] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(data)


def _listed(data: bytes) -> list[int]:
    """Where the list at the end tells of each entry."""
    return [found.start() for found in re.finditer(rb"PK\x01\x02", data)]


def with_entry(named: str) -> Callable[[dict[str, bytes]], bytes]:
    return lambda entries: zipped({named: b"", **entries})


FILES: list[tuple[Callable[[dict[str, bytes]], bytes], str]] = [
    (lambda e: b"", "it is empty"),
    (lambda e: b"PK", "it starts with 'PK'"),
    (lambda e: bytes(range(256)) * 9, r"it starts with '\\x00\\x01"),
    (html, "it is a web page"),
    (pointer, "Git LFS pointer.*git lfs pull"),
    (legacy, "old format"),
    (tar, "old format"),
    (lambda e: pickle.dumps({"model": [1.0]}), "bare pickle"),
    (lambda e: gzip.compress(zipped(e)), "it starts with"),
    (lambda e: zipped({}), "it starts with 'PK"),
    (scripted, "entry 'nano/code/__torch__.py' is none that torch.save writes"),
    (bomb, "is packed or encrypted"),
    (bomb_in_the_pickle, "entry 'data.pkl' has 35,651,588 bytes"),
    (many, "lists 21,4.. entries"),
    (long_names, "far more than weights need"),
    (overlapping, "entry 'data/1' has two names"),
    (nested_entry, "'data/1' shares bytes with another one"),
    (two_names, "'data.pkl' has two names"),
    (encrypted, "is packed or encrypted"),
    (twice, "holds entry 'data.pkl' twice"),
    (flipped, "the bytes of entry 'data/1' are not those that were written"),
    (endless_directory, "lists 60,000 entries in .* far more than weights need"),
    (outside_directory, "does not lie inside it"),
    (lambda e: zipped(e)[:-100], "its end, where a zip lists its entries, is missing"),
    (lambda e: zipped(e)[: 1 << 20], "its end, where a zip lists its entries, is missing"),
    (lambda e: zipped(e)[:3000] + zipped(e)[5000:], "does not lie inside it"),
    (garbled_list, "the list of its entries is garbled"),
    (garbled_entry, "entry 'data/1' is not where the list says"),
    (lambda e: zipped({"nano/version": b"3\n"}), "there is no entry 'data.pkl'"),
    (with_entry("../data/0"), "names a path outside"),
    (with_entry("nano/../../data/0"), "names a path outside"),
    (with_entry("/etc/passwd"), "names a path outside"),
    (with_entry("nano\\..\\x/data/0"), "names a path outside"),
    (with_entry("C:/data/8888"), "lie in 2 folders"),
    (with_entry("nano/evil.pkl"), "none that torch.save writes"),
    (with_entry("nano/data/evil"), "none that torch.save writes"),
]


@pytest.mark.parametrize(
    ("make", "told"), FILES, ids=[f"{i} {told[:30]}" for i, (_, told) in enumerate(FILES)]
)
def test_a_file_that_is_no_plain_checkpoint_is_refused(
    make: Callable[[dict[str, bytes]], bytes],
    told: str,
    sound: dict[str, bytes],
    hostile: Path,
    refused: Refused,
) -> None:
    hostile.write_bytes(make(sound))
    refused(hostile, told)
    hostile.unlink()


def test_a_pickle_of_absurd_size_is_not_read(
    sound: dict[str, bytes], hostile: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_fastsam.models._archive.zlib.crc32", pytest.fail)
    hostile.write_bytes(bomb_in_the_pickle(sound))
    refused(hostile, "entry 'data.pkl' has 35,651,588 bytes")


def test_a_file_of_absurd_size_is_not_read(hostile: Path, refused: Refused) -> None:
    with hostile.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(13 << 30)  # takes no room on the disk
    refused(hostile, "it has 13,958,643,712 bytes")


def _header(state: State, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Weights as safetensors with a header that was tampered with."""
    data = save({named: tensor.contiguous() for named, tensor in state.items()})
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data[8 + length :]


SAFETENSORS: dict[str, tuple[Callable[[State], bytes], str]] = {
    "truncated": (lambda s: _header(s, dict)[:-1000], "it is damaged"),
    "truncated header": (lambda s: _header(s, dict)[:1000], "it is damaged"),
    "endless header": (lambda s: struct.pack("<Q", 1 << 40) + b"{}", "1,099,511,627,776 bytes"),
    "header that is no JSON": (lambda s: struct.pack("<Q", 4) + b"{{{{", "it is damaged"),
    "offsets that overlap": (
        lambda s: _header(s, lambda h: h[STEM].update(data_offsets=h[NEXT]["data_offsets"])),
        "it is damaged",
    ),
    "offsets outside": (
        lambda s: _header(s, lambda h: h[STEM].update(data_offsets=[0, 1 << 60])),
        "it is damaged",
    ),
    "another shape": (
        lambda s: _header(s, lambda h: h[STEM].update(shape=[16, 27])),
        "tensors are those of|another shape",
    ),
    "tensor missing": (lambda s: save({k: s[k] for k in list(s)[1:]}), "tensors are those|missing"),
    "tensor too many": (lambda s: save({**s, "x": torch.ones(1)}), "1 do not belong to it"),
    "not a number": (
        lambda s: save({**s, STEM: torch.full((16, 3, 3, 3), torch.nan)}),
        "1 tensors hold NaN or infinity",
    ),
    "whole numbers": (
        lambda s: save({**s, STEM: torch.ones((16, 3, 3, 3), dtype=torch.int32)}),
        r"is torch\.int32",
    ),
}


@pytest.mark.parametrize("fault", SAFETENSORS)
def test_safetensors_that_are_not_sound_are_refused(
    fault: str, nano: torch.nn.Module, tmp_path: Path, refused: Refused
) -> None:
    make, told = SAFETENSORS[fault]
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(make(nano.state_dict()))
    refused(path, told)
