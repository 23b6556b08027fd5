"""A network is converted once, whole, and converted anew where the copy is damaged."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fastsam._files import whole
from napari_fastsam.models import conversion
from napari_fastsam.models.checkpoint import Checkpoint, load_checkpoint
from napari_fastsam.models.conversion import ABOUT, NETWORK, alone, convert, kept, read_converted
from napari_fastsam.models.cpu_runtimes import ONNXRuntime, OpenVINO, compiled
from napari_fastsam.models.torch_runtime import TorchRuntime

if TYPE_CHECKING:
    from pathlib import Path

FORMS = {"openvino": OpenVINO, "onnx": ONNXRuntime}


@pytest.fixture(scope="module")
def checkpoint(random_weights: Path) -> Checkpoint:
    return load_checkpoint(random_weights)


@pytest.fixture(scope="module")
def files(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The network, converted to each form."""
    folder = tmp_path_factory.mktemp("converted")
    made = {"openvino": folder / "openvino", "onnx": folder / "network.onnx"}
    for form, path in made.items():
        convert(checkpoint, form, path)
    return made


@pytest.fixture
def filled(cache: Path, checkpoint: Checkpoint, files: dict[str, Path]) -> Path:
    """A cache folder with both in it."""
    (cache / "converted").mkdir(parents=True)
    for form, path in files.items():
        kept(checkpoint, form).symlink_to(path, target_is_directory=path.is_dir())
    return cache


def _frames(*sizes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


@pytest.mark.parametrize("form", FORMS)
def test_a_converted_network_says_the_same_of_frames_of_any_size(
    form: str, checkpoint: Checkpoint, filled: Path
) -> None:
    right, found = TorchRuntime(checkpoint, "cpu"), FORMS[form](checkpoint)
    for frames in (_frames((64, 96), (64, 96)), _frames((32, 160))):
        for one, other in zip(right(frames), found(frames), strict=True):
            for expected, part in zip(one, other, strict=True):
                np.testing.assert_allclose(part.numpy(), expected.numpy(), rtol=1e-3, atol=1e-3)


def test_a_converted_file_tells_what_it_is(checkpoint: Checkpoint, files: dict[str, Path]) -> None:
    import onnx

    from napari_fastsam.models._openvino import openvino

    told = {item.key: item.value for item in onnx.load(files["onnx"]).metadata_props}
    model = openvino().Core().read_model(files["openvino"] / NETWORK)
    expected = {
        "name": "random",
        "image_size": "320",
        "source_sha256": checkpoint.sha256,
        "precision": "fp32",
    }
    for name, text in expected.items():
        assert told[f"{ABOUT}.{name}"] == text
        assert model.get_rt_info([ABOUT, name]).astype(str) == text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damage", ["empty", "cut off"])
def test_a_damaged_copy_is_converted_anew(
    form: str,
    damage: str,
    checkpoint: Checkpoint,
    files: dict[str, Path],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = kept(checkpoint, form)
    weights = path / "network.bin" if form == "openvino" else path
    weights.parent.mkdir(parents=True)
    if form == "openvino":
        (path / NETWORK).write_bytes((files[form] / NETWORK).read_bytes())
    sound = (files[form] / "network.bin" if form == "openvino" else files[form]).read_bytes()
    weights.write_bytes(b"" if damage == "empty" else sound[: len(sound) // 2])
    conversions = []

    def converting(*asked: object, overwrite: bool) -> None:
        conversions.append(asked)
        _copy(files[form], path)

    monkeypatch.setattr(conversion, "convert", converting)
    found = FORMS[form](checkpoint)(_frames((32, 32)))
    right = TorchRuntime(checkpoint, "cpu")(_frames((32, 32)))
    np.testing.assert_allclose(found[0].scores, right[0].scores, rtol=1e-3, atol=1e-3)
    assert len(conversions) == 1


def test_what_cannot_be_read_anew_either_is_an_error(
    checkpoint: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def converting(*asked: object, overwrite: bool) -> None:
        kept(checkpoint, "onnx").write_bytes(b"no network")

    monkeypatch.setattr(conversion, "convert", converting)
    with pytest.raises(Exception, match="Protobuf"):
        ONNXRuntime(checkpoint)


def test_a_cache_that_cannot_be_written_is_said(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r'(?s)Expected to keep .*NAPARI_FASTSAM_CACHE.*"torch"'):
        OpenVINO(checkpoint)


def test_those_that_convert_at_once_leave_one_sound_network(
    checkpoint: Checkpoint, files: dict[str, Path], cache: Path
) -> None:
    target = cache / "converted" / "network"

    def make(n: int) -> None:
        with alone(target):
            _copy(files["openvino"], target)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(24)))
    assert sorted(path.name for path in target.iterdir()) == ["network.bin", NETWORK]
    assert not [path for path in target.parent.iterdir() if path.suffix in (".part", ".old")]
    compiled(target)


def test_a_file_is_not_replaced_unless_asked(
    checkpoint: Checkpoint, files: dict[str, Path]
) -> None:
    with pytest.raises(FileExistsError):
        convert(checkpoint, "onnx", files["onnx"])


def test_without_the_package_it_is_named(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"package onnx.*napari-fastsam\[onnx\]"):
        convert(checkpoint, "onnx", tmp_path / "network.onnx")


IMPORT = """
import sys
from napari_fastsam.models._openvino import openvino
openvino()
print(sys.modules["openvino.tools.ovc.telemetry_utils"].tm.__name__)
"""


def test_importing_openvino_loads_nothing_that_reports() -> None:
    # In a process of its own: what a program imported before is used as it is.
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"


def _copy(source: Path, target: Path) -> None:
    """Do as `convert` does, with a network that is converted already."""
    with whole(target, overwrite=True) as partial:
        if source.is_dir():
            partial.mkdir()
            for file in source.iterdir():
                (partial / file.name).write_bytes(file.read_bytes())
        else:
            partial.write_bytes(source.read_bytes())


def test_what_is_read_is_not_converted_again(checkpoint: Checkpoint, filled: Path) -> None:
    assert read_converted(checkpoint, "onnx", lambda path: path.name) == (
        kept(checkpoint, "onnx").name
    )
