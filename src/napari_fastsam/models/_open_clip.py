"""Decides what of open_clip is used: its networks' definition, its vocabulary, its tables of names.

Its import takes seconds and sets a variable of the environment, so it is put off until words are
first asked for, and the variable is put back. Nothing of it that downloads is ever called.
"""

from __future__ import annotations

import threading
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_fastsam.models._triton import without_triton
from napari_fastsam.models._ultralytics import restored_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOCK = threading.Lock()
_VARIABLES = ("TOKENIZERS_PARALLELISM",)


def architectures() -> dict[str, Path]:
    """Return the file of each architecture that open_clip knows, by its name; imports nothing."""
    spec = find_spec("open_clip")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model_configs"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def pretrained(architecture: str) -> dict[str, dict[str, Any]]:
    """Return what open_clip knows of the weights of an architecture, by their tags."""
    known = _open_clip().pretrained
    tags = known.list_pretrained_tags_by_model(architecture)
    return {tag: known.get_pretrained_cfg(architecture, tag) for tag in tags}


def bare_network(config: Mapping[str, Any]) -> torch.nn.Module:
    """Return the network of a configuration, whose tensors have shapes and no numbers."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: torch.nn.Module = _open_clip().model.CLIP(**config)
    return network.eval().requires_grad_(False)


@cache
def tokenizer() -> Any:
    """Return what cuts a text into the tokens of CLIP's vocabulary."""
    return _open_clip().tokenizer.SimpleTokenizer()


@cache
def _open_clip() -> Any:
    """Import open_clip, the first time contained."""
    with _LOCK, restored_environment(_VARIABLES), without_triton(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import open_clip  # type: ignore[import-untyped]
    return open_clip
