"""What importing ultralytics does to a process is undone, checked in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import torch

from napari_fastsam.models._ultralytics import contained, network
from napari_fastsam.models.architecture import Architecture, recognise

if TYPE_CHECKING:
    from pathlib import Path

PROBE = textwrap.dedent(
    """
    import json, os, socket, sys, warnings

    asked = []
    def record(name):
        def refuse(*args, **kwargs):
            asked.append(name)
            raise OSError("no network in this test")
        return refuse
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        setattr(socket, name, record(name))
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, record(name))

    import subprocess
    started = []
    class Recorded(subprocess.Popen):
        def __init__(self, args, *rest, **named):
            started.append(str(args))
            super().__init__(args, *rest, **named)
    subprocess.Popen = Recorded

    import cv2, numpy as np, PIL.Image, torch
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR", "LD_LIBRARY_PATH"):
        os.environ.pop(name, None)  # cv2, imported here only to count its threads, set them
    if "KEEP" in os.environ:
        os.environ["QT_QPA_FONTDIR"] = os.environ["KEEP"]

    def state():
        return {
            "environment": dict(os.environ),
            "torch threads": torch.get_num_threads(),
            "torch pools": torch.get_num_interop_threads(),
            "cv2 threads": cv2.getNumThreads(),
            "PIL.Image.open": id(PIL.Image.open),
            "torch.save": id(torch.save),
            "torch.load": id(torch.load),
            "cv2 functions": [id(cv2.imread), id(cv2.imwrite), id(cv2.imshow)],
            "warning filters": [str(f) for f in warnings.filters],
            "numpy printing": str(np.get_printoptions()),
            "torch printing": str(torch._tensor_str.PRINT_OPTS),
            "random state": torch.get_rng_state().sum().item(),
            "folder": sorted(os.listdir(".")),
        }

    before = state()
    assert "ultralytics" not in sys.modules
    from napari_fastsam.models._ultralytics import network
    from napari_fastsam.models.architecture import Architecture
    network(Architecture("n", reg_max=16, classes=1))
    after = state()
    from napari_fastsam.models.fastsam import FastSAM
    # Larger than the network's frame, so that cv2 scales it down.
    FastSAM("starter", device="cpu", image_size=64).segment(np.eye(100))
    print(json.dumps({"before": before, "after": after, "used": state(),
                      "asked": asked, "started": started,
                      "imported": "ultralytics" in sys.modules}))
    """
)


ALREADY_IMPORTED = textwrap.dedent(
    """
    import json
    from ultralytics import settings

    def told():
        return {"text": settings.file.read_text(), "sync": settings["sync"]}

    before = told()
    from napari_fastsam.models._ultralytics import network
    from napari_fastsam.models.architecture import Architecture
    network(Architecture("n"))
    print(json.dumps({"file": str(settings.file), "before": before, "after": told()}))
    """
)


def run(folder: Path, script: str = PROBE, **extra: str) -> dict:
    """Run a script with a home of its own, and return what it saw."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "LANG")}
    environment = keep | {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "LOCALAPPDATA": str(home / "local"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=work,
        env=environment | extra,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    report["stderr"] = done.stderr
    report["files"] = sorted(p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file())
    return report


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return run(tmp_path_factory.mktemp("contained"))


STATES = [
    "environment",
    "torch threads",
    "torch pools",
    "cv2 threads",
    "PIL.Image.open",
    "torch.save",
    "torch.load",
    "cv2 functions",
    "warning filters",
    "numpy printing",
    "torch printing",
    "random state",
    "folder",
]


def test_the_probe_did_import_ultralytics(probe):
    assert probe["imported"]
    assert set(probe["before"]) == set(STATES)


@pytest.mark.parametrize("what", STATES)
def test_the_import_leaves_the_process_as_it_was(probe, what):
    assert probe["after"][what] == probe["before"][what]


@pytest.mark.parametrize("what", STATES)
def test_segmenting_leaves_the_process_as_it_was(probe, what):
    assert probe["used"][what] == probe["before"][what]


def test_variables_that_others_set_meanwhile_stay(monkeypatch):
    monkeypatch.setenv("CHANGED_MEANWHILE", "before")
    with contained():
        monkeypatch.setenv("CHANGED_MEANWHILE", "after")
        monkeypatch.setenv("SET_MEANWHILE", "1")
    assert os.environ["CHANGED_MEANWHILE"] == "after"
    assert os.environ["SET_MEANWHILE"] == "1"


def test_the_import_asks_no_name_server_and_opens_no_connection(probe):
    assert probe["asked"] == []


def test_the_import_installs_nothing(probe):
    assert not [command for command in probe["started"] if "pip" in command or "git" in command]


def test_the_import_prints_nothing(probe):
    assert probe["stderr"] == ""


def test_without_the_variable_files_go_to_the_platform_s_cache_folder_alone(probe):
    assert any("Ultralytics" in file for file in probe["files"])
    assert [file for file in probe["files"] if "/napari-fastsam/" not in file] == []


@pytest.fixture(scope="module")
def tailored(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """A process whose user has set variables of ultralytics, of OpenMP and of ours."""
    folder = tmp_path_factory.mktemp("tailored")
    report = run(
        folder,
        NAPARI_FASTSAM_CACHE=str(folder / "cache"),
        NAPARI_FASTSAM_RUNTIME="torch",
        YOLO_CONFIG_DIR=str(folder / "mine"),
        OMP_NUM_THREADS="2",
        KEEP="fonts",
    )
    return report, folder


def test_the_only_file_written_is_in_the_cache_folder_and_reports_nothing(tailored):
    report, folder = tailored
    cache = folder / "cache"
    written = [p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file()]
    assert report["files"] == []
    assert written == ["ultralytics/Ultralytics/settings.json"]
    assert json.loads((cache / written[0]).read_text())["sync"] is False


def test_variables_that_the_user_set_stay_as_they_are(tailored):
    report, folder = tailored
    assert report["after"]["environment"] == report["before"]["environment"]
    assert report["after"]["environment"]["QT_QPA_FONTDIR"] == "fonts"
    assert report["after"]["torch threads"] == 2
    assert not (folder / "mine").exists()


def test_a_cache_folder_that_cannot_be_made_is_no_obstacle_and_leaves_no_other(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file, where a folder should be")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    report = run(tmp_path, NAPARI_FASTSAM_CACHE=str(blocked), TMPDIR=str(temporary))
    assert report["imported"]
    assert report["files"] == []
    assert list(temporary.glob("napari-fastsam-*")) == []


def test_settings_of_a_user_who_imported_ultralytics_before_stay_theirs(tmp_path):
    mine, cache = tmp_path / "mine", tmp_path / "cache"
    report = run(
        tmp_path,
        ALREADY_IMPORTED,
        YOLO_CONFIG_DIR=str(mine),
        YOLO_OFFLINE="1",
        NAPARI_FASTSAM_CACHE=str(cache),
    )
    assert report["file"].startswith(str(mine))
    assert report["before"]["sync"]
    assert report["after"] == report["before"]


@pytest.mark.parametrize("name", ["yolov8n-seg.yaml", "yolov8-seg.yaml"])
def test_a_recipe_in_the_working_folder_is_neither_used_nor_run(name, tmp_path, monkeypatch):
    (tmp_path / name).write_text(
        "nc: 1\nactivation: open('owned', 'w') and torch.nn.ReLU()\n"
        "backbone: [[-1, 1, Conv, [64, 3, 2]]]\n"
        "head: [[[0, 0, 0], 1, Segment, [nc, 32, 256]]]\n"
    )
    monkeypatch.chdir(tmp_path)
    model = network(Architecture("n"))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert recognise(model.state_dict()) == Architecture("n")
    assert isinstance(model.model[0].act, torch.nn.SiLU)
