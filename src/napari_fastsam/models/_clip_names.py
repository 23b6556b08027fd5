"""What a CLIP is called, and where its file is: open_clip's names, or the path of a checkpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_fastsam._checks import fail_if
from napari_fastsam.models._clip_config import checked_config
from napari_fastsam.models.registry import HUB, TEXT_MODELS, Model, model_path

if TYPE_CHECKING:
    from typing import Any

FILENAME = "open_clip_model.safetensors"
"""What open_clip calls weights on the hub."""


class Named(NamedTuple):
    """An architecture of open_clip and the tag of its weights, as a table of the registry's row.

    Parameters
    ----------
    model
        Where the file is.
    architecture, tag
        open_clip's names.
    """

    model: Model
    architecture: str
    tag: str

    @property
    def about(self) -> dict[str, Any]:
        """What open_clip knows of these weights: mean, std, quick_gelu and others."""
        from napari_fastsam.models._open_clip import pretrained

        return pretrained(self.architecture)[self.tag]


_USUAL_TAGS = {"ViT-B-32": "laion2b_s34b_b79k"}


def find(name: str) -> Named | Path:
    """Return the weights that a name stands for.

    Parameters
    ----------
    name
        The path of a checkpoint, an architecture of open_clip, or ``"architecture/tag"``.
        ``"ViT-B/32"``, as others write it, is understood.

    Raises
    ------
    FileNotFoundError
        If there is no such architecture and no such file.
    ValueError
        If there are no such weights of the architecture.
    """
    if Path(name).is_file():
        return Path(name)
    found = named(name)
    if found is None:
        raise FileNotFoundError(
            "Expected a CLIP, as ViT-B-32, another architecture of open_clip (ViT-B-16, ViT-L-14) "
            f"or the path of a checkpoint, but there is no file {name}. Check the spelling."
        )
    return found


def named(name: str) -> Named | None:
    """Return the weights of an architecture of open_clip, or ``None`` if it is none.

    Raises
    ------
    ValueError
        If there are no such weights of the architecture, or it cannot be used.
    """
    from napari_fastsam.models._open_clip import architectures, pretrained

    known = architectures()
    whole = name.replace("/", "-")
    architecture, _, tag = (whole, "", "") if whole in known else name.partition("/")
    if architecture not in known:
        return None
    usual = _USUAL_TAGS.get(architecture, "")
    if usual and tag in ("", usual):
        return Named(TEXT_MODELS[architecture], architecture, usual)
    checked_config(json.loads(known[architecture].read_text("utf-8")))  # before it is fetched
    tags = pretrained(architecture)
    tag = tag or next((t for t in tags if t.startswith("laion2b")), next(iter(tags), ""))
    place = tags.get(tag, {}).get("hf_hub", "")
    fail_if(
        not place.endswith("/"),
        f"weights of {architecture}, of which "
        + (f"there are {', '.join(tags)}" if tags else "none are published"),
        f"{name!r}",
        "choose one of these, as architecture/tag, or pass the path of a checkpoint",
    )
    model = Model(
        name=f"{architecture}/{tag}",
        filename=os.path.join("clip", f"{architecture}-{tag}.safetensors"),
        url=f"{HUB}/{place}resolve/main/{FILENAME}",
        licence="NOASSERTION",
        summary=f"CLIP for text prompts; see {HUB}/{place.rstrip('/')}",
    )
    return Named(model, architecture, tag)


def path_of(found: Named | Path) -> Path:
    """Return the file of weights, on this machine.

    Raises
    ------
    FileNotFoundError
        If it was not fetched yet.
    CheckpointError
        If it is not the file that it should be.
    """
    return found if isinstance(found, Path) else model_path(found.model)
