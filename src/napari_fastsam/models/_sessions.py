"""Graphs that ONNX Runtime or OpenVINO has read: what goes in, what comes out, what they tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.models._class_names import plain_names
from napari_fastsam.models._refusal import CheckpointError
from napari_fastsam.models._ultralytics import read_yaml
from napari_fastsam.models.conversion import ABOUT, OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MAX_TEXT = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """A graph that a runtime has read; any number of threads may run it.

    Parameters
    ----------
    name
        Of the runtime.
    about
        What the file tells, as text.
    sizes
        Of the input's axes, ``None`` for any.
    dtype
        Of the input.
    outputs
        Their names.
    run
        Returns the outputs for an input.
    """

    name: str
    about: Mapping[str, str]
    sizes: tuple[int | None, ...]
    dtype: type[np.generic]
    outputs: tuple[str, ...]
    run: Callable[[NDArray[Any]], Sequence[NDArray[Any]]]


def onnx_session(path: Path) -> Session:
    """Return the graph of an ``.onnx`` file."""
    from napari_fastsam.models.cpu_runtimes import session

    graph = session(path)
    given, *others = graph.get_inputs()
    if others:
        raise refused(f"one with {len(others) + 1} inputs")
    return Session(
        "ONNX Runtime",
        _told(graph.get_modelmeta().custom_metadata_map),
        tuple(size if type(size) is int else None for size in given.shape),
        np.float16 if "float16" in given.type else np.float32,
        tuple(one.name for one in graph.get_outputs()),
        lambda frames: graph.run(None, {given.name: frames}),
    )


def openvino_session(folder: Path) -> Session:
    """Return the graph of a folder with one ``.xml`` file and the weights beside it."""
    from napari_fastsam.models._openvino import openvino
    from napari_fastsam.models.cpu_runtimes import compiled_model

    found = sorted(folder.glob("*.xml"))
    if len(found) != 1:
        raise refused(f"a folder with {len(found)} .xml files")
    model = openvino().Core().read_model(str(found[0]))
    about = _told(_beside(folder) or _inside(model))
    graph = compiled_model(model)
    given, *others = graph.inputs
    if others:
        raise refused(f"one with {len(others) + 1} inputs")
    names = [one.names for one in graph.outputs]
    own = len(names) == len(OUTPUTS) and all(
        name in of for name, of in zip(OUTPUTS, names, strict=True)
    )

    def run(frames: NDArray[Any]) -> list[NDArray[Any]]:
        outputs = graph.create_infer_request().infer([frames])
        return [outputs[n] for n in range(len(names))]

    return Session(
        "OpenVINO",
        about,
        tuple(None if size.is_dynamic else size.get_length() for size in given.partial_shape),
        np.float16 if given.element_type.get_type_name() == "f16" else np.float32,
        OUTPUTS if own else tuple(min(one, default="") for one in names),
        run,
    )


def refused(
    arrived: str, remedy: str = "Export the segmentation network again with ultralytics."
) -> CheckpointError:
    """Return the error for an export of something else."""
    return CheckpointError.because("an exported segmentation network", arrived, remedy)


def _told(told: Mapping[str, str]) -> dict[str, str]:
    """Return what a file tells of itself, by the names that are known here."""
    own = {name.removeprefix(f"{ABOUT}."): text for name, text in told.items()}
    return {name: text for name, text in own.items() if len(text) <= _MAX_TEXT}


def _beside(folder: Path) -> dict[str, str]:
    """Return what ultralytics writes beside a network: names, sizes and the task."""
    path = folder / "metadata.yaml"
    if not path.is_file() or path.stat().st_size > _MAX_TEXT:
        return {}
    try:
        found = read_yaml(path)
    except Exception:  # whatever the parser trips over
        return {}
    told = found if isinstance(found, dict) else {}
    task, sizes, names = (told.get(name) for name in ("task", "imgsz", "names"))
    sizes = sizes if isinstance(sizes, list) else [sizes]
    about = {"task": task} if isinstance(task, str) else {}
    # Nested lists that refer to each other would be endless as text.
    if len(sizes) <= 2 and all(type(size) is int for size in sizes):
        about["imgsz"] = str(sizes)
    if names := plain_names(names):
        about["names"] = json.dumps(names)
    return about


def _inside(model: Any) -> dict[str, str]:
    """Return what is written into a network of ours."""
    known = ("image_size", "names", "precision")
    return {
        name: model.get_rt_info([ABOUT, name]).astype(str)
        for name in known
        if model.has_rt_info([ABOUT, name])
    }
