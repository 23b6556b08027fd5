"""How good a model is on images whose objects are known, with the definitions that others use.

*AP50* is tp / (tp + fp + fn) of the label image of everything, an object being found if its IoU is
at least 0.5, as for StarDist and Cellpose; *PQ* weighs the found ones by their IoU. *Click* is the
mean IoU, over all objects, of the best answer to a click where a person would click: at the pixel
farthest from the object's edge. *Pool* is that of the best candidate there is, which no choice
among the candidates can surpass. The counts are pooled over the images of a domain.

References
----------
.. [1] Schmidt et al. 2018, "Cell Detection with Star-convex Polygons", arXiv 1806.03535.
.. [2] Kirillov et al. 2019, "Panoptic Segmentation", arXiv 1801.00868.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_fastsam.instances import Instances
from napari_fastsam.models.reading import read_pair
from napari_fastsam.prompts import Prompts
from napari_fastsam.selection import everything, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.models.data import Pair
    from napari_fastsam.segmenter import Segmenter

FOUND_IOU = 0.5
"""From this IoU on, an object is found."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How good a model is on one domain.

    Parameters
    ----------
    images, objects
        How many were looked at.
    ap50, pq, click, pool
        In [0, 1], as this module defines them.
    """

    images: int
    objects: int
    ap50: float
    pq: float
    click: float
    pool: float

    @property
    def choice(self) -> float:
        """Share of the best candidates' IoU that a click reaches."""
        return self.click / self.pool if self.pool else 0.0


@dataclass(slots=True)
class _Counts:
    """What is summed over the images of a domain."""

    images: int = 0
    found: int = 0
    wrong: int = 0
    overlap: float = 0.0
    clicks: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)

    def add(self, labels: NDArray[np.uint16], candidates: Instances) -> None:
        """Count one image."""
        truth = Instances.from_labels(labels)
        painted = Instances.from_labels(everything(candidates).to_labels())
        self.images += 1
        hits = painted.iou(truth)
        matched = hits >= FOUND_IOU
        found = int(min(matched.any(0).sum(), matched.any(1).sum()))
        self.found += found
        self.wrong += len(painted) - found
        self.overlap += float(hits[matched].sum())
        points = [inner_point(truth.mask(n)) + truth.bboxes[n, :2] for n in range(len(truth))]
        pool = candidates.iou(truth)
        answers = select(candidates, Prompts(points=np.reshape(points, (-1, 2)))).best
        for row, answer in zip(pool, answers, strict=True):
            self.clicks.append(float(row[answer]) if answer >= 0 else 0.0)
            self.best.append(float(row.max(initial=0.0)))

    def figures(self) -> Figures:
        """Return the figures of what was counted."""
        objects = len(self.clicks)
        missed = objects - self.found
        return Figures(
            images=self.images,
            objects=objects,
            ap50=self.found / max(1, self.found + self.wrong + missed),
            pq=self.overlap / max(1.0, self.found + (self.wrong + missed) / 2),
            click=float(np.mean(self.clicks)) if objects else 0.0,
            pool=float(np.mean(self.best)) if objects else 0.0,
        )


def evaluate(
    segmenter: Segmenter,
    pairs: Sequence[Pair],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Figures]:
    """Return the figures of each domain, by its name.

    Parameters
    ----------
    segmenter
        The model, with the settings to be judged.
    pairs
        Images with their label images.
    progress
        Told after each image how many are done, of how many.
    """
    counts: dict[str, _Counts] = {}
    for n, pair in enumerate(pairs, start=1):
        image, labels = read_pair(pair)
        counts.setdefault(pair.domain, _Counts()).add(labels, segmenter.segment(image))
        if progress is not None:
            progress(n, len(pairs))
    return {domain: counts[domain].figures() for domain in sorted(counts)}


def table(figures: Mapping[str, Figures]) -> str:
    """Return the figures as lines of text, a domain each.

    Examples
    --------
    >>> print(table({"nuclei": Figures(2, 40, 0.8, 0.75, 0.81, 0.84)}))
    domain         images objects  AP50    PQ click  pool choice
    nuclei              2      40 0.800 0.750 0.810 0.840  0.964
    """
    lines = [f"{'domain':14} images objects  AP50    PQ click  pool choice"]
    for name, f in figures.items():
        numbers = f"{f.ap50:.3f} {f.pq:.3f} {f.click:.3f} {f.pool:.3f}  {f.choice:.3f}"
        lines.append(f"{name:14} {f.images:6} {f.objects:7} {numbers}")
    return "\n".join(lines)


def inner_point(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the (row, column) of the pixel farthest from the edge: where a person would click."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.array(np.unravel_index(inside.argmax(), mask.shape))
