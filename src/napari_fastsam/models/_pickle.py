"""What a checkpoint's pickle says, as plain data: it is read as a text, never carried out.

A pickle is a program for a stack machine. This machine knows only the instructions that build
data; where the program would import, call or change an object, it writes down that it wanted to.
No name is ever looked up, so there is nothing that could run. Time and memory are bounded by the
pickle's length: no instruction repeats another, or copies more than it takes off the stack.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Any

from napari_fastsam.models._records import Name, Record, Storage, allowed, result_of
from napari_fastsam.models._refusal import CheckpointError, damaged, shown, unsafe

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_KEY = 1000
MAX_OPCODES = 1_000_000
"""FastSAM-x needs about 200,000."""


def read_pickle(data: bytes | bytearray) -> Any:
    """Return what a pickle of protocol 2 to 5 describes.

    Returns
    -------
    None, bool, int, float, str, bytes, list, tuple, dict, Name, Record, Storage or TensorView
        Nested without bound, possibly in circles: whoever walks it has to count the steps.

    Raises
    ------
    CheckpointError
        If the pickle names or does what no checkpoint of this kind needs, or is damaged.
    """
    machine = _Machine()
    position = 0
    try:
        for count, (opcode, argument, at) in enumerate(pickletools.genops(bytes(data))):
            if count > MAX_OPCODES:
                raise unsafe(f"its pickle has more than {MAX_OPCODES:,} instructions")
            instruction = _INSTRUCTIONS.get(opcode.name)
            if instruction is None:
                raise unsafe(f"its pickle uses the instruction {opcode.name}")
            instruction(machine, argument)
            position = at or 0
    except CheckpointError:
        raise
    except (ValueError, IndexError, KeyError):
        raise damaged(f"its pickle breaks off or is garbled after byte {position}") from None
    if position != len(data) - 1:
        raise unsafe(f"{len(data) - 1 - position:,} bytes follow the end of its pickle")
    if len(machine.stack) != 1 or machine.marks:
        raise damaged("its pickle describes more than one object")
    return machine.stack[0]


class _Machine:
    """The stack machine; every method is one instruction or a few alike."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, _: object = None) -> Any:
        """Take the top of the stack, which must lie above the last mark."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise IndexError
        return self.stack.pop()

    def mark(self, _: object) -> None:
        self.marks.append(len(self.stack))

    def pop_mark(self, _: object = None) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def remember(self, index: int | None) -> None:
        """Note the top of the stack under a number, by default the next one."""
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def recall(self, index: int) -> None:
        self.push(self.memo[index])

    def gather(self, count: int) -> None:
        """Make a tuple of the top of the stack."""
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Record):
            raise unsafe(f"its pickle appends to {_kind(target)}")

    def fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if len(items) % 2 or not isinstance(target, dict | Record):
            raise unsafe(f"its pickle sets items of {_kind(target)}")
        if isinstance(target, dict):
            _update(target, items[::2], items[1::2])

    def name(self, argument: str) -> None:
        """Note what would be imported: "module name", separated by one space."""
        module, _, name = argument.partition(" ")
        self.push(allowed(module, name))

    def stack_name(self, _: object) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise unsafe("its pickle makes up the name of what it imports")
        self.push(allowed(module, name))

    def call(self, _: object) -> None:
        arguments, target = self.pop(), self.pop()
        if not isinstance(target, Name) or not isinstance(arguments, tuple):
            raise unsafe(f"its pickle calls {_kind(target)}")
        self.push(result_of(target, arguments))

    def build(self, _: object) -> None:
        """Note the attributes of an object; those of an ordered dictionary are of no interest."""
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, Record):
            if isinstance(state, dict):
                target.state = state
        elif not isinstance(target, dict):
            raise unsafe(f"its pickle changes {_kind(target)}")

    def storage(self, _: object) -> None:
        match self.pop():
            case ("storage", Name("torch", kind), key, str(), count) if kind.endswith("Storage"):
                self.push(Storage(kind, key, count))
            case _:
                raise unsafe("its pickle refers to something outside it that is no storage")


_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),  # what is in it need not be hashable here
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, _: machine.gather(1),
    "TUPLE2": lambda machine, _: machine.gather(2),
    "TUPLE3": lambda machine, _: machine.gather(3),
    "FROZENSET": lambda machine, _: machine.push(machine.pop_mark()),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_mark()),
    "ADDITEMS": lambda machine, _: machine.append(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.fill([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.fill(machine.pop_mark()),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.storage,
}
_PLAIN = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
)
_INSTRUCTIONS |= dict.fromkeys(_PLAIN, _Machine.push)
_INSTRUCTIONS |= dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.remember)
_INSTRUCTIONS |= dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.recall)


def _update(target: dict[Any, Any], keys: list[Any], values: list[Any]) -> None:
    """Set items; hashing other keys than these may take for ever or exhaust the stack."""
    if not all(isinstance(key, int | float | None) or _is_short(key) for key in keys):
        raise unsafe("its pickle uses an object as a dictionary's key")
    target.update(zip(keys, values, strict=True))


def _is_short(key: object) -> bool:
    """Say whether a dictionary's key is a text that somebody would write."""
    return isinstance(key, str) and len(key) <= MAX_KEY


def _kind(value: object) -> str:
    """Say what a value stands for without showing it."""
    return shown(value) if isinstance(value, Name) else f"what should be {type(value).__name__}"
