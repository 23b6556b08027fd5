"""What was done to labels, as a Python script that a person can read, change and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.canvas import ArrayCanvas
from napari_fastsam.origins import record_of
from napari_fastsam.planes import Display, PlaneAxes
from napari_fastsam.records import display_from_json, prompts_from_json
from napari_fastsam.runs import Runs
from napari_fastsam.sources import scorer_spec
from napari_fastsam.spelling import Code, call_code, cleanup_code, model_code, scorer_code, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_READERS = {
    ".tif": ("import tifffile", "tifffile.imread"),
    ".tiff": ("import tifffile", "tifffile.imread"),
    ".npy": ("import numpy as np", "np.load"),
    ".zarr": ("import zarr", "zarr.open"),
    ".png": ("from skimage.io import imread", "imread"),
    ".jpg": ("from skimage.io import imread", "imread"),
    ".jpeg": ("from skimage.io import imread", "imread"),
}


def as_script(layer: Any, *, output: str = "labels.tif") -> str:
    """Return a Python script that makes the same labels through the public functions.

    Parameters
    ----------
    layer
        A Labels layer that was made with the dock widget, or what `provenance` returned.
    output
        The file that the script writes.

    Raises
    ------
    ValueError
        If nothing says how the labels came about.

    Notes
    -----
    An image that was not opened from a file has to be filled in: the script says where. Planes that
    no step touched are background in what the script writes, whatever they held.
    """
    return _Writer(record_of(layer)).script(output)


class _Writer:
    """Writes a script line by line, and keeps in mind what running it will have done so far."""

    def __init__(self, provenance: Mapping[str, Any]) -> None:
        self._told = provenance
        self._sources: Sequence[Mapping[str, Any]] = provenance["sources"]
        self._imports = {"import napari_fastsam as fs", "import tifffile"}
        self._lines: list[str] = []
        self._names: list[str] = []
        self._indent = ""
        self._source = 0
        self._next = 1
        self._looked: dict[tuple[int, tuple[int, ...]], Any] = {}
        self._looks_noted = '"looked"' in json.dumps(provenance["steps"])

    def script(self, output: str) -> str:
        """Return all of it."""
        self._read_images()
        self._say("")
        if self._sources:
            self._say(f"work = fs.Labelling.of({self._seen(0)})")
        else:  # nothing says what was chosen from
            shape, letters = tuple(self._told["labels"]["shape"]), self._told["labels"]["axes"]
            self._say(f"image = ...  # put here the array of the image, {shape}")
            self._say(f'work = fs.Labelling.of(image, model=..., axes="{letters}")')
        strokes = list(_start(self._told))
        if strokes:
            self._say("# What was there before: labels, and how often each repeats row by row.")
            self._paint({"edits": strokes})
        for step in self._told["steps"]:
            self._do(step)
        head = f'"""Labels made with napari-fastsam {self._told.get("package", "")}."""'
        imports = sorted(self._imports, key=lambda line: (line.startswith("from"), line))
        last = f'tifffile.imwrite({text(output)}, work.labels, photometric="minisblack")'
        return "\n".join([head, "", *imports, "", *self._lines, "", last, ""])

    def _say(self, line: str) -> None:
        """Write a line."""
        self._lines.append(self._indent + line if line else "")

    def _call(self, name: str, *said: str, **options: Any) -> None:
        """Write a call on the work; options that are None are left out."""
        said += tuple(f"{n}={text(value)}" for n, value in options.items() if value is not None)
        self._say(f"work.{name}({', '.join(said)})")

    def _read_images(self) -> None:
        """Write the lines that read the images, each once."""
        met: dict[str, str] = {}
        for source in self._sources:
            image = source["image"]
            key = json.dumps(image, sort_keys=True)
            if key not in met:
                met[key] = f"image_{len(met) + 1}" if met else "image"
                self._read(met[key], image)
            self._names.append(met[key])

    def _read(self, name: str, image: Mapping[str, Any]) -> None:
        """Write what reads an image, and makes one of several, or of its channels."""
        if "levels" in image or not ("colours" in image or "array" in image):
            self._say(f"{name} = {self._reading(image)}")
        elif "array" in image:
            self._imports.add("from napari_fastsam.composite import Channel, Composite")
            self._say(f"{name} = {self._reading({**image, 'shape': image['array']})}")
            axis, kept = image["channel_axis"], image["kept"]
            parts = [
                None if n is None else Code(f"Channel({name}, {axis}, {n}, {kept})")
                for n in image["channels"]
            ]
            self._say(f"{name} = Composite({text(tuple(parts))})")
        else:
            self._imports.add("from napari_fastsam.composite import Composite")
            parts = []
            for n, colour in enumerate(image["colours"], 1):
                parts.append(None if colour is None else Code(f"{name}_colour_{n}"))
                if colour is not None:
                    told = {"dtype": image["dtype"], "shape": image["shape"][:-1], **colour}
                    self._say(f"{parts[-1]} = {self._reading(told)}")
            self._say(f"{name} = Composite({text(tuple(parts))})")

    def _reading(self, image: Mapping[str, Any]) -> str:
        """Return what reads the array of an image."""
        path = image.get("path")
        ending = Path(path).suffix.lower() if path else ""
        if path and ending in _READERS and "levels" not in image:
            needed, call = _READERS[ending]
            self._imports.add(needed)
            return f"{call}({text(path)})"
        shapes = [tuple(shape) for shape in (image["shape"], *image.get("levels", ()))]
        if len(shapes) > 1:
            return f"...  # put here the arrays of {image['name']!r}, a list: {shapes}"
        return f"...  # put here the array of {image['name']!r}, {shapes[0]}, {image['dtype']}"

    def _seen(self, number: int) -> str:
        """Return the parameters that say what is chosen from."""
        source = self._sources[number]
        display = display_from_json(source["display"])
        model = model_code(source.get("model"))
        if "candidates" in source:
            model = "fs.FromLabels(...)"  # of a layer: nobody knows where its array is from
        said = [self._names[number], model, f'axes="{source["axes"]}"']
        if display != Display():
            said.append(f"display=fs.{call_code(display, Display())}")
        if self._looks_noted or not source.get("closer", True):
            said.append("closer=False")
        scorer = scorer_spec(source)
        if scorer is not None:
            said.append(f"scorer={scorer_code(scorer)}")
        return ", ".join(said)

    def _do(self, step: Mapping[str, Any]) -> None:
        """Write one step."""
        if step["do"] == "together":
            self._say("with work.together():")
            before, self._indent = self._indent, self._indent + "    "
            for part in step["steps"]:
                self._do(part)
            self._indent = before
            return
        number = step.get("source", 0)
        if number != self._source and number < len(self._sources):
            self._source = number
            self._call("see", self._seen(number))
        looked = step.get("looked", ())
        if step["do"] != "run" and "looked" in step:
            looked = [{"plane": step["plane"], "windows": looked}]
        for part in looked:
            self._look(tuple(part["plane"]), part["windows"])
        getattr(self, "_" + step["do"].replace(" ", "_"))(step)

    def _look(self, plane: tuple[int, ...], windows: Sequence[Sequence[int]]) -> None:
        """Write where the network looked closer, if it did since the last step on the plane."""
        if list(windows) != self._looked.get((self._source, plane), []):
            self._looked[self._source, plane] = list(windows)
            parts = ", ".join(text(tuple(window)) for window in windows)
            self._say("# The network looked closer at these parts (row, column to row, column).")
            self._call("candidates.look", f"[{parts}]", plane=plane or None)

    def _take(self, step: Mapping[str, Any]) -> None:
        """Write what prompts asked for."""
        labels = step["labels"]
        named = [label for label in labels if label is not None]
        given: Any = None
        searched = prompts_from_json(step["prompts"]).searching
        row = list(range(min(named), min(named) + len(named))) if named else []
        if named and (searched or (named == row and named[0] >= self._next)):
            self._skip_to(min(named))
        elif named:
            given = labels
        self._next = max([self._next, *(label + 1 for label in named)])
        self._call(
            "take",
            self._prompts(step["prompts"]),
            **self._where(step),
            labels=given,
            choices=step.get("choices"),
            without=step.get("without"),
            **_how(step),
        )

    def _remove(self, step: Mapping[str, Any]) -> None:
        """Write that objects were taken away."""
        self._call("remove", text(step["labels"]), **self._where(step))

    def _spread(self, step: Mapping[str, Any]) -> None:
        """Write that a label has objects on several planes."""
        self._call("spread", text(step["label"]))

    def _extend(self, step: Mapping[str, Any]) -> None:
        """Write that an object went on to another plane."""
        found = {name: step[name] for name in ("bbox", "shape", "runs")}
        self._next = max(self._next, step["label"] + 1)
        self._call("extend", text(step["label"]), repr(found), **self._where(step), **_how(step))

    def _give_back(self, step: Mapping[str, Any]) -> None:
        """Write that a label was given back."""
        self._call("give_back", text(step["label"]), **self._where(step))

    def _everything(self, step: Mapping[str, Any]) -> None:
        """Write that everything was taken."""
        numbers = [number for _, number in step["numbers"]]
        if numbers:
            self._skip_to(min(numbers))
            self._next = max(numbers) + 1
        self._call("everything", **self._where(step), **step["how"], **_how(step))

    def _clean(self, step: Mapping[str, Any]) -> None:
        """Write that a plane was tidied."""
        self._call("clean", f"fs.{cleanup_code(step['cleanup'])}", **self._where(step))

    def _paint(self, step: Mapping[str, Any]) -> None:
        """Write what was painted by hand."""
        self._next = max([self._next, *(max(e["after"]["runs"][::2]) + 1 for e in step["edits"])])
        self._say("work.paint([")
        for edit in step["edits"]:
            self._say(f"    {edit!r},")
        self._say("])")

    def _run(self, step: Mapping[str, Any]) -> None:
        """Write a run over many planes: as one call, or, if others came in between, as it was."""
        pairs = [plane for plane in step["numbers"] if plane]
        new = list(dict.fromkeys(n for plane in pairs for _, n in plane))
        fresh = [n for n in new if n >= self._next]
        first = fresh[0] if fresh else self._next
        whole = fresh == list(range(first, first + len(fresh))) and len(fresh) == len(new)
        if None in step["numbers"] or step.get("edits") or not whole:
            self._imports.add("from napari_fastsam.replaying import run_again")
            self._say(f"run_again(work, {dict(step)!r})")
        else:
            self._skip_to(first)
            came = step["planes"][: len(step["numbers"])]  # others are in a later part of the run
            asked = step.get("prompts", ())
            prompts = ", ".join(
                f"{text(tuple(part['plane']))}: {self._prompts(part['prompts'])}"
                for part in asked
                if part["plane"] in came
            )
            known = ("confidence", "min_area", "max_area", "link")
            options = {name: step[name] for name in known if step.get(name) not in (None, False)}
            said = [f"prompts={{{prompts}}}"] if asked else []
            planes = [tuple(plane) for plane in came]
            labels = self._told["labels"]
            every = list(PlaneAxes(labels["axes"], tuple(labels["shape"])).indices())
            if planes != every or step.get("axes") is not None:
                said.insert(0, text(planes))
            self._call("segment", *said, **options, **_how(step))
        self._next = max([self._next, *(n + 1 for n in new)])

    def _skip_to(self, number: int) -> None:
        """Write that numbers are left out, where they were given to what was undone."""
        if number > self._next:
            self._call("skip", text(number - 1))

    def _where(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Return the plane of a step, if there are several."""
        return {"plane": tuple(step["plane"]) or None}

    def _prompts(self, told: Mapping[str, Any]) -> str:
        """Return prompts as a person would write them."""
        if "masks" in told or "scribbles" in told:
            self._imports.add("from napari_fastsam.records import prompts_from_json")
            return f"prompts_from_json({dict(told)!r})"
        said = [
            f"{name}=[{', '.join(text(tuple(row)) for row in told[name])}]"
            for name in ("points", "boxes")
            if name in told
        ]
        rest = ("positive", "group", "text", "similar", "threshold", "top_k")
        said += [f"{n}={text(told[n])}" for n in rest if n in told]
        return f"fs.Prompts({', '.join(said)})"


def _start(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield, as strokes, what planes held before the first step."""
    starts = told["start"]
    if not any(any(start["runs"][::2]) for start in starts):
        return
    shape, letters = tuple(told["labels"]["shape"]), told["labels"]["axes"]
    array: NDArray[Any] = np.zeros(shape, told["labels"]["dtype"])
    for start in reversed(starts):  # the first one of a pixel is the one before all steps
        canvas = ArrayCanvas(array, PlaneAxes(start.get("axes", letters), shape))
        whole = (slice(None), slice(None))
        canvas.write(tuple(start["plane"]), whole, Runs.from_json(start).array())
    canvas = ArrayCanvas(array, PlaneAxes(letters, shape))
    for plane in canvas.axes.indices():
        values = canvas.read(plane)
        if values.any():
            nothing = Runs.of(np.zeros_like(values)).to_json()
            there = Runs.of(values).to_json()
            yield {"plane": list(plane), "corner": [0, 0], "before": nothing, "after": there}


def _how(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return how objects get into the labels, where it is not the default."""
    existing, cleanup = step.get("existing", "keep"), step.get("cleanup")
    return {
        "existing": None if existing == "keep" else existing,
        "cleanup": None if cleanup is None else Code(f"fs.{cleanup_code(cleanup)}"),
    }
