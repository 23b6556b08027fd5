"""Which models the dock widget offers, and the question that comes before a download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_fastsam._napari.words import megabytes
from napari_fastsam.models.registry import MODELS, TEXT_MODELS, whole_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtWidgets import QWidget

    from napari_fastsam.models.registry import Model

_OWN = "a file…"
_NAMED = {**MODELS, **TEXT_MODELS}


class ModelBox(ComboBox):
    """A combo box of the registry's models and of checkpoints that the user chose.

    Parameters
    ----------
    models
        Those that have a name.
    label, what, file
        What it is called, what a model does, and what checkpoints of one's own are.
    """

    def __init__(
        self,
        models: Mapping[str, Model] = MODELS,
        *,
        label: str = "Model",
        what: str = "The network that finds the objects.",
        file: str = "a YOLO segmentation checkpoint of your own, .pt or .safetensors, or an export "
        "of one, .onnx or OpenVINO's .xml.",
    ) -> None:
        self._models = models
        self._files: list[str] = []
        self._last = next(iter(models))
        about = "\n".join(f"{model.name}: {model.summary}" for model in models.values())
        super().__init__(
            label=label,
            choices=self._names,
            value=self._last,
            tooltip=f"{what}\n{about}\nA file: {file}",
        )
        self.changed.connect(self._chosen)

    def choose(self, name: str) -> None:
        """Choose a model by its name, or a checkpoint by its path.

        Raises
        ------
        ValueError
            If there is no model of that name, and no such file.
        """
        if name == _OWN:
            raise ValueError(f"{name!r} asks for a file, and is none")
        if name not in self._models and self._is_known(name):
            self.add_file(name)
        else:
            self.value = name

    def add_file(self, path: str) -> None:
        """Offer a checkpoint of the user's own, and choose it."""
        if path not in self._files:
            self._files.append(path)
        self.reset_choices()
        self.value = path

    def _names(self, _: Any) -> list[tuple[str, str]]:
        """Return what is shown and what it stands for."""
        own = [(Path(path).name, path) for path in self._files]
        return [*((name, name) for name in self._models), *own, (_OWN, _OWN)]

    def _is_known(self, name: str) -> bool:
        """Whether a name that is not in the table stands for a model all the same."""
        return Path(name).exists()

    def _chosen(self, name: str) -> None:
        """Ask for a file where that was chosen; no file is the choice before."""
        if name != _OWN:
            self._last = name
            return
        self.value = self._last
        path, _ = QFileDialog.getOpenFileName(
            self.native,
            "Choose a checkpoint",
            "",
            "Models (*.pt *.safetensors *.onnx *.xml);;All files (*)",
        )
        if path:  # OpenVINO's files belong together: their folder is the model
            self.add_file(str(whole_of(Path(path))))


class TextModelBox(ModelBox):
    """A combo box of models that compare objects with words; any name of open_clip will do."""

    def __init__(self) -> None:
        super().__init__(
            TEXT_MODELS,
            label="Text model",
            what="The CLIP that compares objects with words and with each other, in the Find tab.",
            file="a checkpoint of open_clip of your own, .safetensors or .pt.",
        )

    def _is_known(self, name: str) -> bool:
        """Whether a name may stand for a model; open_clip says so when it is used."""
        return bool(name.strip())


def needs_download(name: str) -> bool:
    """Whether a model has a name, comes from the internet, and is not on this machine."""
    model = _NAMED.get(name)
    return model is not None and model.url is not None and not model.path.is_file()


def confirm_download(name: str, parent: QWidget | None = None) -> bool:
    """Ask whether a model may be downloaded, naming its size, licence, address and place."""
    model = _NAMED[name]
    size = "size unknown" if model.size is None else megabytes(model.size)
    answer = QMessageBox.question(
        parent,
        f"Download {name}?",
        f"{name} is not on this machine.\n\n"
        f"Size: {size}\nLicence: {model.licence}\nFrom: {model.url}\nTo: {model.path.parent}\n\n"
        "Download it now?",
    )
    return bool(answer == QMessageBox.StandardButton.Yes)
