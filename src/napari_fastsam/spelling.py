"""How values are written in a script: as a person would write them."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from napari_fastsam.segmenter import ModelSpec, TextSpec

if TYPE_CHECKING:
    from collections.abc import Mapping


def cleanup_code(told: Mapping[str, Any]) -> str:
    """Return what is tidied."""
    return f"Cleanup({', '.join(f'{name}={text(value)}' for name, value in told.items())})"


def model_code(told: Mapping[str, Any] | None) -> str:
    """Return a model: its name, or more if that was chosen."""
    if told is None:
        return "model=..."  # no file, no name: to be filled in
    spec = ModelSpec.from_record(told)
    if spec == ModelSpec(model=spec.model):
        return text(spec.model)
    return f"fs.{call_code(spec, ModelSpec())}"


def scorer_code(spec: TextSpec) -> str:
    """Return what compares objects with words: its name, or more if that was chosen."""
    if spec == TextSpec(model=spec.model):
        return text(spec.model)
    return f"fs.{call_code(spec, TextSpec())}"


def call_code(value: Any, default: Any) -> str:
    """Return what makes a dataclass, without what is the default."""
    said = [
        f"{item.name}={text(getattr(value, item.name))}"
        for item in fields(value)
        if getattr(value, item.name) != getattr(default, item.name)
    ]
    return f"{type(value).__name__}({', '.join(said)})"


class Code(str):
    """What is written as it is."""


def text(value: Any) -> str:
    """Return a value as a person would write it: whole numbers without a point."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, tuple):
        inner = ", ".join(text(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(text(item) for item in value)}]"
    return repr(value)
