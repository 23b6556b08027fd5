"""Which CLIP a file holds: every tensor named, shaped and finite as its configuration says.

The configuration of named weights comes with open_clip; that of other files from their own metadata
or from ``open_clip_config.json`` beside them. A file is judged by its content, and nothing in it is
ever run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_fastsam.models._clip_config import SUPPORTED, checked_config
from napari_fastsam.models._clip_names import FILENAME, Named, path_of
from napari_fastsam.models._content import Kind, kind_of
from napari_fastsam.models._open_clip import architectures, bare_network
from napari_fastsam.models._refusal import CheckpointError, shown
from napari_fastsam.models._safetensors import read_safetensors, require_finite
from napari_fastsam.models._torch_file import read_torch_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_FILE = "open_clip_config.json"
"""What open_clip calls the configuration that it writes beside weights."""

_MAX_CONFIG_BYTES = 1 << 16
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # OpenAI's
_Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A CLIP with its weights, float32 on the CPU, in evaluation mode.

    Parameters
    ----------
    network
        An ``open_clip.model.CLIP``.
    config
        What it was built from.
    mean, std
        By which it knows colours, of red, green and blue in [0, 1].
    """

    network: torch.nn.Module
    config: dict[str, Any]
    mean: _Colour
    std: _Colour


def load_clip(found: Named | Path) -> Clip:
    """Read a CLIP.

    Parameters
    ----------
    found
        Named weights, or a file ``.safetensors`` or ``.pt``, the latter of `torch.save` of a
        dictionary of tensors, which is read without running it.

    Raises
    ------
    FileNotFoundError
        If the weights were not fetched yet.
    CheckpointError
        If the file holds no such network, is damaged, or holds more than weights.
    """
    path = path_of(found)
    try:
        kind = kind_of(path)
        about = _about(found) if isinstance(found, Named) else None
        reader = _Reader(path, about)
        if kind is Kind.SAFETENSORS:
            state, _ = read_safetensors(path, reader.check)
        else:
            with path.open("rb") as file:
                state, _ = read_torch_file(file, lambda shapes: reader.check(shapes, {}))
        return reader.build(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error.__cause__


class _Reader:
    """What is known of a file before its tensors are read."""

    def __init__(self, path: Path, about: dict[str, Any] | None) -> None:
        self._path = path
        self._about = about

    def check(self, shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str]) -> None:
        """Refuse tensors that are not those of the configuration."""
        if "visual.conv1.weight" not in shapes:
            raise _another(shapes)
        told = self._about or _told(self._path, metadata)
        self.config = checked_config(told.get("model_cfg"))
        self.mean, self.std = _colours(told.get("preprocess_cfg"))
        self.network = bare_network(self.config)
        expected = {name: tuple(t.shape) for name, t in self.network.state_dict().items()}
        faults = [
            f"{what} ({', '.join(shown(name) for name in names[:2])})"
            for what, names in (
                ("tensors are missing", sorted(expected.keys() - shapes.keys())),
                ("tensors do not belong to it", sorted(shapes.keys() - expected.keys())),
                (
                    "tensors have another shape",
                    sorted(n for n in expected.keys() & shapes.keys() if expected[n] != shapes[n]),
                ),
            )
            if names
        ]
        if faults:
            raise CheckpointError.because(
                "the tensors of the CLIP that the configuration describes",
                "; ".join(faults),
                "The file is damaged, or its configuration is that of another model.",
            )

    def build(self, state: dict[str, torch.Tensor]) -> Clip:
        """Return the network with its weights."""
        if not all(tensor.is_floating_point() for tensor in state.values()):
            raise CheckpointError.because(
                "weights of 16, 32 or 64 bits in floating point",
                "some are of another type",
                "Save the network as it was trained, neither quantised nor converted.",
            )
        weights = {name: tensor.float() for name, tensor in state.items()}
        require_finite(weights)
        self.network.load_state_dict(weights, assign=True)
        length = self.config["text_cfg"].get("context_length", 77)
        # The only tensor that no checkpoint holds: no word sees those after it.
        self.network.attn_mask = torch.full((length, length), -torch.inf).triu(1)
        return Clip(self.network.requires_grad_(False), self.config, self.mean, self.std)


def _about(found: Named) -> dict[str, Any]:
    """Return the configuration that open_clip has for named weights."""
    config = json.loads(architectures()[found.architecture].read_text("utf-8"))
    known = found.about
    config["quick_gelu"] = bool(config.get("quick_gelu") or known.get("quick_gelu"))
    return {"model_cfg": config, "preprocess_cfg": known}


def _told(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration that a file has of itself or beside it."""
    beside = path.with_name(CONFIG_FILE)
    if "model_cfg" in metadata:
        texts = {key: metadata[key] for key in ("model_cfg", "preprocess_cfg") if key in metadata}
        where = "its metadata"
    elif beside.is_file() and beside.stat().st_size <= _MAX_CONFIG_BYTES:
        texts = {"": beside.read_text("utf-8", errors="replace")}
        where = CONFIG_FILE
    else:
        raise CheckpointError.because(
            "weights that say which network they are for",
            f"there is neither model_cfg in its metadata nor {CONFIG_FILE} beside it",
            f"Put {CONFIG_FILE} from where the weights were published into the same folder.",
        )
    try:
        parts = {key: json.loads(text) for key, text in texts.items()}
    except (ValueError, RecursionError) as error:
        raise CheckpointError.because(
            "a configuration as JSON",
            f"that in {where} is none ({shown(error)})",
            "Fetch the file again from where it was published.",
        ) from error
    told = parts.get("", parts)
    return told if isinstance(told, dict) else {}


def _colours(told: Any) -> tuple[_Colour, _Colour]:
    """Return mean and standard deviation of red, green and blue, OpenAI's where none are told."""
    settings = told if isinstance(told, dict) else {}
    mean, std = settings.get("mean", _MEAN), settings.get("std", _STD)
    for values, least in ((mean, 0.0), (std, 1e-3)):
        if not (
            isinstance(values, list | tuple)
            and len(values) == 3
            and all(isinstance(v, int | float) and least <= v <= 1 for v in values)
        ):
            raise CheckpointError.because(
                "mean and std of red, green and blue between 0 and 1",
                f"its preprocess_cfg has {shown(values)}",
                "Correct it as it was when the network was trained.",
            )
    return tuple(mean), tuple(std)


def _another(shapes: Mapping[str, tuple[int, ...]]) -> CheckpointError:
    """Return the error for tensors of some other network."""
    arrived = f"the tensors are those of something else ({shown(next(iter(shapes), 'none'))}, …)"
    remedy = "Pass weights of a CLIP, as published for open_clip."
    if any(name.startswith("model.22.") for name in shapes):
        arrived = "these are the weights of a YOLO network, which finds objects and knows no words"
        remedy = "Pass it as the model, and a CLIP as the text model."
    elif any("text_model." in name or "vision_model." in name for name in shapes):
        arrived = "these are the weights of a CLIP as transformers names them"
        remedy = f"Use those published for open_clip, called {FILENAME}."
    elif any(name.startswith(("visual.trunk.", "visual.layer1.")) for name in shapes):
        arrived = "its image side is no plain vision transformer"
        remedy = "Choose ViT-B-32, ViT-B-16 or ViT-L-14, or a checkpoint of one."
    return CheckpointError.because(SUPPORTED, arrived, remedy)
