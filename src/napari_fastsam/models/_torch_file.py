"""Which weights a file of `torch.save` holds, found by reading it as a text.

A YOLO checkpoint pickles the whole network: a tree of modules with their parameters and buffers.
The tree is walked as plain data; the averaged weights (``ema``) are preferred to the last ones.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import torch

from napari_fastsam.models._archive import Archive
from napari_fastsam.models._branches import EMBEDDINGS
from napari_fastsam.models._class_names import plain_names
from napari_fastsam.models._pickle import read_pickle
from napari_fastsam.models._records import Record, Storage, TensorView
from napari_fastsam.models._refusal import CheckpointError, damaged, shown, unsafe
from napari_fastsam.models.architecture import SUPPORTED, recognise_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

MAX_DEPTH = 32
MAX_MODULES = MAX_TENSORS = 4096
"""FastSAM-x has a tree of about 400 modules, 7 deep, with 667 tensors."""

_DTYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
}
MAX_NAME = 100
MAX_PICKLE_BYTES = 32 << 20
_MAX_DIMENSIONS = 8
_MAX_LENGTH = 1 << 40


def read_torch_file(
    file: BinaryIO, check: Callable[[Mapping[str, tuple[int, ...]]], object] = recognise_shapes
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read the network in a file of `torch.save` without running anything.

    Parameters
    ----------
    file
        Open for reading.
    check
        Called with the shapes of its tensors before they are read; raises where they are wrong.

    Returns
    -------
    state
        Tensors by name, in the dtypes of the file; no two share memory.
    metadata
        What the file tells about the network.

    Raises
    ------
    CheckpointError
        If there is no supported network in it, if it is damaged, or if it would do anything else.
    """
    archive = Archive(file)
    root = read_pickle(archive.read("data.pkl", MAX_PICKLE_BYTES))
    network, origin = _network(root)
    views = {}
    for name, view in _tensors(network):
        if name in views:
            raise unsafe(f"its network holds tensor {shown(name)} twice")
        views[name] = view
        if len(views) > MAX_TENSORS:
            raise unsafe(f"its network has more than {MAX_TENSORS:,} tensors")
    if isinstance(network, Record) and isinstance(network.state.get(EMBEDDINGS), TensorView):
        views[EMBEDDINGS] = network.state[EMBEDDINGS]
    shapes = {name: _lengths(view.size, name) for name, view in views.items()}
    check(shapes)
    return _read_tensors(archive, views, shapes), {"weights": origin, **_metadata(root, network)}


def _network(root: Any) -> tuple[Any, str]:
    """Return the record of the network, or its tensors by name, and what it was called."""
    if isinstance(root, dict):
        for origin in ("ema", "model", "state_dict"):
            if isinstance(root.get(origin), Record | dict):
                return root[origin], origin
    if isinstance(root, Record) or (isinstance(root, dict) and _is_state(root)):
        return root, "file"
    raise CheckpointError.because(
        SUPPORTED, "there is no network in the file", "Pass the checkpoint that training wrote."
    )


def _is_state(value: dict[Any, Any]) -> bool:
    """Say whether a dictionary is the tensors of a network by their names."""
    return all(isinstance(tensor, TensorView) for tensor in value.values())


def _tensors(network: Any) -> Iterator[tuple[str, TensorView]]:
    """Yield the parameters and buffers of a tree of modules, named as torch names them."""
    if isinstance(network, dict):
        yield from _views(network, "")
        return
    todo = [("", network, 0)]
    for _ in range(MAX_MODULES):
        if not todo:
            return
        prefix, module, depth = todo.pop()
        if depth > MAX_DEPTH or len(todo) > MAX_MODULES:
            raise unsafe(f"its modules are nested more than {MAX_DEPTH} deep or without end")
        yield from _views(_table(module, "_parameters"), prefix)
        yield from _views(_table(module, "_buffers"), prefix)
        for name, child in _table(module, "_modules").items():
            if isinstance(child, Record):
                todo.append((f"{prefix}{name}.", child, depth + 1))
            elif child is not None:
                raise damaged(f"module {shown(name)} is no module")
    raise unsafe(f"its network has more than {MAX_MODULES:,} modules")


def _table(module: Record, attribute: str) -> dict[Any, Any]:
    """Return one of a module's three dictionaries."""
    table = module.state.get(attribute, {})
    if not isinstance(table, dict):
        raise damaged(f"the {attribute} of a {shown(module.what)} are no dictionary")
    if len(table) > MAX_TENSORS or not all(_is_name(name) for name in table):
        raise unsafe(f"the {attribute} of a {shown(module.what)} are too many or have no names")
    return table


def _is_name(name: object) -> bool:
    """Say whether a module or tensor can be called so; names add up along the tree."""
    return isinstance(name, str) and len(name) <= MAX_NAME


def _views(table: dict[Any, Any], prefix: str) -> Iterator[tuple[str, TensorView]]:
    """Yield the tensors of a dictionary; a missing bias is there as None."""
    for name, view in table.items():
        if isinstance(view, TensorView):
            yield f"{prefix}{name}", view
        elif view is not None:
            raise damaged(f"what should be tensor {shown(f'{prefix}{name}')} is none")


def _read_tensors(
    archive: Archive, views: Mapping[str, TensorView], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, torch.Tensor]:
    """Return the tensors; each has to fill a storage of its own, every number exactly once."""
    big_endian = "byteorder" in archive and archive.read("byteorder", 100) == b"big"
    taken: set[str] = set()
    state = {}
    for name, view in views.items():
        entry, dtype, length = _storage(view.storage, name)
        if entry in taken:
            raise unsafe(f"tensor {shown(name)} shares its storage with another one")
        taken.add(entry)
        if entry not in archive or archive.size(entry) != length * dtype.itemsize:
            raise damaged(f"the numbers of tensor {shown(name)} are not all in the file")
        stride = _lengths(view.stride, name)
        filled = view.offset == 0 and length == math.prod(shapes[name])
        if not filled or not _is_dense(shapes[name], stride):
            raise unsafe(f"tensor {shown(name)} does not hold each number of its storage once")
        data = archive.read(entry)
        if big_endian:
            data = _reversed(data, dtype.itemsize)
        state[name] = torch.frombuffer(data, dtype=dtype).as_strided(shapes[name], stride)
    return state


def _storage(storage: Any, name: str) -> tuple[str, torch.dtype, int]:
    """Return the entry, the type and the number of the numbers of a tensor."""
    if not isinstance(storage, Storage) or not isinstance(storage.key, str):
        raise damaged(f"tensor {shown(name)} has no storage")
    if storage.kind not in _DTYPES:
        raise damaged(f"tensor {shown(name)} holds {shown(storage.kind)} instead of weights")
    (length,) = _lengths((storage.count,), name)
    return f"data/{storage.key}", _DTYPES[storage.kind], length


def _lengths(values: Any, name: str) -> tuple[int, ...]:
    """Return a shape or strides after checking that they can be some."""
    if (
        not isinstance(values, tuple)
        or len(values) > _MAX_DIMENSIONS
        or not all(type(n) is int and 0 <= n <= _MAX_LENGTH for n in values)
    ):
        raise damaged(f"the shape of tensor {shown(name)} is none")
    return values


def _is_dense(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Say whether a view steps on each of its numbers exactly once, in whatever order of axes."""
    if len(size) != len(stride):
        return False
    steps = sorted((step, length) for step, length in zip(stride, size, strict=True) if length > 1)
    expected = 1
    for step, length in steps:
        if step != expected:
            return False
        expected *= length
    return True


def _reversed(data: bytearray, width: int) -> bytearray:
    """Return numbers of `width` bytes in the other byte order."""
    turned = bytearray(len(data))
    for i in range(width):
        turned[i::width] = data[width - 1 - i :: width]
    return turned


def _metadata(root: Any, network: Any) -> dict[str, str]:
    """Return what a checkpoint tells about its training, where it does."""
    checkpoint = root if isinstance(root, dict) else {}
    module = network.state if isinstance(network, Record) else {}
    told = {}
    for arguments in (module.get("args"), checkpoint.get("train_args")):
        settings = arguments.state if isinstance(arguments, Record) else arguments
        size = settings.get("imgsz") if isinstance(settings, dict) else None
        if type(size) is int and 32 <= size <= 8192:
            told["image_size"] = str(size)
    if names := plain_names(module.get("names")):
        told["names"] = json.dumps(names)
    version = checkpoint.get("version")
    if isinstance(version, str) and version.isascii() and version.isprintable():
        told["ultralytics"] = version[:40]
    return told
