"""The way of an object through planes at both ends of which it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._continuation import MIN_FIT, fits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances

_GAP_DISCOUNT = 0.5  # as in linking: each plane missed halves what a step is worth


def path_between(
    ends: tuple[Instances, Instances], planes: Sequence[Instances], max_gap: int
) -> list[tuple[Instances | None, float]] | None:
    """Return the candidate of each plane, with its fit, on the way that fits best as a whole.

    Parameters
    ----------
    ends
        The object on the planes before the first and after the last.
    planes
        The candidates of the planes between.
    max_gap
        How many planes in a row may be left out.

    Returns
    -------
    For each plane its candidate, or None where it is left out; None if no way joins the ends.

    References
    ----------
    Viterbi, "Error bounds for convolutional codes and an asymptotically optimum decoding
    algorithm", IEEE Transactions on Information Theory 1967, for the search.
    """
    stages = [ends[0], *(near(plane, ends) for plane in planes), ends[1]]
    worth = [np.zeros(1)]
    steps: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]] = []
    for n, stage in enumerate(stages[1:], 1):
        best = np.full(len(stage), -np.inf)
        stage_from, row_from, fit_of = (np.zeros(len(stage), t) for t in (np.intp, np.intp, float))
        for earlier in range(max(0, n - 1 - max_gap), n):
            if not len(stages[earlier]) or not len(stage):
                continue
            fit = fits(stages[earlier], stage, [(0.0, 0.0)])
            gain = fit * np.sqrt(stage.scores) * _GAP_DISCOUNT ** (n - earlier - 1)
            total = np.where(fit >= MIN_FIT, worth[earlier][:, None] + gain, -np.inf)
            row = total.argmax(0)
            value = total[row, np.arange(len(stage))]
            better = value > best
            best = np.where(better, value, best)
            stage_from[better], row_from[better] = earlier, row[better]
            fit_of[better] = fit[row, np.arange(len(stage))][better]
        worth.append(best)
        steps.append((stage_from, row_from, fit_of))
    if worth[-1][0] == -np.inf:
        return None
    path: list[tuple[Instances | None, float]] = [(None, 0.0)] * len(planes)
    n, row = len(stages) - 1, 0
    while True:
        stage_from, row_from, _ = steps[n - 1]
        n, row = int(stage_from[row]), int(row_from[row])
        if n == 0:
            return path
        path[n - 1] = (stages[n][[row]], float(steps[n - 1][2][row]))


def near(candidates: Instances, ends: tuple[Instances, Instances]) -> Instances:
    """Return the candidates not farther from the ends than the larger one's own size."""
    boxes = np.concatenate([end.bboxes for end in ends])
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    margin = (boxes[:, 2:] - boxes[:, :2]).max()
    inside = (candidates.bboxes[:, :2] < high + margin) & (candidates.bboxes[:, 2:] > low - margin)
    return candidates[inside.all(1)]
