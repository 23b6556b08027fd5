"""How wrong the network is about a batch: boxes, scores and masks of the objects it should find.

Every image counts the same, however many objects it holds; else a field of two hundred nuclei would
outweigh forty photographs, and the scores would forget what is on them.

References
----------
.. [1] Feng et al. 2021, "TOOD: Task-aligned One-stage Object Detection", arXiv 2108.07755: which
   predictions answer for which object, and the score that each should have.
.. [2] Li et al. 2020, "Generalized Focal Loss", arXiv 2006.04388: box sides as distributions.
.. [3] Zheng et al. 2020, "Distance-IoU Loss", arXiv 1911.08287: complete IoU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torchvision.ops import box_iou, complete_box_iou_loss

from napari_fastsam.models.anchors import anchors, boxes_from, sides_from

if TYPE_CHECKING:
    from torch import Tensor

PROTOTYPE_STRIDE = 4

_ANSWERS = 10  # predictions that answer for one object
_LEAST_SIDE = 16.0  # an object narrower than this also asks the predictions around it
_LEAST_TARGET = 2.0  # total score below which an image counts less: it has next to no objects
_MASKS = 160  # masks compared per image, drawn at random from the answers
_WEIGHTS = {"box": 7.5, "mask": 7.5, "score": 0.5, "sides": 1.5}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The objects of one square.

    Parameters
    ----------
    boxes
        (N, 4) x0, y0, x1, y1 in network pixels.
    classes
        (N,) int64.
    masks
        (N, h, w) share of each prototype pixel that the object covers, in [0, 1].
    """

    boxes: Tensor
    classes: Tensor
    masks: Tensor

    def to(self, device: torch.device) -> Target:
        """Return the same on another device."""
        return Target(self.boxes.to(device), self.classes.to(device), self.masks.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What the network says of a batch.

    Parameters
    ----------
    sides
        (B, A, 4, reg_max) logits of the distance from each anchor to each box side.
    scores
        (B, A, classes) logits.
    coefficients
        (B, A, 32).
    prototypes
        (B, 32, h, w).
    features
        What the head is given: (B, channels, h, w) for each stride.
    """

    sides: Tensor
    scores: Tensor
    coefficients: Tensor
    prototypes: Tensor
    features: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Outputs:
        """Sort what the network returns in training mode."""
        sides = raw["boxes"].float()
        return cls(
            sides=sides.unflatten(1, (4, -1)).permute(0, 3, 1, 2),
            scores=raw["scores"].float().transpose(1, 2),
            coefficients=raw["mask_coefficient"].float().transpose(1, 2),
            prototypes=raw["proto"].float(),
            features=tuple(level.float() for level in raw["feats"]),
        )

    def __getitem__(self, rows: Any) -> Outputs:
        """Return some images of the batch, or one."""
        return Outputs(
            self.sides[rows],
            self.scores[rows],
            self.coefficients[rows],
            self.prototypes[rows],
            tuple(level[rows] for level in self.features),
        )


def loss(
    outputs: Outputs, targets: list[Target], generator: torch.Generator | None = None
) -> Tensor:
    """Return the loss of a batch, the mean of its images'.

    Parameters
    ----------
    outputs
        Of B images.
    targets
        B of them.
    generator
        Draws the masks that are compared.
    """
    height, width = (n * PROTOTYPE_STRIDE for n in outputs.prototypes.shape[-2:])
    points, strides = (part.to(outputs.scores.device) for part in anchors(height, width))
    each = [
        _loss_of_one(outputs[n], target, points, strides, generator)
        for n, target in enumerate(targets)
    ]
    return torch.stack(each).mean()


def _loss_of_one(
    outputs: Outputs,
    target: Target,
    points: Tensor,
    strides: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Return the weighted loss of one image."""
    bins = outputs.sides.shape[-1]
    steps = torch.arange(bins, dtype=outputs.sides.dtype, device=outputs.sides.device)
    reach = outputs.sides.softmax(-1) @ steps
    boxes = boxes_from(reach, points, strides)
    wanted = torch.zeros_like(outputs.scores)
    parts: dict[str, Tensor] = {}
    if len(target.boxes):
        with torch.no_grad():
            anchor, owner, score = assign(boxes, outputs.scores.sigmoid(), target, points)
        wanted[anchor, target.classes[owner]] = score
        total = score.sum().clamp(min=_LEAST_TARGET)
        truth = target.boxes[owner]
        off = complete_box_iou_loss(boxes[anchor], truth, reduction="none")
        parts["box"] = (off * score).sum() / total
        far = sides_from(truth, points[anchor], strides[anchor], bins)
        parts["sides"] = (_distribution_loss(outputs.sides[anchor], far) * score).sum() / total
        parts["mask"] = _mask_loss(outputs, target, anchor, owner, generator)
    total = wanted.sum().clamp(min=_LEAST_TARGET)
    blame = functional.binary_cross_entropy_with_logits(outputs.scores, wanted, reduction="sum")
    parts["score"] = blame / total
    return torch.stack([_WEIGHTS[name] * part for name, part in parts.items()]).sum()


def assign(
    boxes: Tensor, probabilities: Tensor, target: Target, points: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the predictions that answer for each object, as [1]_.

    Returns
    -------
    (P,) anchors, (P,) the object that each answers for, and (P,) the score that it should have.
    """
    middle = (target.boxes[:, :2] + target.boxes[:, 2:]) / 2
    half = ((target.boxes[:, 2:] - target.boxes[:, :2]) / 2).clamp(min=_LEAST_SIDE / 2)
    inside = ((points[None] - middle[:, None]).abs() < half[:, None]).all(-1)
    overlap = box_iou(target.boxes, boxes) * inside
    merit = probabilities[:, target.classes].T.sqrt() * overlap**6
    best = merit.masked_fill(~inside, -1).topk(min(_ANSWERS, merit.shape[1]), dim=1).indices
    answers = torch.zeros_like(inside).scatter_(1, best, True) & inside
    # An anchor that several objects want answers for the one it fits best.
    rival = overlap.masked_fill(~answers, -1).argmax(0)
    answers &= torch.arange(len(target.boxes), device=rival.device)[:, None] == rival
    owner, anchor = answers.nonzero(as_tuple=True)
    merit, overlap = merit * answers, overlap * answers
    share = merit / merit.amax(1, keepdim=True).clamp(min=1e-9)
    score = (share * overlap.amax(1, keepdim=True))[owner, anchor]
    return anchor, owner, score


def _distribution_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return (P,): cross entropy with the two bins around each distance, mean of four sides."""
    low = wanted.long()
    above = wanted - low
    spread = functional.log_softmax(logits, dim=-1)
    at_low = spread.gather(-1, low[..., None])[..., 0]
    at_high = spread.gather(-1, low[..., None] + 1)[..., 0]
    return -(at_low * (1 - above) + at_high * above).mean(-1)


def _mask_loss(
    outputs: Outputs,
    target: Target,
    anchor: Tensor,
    owner: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Return the cross entropy of masks inside the boxes, every box counted the same."""
    if len(anchor) > _MASKS:
        drawn = torch.randperm(len(anchor), generator=generator)[:_MASKS].to(anchor.device)
        anchor, owner = anchor[drawn], owner[drawn]
    if not len(anchor):
        return outputs.scores.new_zeros(())
    height, width = outputs.prototypes.shape[-2:]
    logits = outputs.coefficients[anchor] @ outputs.prototypes.flatten(1)
    x0, y0, x1, y1 = (target.boxes[owner] / PROTOTYPE_STRIDE).unbind(1)
    x = torch.arange(width, device=logits.device) + 0.5
    y = torch.arange(height, device=logits.device) + 0.5
    within_x = (x > x0[:, None] - 0.5) & (x < x1[:, None] + 0.5)
    within_y = (y > y0[:, None] - 0.5) & (y < y1[:, None] + 0.5)
    inside = (within_y[:, :, None] & within_x[:, None, :]).flatten(1)
    blame = functional.binary_cross_entropy_with_logits(
        logits, target.masks[owner].flatten(1), reduction="none"
    )
    return ((blame * inside).sum(1) / inside.sum(1).clamp(min=1)).mean()
