"""Which tensors of a checkpoint find candidates, and under which names its network has them.

Left out is what only training or prompts need: the one-to-one branch beside the one-to-many branch
(whose surplus boxes are suppressed here without regard to classes, as FastSAM's are), semantic
segmentation, and what embeds prompts. A YOLOE whose vocabulary is known, by its training, for use
without prompts, or by `set_classes`, becomes a network of that many classes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_fastsam.models._refusal import CheckpointError, damaged, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

    Shape = tuple[int, ...]

EMBEDDINGS = "pe"
"""The attribute in which a YOLOE keeps the vectors of its classes, (1, C, D)."""
FILTER = "objectness"
"""The part of a YOLOE for use without prompts that says where an object is at all."""

_HEADS = (21, 22, 23, 42)
_UNUSED = ("one2one_", "proto.semseg.", "savpe.", "reprta.")
_LRPC = re.compile(r"lrpc\.([012])\.(vocab|pf|loc)\.(weight|bias)")
_EPSILON = 1e-3  # of batch normalisation, in all of ultralytics' networks
_NORM = ("weight", "bias", "running_mean", "running_var")


def head_of(names: Iterable[str]) -> str:
    """Return the beginning of the names of a segmentation head's tensors; "" if there is none."""
    found = {name.partition(".proto.")[0] for name in names if ".proto." in name}
    prefix = found.pop() if len(found) == 1 else ""
    return f"{prefix}." if prefix in {f"model.{n}" for n in _HEADS} else ""


def needed_names(names: Iterable[str]) -> dict[str, str]:
    """Return the names of the tensors that find candidates, by those that their network has."""
    names = list(names)
    head = head_of(names)
    own = [name.removeprefix(head) for name in names if head and name.startswith(head)]
    prompted = any(name.startswith("cv5.") for name in own)
    kept = {name: name for name in names if not head or not name.startswith(head)}
    kept.pop(EMBEDDINGS, None)
    for name in own:
        if not name.startswith(_UNUSED) and (new := _renamed(name, prompted)):
            kept[f"{head}{new}"] = f"{head}{name}"
    return kept


def needed_shapes(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shapes of the tensors that `needed` makes of tensors of these.

    Raises
    ------
    CheckpointError
        If it is a YOLOE that needs a prompt, or whose vocabulary does not fit its layers.
    """
    kept = {new: shapes[old] for new, old in needed_names(shapes).items()}
    for name, shape in kept.items():
        if len(shape) == 2 and (name.endswith(".vocab.weight") or _is_vocabulary(name)):
            kept[name] = (*shape, 1, 1)
    if head := _unset(shapes):
        classes, depth = _vectors(shapes)
        for n in range(3):
            last, contrast = f"{head}cv3.{n}.2.", f"{head}cv4.{n}."
            width = (*shapes.get(f"{last}weight", ()), 0, 0)[1]
            wanted = {f"{last}weight": (depth, width, 1, 1), f"{last}bias": (depth,)}
            wanted |= {f"{contrast}bias": (1,), f"{contrast}logit_scale": ()}
            wanted |= {f"{contrast}norm.{kind}": (depth,) for kind in _NORM}
            if wrong := sorted(name for name in wanted if shapes.get(name) != wanted[name]):
                raise damaged(f"tensor {shown(wrong[0])} does not fit the vocabulary")
            kept |= {f"{last}weight": (classes, width, 1, 1), f"{last}bias": (classes,)}
    return kept


def needed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors that find candidates, under the names that their network has.

    Parameters
    ----------
    state
        Tensors by name whose shapes were found to be right, see `needed_shapes`.
    """
    wanted = needed_shapes({name: tuple(tensor.shape) for name, tensor in state.items()})
    head = _unset(state)
    kept = {}
    for new, old in needed_names(state).items():
        level = re.fullmatch(rf"{re.escape(head)}cv3\.([012])\.2\.(weight|bias)", new)
        if head and level:
            weight, bias = _with_vocabulary(state, head, int(level[1]))
            kept[new] = weight if level[2] == "weight" else bias
        else:
            kept[new] = state[old].reshape(wanted[new])
    return kept


def _renamed(name: str, prompted: bool) -> str:
    """Return what a tensor of a head is called in the head of a plain network; "" for none."""
    if found := _LRPC.fullmatch(name):
        level, part, kind = found.groups()
        if part == "loc":
            return f"cv2.{level}.2.{kind}"
        if level == "2":  # the coarsest level is not filtered
            return f"cv3.{level}.2.{kind}" if part == "vocab" else ""
        return f"cv3.{level}.2.{'vocab' if part == 'vocab' else FILTER}.{kind}"
    if prompted and name.startswith("cv4."):
        return ""
    return f"cv4.{name[4:]}" if name.startswith("cv5.") else name


def _is_vocabulary(name: str) -> bool:
    """Whether a tensor is the last one that tells classes apart."""
    return re.fullmatch(r"model\.\d+\.cv3\.[012]\.2\.weight", name) is not None


def _unset(tensors: Mapping[str, Any]) -> str:
    """Return the head of a YOLOE whose classes are no part of its layers yet; "" for others."""
    head = head_of(tensors)
    return head if head and f"{head}cv4.0.logit_scale" in tensors else ""


def _vectors(shapes: Mapping[str, Shape]) -> tuple[int, int]:
    """Return for how many classes a YOLOE was set, and the length of their vectors."""
    shape = shapes.get(EMBEDDINGS, ())
    if len(shape) != 3 or shape[0] != 1 or not shape[1]:
        raise CheckpointError.because(
            "a YOLOE whose vocabulary is set",
            "the file holds one that waits for a prompt",
            "Use one for use without prompts (`-pf`), or name its classes with `set_classes` of "
            "ultralytics and save it again.",
        )
    return shape[1], shape[2]


def _with_vocabulary(
    state: Mapping[str, torch.Tensor], head: str, level: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight and bias with which a level compares what it sees with each class.

    A convolution, batch normalisation, and products with the classes' vectors of length 1, scaled:
    one after the other they are one convolution.
    """
    import torch

    weight, bias = (state[f"{head}cv3.{level}.2.{kind}"].double() for kind in ("weight", "bias"))
    contrast = f"{head}cv4.{level}."
    gain, shift, mean, variance = (state[f"{contrast}norm.{kind}"].double() for kind in _NORM)
    slope = gain / (variance + _EPSILON).sqrt()
    vectors = torch.nn.functional.normalize(state[EMBEDDINGS][0].double(), dim=-1)
    vectors = vectors * state[f"{contrast}logit_scale"].double().exp()
    product = vectors @ (slope[:, None] * weight[:, :, 0, 0])
    offset = vectors @ (slope * (bias - mean) + shift) + state[f"{contrast}bias"].double()
    return product[:, :, None, None].float(), offset.float()
