"""What ultralytics exports, and what we convert, are models as any other."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch

from napari_fastsam.models import _ultralytics, exports
from napari_fastsam.models._sessions import Session, _beside
from napari_fastsam.models.candidates import candidates
from napari_fastsam.models.checkpoint import CheckpointError, load_checkpoint
from napari_fastsam.models.conversion import convert
from napari_fastsam.models.exports import Export
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.network import Decoded
from napari_fastsam.models.opening import open_model
from napari_fastsam.segmenter import ModelSpec
from napari_fastsam.sources import model_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = {0: "cell", 1: "nucleus"}
SIDE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def exported(folder: Path) -> Callable[..., tuple[Path, torch.nn.Module]]:
    """``exported(name, format, **options)``: what ultralytics writes of a random network."""

    def export(name: str, form: str, **options: Any) -> tuple[Path, torch.nn.Module]:
        _ultralytics._tasks()
        with _ultralytics.contained():
            from ultralytics import YOLO
            from ultralytics.utils import ROOT, YAML

            version = name.removeprefix("yolo").partition("n-")[0]
            recipe = YAML.load(ROOT / "cfg" / "models" / version / f"yolo{version}-seg.yaml")
            YAML.save(folder / f"{name}.yaml", {**recipe, "nc": len(NAMES)})
            torch.manual_seed(5)
            yolo = YOLO(folder / f"{name}.yaml", verbose=False)
            yolo.model.names, yolo.model.pt_path = NAMES, str(folder / f"{name}.pt")
            _make_sure(yolo.model)
            path = yolo.export(format=form, imgsz=SIDE, device="cpu", verbose=False, **options)
        return Path(path), yolo.model.eval()

    return export


def _make_sure(model: Any) -> None:
    """Have a random network find something everywhere, each with a score of its own."""
    for name, tensor in model.state_dict().items():
        if name.endswith("bn.weight"):
            tensor.uniform_(1.0, 2.0)
    head = model.model[-1]
    for branch in (head.cv3, *([head.one2one_cv3] if hasattr(head, "one2one_cv3") else [])):
        for level in branch:
            level[-1].weight.data.normal_(0, 0.2)
            level[-1].bias.data[:] = torch.tensor([0.0, 0.1])


@pytest.fixture
def frame() -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def outputs_of(model: torch.nn.Module, frame: np.ndarray[Any, Any]) -> Any:
    with torch.inference_mode():
        (boxes, prototypes), *_ = model(torch.from_numpy(frame[None]).permute(0, 3, 1, 2) / 255)
    return boxes[0], prototypes[0]


@pytest.fixture(scope="module")
def fixed_onnx(exported: Any) -> Iterator[tuple[Path, torch.nn.Module]]:
    return exported("yolov8n-seg", "onnx", simplify=False)


@pytest.fixture(scope="module")
def dynamic_openvino(exported: Any) -> Iterator[tuple[Path, torch.nn.Module]]:
    return exported("yolo11n-seg", "openvino", dynamic=True)


def test_an_onnx_export_says_what_its_network_does(fixed_onnx: Any, frame: Any) -> None:
    path, model = fixed_onnx
    opened = open_model(path, device="auto", runtime="auto")
    assert opened.frame == (SIDE, SIDE)
    assert opened.image_size == SIDE
    assert opened.names == ("cell", "nucleus")
    assert opened.network.description == "CPU · ONNX Runtime · fp32"
    (found,) = opened.network([frame])
    boxes, prototypes = outputs_of(model, frame)
    assert isinstance(found, Decoded)
    assert torch.allclose(found.columns, boxes, atol=1e-3, rtol=1e-3)
    assert torch.allclose(found.prototypes, prototypes, atol=1e-3)


def test_an_export_of_one_size_sees_images_of_any(fixed_onnx: Any) -> None:
    sam = FastSAM(fixed_onnx[0], device="cpu")
    assert sam.image_size == SIDE
    for shape in ((40, 90), (90, 40), (33, 33)):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
        found = sam.segment(image)
        assert found.shape == shape
        assert len(found)
        assert found.names == ("cell", "nucleus")
        assert set(found.class_names) <= {"cell", "nucleus"}
    assert model_hash(sam.spec)


def test_another_size_than_an_export_takes_is_refused(fixed_onnx: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected image_size 64.*128.*leave it out"):
        FastSAM(fixed_onnx[0], image_size=128)


def test_an_openvino_export_of_any_size_says_what_its_network_does(dynamic_openvino: Any) -> None:
    path, model = dynamic_openvino
    opened = open_model(path, device="cpu", runtime="openvino")
    assert opened.frame is None
    assert opened.names == ("cell", "nucleus")
    frame = np.random.default_rng(1).integers(0, 256, (96, 64, 3), np.uint8)
    (found,) = opened.network([frame])
    boxes, prototypes = outputs_of(model, frame)
    assert torch.allclose(found.columns, boxes, atol=1e-2, rtol=1e-2)
    assert torch.allclose(found.prototypes, prototypes, atol=1e-2)
    assert model_hash(FastSAM(path).spec)
    (layers,) = path.glob("*.xml")
    assert open_model(layers, device="cpu", runtime="auto").names == opened.names


def test_boxes_that_the_network_chose_itself_are_taken_as_they_are(
    exported: Any, frame: Any
) -> None:
    path, model = exported("yolo26n-seg", "onnx", nms=False, simplify=False)
    model.model[-1].end2end = True
    wanted, _ = outputs_of(model, frame)
    (found,) = open_model(path, device="cpu", runtime="auto").network([frame])
    columns = found.columns.T
    assert columns.shape == (len(wanted), 4 + 2 + 32)
    low, high, score, classes = wanted[:, :2], wanted[:, 2:4], wanted[:, 4:5], wanted[:, 5]
    expected = torch.cat([(low + high) / 2, high - low, score, wanted[:, 6:]], 1)
    likeliest = columns[:, 4:6].amax(1, keepdim=True)
    given = torch.cat([columns[:, :4], likeliest, columns[:, 6:]], 1)
    # Scores that are almost equal may be in another order: each is compared with its own.
    own = torch.cdist(given[:, :5], expected[:, :5]).argmin(1)
    assert sorted(own.tolist()) == list(range(len(wanted)))
    assert torch.allclose(given, expected[own], atol=1e-2)
    assert torch.equal(columns[:, 4:6].argmax(1), classes[own].long())


def test_what_we_convert_is_a_model_that_finds_the_same(
    random_weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "network.onnx"
    convert(load_checkpoint(random_weights), "onnx", path)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    first, second = (
        FastSAM(model, device="cpu", image_size=64).segment(image)
        for model in (random_weights, path)
    )
    assert len(second) == pytest.approx(len(first), abs=2)
    assert FastSAM(path, device="cpu").image_size == 320


@pytest.fixture
def refused() -> Callable[..., None]:
    def check(path: Path, told: str, **options: Any) -> None:
        with pytest.raises(ValueError, match=re.escape(told)) as caught:
            FastSAM(path, **options)
        assert re.match(r"(.*: )?Expected .*\. .*\.", str(caught.value))

    return check


def test_an_export_of_something_else_is_refused(tmp_path: Path, refused: Any) -> None:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["images"], ["output0"])],
        "other",
        [value("images", onnx.TensorProto.FLOAT, [1, 3, 64, 64])],
        [value("output0", onnx.TensorProto.FLOAT, [1, 3, 64, 64])],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, tmp_path / "other.onnx")
    refused(tmp_path / "other.onnx", "one with 1 outputs")
    onnx.helper.set_model_props(model, {"task": "detect"})
    onnx.save(model, tmp_path / "other.onnx")
    refused(tmp_path / "other.onnx", "one whose task is 'detect'")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    refused(tmp_path / "broken.onnx", "what cannot be read")


def test_a_folder_of_something_else_is_refused(tmp_path: Path, refused: Any) -> None:
    (tmp_path / "a.xml").write_text("<net/>")
    refused(tmp_path, "what cannot be read")
    shutil.copy(tmp_path / "a.xml", tmp_path / "b.xml")
    refused(tmp_path, "a folder with 2 .xml files")


def test_what_is_told_beside_a_network_is_read_without_being_written_out(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    text = "\n".join(["task: segment", "imgsz: [64, 32]", "l0: &l0 [a]", *levels, "names: *l11"])
    (tmp_path / "metadata.yaml").write_text(text)
    assert _beside(tmp_path) == {"task": "segment", "imgsz": "[64, 32]"}


def test_an_export_runs_where_it_was_made_for(fixed_onnx: Any, refused: Any) -> None:
    path, _ = fixed_onnx
    refused(path, 'the runtime "onnx" on the CPU', runtime="openvino")
    refused(path, 'the runtime "onnx" on the CPU', device="cuda")


def test_without_the_runtime_it_is_said_how_to_get_it(
    fixed_onnx: Any, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_fastsam.models.exports.find_spec", lambda name: None)
    refused(fixed_onnx[0], 'pip install "napari-fastsam[onnx]"')


def test_torchscript_is_refused_and_not_run(tmp_path: Path, refused: Any) -> None:
    path = tmp_path / "a.torchscript"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"a/{name}", b"\x80\x02.")
    refused(path, "this is TorchScript, a program that would have to be run")


def session(sizes: tuple[int | None, ...] = (1, 3, SIDE, SIDE), **about: str) -> Session:
    """A graph that finds an object of each of three classes, side by side."""
    boxes = np.zeros((1, 4 + 3 + 32, 3), np.float32)
    boxes[0, :4] = np.array([(10, 30, 50), (32, 32, 32), (14, 14, 14), (30, 30, 30)])
    boxes[0, 4:7] = np.eye(3) * 0.9
    boxes[0, 7:] = 1
    outputs = boxes, np.ones((1, 32, SIDE // 4, SIDE // 4), np.float32)
    return Session("ONNX", about, sizes, np.float32, ("boxes", "masks"), lambda frames: outputs)


def test_classes_that_an_export_has_no_name_for_are_none(frame: Any) -> None:
    export = Export(session(names="['cell', 'nucleus']"))
    (raw,) = export([frame])
    letterbox = Letterbox.fit((SIDE, SIDE), SIDE)
    found = candidates(raw, letterbox, frame, ModelSpec(), export.names)
    assert sorted(found.class_names) == ["", "cell", "nucleus"]


def test_what_a_file_tells_of_its_precision_is_shown_only_if_it_is_one() -> None:
    assert Export(session(precision="int8")).description == "CPU · ONNX · int8"
    assert Export(session(precision="<h1>\n")).description == "CPU · ONNX · fp32"


def test_a_graph_that_takes_a_single_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected an exported.*, but one whose.*Export the"):
        Export(session(()))


@pytest.mark.parametrize("number", [1e30, np.inf])
def test_a_class_number_beyond_all_bounds_is_refused(number):
    boxes = np.zeros((1, 38), np.float32)
    boxes[0, 5] = number
    with pytest.raises(CheckpointError, match="names class"):
        exports._spread(boxes, 1)
