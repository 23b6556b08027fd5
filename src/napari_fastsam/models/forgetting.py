"""How much of what the first network knew has been forgotten, judged on photographs.

A few photographs are no substitute for the hundred thousand that the first network saw. So on
photographs it goes on teaching: its features, scores, boxes and masks are to stay what they were,
and what is learned from the objects comes on top.

References
----------
.. [1] Li and Hoiem 2016, "Learning without Forgetting", arXiv 1606.09282.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from napari_fastsam.models.loss import Outputs

_LEAST_WEIGHT = 2.0  # total score below which an image counts less: little was known there
_WEIGHTS = {"features": 1.0, "prototypes": 1.0, "scores": 1.0, "sides": 1.5, "coefficients": 2.0}


def forgotten(outputs: Outputs, first: Outputs, known: Tensor) -> Tensor:
    """Return (B,): how far the outputs for each photograph are from the first network's.

    Parameters
    ----------
    outputs, first
        Of the network that learns, and of the first one, for the same B photographs.
    known
        (K,) classes that the first network knew.
    """
    was = first.scores[..., known].sigmoid()
    now = outputs.scores[..., known]
    # Where the first network saw an object, its box and mask matter, and nowhere else.
    best = was.amax(2)
    weights = best / best.sum(1, keepdim=True).clamp(min=_LEAST_WEIGHT)
    blame = functional.binary_cross_entropy_with_logits(now, was, reduction="none")
    least = functional.binary_cross_entropy(was, was, reduction="none")
    total = was.sum((1, 2)).clamp(min=_LEAST_WEIGHT)
    drift = (outputs.coefficients - first.coefficients).square().mean(2)
    levels = zip(outputs.features, first.features, strict=True)
    parts = {
        "features": torch.stack([_relative(a, b) for a, b in levels]).mean(0),
        "prototypes": _relative(outputs.prototypes, first.prototypes),
        "scores": (blame - least).sum((1, 2)) / total,
        "sides": (_divergence(outputs.sides, first.sides).mean(2) * weights).sum(1),
        "coefficients": (drift * weights).sum(1),
    }
    return torch.stack([_WEIGHTS[name] * part for name, part in parts.items()]).sum(0)


def _relative(now: Tensor, was: Tensor) -> Tensor:
    """Return (B,): squared difference of (B, C, h, w) maps, as a share of the variance."""
    return (now - was).square().mean((1, 2, 3)) / was.var((1, 2, 3))


def _divergence(now: Tensor, was: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of distributions, logits over the last axis."""
    log_was = was.log_softmax(-1)
    return (log_was.exp() * (log_was - now.log_softmax(-1))).sum(-1)
