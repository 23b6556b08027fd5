"""What a checkpoint's pickle may name, and the inert records that stand for it.

Nothing named here is ever imported: a name is two words, an object is a record of what it would be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from napari_fastsam.models._refusal import shown, unsafe

_PREFIXES = ("ultralytics.", "torch.nn.modules.", "pathlib.")
_CLASS = re.compile(r"(v8)?[A-Z]\w*", re.ASCII)  # no function of theirs is called so
_NAMES = {
    "__builtin__": {"frozenset", "getattr", "set", "slice"},
    "_codecs": {"encode"},
    "argparse": {"Namespace"},
    "collections": {"OrderedDict"},
    "datetime": {"datetime", "timedelta"},
    "numpy": {"dtype"},
    "numpy._core.multiarray": {"scalar"},
    "numpy.core.multiarray": {"scalar"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"},
    "torch": {"Size", "device", "bfloat16", "float16", "float32", "float64", "int32", "int64"},
    "torch._utils": {"_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_tensor_v2"},
    "types": {"SimpleNamespace"},
}
_NAMES["builtins"] = _NAMES["__builtin__"]


@dataclass(frozen=True, slots=True)
class Name:
    """Something that the pickle would import; it never is."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Record:
    """An object that the pickle would make: of what, from what, with which attributes."""

    what: Name
    arguments: tuple[Any, ...] = ()
    state: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """Numbers that lie in an entry of their own; nothing here is checked yet."""

    kind: str
    key: Any
    count: Any


@dataclass(frozen=True, slots=True, eq=False)
class TensorView:
    """A tensor as a view of a storage; nothing here is checked yet."""

    storage: Any
    offset: Any
    size: Any
    stride: Any


def allowed(module: str, name: str) -> Name:
    """Return a name that checkpoints of this kind hold."""
    listed = name in _NAMES.get(module, ()) or (module == "torch" and name.endswith("Storage"))
    if not (listed or (module.startswith(_PREFIXES) and _CLASS.fullmatch(name))):
        raise unsafe(f"its pickle asks for {shown(f'{module}.{name}')}")
    return Name(module, name)


def result_of(target: Name, arguments: tuple[Any, ...]) -> Any:
    """Return what stands for the result of a call."""
    match str(target), arguments:
        case "collections.OrderedDict", ():
            return {}
        case (("__builtin__.set" | "builtins.set"), (list() as items,)):
            return items
        case "torch._utils._rebuild_tensor_v2", (storage, offset, size, stride, *_):
            return TensorView(storage, offset, size, stride)
        case (
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
            (TensorView() as data, *_),
        ):
            return data
        case (("__builtin__.getattr" | "builtins.getattr"), _):
            return _attribute(target, arguments)
    return Record(target, arguments)


def _attribute(target: Name, arguments: tuple[Any, ...]) -> Record:
    """Note a bound method; what leads on to Python's insides is refused."""
    match arguments:
        case (Record() | Name() as owner, str(attribute)) if not attribute.startswith("__"):
            chained = isinstance(owner, Record) and owner.what.name == "getattr"
            builtin = isinstance(owner, Name) and owner.module in {"__builtin__", "builtins"}
            if not (chained or builtin):
                return Record(target, arguments)
    raise unsafe("its pickle reaches for an attribute's attribute or Python's insides")
