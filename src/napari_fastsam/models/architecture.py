"""Which network a set of weights belongs to, read off the names and shapes of its tensors alone.

Supported are YOLOv8 segmentation networks, which FastSAM is: scales n, s, m, l and x, any number
of classes, any number of bins per box side (``reg_max``; 16 in most, 26 in FastSAM-x). Their names
and shapes are worked out here. Those of YOLOv9, 11, 12 and 26, and of YOLOE, are what ultralytics
defines, built without memory for weights: what a file claims costs nothing.

References
----------
.. [1] Zhao et al. 2023, "Fast Segment Anything", arXiv 2306.12156.
.. [2] The network's definition, ``yolov8-seg.yaml``: https://docs.ultralytics.com/models/yolov8
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from napari_fastsam.models._branches import FILTER, head_of, needed_shapes
from napari_fastsam.models._refusal import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Shapes = Mapping[str, tuple[int, ...]]

# (share of the repeats, share of the channels, most channels before that share is taken)
_SCALES = {
    "n": (1 / 3, 0.25, 1024),
    "s": (1 / 3, 0.50, 1024),
    "m": (2 / 3, 0.75, 768),
    "l": (1.0, 1.00, 512),
    "x": (1.0, 1.25, 512),
}
_MASK_COEFFICIENTS = 32
_CLASS_WIDTH = 100  # the most channels that a number of classes asks for
_REG_MAX_RANGE = range(1, 65)
_CLASS_RANGE = range(1, 10_001)

SUPPORTED = (
    "a segmentation network: FastSAM-s, FastSAM-x, a YOLOv8, v9, 11, 12 or 26 -seg, or a YOLOE -seg"
)

_STEMS = {"n": 16, "s": 32, "m": 64, "l": 64, "x": 96}
_VERSIONS = (  # (version, the head's layer, channels of the first convolution by scale)
    ("v8", 22, {"n": 16, "s": 32, "m": 48, "l": 64, "x": 80}),
    ("v9", 22, {"c": 64}),
    ("v9", 42, {"e": 64}),
    ("11", 23, _STEMS),
    ("12", 21, _STEMS),
    ("26", 23, _STEMS),
)


class _Shaped(Protocol):
    @property
    def shape(self) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class Architecture:
    """A YOLO segmentation network, told apart from its siblings.

    Parameters
    ----------
    scale
        ``"n"``, ``"s"``, ``"m"``, ``"l"`` or ``"x"``; of YOLOv9 ``"c"`` or ``"e"``.
    reg_max
        Bins per box side in the box branch.
    classes
        Number of classes that the weights were trained for; FastSAM has one.
    version
        Generation of the network: ``"v8"``, ``"v9"``, ``"11"``, ``"12"`` or ``"26"``.
    class_width
        Channels from which classes are told, where they are not as many as usual: in a YOLOE.
    filtered
        Whether it says where an object is at all before it says of which class, as a YOLOE for
        use without prompts does.

    Examples
    --------
    >>> print(Architecture("x", reg_max=26, classes=1))
    YOLOv8x-seg, reg_max 26, 1 class
    """

    scale: str
    reg_max: int = 16
    classes: int = 1
    version: str = "v8"
    class_width: int | None = None
    filtered: bool = False

    def __str__(self) -> str:
        plural = "class" if self.classes == 1 else "classes"
        name = f"YOLO{'E-' if self.is_yoloe else ''}{self.version}{self.scale}-seg"
        return f"{name}, reg_max {self.reg_max}, {self.classes} {plural}"

    @property
    def is_yoloe(self) -> bool:
        """Whether it tells classes from as many channels as only a YOLOE does, or filters them."""
        return self.filtered or self.class_width is not None


def recognise(state: Mapping[str, _Shaped]) -> Architecture:
    """Return the architecture that tensors belong to, having checked every name and shape.

    Parameters
    ----------
    state
        Anything with a ``shape`` by name, as in ``module.state_dict()``.

    Raises
    ------
    CheckpointError
        If it is no supported network, or one whose tensors are missing, left over or misshapen.
    """
    return recognise_shapes({name: tuple(tensor.shape) for name, tensor in state.items()})


def recognise_shapes(shapes: Shapes) -> Architecture:
    """Return the architecture of tensors of which only the shapes are known; see `recognise`."""
    found = needed_shapes(shapes)
    guesses = list(_guesses(found))
    for architecture in guesses:
        if expected_shapes(architecture) == found:
            return architecture
    if not guesses:
        raise CheckpointError.because(
            SUPPORTED,
            f"the tensors are those of {_describe(shapes)}",
            "Use the checkpoint of a segmentation network, as its training wrote it.",
        )
    closest = max(guesses, key=lambda guess: len(found.items() & expected_shapes(guess).items()))
    _compare(found, expected_shapes(closest), closest)
    return closest


def _guesses(shapes: Shapes) -> Iterator[Architecture]:
    """Yield the networks that tensors could be of, by those of the head and the first width."""
    head = head_of(shapes)
    filtered = f"{head}cv3.0.2.{FILTER}.weight" in shapes
    last = f"{head}cv3.0.2.vocab.weight" if filtered else f"{head}cv3.0.2.weight"
    boxes, classes = shapes.get(f"{head}cv2.0.2.weight", ()), shapes.get(last, ())
    stem = shapes.get("model.0.conv.weight") or shapes.get("model.1.conv.weight", ())
    if not head or [len(stem), len(boxes), len(classes)] != [4, 4, 4] or boxes[0] % 4:
        return
    bins, (count, width) = boxes[0] // 4, classes[:2]
    inputs = (*shapes.get(f"{head}cv2.0.0.conv.weight", ()), 0, 0)[1]
    if bins not in _REG_MAX_RANGE or count not in _CLASS_RANGE:
        return
    usual = width == max(inputs, min(count, _CLASS_WIDTH))
    if not usual and width > _CLASS_WIDTH:
        return
    for version, layer, stems in _VERSIONS:
        for scale, first in stems.items():
            if head == f"model.{layer}." and first == stem[0]:
                yield Architecture(scale, bins, count, version, None if usual else width, filtered)


@lru_cache(maxsize=8)
def expected_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a network, by its name in ``state_dict()``."""
    if architecture.is_yoloe or architecture.version != "v8":
        from napari_fastsam.models._ultralytics import shapes_of

        return shapes_of(architecture)
    share, width, most = _SCALES[architecture.scale]

    def channels(full: int) -> int:
        return -(-int(min(full, most) * width) // 8) * 8

    def repeats(full: int) -> int:
        return max(1, round(full * share))

    c1, c2, c3, c4, c5 = (channels(full) for full in (64, 128, 256, 512, 1024))
    layers = [
        _conv("0", 3, c1, 3),
        _conv("1", c1, c2, 3),
        _c2f("2", c2, c2, repeats(3)),
        _conv("3", c2, c3, 3),
        _c2f("4", c3, c3, repeats(6)),
        _conv("5", c3, c4, 3),
        _c2f("6", c4, c4, repeats(6)),
        _conv("7", c4, c5, 3),
        _c2f("8", c5, c5, repeats(3)),
        _conv("9.cv1", c5, c5 // 2, 1),
        _conv("9.cv2", c5 // 2 * 4, c5, 1),
        _c2f("12", c5 + c4, c4, repeats(3)),
        _c2f("15", c4 + c3, c3, repeats(3)),
        _conv("16", c3, c3, 3),
        _c2f("18", c3 + c4, c4, repeats(3)),
        _conv("19", c4, c4, 3),
        _c2f("21", c4 + c5, c5, repeats(3)),
        _head(architecture, (c3, c4, c5), channels(256)),
    ]
    return {f"model.{name}": shape for layer in layers for name, shape in layer}


def _conv(
    name: str, inputs: int, outputs: int, kernel: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name a convolution without bias, then batch normalisation."""
    yield f"{name}.conv.weight", (outputs, inputs, kernel, kernel)
    for statistic in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.bn.{statistic}", (outputs,)
    yield f"{name}.bn.num_batches_tracked", ()


def _c2f(name: str, inputs: int, outputs: int, count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name a stage: split in two halves, `count` bottlenecks in a row, everything joined."""
    half = outputs // 2
    yield from _conv(f"{name}.cv1", inputs, 2 * half, 1)
    yield from _conv(f"{name}.cv2", (2 + count) * half, outputs, 1)
    for i in range(count):
        yield from _conv(f"{name}.m.{i}.cv1", half, half, 3)
        yield from _conv(f"{name}.m.{i}.cv2", half, half, 3)


def _head(
    architecture: Architecture, inputs: tuple[int, int, int], prototypes: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name boxes, classes and mask coefficients at three strides, and the mask prototypes."""
    first, boxes, classes = inputs[0], 4 * architecture.reg_max, architecture.classes
    branches = {
        "cv2": (max(16, first // 4, boxes), boxes),
        "cv3": (max(first, min(classes, 100)), classes),
        "cv4": (max(first // 4, _MASK_COEFFICIENTS), _MASK_COEFFICIENTS),
    }
    for branch, (hidden, outputs) in branches.items():
        for i, channels in enumerate(inputs):
            name = f"22.{branch}.{i}"
            yield from _conv(f"{name}.0", channels, hidden, 3)
            yield from _conv(f"{name}.1", hidden, hidden, 3)
            yield f"{name}.2.weight", (outputs, hidden, 1, 1)
            yield f"{name}.2.bias", (outputs,)
    yield "22.dfl.conv.weight", (1, architecture.reg_max, 1, 1)
    yield from _conv("22.proto.cv1", first, prototypes, 3)
    yield "22.proto.upsample.weight", (prototypes, prototypes, 2, 2)
    yield "22.proto.upsample.bias", (prototypes,)
    yield from _conv("22.proto.cv2", prototypes, prototypes, 3)
    yield from _conv("22.proto.cv3", prototypes, _MASK_COEFFICIENTS, 1)


def _describe(shapes: Shapes) -> str:
    """Say in a few words what tensors could be of, for people who picked the wrong file."""
    layers = [
        int(found[1]) for name in shapes if (found := re.match(r"model\.([0-9]{1,3})\.", name))
    ]
    if not layers:
        return f"something else ({_few(shapes)})" if shapes else "nothing: there are none"
    count = max(layers) + 1
    last = {name for name in shapes if name.startswith(f"model.{count - 1}.")}
    masks = any(".proto." in name for name in last)
    head = f"a network of {count} layers {'with' if masks else 'without'} mask prototypes"
    if any(name.endswith(".conv.bias") for name in shapes):
        return f"{head}, whose batch normalisation was fused away"
    if not masks:
        return f"{head}: it {_purpose(last)}"
    return f"{head}, as in YOLOv5" if count == 25 else head


def _purpose(last: Iterable[str]) -> str:
    """Say what a network does whose last layer has these tensors, and no masks."""
    layers = {name.split(".", 2)[-1] for name in last}
    for part, does in (
        ("linear.", "classifies whole images"),
        ("cv4.0.logit_scale", "waits for words (YOLO-World)"),
        ("cv4.0.", "finds poses or turned boxes"),
        ("cv3.0.", "finds boxes alone"),
    ):
        if any(layer.startswith(part) for layer in layers):
            return does
    return "does something else"


def _compare(found: Shapes, expected: Shapes, architecture: Architecture) -> None:
    """Refuse tensors that are missing, left over or misshapen."""
    faults = []
    if missing := sorted(expected.keys() - found.keys()):
        faults.append(f"{len(missing)} tensors are missing ({_few(missing)})")
    if extra := sorted(found.keys() - expected.keys()):
        faults.append(f"{len(extra)} do not belong to it ({_few(extra)})")
    if wrong := sorted(n for n in expected.keys() & found.keys() if expected[n] != found[n]):
        told = (f"{name} is {found[name]}, not {expected[name]}" for name in wrong[:2])
        faults.append(f"{len(wrong)} have another shape ({'; '.join(told)})")
    if faults:
        raise CheckpointError.because(
            f"the {len(expected)} tensors of {architecture}",
            "of those in the file " + ", ".join(faults),
            f"The file is damaged or no supported model; supported is {SUPPORTED}.",
        )


def _few(names: Iterable[str]) -> str:
    """Return the first two names."""
    listed = [shown(name) for name in itertools.islice(names, 3)]
    return ", ".join(listed[:2]) + (", …" if len(listed) > 2 else "")
