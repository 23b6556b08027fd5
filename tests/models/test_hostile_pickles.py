"""Checkpoints whose pickle does more than describe weights: each is refused, and nothing runs."""

from __future__ import annotations

import contextlib
import copyreg
import pickle
import struct
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fastsam.models._pickle import read_pickle
from napari_fastsam.models.checkpoint import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODES = {"EXT1": 0x7F, "EXT2": 0x7FFF, "EXT4": 0x7FFFFFF}
ALARMING = {"pickle.find_class", "os.system", "os.mkdir", "subprocess.Popen", "socket.connect"}
_heard: list[str] | None = None


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if _heard is not None and event in ALARMING:
        _heard.append(f"{event}{arguments}")


sys.addaudithook(_listen)


class Canary:
    """Makes a folder in every way that a pickle can call a class of its own."""

    def __new__(cls, *paths: str, **named: str) -> Canary:
        for path in (*paths, *named.values()):
            Path(path).mkdir()
        return super().__new__(cls)

    def __setstate__(self, path: str) -> None:
        Path(path).mkdir()


def text(value: object) -> bytes:
    raw = str(value).encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def attribute(owner: bytes, named: str) -> bytes:
    return called(name("builtins", "getattr"), owner, text(named))


def nested(instructions: bytes) -> bytes:
    """A pickle as a text of bytes in another one."""
    inner = b"\x80\x02" + instructions + b"."
    return b"B" + struct.pack("<I", len(inner)) + inner


MKDIR = name("os", "mkdir")
PATH = name("pathlib", "Path")
CANARY = name(__name__, "Canary")
INSIDES = attribute(attribute(PATH, "mkdir"), "__globals__")

# Instructions that make a folder when Python's own unpickler reads them.
ROUTES: dict[str, Callable[[Path], bytes]] = {
    "GLOBAL": lambda path: called(MKDIR, text(path)),
    "STACK_GLOBAL": lambda path: called(text("os") + text("mkdir") + b"\x93", text(path)),
    "STACK_GLOBAL from the memo": lambda path: called(
        text("os") + b"q\xff0" + b"h\xff" + text("mkdir") + b"\x93", text(path)
    ),
    "INST": lambda path: b"(" + text(path) + b"ios\nmkdir\n",
    "OBJ": lambda path: b"(" + MKDIR + text(path) + b"o",
    "NEWOBJ": lambda path: CANARY + text(path) + b"\x85\x81",
    "NEWOBJ_EX": lambda path: CANARY + b")}" + text("path") + text(path) + b"s\x92",
    "BUILD": lambda path: CANARY + b")\x81" + text(path) + b"b",
    "REDUCE of a class": lambda path: called(CANARY, text(path)),
    "EXT1": lambda path: called(b"\x82" + struct.pack("<B", CODES["EXT1"]), text(path)),
    "EXT2": lambda path: called(b"\x83" + struct.pack("<H", CODES["EXT2"]), text(path)),
    "EXT4": lambda path: called(b"\x84" + struct.pack("<I", CODES["EXT4"]), text(path)),
    "system": lambda path: called(name("os", "system"), text(f"mkdir '{path}'")),
    "eval": lambda path: called(
        name("builtins", "eval"), text(f"__import__('os').mkdir({str(path)!r})")
    ),
    "exec": lambda path: called(
        name("builtins", "exec"), text(f"import os; os.mkdir({str(path)!r})")
    ),
    "a dotted name": lambda path: called(
        text("pathlib") + text("Path.mkdir") + b"\x93", called(PATH, text(path))
    ),
    "getattr of an object": lambda path: called(attribute(called(PATH, text(path)), "mkdir")),
    "getattr of a class": lambda path: called(attribute(PATH, "mkdir"), called(PATH, text(path))),
    "a chain of getattr": lambda path: called(
        attribute(called(attribute(INSIDES, "get"), text("os")), "mkdir"), text(path)
    ),
    "a chain of getattr to the builtins": lambda path: called(
        called(
            attribute(called(attribute(INSIDES, "get"), text("__builtins__")), "get"), text("eval")
        ),
        text(f"__import__('os').mkdir({str(path)!r})"),
    ),
    "a nested pickle": lambda path: called(
        name("pickle", "loads"), nested(called(MKDIR, text(path)))
    ),
    "functools.partial": lambda path: called(
        called(name("functools", "partial"), MKDIR, text(path))
    ),
    "operator.methodcaller": lambda path: called(
        called(name("operator", "methodcaller"), text("mkdir")), called(PATH, text(path))
    ),
    "map": lambda path: called(
        name("builtins", "list"),
        called(name("builtins", "map"), MKDIR, b"]" + text(path) + b"a"),
    ),
}

# Instructions that no description of weights needs, and what is said about them.
FAULTS: dict[str, tuple[bytes, str]] = {
    "loading of torch": (name("torch", "load"), "asks for 'torch.load'"),
    "nested loading of torch": (name("torch.storage", "_load_from_bytes"), "_load_from_bytes"),
    "function of ultralytics": (name("ultralytics.utils.downloads", "safe_download"), "safe_dow"),
    "module of ultralytics": (name("ultralytics.utils", "os"), "ultralytics.utils.os"),
    "function of torch.nn": (name("torch.nn.modules.module", "register_x"), "register_x"),
    "class of a script": (name("__main__", "Net"), "'__main__.Net'"),
    "unprintable name": (name("os", "\x1b[2Jsystem"), r"asks for 'os\.\\x1b\[2Jsystem'"),
    "endless name": (name("a" * 100_000, "b"), r"asks for 'a{57}\.\.\.'"),
    "name that is no text": (b"K\x01K\x02\x93", "makes up the name"),
    "call of what was built": (b")" + b")R", "calls what should be tuple"),
    "call without arguments": (PATH + b"NR", "calls"),
    "attributes for a class": (PATH + b"}b", "changes 'pathlib.Path'"),
    "items for a class": (PATH + text("a") + b"Ns", "sets items of"),
    "items for a tuple": (b")NNs", "sets items of"),
    "half an item": (b"}(Nu", "sets items of"),
    "additions to a dictionary": (b"}Na", "appends to what should be dict"),
    "hidden attribute": (attribute(b"]", "append"), "Python's insides"),
    "attribute of Python's own": (attribute(name("builtins", "set"), "add"), "Python's insides"),
    "text for a persistent id": (b"Pstorage\n", "instruction PERSID"),
    "number for a persistent id": (b"K\x07Q", "refers to something outside"),
    "module for a persistent id": (b"(" + text("module") + b"NNNtQ", "something outside"),
    "class for a storage": (
        b"(" + text("storage") + PATH + text("0") + text("cpu") + b"K\x01tQ",
        "something outside",
    ),
    "key that is deep": (
        b"}" + b")" + b"\x85" * 100_000 + b"Ns",
        "an object as a dictionary's key",
    ),
    "key that is endless": (b"}" + text("a" * 1001) + b"Ns", "an object as a dictionary's key"),
    "endless number": (b"}\x8b" + struct.pack("<i", 300) + b"\x7f" * 300, "instruction LONG4"),
    "text of protocol 0": (b"S'a'\n", "instruction STRING"),
    "buffer outside": (b"\x97", "instruction NEXT_BUFFER"),
    "endless program": (b"N0" * 500_001, "more than 1,000,000 instructions"),
    "missing object": (b"00", "garbled"),
    "missing item": (b"s", "garbled"),
    "missing mark": (b"t", "garbled"),
    "mark below": (b"N(0", "garbled"),
    "missing note": (b"h\xff", "garbled"),
    "missing end": (text("abc")[:-1], "breaks off or is garbled"),
    "unknown instruction": (b"\xff", "garbled"),
    "end in the middle": (b"." + nested(called(MKDIR, text("x"))), "bytes follow the end"),
    "several objects": (b"N", "more than one object"),
    "mark left open": (b"(", "more than one object"),
}


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What Python's audit hooks hear of unpickling, processes, sockets and new folders."""
    global _heard
    _heard = []
    yield _heard
    _heard = None


@pytest.fixture
def extensions() -> Iterator[None]:
    """Register numbers for a name; Python keeps one number for one name."""
    for code, alias in zip(CODES.values(), ("os", "posix", "nt"), strict=True):
        copyreg._inverted_registry[code] = ("os", "mkdir")
        copyreg._extension_registry[alias, "mkdir"] = code
    yield
    for code, alias in zip(CODES.values(), ("os", "posix", "nt"), strict=True):
        del copyreg._inverted_registry[code], copyreg._extension_registry[alias, "mkdir"]
    copyreg.clear_extension_cache()


@pytest.mark.usefixtures("extensions")
@pytest.mark.parametrize("route", ROUTES)
def test_nothing_runs(
    route: str,
    nano_file: Path,
    tmp_path: Path,
    refused: Callable[[Path, str], None],
    heard: list[str],
) -> None:
    canary = tmp_path / "canary"
    instructions = ROUTES[route](canary)
    path = tmp_path / "hostile.pt"
    with zipfile.ZipFile(nano_file) as sound, zipfile.ZipFile(path, "w") as hostile:
        for entry in sound.namelist():
            data = sound.read(entry)
            if entry.endswith("data.pkl"):
                data = data[:-1] + instructions + b"0."
            hostile.writestr(entry, data)
    refused(path, "Nothing in it was run")
    assert not canary.exists()
    assert heard == []
    pickle.loads(b"\x80\x04" + instructions + b".")
    assert canary.is_dir(), "this would have run"
    assert heard
    path.unlink()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_weights_do_not_need_is_refused(fault: str) -> None:
    instructions, told = FAULTS[fault]
    with pytest.raises(CheckpointError, match=told) as caught:
        read_pickle(b"\x80\x02N" + instructions + b".")
    assert len(str(caught.value)) < 400


def test_a_memo_of_enormous_numbers_costs_nothing() -> None:
    assert read_pickle(b"\x80\x02Nr\xff\xff\xff\x7f.") is None


def test_objects_that_hold_themselves_are_no_trouble() -> None:
    found = read_pickle(b"\x80\x02]q\x00h\x00a.")
    assert found[0] is found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_garbled_instructions_never_raise_anything_else(data: st.DataObject) -> None:
    sound = bytearray(
        pickle.dumps({"a": [1, 2.5, None, True], "b": ("c", {3: b"d"}), "e": Path("f")}, protocol=2)
    )
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, len(sound) - 1))
        sound[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CheckpointError):
        read_pickle(sound)
