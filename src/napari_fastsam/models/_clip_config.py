"""Which CLIPs can be used, judged by their configuration before anything of that size is made.

The configuration is open_clip's: ``embed_dim``, ``vision_cfg`` and ``text_cfg``, as in the files of
its package and in ``open_clip_config.json`` beside published weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fastsam.models._refusal import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPPORTED = "a CLIP of open_clip with a vision transformer and CLIP's own vocabulary, as ViT-B-32"

_Range = tuple[float, float]
_TOP: dict[str, _Range | type] = {"embed_dim": (1, 8192), "quick_gelu": bool}
_VISION: dict[str, _Range | type | tuple[str, ...]] = {
    "image_size": (8, 1024),
    "patch_size": (1, 128),
    "width": (1, 8192),
    "head_width": (1, 1024),
    "layers": (1, 96),
    "mlp_ratio": (0.1, 16),
    "ls_init_value": (0, 10),
    "patch_dropout": (0, 0.99),
    "no_ln_pre": bool,
    "pool_type": ("tok",),
}
_TEXT: dict[str, _Range | type | tuple[str, ...]] = {
    "context_length": (24, 512),
    "vocab_size": (49408, 49408),
    "width": (1, 8192),
    "heads": (1, 256),
    "layers": (1, 96),
    "mlp_ratio": (0.1, 16),
    "ls_init_value": (0, 10),
    "pool_type": ("argmax",),
}
_WHOLE = (
    *("embed_dim", "image_size", "patch_size", "width", "head_width", "layers", "heads"),
    *("context_length", "vocab_size"),
)
_NO_MATTER = ("init_logit_scale", "custom_text")  # one is a weight, the other is refused if True
_MAX_PATCHES = 4096


def checked_config(config: Any) -> dict[str, Any]:
    """Return a configuration in which everything is known and within bounds.

    Parameters
    ----------
    config
        As read from a stranger's file.

    Raises
    ------
    CheckpointError
        If it is of another kind of network, needs files from the internet, or asks for sizes that
        no CLIP has.
    """
    top = _mapping(config, "its configuration")
    vision = _mapping(top.get("vision_cfg"), "its vision_cfg")
    text = _mapping(top.get("text_cfg"), "its text_cfg")
    rest = {
        key: value
        for key, value in top.items()
        if key not in ("vision_cfg", "text_cfg", *_NO_MATTER)
    }
    if top.get("custom_text"):
        raise _refused("its text side is of another kind")
    checked = _within(rest, _TOP, "") | {
        "vision_cfg": _within(vision, _VISION, "vision_cfg."),
        "text_cfg": _within(text, _TEXT, "text_cfg."),
    }
    sizes = {"image_size": 224, "patch_size": 16, "width": 768, "head_width": 64}
    sizes |= checked["vision_cfg"]
    heads = {"width": 512, "heads": 8} | checked["text_cfg"]
    if (
        "embed_dim" not in checked
        or sizes["image_size"] % sizes["patch_size"]
        or (sizes["image_size"] // sizes["patch_size"]) ** 2 > _MAX_PATCHES
        or sizes["width"] % sizes["head_width"]
        or heads["width"] % heads["heads"]
    ):
        raise _refused("its sizes do not fit each other")
    return checked


def _mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a table of a configuration."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _refused(f"{what} is missing or no table")
    return value


def _within(given: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the settings of a table that are not empty, each of which is known and in bounds."""
    kept = {}
    for key, value in given.items():
        if value is None:
            continue
        allowed = known.get(key)
        if isinstance(allowed, tuple) and not isinstance(allowed[0], str):
            number = type(value) is int or (type(value) is float and key not in _WHOLE)
            fits = number and allowed[0] <= value <= allowed[1]
        elif isinstance(allowed, tuple):
            fits = isinstance(value, str) and value in allowed
        else:
            fits = allowed is not None and isinstance(value, allowed)
        if not fits:
            told = shown(value) if isinstance(value, int | float | str) else type(value).__name__
            raise _refused(f"it asks for {shown(prefix + key)} = {told}")
        kept[key] = value
    return kept


def _refused(arrived: str) -> CheckpointError:
    return CheckpointError.because(
        SUPPORTED,
        arrived,
        "Choose one of these, as ViT-B-32, ViT-B-16 or ViT-L-14, or a checkpoint of one.",
    )
