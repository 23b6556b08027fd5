import sys

import napari
import pytest

from napari_fastsam._napari import demo
from napari_fastsam.demo import run_demo


def test_each_image_lies_under_its_labels_beside_the_docked_widget(viewer, tmp_path, blobs):
    found = list(run_demo(tmp_path, blobs))
    demo.show(viewer, tmp_path)
    assert [layer.name for layer in viewer.layers] == ["coins", "coins labels", "ihc", "ihc labels"]
    for labels, done in zip(viewer.layers[1::2], found, strict=True):
        assert labels.data.max() == len(done.objects)
    assert viewer.canvas.grid.enabled
    assert any("napari-fastsam" in name for name in viewer.window.dock_widgets)


def test_without_qt_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    def no_qt(**options):
        raise ImportError("No Qt bindings could be found")

    monkeypatch.setattr(napari, "Viewer", no_qt)
    monkeypatch.setattr(sys, "argv", ["demo", str(tmp_path)])
    assert demo.main() == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "No Qt bindings could be found" in err
    assert "napari-fastsam[all]" in err


@pytest.mark.parametrize("given", [True, False])
def test_the_folder_that_is_named_is_shown_else_the_demos_own(monkeypatch, tmp_path, given):
    shown = []
    monkeypatch.setattr(napari, "Viewer", lambda **options: "viewer")
    monkeypatch.setattr(napari, "run", lambda: None)
    monkeypatch.setattr(demo, "show", lambda viewer, folder: shown.append(folder))
    monkeypatch.setattr(sys, "argv", ["demo", str(tmp_path)][: 1 + given])
    assert demo.main() == 0
    assert shown == [tmp_path if given else demo.FOLDER]
