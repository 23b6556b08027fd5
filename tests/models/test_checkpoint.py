from __future__ import annotations

import copy
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_fastsam.models import checkpoint as module_under_test
from napari_fastsam.models.architecture import Architecture, expected_shapes
from napari_fastsam.models.checkpoint import (
    Checkpoint,
    CheckpointError,
    halved,
    load_checkpoint,
    recognise,
    save_checkpoint,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Built = Callable[[Architecture], torch.nn.Module]
    Published = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("cache")

FASTSAM = [
    Architecture("s", reg_max=16),
    Architecture("s", reg_max=26),
    Architecture("x", reg_max=16),
    Architecture("x", reg_max=26),
]
YOLO = Architecture("n", reg_max=16, classes=80)
OTHERS = [Architecture("m", reg_max=26, classes=150), Architecture("l", reg_max=20, classes=2)]


def assert_holds(found: Checkpoint, state: dict[str, torch.Tensor]) -> None:
    """The same tensors under the same names, as float32."""
    assert found.state.keys() == state.keys()
    for name, tensor in found.state.items():
        assert tensor.dtype == (torch.float32 if tensor.ndim else torch.int64)
        assert torch.equal(tensor, state[name].to(tensor.dtype)), name


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Copy a checkpoint, its entries changed; written by another program than torch."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, change(entry, old.read(entry)))
    return target


@pytest.mark.parametrize("architecture", [*FASTSAM, YOLO, *OTHERS], ids=str)
def test_shapes_are_those_of_the_network(architecture: Architecture, built: Built) -> None:
    state = built(architecture).state_dict()
    assert expected_shapes(architecture) == {name: t.shape for name, t in state.items()}
    assert recognise(state) == architecture


@pytest.mark.parametrize("architecture", [*FASTSAM, YOLO], ids=str)
def test_published_file_is_read_to_its_last_number(
    architecture: Architecture, built: Built, published: Published, tmp_path: Path
) -> None:
    network = built(architecture)
    path = tmp_path / "FastSAM.pt"
    torch.save(published(network), path)
    for _ in ("from the file", "from its converted copy"):
        found = load_checkpoint(path)
        assert found.architecture == architecture
        assert found.image_size == 1024
        assert json.loads(found.metadata["names"]) == {"0": "object"}
        assert_holds(found, network.state_dict())
        found = None
    path.unlink()


def test_averaged_weights_are_preferred(
    nano: torch.nn.Module, published: Published, tmp_path: Path
) -> None:
    average = copy.deepcopy(nano)
    with torch.no_grad():
        average.model[0].conv.weight += 1
    torch.save(published(nano, ema=average), tmp_path / "last.pt")
    found = load_checkpoint(tmp_path / "last.pt")
    assert_holds(found, average.state_dict())
    assert found.metadata["weights"] == "ema"


def test_checkpoint_amid_training_is_read(
    nano: torch.nn.Module, published: Published, tmp_path: Path
) -> None:
    network = copy.deepcopy(nano).float()
    momenta = [{"momentum_buffer": torch.ones_like(p)} for p in network.parameters()]
    optimiser = {
        "state": dict(enumerate(momenta)),
        "param_groups": [{"lr": 0.01, "params": list(range(len(momenta)))}],
    }
    torch.save(published(network, optimizer=optimiser), tmp_path / "last.pt")
    assert_holds(load_checkpoint(tmp_path / "last.pt"), network.state_dict())


def test_more_names_than_classes_can_be_are_not_kept(
    nano: torch.nn.Module, published: Published, tmp_path: Path
) -> None:
    whole = published(copy.deepcopy(nano))
    whole["model"].names = dict.fromkeys(range(10_001), "object")
    torch.save(whole, tmp_path / "n.pt")
    assert "names" not in load_checkpoint(tmp_path / "n.pt").metadata


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(
    protocol: int, nano: torch.nn.Module, published: Published, tmp_path: Path
) -> None:
    torch.save(published(nano), tmp_path / "n.pt", pickle_protocol=protocol)
    assert_holds(load_checkpoint(tmp_path / "n.pt"), nano.state_dict())


def test_modules_of_old_releases_are_read(
    nano: torch.nn.Module, nano_file: Path, tmp_path: Path
) -> None:
    renamed = {
        b"ultralytics.nn.modules.conv": b"ultralytics.nn.modules",
        b"ultralytics.nn.modules.block": b"ultralytics.nn.modules",
        b"ultralytics.nn.modules.head": b"ultralytics.nn.modules",
        b"ultralytics.nn.tasks": b"ultralytics.yolo.nn.tasks",
        b"ultralytics.utils": b"ultralytics.yolo.utils",
    }

    def as_in_2023(entry: str, data: bytes) -> bytes:
        if entry.endswith("data.pkl"):
            for new, old in renamed.items():
                assert b"c" + new + b"\n" in data
                data = data.replace(b"c" + new + b"\n", b"c" + old + b"\n")
        return data

    old = rewritten(nano_file, tmp_path / "old.pt", as_in_2023)
    found = load_checkpoint(old)
    assert_holds(found, nano.state_dict())
    assert found.image_size == 1024


def test_numbers_of_the_other_byte_order_are_read(
    nano: torch.nn.Module, nano_file: Path, tmp_path: Path
) -> None:
    widths = {t.numel() * t.element_size(): t.element_size() for t in nano.state_dict().values()}

    def swapped(entry: str, data: bytes) -> bytes:
        if entry.endswith("byteorder"):
            return b"big"
        if "/data/" not in entry or len(data) not in widths:
            return data
        width = widths[len(data)]
        return b"".join(data[i : i + width][::-1] for i in range(0, len(data), width))

    big = rewritten(nano_file, tmp_path / "big.pt", swapped)
    assert_holds(load_checkpoint(big), nano.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_bare_state_is_read_in_every_precision(
    dtype: torch.dtype, nano: torch.nn.Module, tmp_path: Path
) -> None:
    state = copy.deepcopy(nano).to(dtype).state_dict()
    torch.save(state, tmp_path / "state.pt")
    assert_holds(load_checkpoint(tmp_path / "state.pt"), state)


def test_axes_in_another_order_are_read(nano: torch.nn.Module, tmp_path: Path) -> None:
    state = copy.deepcopy(nano).to(memory_format=torch.channels_last).state_dict()
    assert not state["model.1.conv.weight"].is_contiguous()
    torch.save(state, tmp_path / "state.pt")
    assert_holds(load_checkpoint(tmp_path / "state.pt"), nano.state_dict())


def test_the_content_tells_the_format_not_the_ending(
    nano: torch.nn.Module, nano_file: Path, tmp_path: Path
) -> None:
    renamed = tmp_path / "nano.safetensors"
    renamed.write_bytes(nano_file.read_bytes())
    assert_holds(load_checkpoint(renamed), nano.state_dict())


def test_a_file_is_unpickled_once(
    nano: torch.nn.Module, nano_file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_checkpoint(nano_file)
    copies = list((cache / "converted").iterdir())
    assert [path.name for path in copies] == [f"{first.sha256}.safetensors"]
    monkeypatch.setattr(module_under_test, "read_torch_file", pytest.fail)
    assert_holds(load_checkpoint(nano_file), nano.state_dict())


def test_the_converted_copy_keeps_half_precision_and_its_origin(
    nano_file: Path, cache: Path
) -> None:
    found = load_checkpoint(nano_file)
    (copied,) = (cache / "converted").iterdir()
    assert load_file(copied)["model.0.conv.weight"].dtype == torch.float16
    metadata = load_checkpoint(copied).metadata
    assert metadata["source_sha256"] == found.sha256
    assert metadata["architecture"] == "YOLOv8n-seg, reg_max 16, 1 class"


@pytest.mark.parametrize(
    "weight",
    [torch.full((16, 3, 3, 3), 1e300, dtype=torch.float64), torch.ones(16, 3, 3, 3).int()],
    ids=["beyond float32", "whole numbers"],
)
def test_weights_that_cannot_be_used_are_not_kept_converted(
    weight: torch.Tensor, nano: torch.nn.Module, cache: Path, tmp_path: Path
) -> None:
    torch.save(nano.state_dict() | {"model.0.conv.weight": weight}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=r"infinity|torch\.int32"):
        load_checkpoint(tmp_path / "state.pt")
    assert not cache.exists()


def test_weights_are_halved_only_where_nothing_is_lost(nano: torch.nn.Module) -> None:
    state = {name: t.float() if t.ndim else t for name, t in nano.state_dict().items()}
    assert halved(state)["model.0.conv.weight"].dtype == torch.float16
    assert halved(state)["model.0.bn.num_batches_tracked"].dtype == torch.int64
    state["model.0.conv.weight"] = state["model.0.conv.weight"] + 1e-6
    assert all(tensor is state[name] for name, tensor in halved(state).items())


def test_a_damaged_converted_copy_is_made_again(
    nano: torch.nn.Module, nano_file: Path, cache: Path
) -> None:
    load_checkpoint(nano_file)
    (copied,) = (cache / "converted").iterdir()
    whole = copied.read_bytes()
    copied.write_bytes(whole[:1000])
    assert_holds(load_checkpoint(nano_file), nano.state_dict())
    assert copied.stat().st_size == len(whole)


def test_without_a_cache_folder_the_file_is_read_all_the_same(
    nano: torch.nn.Module, nano_file: Path, cache: Path
) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="NAPARI_FASTSAM_CACHE"):
        found = load_checkpoint(nano_file)
    assert_holds(found, nano.state_dict())


def test_saved_weights_come_back(nano: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "mine.safetensors"
    save_checkpoint(path, nano.state_dict(), {"image_size": 640, "seed": 7, "note": "mine"})
    found = load_checkpoint(path)
    assert_holds(found, nano.state_dict())
    assert (found.image_size, found.metadata["note"], found.path) == (640, "mine", path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_that_tells_no_image_size_has_none(nano: torch.nn.Module, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", nano.state_dict(), {"image_size": "-1e9"})
    assert load_checkpoint(tmp_path / "a.safetensors").image_size is None


def test_weights_that_are_not_finite_are_not_saved(nano: torch.nn.Module, tmp_path: Path) -> None:
    state = copy.deepcopy(nano).state_dict()
    state["model.0.conv.weight"][0, 0, 0, 0] = torch.nan
    with pytest.raises(CheckpointError, match=r"NaN or infinity \(the first: model\.0\.conv"):
        save_checkpoint(tmp_path / "a.safetensors", state)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_failed_save_leaves_the_old_file(nano: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_text("old")
    with pytest.raises(TypeError):
        save_checkpoint(path, nano.state_dict(), {"not JSON": object()})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["nowhere.pt", "."])
def test_what_is_no_file_is_said_to_be_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Expected a file of weights at"):
        load_checkpoint(tmp_path / name)


def test_quantised_weights_are_refused(nano: torch.nn.Module, tmp_path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in nano.state_dict().items()}
    state["model.1.conv.weight"] = state["model.1.conv.weight"].to(torch.int8)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"is torch\.int8"):
        load_checkpoint(tmp_path / "a.safetensors")


def _without(state: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if part not in name}


def _fused(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    fused = _without(state, ".bn.")
    biases = {n[: -len("weight")] + "bias": t[:, 0, 0, 0] for n, t in fused.items() if t.ndim == 4}
    return biases | {name: tensor for name, tensor in fused.items() if "22.cv2" not in name}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(lambda s: _without(s, "22."), "without mask prototypes", id="no head"),
        pytest.param(
            lambda s: _without(s, "22.proto"), "without mask prototypes: it finds", id="detect"
        ),
        pytest.param(
            lambda s: {n.replace("22.", "23."): t for n, t in s.items()}, "YOLO11", id="YOLO11"
        ),
        pytest.param(_fused, "fused", id="fused"),
        pytest.param(lambda s: {}, "there are none", id="nothing"),
        pytest.param(lambda s: {"a": torch.ones(3)}, "something else \\('a'\\)", id="other"),
        pytest.param(lambda s: s | {"model.30.w": torch.ones(1)}, "1 do not belong", id="extra"),
        pytest.param(lambda s: _without(s, "dfl"), "1 tensors are missing", id="missing"),
        pytest.param(
            lambda s: s | {"model.1.bn.bias": torch.ones(33)}, r"\(33,\), not \(32,\)", id="shape"
        ),
        pytest.param(
            lambda s: s | {"model.0.conv.weight": torch.ones(17, 3, 3, 3)}, "layers", id="stem"
        ),
    ],
)
def test_another_network_is_told_apart(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    told: str,
    nano: torch.nn.Module,
) -> None:
    with pytest.raises(CheckpointError, match=told):
        recognise(change(nano.state_dict()))
