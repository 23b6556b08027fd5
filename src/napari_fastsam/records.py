"""What was done, in plain numbers and words: JSON in, values out, and back again without loss."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.cleanup import Cleanup
from napari_fastsam.history import Edit
from napari_fastsam.instances import Instances
from napari_fastsam.matching import least_likeness
from napari_fastsam.planes import Display
from napari_fastsam.prompts import ALONE, Prompts
from napari_fastsam.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Mapping


_SEARCH = ("text", "similar", "threshold", "top_k")


def plain(**values: Any) -> dict[str, Any]:
    """Return values as JSON knows them; those that are None or say nothing are left out."""
    return {
        name: _plain(value)
        for name, value in values.items()
        if value is not None and not (isinstance(value, Cleanup) and not value)
    }


def _plain(value: Any) -> Any:
    """Return one value as JSON knows it."""
    if isinstance(value, Prompts):
        return prompts_to_json(value)
    if isinstance(value, Cleanup):
        return {name: _plain(number) for name, number in asdict(value).items() if number}
    if isinstance(value, Edit):
        return edit_to_json(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return value


def prompts_to_json(prompts: Prompts) -> dict[str, Any]:
    """Return prompts as JSON knows them; kinds that do not occur are left out."""
    assert prompts.positive is not None
    assert prompts.group is not None
    found: dict[str, Any] = {}
    if len(prompts.points):
        found["points"] = prompts.points.tolist()
        if not prompts.positive.all():
            found["positive"] = prompts.positive.tolist()
        if (prompts.group != ALONE).any():
            found["group"] = prompts.group.tolist()
    if len(prompts.boxes):
        found["boxes"] = prompts.boxes.tolist()
    for name in ("masks", "scribbles"):
        regions: Instances | None = getattr(prompts, name)
        if regions is not None:
            found[name] = [
                {"bbox": box.tolist(), **Runs.of(regions.mask(n).astype(np.uint8)).to_json()}
                for n, box in enumerate(regions.bboxes)
            ]
            found["shape"] = list(regions.shape)
    if prompts.searching:  # with what is the default now, as it may be another one later
        said = {"text": prompts.text, "similar": prompts.similar or None, "top_k": prompts.top_k}
        found |= plain(threshold=least_likeness(prompts), **said)
    return found


def prompts_from_json(plain: Mapping[str, Any]) -> Prompts:
    """Return what `prompts_to_json` wrote."""
    values: dict[str, Any] = {
        name: np.array(plain[name])
        for name in ("points", "positive", "group", "boxes")
        if name in plain
    }
    for name in ("masks", "scribbles"):
        if name in plain:
            masks = [Runs.from_json(region).array().astype(bool) for region in plain[name]]
            boxes = [region["bbox"] for region in plain[name]]
            values[name] = Instances.from_masks(tuple(plain["shape"]), masks, boxes)
    return Prompts(**values, **{name: plain[name] for name in _SEARCH if name in plain})


def instance_to_json(one: Instances) -> dict[str, Any]:
    """Return a single object as JSON knows it: its box, and the runs of its mask."""
    mask = Runs.of(one.mask(0).astype(np.uint8))
    return {"bbox": one.bboxes[0].tolist(), **mask.to_json()}


def instance_from_json(plain: Mapping[str, Any], shape: tuple[int, int]) -> Instances:
    """Return what `instance_to_json` wrote, on a plane (H, W)."""
    mask = Runs.from_json(plain).array().astype(bool)
    return Instances.from_masks(shape, [mask], [plain["bbox"]])


def cleanup_from_json(plain: Mapping[str, Any] | None) -> Cleanup:
    """Return the steps; none of them for nothing."""
    return Cleanup(**(plain or {}))


def display_to_json(display: Display) -> dict[str, Any]:
    """Return how intensities are shown to the network, as JSON knows it."""
    return {name: _plain(value) for name, value in asdict(display).items() if value is not None}


def display_from_json(plain: Mapping[str, Any]) -> Display:
    """Return what `display_to_json` wrote."""
    return Display(**{name: _tuples(value) for name, value in plain.items()})


def edit_to_json(edit: Edit) -> dict[str, Any]:
    """Return an edit as JSON knows it."""
    return {
        "plane": list(edit.index),
        "corner": list(edit.corner),
        "before": edit.before.to_json(),
        "after": edit.after.to_json(),
    }


def edit_from_json(plain: Mapping[str, Any]) -> Edit:
    """Return what `edit_to_json` wrote."""
    row, column = plain["corner"]
    return Edit(
        tuple(plain["plane"]),
        (row, column),
        Runs.from_json(plain["before"]),
        Runs.from_json(plain["after"]),
    )


def _tuples(value: Any) -> Any:
    """Return lists as tuples, which can be compared and hashed."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
