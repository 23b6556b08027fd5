"""Decides what of ultralytics is used, and keeps everything else that importing it does outside.

Only the network's definition is taken. The import itself writes settings, asks name servers,
patches `torch.save` and `PIL.Image.open`, and changes environment variables, thread counts, print
options and warning filters of the whole process; all of that is steered away or put back here.
Within this process ultralytics then believes to be offline, and neither downloads nor reports. If
it was imported before, it is used as it is, and its settings are left alone.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import torch

from napari_fastsam.models._files import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_fastsam.models.architecture import Architecture

_LOCK = threading.Lock()
_QUIET = {
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "0",
    "YOLO_VERBOSE": "0",
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
}
# What is set here, by ultralytics and by cv2; any other variable may meanwhile be set elsewhere.
_VARIABLES = (
    *_QUIET,
    "YOLO_CONFIG_DIR",
    *("OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS"),
    *("TF_CPP_MIN_LOG_LEVEL", "TORCH_CPP_LOG_LEVEL", "KINETO_LOG_LEVEL"),
    *("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR", "LD_LIBRARY_PATH", "PATH"),
)


def network(architecture: Architecture) -> torch.nn.Module:
    """Build the segmentation network of an architecture, with random weights.

    Parameters
    ----------
    architecture
        Scale, number of bins per box side and number of classes.

    Returns
    -------
    torch.nn.Module
        Takes (B, 3, H, W) float RGB in [0, 1] with H and W multiples of 32. In evaluation mode
        the first item that it returns is the pair of the predictions, (B, 4 + classes + 32, A) for
        the A anchors (box centre x, y, width, height in network pixels, class probabilities, mask
        coefficients), and the prototypes, (B, 32, H / 4, W / 4).

    Notes
    -----
    Torch's random state is left as it was.
    """
    tasks = _tasks()
    with torch.random.fork_rng(devices=[]):
        model: Any = tasks.SegmentationModel(_recipe(architecture), verbose=False)
        _fit_head(model.model[-1], architecture)
    network: torch.nn.Module = model.eval()
    return network


def shapes_of(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of `network`, by name, without memory for their numbers."""
    tasks = _tasks()
    with torch.device("meta"):
        layers, _ = tasks.parse_model(_recipe(architecture), ch=3, verbose=False)
        _fit_head(layers[-1], architecture)
    return {f"model.{name}": tuple(tensor.shape) for name, tensor in layers.state_dict().items()}


def _recipe(architecture: Architecture) -> dict[str, Any]:
    """Return what ultralytics builds a network from."""
    return _layers(architecture) | {
        "scale": architecture.scale,
        "nc": architecture.class_width or architecture.classes,
        "reg_max": architecture.reg_max,
    }


def _fit_head(head: Any, architecture: Architecture) -> None:
    """Take from a head what only training needs, and give it the vocabulary of a YOLOE."""
    if hasattr(head.proto, "fuse"):
        head.proto.fuse()
    if not architecture.is_yoloe:
        return
    head.nc, head.no = architecture.classes, architecture.classes + 4 * architecture.reg_max
    for level, branch in enumerate(head.cv3):
        width = branch[-1].in_channels
        vocab = torch.nn.Conv2d(width, architecture.classes, 1)
        branch[-1] = Filtered(vocab) if architecture.filtered and level < 2 else vocab


class Filtered(torch.nn.Module):
    """How likely each class of a vocabulary is, where there is an object at all.

    Where the likelihood of an object is at most 0.001, as in ultralytics, no class is.
    """

    LEAST = -6.907  # the logit of 0.001
    NOTHING = -30.0

    def __init__(self, vocab: torch.nn.Conv2d) -> None:
        super().__init__()
        self.vocab = vocab
        self.objectness = torch.nn.Conv2d(vocab.in_channels, 1, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, C, h, w) logits of features (B, D, h, w)."""
        likely = self.objectness(features) > self.LEAST
        return torch.where(likely, self.vocab(features), self.NOTHING)


@cache
def opencv() -> Any:
    """Return the `cv2` module, which comes with ultralytics, imported contained."""
    with _LOCK, contained():
        import cv2
    return cv2


def fused(model: torch.nn.Module) -> torch.nn.Module:
    """Return a network in evaluation mode, each batch normalisation folded into its convolution.

    The network given must not be used any more.
    """
    network: torch.nn.Module = model.eval().fuse(verbose=False)  # type: ignore[operator]
    return network


@cache
def _tasks() -> Any:
    """Import ultralytics' networks; the first time, contained."""
    with _LOCK, contained():
        import ultralytics.nn.tasks

        settings = ultralytics.settings
        if settings["sync"] and settings.file.is_relative_to(_settings_folder()):
            settings.update(sync=False)
    return ultralytics.nn.tasks


def _layers(architecture: Architecture) -> dict[str, Any]:
    """Read a network's layers from the installed package.

    By its name alone, ultralytics would take a file of the working folder first, and run as Python
    what that gives for an activation.
    """
    from ultralytics.utils import ROOT, YAML

    version = architecture.version
    scale = architecture.scale if version == "v9" else ""
    recipe = YAML.load(ROOT / "cfg" / "models" / version / f"yolo{version}{scale}-seg.yaml")
    kept = ("scales", "backbone", "head")
    return {key: recipe[key] for key in kept if key in recipe}


def read_yaml(path: Path) -> Any:
    """Return what a file of YAML says, in plain data."""
    _tasks()
    from ultralytics.utils import YAML

    return YAML.load(path)


@contextmanager
def contained() -> Iterator[None]:
    """Let the body import ultralytics, and put back whatever the import changes."""
    # Torch and PIL are imported above, so what is noted here is the process's own.
    with ExitStack() as after:
        after.enter_context(restored_environment(_VARIABLES))
        os.environ.update(_QUIET, YOLO_CONFIG_DIR=str(_settings_folder()))
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
        after.callback(torch.set_num_threads, torch.get_num_threads())
        after.callback(np.set_printoptions, **np.get_printoptions())
        after.callback(torch.set_printoptions, **asdict(torch._tensor_str.PRINT_OPTS))
        after.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        import cv2

        after.callback(cv2.setNumThreads, cv2.getNumThreads())
        for owner, names in (
            (torch, ("save",)),
            (PIL.Image, ("open",)),
            (cv2, ("imread", "imwrite", "imshow")),
        ):
            for name in names:
                after.callback(setattr, owner, name, getattr(owner, name))
        yield


@contextmanager
def restored_environment(names: Sequence[str]) -> Iterator[None]:
    """Set environment variables to what they were, once the body is done."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def _settings_folder() -> Path:
    """Return a folder of ours for ultralytics' settings file, the same throughout the process."""
    folder = cache_dir() / "ultralytics"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home, as on some clusters
        folder = Path(tempfile.mkdtemp(prefix="napari-fastsam-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
