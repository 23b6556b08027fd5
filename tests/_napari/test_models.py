import pytest
from qtpy.QtWidgets import QFileDialog

from napari_fastsam._napari.models import ModelBox, needs_download
from napari_fastsam.models.registry import MODELS


@pytest.fixture
def box(qtbot):
    box = ModelBox()
    qtbot.addWidget(box.native)
    return box


def choose(monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))


def test_every_model_of_the_registry_is_offered(box):
    assert list(box.choices)[:-1] == list(MODELS)
    assert box.value == "starter"


def test_a_checkpoint_of_ones_own_is_chosen_and_stays_offered(box, monkeypatch):
    choose(monkeypatch, "/somewhere/mine.pt")
    box.value = box.choices[-1]
    assert box.value == "/somewhere/mine.pt"
    assert box.current_choice == "mine.pt"
    box.value = "FastSAM-s"
    assert "/somewhere/mine.pt" in box.choices


def test_choosing_no_file_is_the_choice_before(box, monkeypatch):
    box.value = "FastSAM-x"
    choose(monkeypatch, "")
    box.value = box.choices[-1]
    assert box.value == "FastSAM-x"


def test_only_named_models_that_are_not_here_need_a_download(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(tmp_path))
    assert needs_download("FastSAM-s")
    assert not needs_download("starter")
    assert not needs_download("/somewhere/mine.pt")
    (tmp_path / MODELS["FastSAM-s"].filename).write_bytes(b"weights")
    assert not needs_download("FastSAM-s")
