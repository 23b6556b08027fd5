"""Networks whose tensors or modules are not what they say: each is refused with one error."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_fastsam.models.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Refused = Callable[[Path, str], None]
    State = dict[str, torch.Tensor]

STEM = "model.0.conv.weight"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return tmp_path / "hostile.pt"


@dataclass
class View:
    """A tensor that pickles as whatever view of whatever storage a test wants."""

    key: object = "0"
    kind: str = "HalfStorage"
    count: object = None
    offset: object = 0
    size: object = (16, 3, 3, 3)
    stride: object = (27, 9, 3, 1)

    def __reduce__(self) -> tuple[Any, ...]:
        count = 432 if self.count is None else self.count
        storage = Stored((self.kind, self.key, count))
        arguments = (storage, self.offset, self.size, self.stride, False, OrderedDict())
        return torch._utils._rebuild_tensor_v2, arguments


class Stored(tuple[Any, ...]):
    """What a view refers to by a persistent id."""


class Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> tuple[Any, ...] | None:
        if isinstance(value, Stored):
            kind, key, count = value
            return "storage", getattr(torch, kind), key, "cpu", count
        return None


def write(path: Path, root: object, storages: dict[str, bytes]) -> None:
    """Write a checkpoint as `torch.save` does, of tensors that torch could not have."""
    file = io.BytesIO()
    Pickler(file, 2).dump(root)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", file.getvalue())
        for key, data in storages.items():
            archive.writestr(f"x/data/{key}", data)


def described(state: State) -> tuple[dict[str, object], dict[str, bytes]]:
    """Views of the tensors of a network, each with a storage of its own."""
    views, storages = {}, {}
    for i, (named, tensor) in enumerate(state.items()):
        kind = "HalfStorage" if tensor.is_floating_point() else "LongStorage"
        size, stride = tuple(tensor.shape), tensor.contiguous().stride()
        views[named] = View(str(i), kind, tensor.numel(), 0, size, stride)
        storages[str(i)] = tensor.numpy().tobytes()
    return views, storages


VIEWS: dict[str, tuple[View, str]] = {
    "storage that is missing": (View(key="99999"), "are not all in the file"),
    "storage outside the file": (View(key="../../x"), "are not all in the file"),
    "storage without a name": (View(key=3), "has no storage"),
    "storage of another tensor": (View(key="7"), "shares its storage|not all in the file"),
    "storage that is longer than it says": (View(count=431), "are not all in the file"),
    "storage that is shorter than it says": (View(count=433), "are not all in the file"),
    "storage of enormous length": (View(count=1 << 62), "the shape of tensor .* is none"),
    "storage of negative length": (View(count=-1), "the shape of tensor .* is none"),
    "storage of another type": (View(kind="FloatStorage"), "are not all in the file"),
    "complex numbers": (View(kind="ComplexFloatStorage"), "'ComplexFloatStorage' instead of"),
    "quantised numbers": (View(kind="QInt8Storage"), "'QInt8Storage' instead of weights"),
    "offset": (View(offset=1), "each number of its storage once"),
    "negative offset": (View(offset=-1), "each number of its storage once"),
    "offset that is no number": (View(offset="0"), "each number of its storage once"),
    "numbers repeated": (View(stride=(0, 0, 0, 0)), "each number of its storage once"),
    "numbers skipped": (View(stride=(54, 18, 6, 2)), "each number of its storage once"),
    "negative strides": (View(stride=(27, 9, 3, -1)), "the shape of tensor .* is none"),
    "too few strides": (View(stride=(27, 9, 3)), "each number of its storage once"),
    "enormous shape": (View(size=(1 << 62, 3, 3, 3)), "the shape of tensor .* is none"),
    "negative shape": (View(size=(-16, 3, 3, 3)), "the shape of tensor .* is none"),
    "shape that is true": (View(size=(True, 3, 3, 3)), "the shape of tensor .* is none"),
    "shape that is no tuple": (View(size=[16, 3, 3, 3]), "the shape of tensor .* is none"),
    "shape of many axes": (View(size=(1,) * 99), "the shape of tensor .* is none"),
    "another shape": (View(size=(16, 3, 9, 1)), r"is \(16, 3, 9, 1\), not \(16, 3, 3, 3\)"),
}


@pytest.mark.parametrize("fault", VIEWS)
def test_a_tensor_that_is_not_its_storage_is_refused(
    fault: str, nano: torch.nn.Module, hostile: Path, refused: Refused
) -> None:
    view, told = VIEWS[fault]
    views, storages = described(nano.state_dict())
    write(hostile, {**views, STEM: view}, storages)
    refused(hostile, told)


def test_tensors_that_share_numbers_are_refused(
    nano: torch.nn.Module, hostile: Path, refused: Refused
) -> None:
    state = nano.state_dict()
    state["model.0.bn.bias"] = state["model.0.bn.weight"]
    torch.save(state, hostile)
    refused(hostile, "tensor 'model.0.bn.bias' shares its storage with another one")


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_refused(
    number: float, nano: torch.nn.Module, hostile: Path, refused: Refused
) -> None:
    state = {named: tensor.clone() for named, tensor in nano.state_dict().items()}
    state["model.1.conv.weight"][3, 2, 1, 0] = number
    torch.save(state, hostile)
    refused(hostile, r"1 tensors hold NaN or infinity \(the first: model\.1\.conv\.weight\)")


class Module(torch.nn.Module):
    """Pickles as a container of torch's, around whatever a test puts in."""

    def __init__(self, **tables: Any) -> None:
        self.__dict__.update(tables)

    def __reduce__(self) -> tuple[Any, ...]:
        return torch.nn.Sequential, (), self.__dict__


def circle() -> Module:
    module = Module(_modules={})
    module.__dict__["_modules"]["0"] = module
    return module


def chain(depth: int) -> Module:
    module = Module(_modules={})
    for _ in range(depth):
        module = Module(_modules={"0": module})
    return module


def family(generations: int, children: int) -> Module:
    """A tree of modules whose branches are all the same one."""
    module = Module(_modules={})
    for _ in range(generations):
        module = Module(_modules={str(i): module for i in range(children)})
    return module


TREES: dict[str, tuple[Callable[[], object], str]] = {
    "no network": (lambda: {"epoch": 3, "model": None}, "there is no network in the file"),
    "a number": (lambda: 3, "there is no network in the file"),
    "an empty network": (lambda: {"model": Module()}, "there are none"),
    "another network": (lambda: Module(_parameters={"weight": View()}), "something else"),
    "a circle": (circle, "nested more than 32 deep or without end"),
    "a deep tree": (lambda: chain(100), "nested more than 32 deep or without end"),
    "an endless tree": (lambda: family(20, 10), "more than 4,096 modules"),
    "a wide tree": (lambda: family(2, 4096), "nested more than 32 deep or without end"),
    "endless children": (lambda: family(1, 5000), "are too many or have no names"),
    "modules that are none": (lambda: Module(_modules={"0": 3}), "module '0' is no module"),
    "modules in a list": (lambda: Module(_modules=[3]), "are no dictionary"),
    "names that are none": (lambda: Module(_modules={3: None}), "have no names"),
    "names that are endless": (lambda: Module(_buffers={"a" * 101: None}), "have no names"),
    "tensors that are none": (lambda: Module(_buffers={"a": "b"}), "tensor 'a' is none"),
    "tensors twice": (
        lambda: Module(_buffers={"a": View()}, _parameters={"a": View()}),
        "holds tensor 'a' twice",
    ),
    "endless tensors": (
        lambda: Module(
            _modules={
                str(i): Module(_buffers={str(j): View() for j in range(70)}) for i in range(70)
            }
        ),
        "more than 4,096 tensors",
    ),
}


@pytest.mark.parametrize("tree", TREES)
def test_a_tree_that_is_no_network_is_refused(tree: str, hostile: Path, refused: Refused) -> None:
    make, told = TREES[tree]
    write(hostile, make(), {})
    refused(hostile, told)


@pytest.mark.usefixtures("cache")
def test_the_same_file_without_a_fault_is_read(nano: torch.nn.Module, hostile: Path) -> None:
    state = nano.state_dict()
    write(hostile, *described(state))
    found = load_checkpoint(hostile).state
    assert all(
        torch.equal(found[named], tensor.to(found[named].dtype)) for named, tensor in state.items()
    )
