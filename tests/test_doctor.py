"""The doctor's report says what is there, fails at nothing, and can be pasted anywhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from napari_fastsam.cli import main
from napari_fastsam.models import diagnosis, machine
from napari_fastsam.models._files import sha256_of
from napari_fastsam.models.diagnosis import Timed, diagnose
from napari_fastsam.models.registry import model_path

OPENVINO = Timed(
    runtime="openvino",
    description="starter · CPU · OpenVINO · fp32 · 768 px",
    start=1.0,
    first=0.5,
    best=0.25,
    network=0.125,
    candidates=255,
)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Timed]:
    """What each runtime is said to take, by its name; all are installed."""
    known = {"openvino": OPENVINO, "onnx": Timed(runtime="onnx", error="no such instruction")}
    known["torch"] = Timed(runtime="torch", description="starter · CPU · fp32", best=0.5)
    monkeypatch.setattr(diagnosis, "_time", lambda model, runtime, size: known[runtime])
    monkeypatch.setattr(diagnosis, "_usable", lambda runtime: True)
    return known


def test_a_runtime_is_timed_with_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_usable", lambda runtime: False)
    said: list[str] = []
    (run,) = diagnose("starter", image_size=320, told=said.append).runs
    assert run.description == "starter · CPU · fp32 · 320 px"
    assert 0 < run.network < run.best <= run.first
    assert run.start > 0
    assert run.candidates > 50
    assert not run.error
    assert said == ["looking at the machine", "timing starter with torch"]


def test_what_does_not_run_is_part_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_usable", lambda runtime: False)
    found = diagnose(str(Path.home() / "none.pt"))
    assert "none.pt" in found.runs[0].error
    assert str(Path.home()) not in json.dumps(found.to_json())
    assert any(line.startswith("torch does not run: ") for line in found.advice)


def test_an_export_is_timed_with_its_own_runtime(
    timed: dict[str, Timed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(b"\x08\x07")
    timed["auto"] = Timed(runtime="auto", description="network.onnx", best=0.1)
    monkeypatch.setenv("NAPARI_FASTSAM_RUNTIME", "torch")
    found = diagnose(str(path))
    assert [run.runtime for run in found.runs] == ["auto"]
    assert not any("unset it" in line for line in found.advice if "RUNTIME" in line)


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_report_is_a_block_of_short_lines(
    columns: str,
    timed: object,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == ("```text", "```")
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert f"torch           {torch.__version__.split('+')[0]}" in text
    assert f"    {sha256_of(model_path('starter'))}" in lines
    assert "  openvino           1.00   0.50   0.25     0.12         255" in lines
    assert "  onnx            does not run: no such instruction" in lines


def test_the_same_can_be_had_as_json(timed: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found.keys() == {"versions", "machine", "models", "runs", "advice"}
    assert [run["runtime"] for run in found["runs"]] == ["torch", "openvino", "onnx"]
    assert [len(model["sha256"]) for model in found["models"] if model["name"] == "starter"] == [64]
    assert err == ""


def test_nothing_names_the_home_folder(monkeypatch: pytest.MonkeyPatch, timed: object) -> None:
    home = model_path("starter").parents[2]
    monkeypatch.setattr(Path, "home", lambda: home)
    found = diagnose()
    (starter,) = (model for model in found.models if model["name"] == "starter")
    assert starter["path"].startswith("~")
    assert str(home) not in json.dumps(found.to_json())


def test_a_system_without_figures_of_memory_or_a_home_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(Path, "home", none)
    monkeypatch.setattr(machine, "SHOWN", ("torch", "no-such-package"))
    assert "memory" not in machine.machine()
    assert machine.versions().keys() == {"torch"}


@pytest.mark.parametrize(
    ("runtimes", "threads", "share", "environment", "advice"),
    [
        pytest.param((), 4, None, {}, "napari-fastsam[openvino]", id="nothing installed"),
        pytest.param(("onnx",), 8, 2, {}, "OMP_NUM_THREADS=2", id="container"),
        pytest.param(
            ("onnx",), 1, None, {"OMP_NUM_THREADS": "1"}, "1 of 8 CPUs: unset it", id="threads"
        ),
        pytest.param(
            ("openvino",),
            8,
            None,
            {"NAPARI_FASTSAM_RUNTIME": "torch"},
            "NAPARI_FASTSAM_RUNTIME=torch is set, and openvino is faster",
            id="runtime",
        ),
    ],
)
def test_advice_says_what_to_do(
    runtimes: tuple[str, ...],
    threads: int,
    share: int | None,
    environment: dict[str, str],
    advice: str,
    timed: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OMP_NUM_THREADS", "NAPARI_FASTSAM_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(diagnosis, "installed", lambda runtime: runtime in runtimes)
    monkeypatch.setattr(diagnosis, "allowed_cpus", lambda: 8)
    monkeypatch.setattr(diagnosis, "container_cpus", lambda: share)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    found = [line for line in diagnose().advice if advice in line]
    assert len(found) == 1
