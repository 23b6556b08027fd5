"""What became of linked objects, as columns of a Labels layer's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._napari.features import Features

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_fastsam._napari.features import Table

COLUMNS = ("first", "last", "planes", "missed", "parent", "merged_into")
"""What is told of a label: the planes where it begins and ends, on how many it is and on how many
between it is not, the label that it came out of, and the one that it ended in; 0 for none."""

_INHERITED = ("parent", "merged_into")  # what following an object on does not know


class Lineages(Features):
    """The lineage of the objects of a Labels layer, shown in its features."""

    def __init__(self, labels: Labels) -> None:
        super().__init__(labels, dict.fromkeys(COLUMNS, int), inherited=_INHERITED)


def of_run(
    lineage: Mapping[str, NDArray[np.int64]], numbers: Mapping[int, int], at: NDArray[np.int64]
) -> Table:
    """Return what a linker tells of the objects of a run, by the labels that they got.

    Parameters
    ----------
    lineage
        As `Linker.lineage` returns it, with planes counted from 0.
    numbers
        For each of its labels the one in the layer; those without are left out.
    at
        The position of each plane that it counts.
    """
    given = np.zeros(int(lineage["label"].max(initial=0)) + 1, np.int64)
    for label, number in numbers.items():
        if label < len(given):
            given[label] = number
    kept = given[lineage["label"]] > 0
    table = {name: lineage[name][kept] for name in ("label", *COLUMNS)}
    table |= {name: given[table[name]] for name in ("label", *_INHERITED)}
    return table | {name: at[table[name]] for name in ("first", "last")}


def of_object(label: int, planes: Collection[int]) -> Table:
    """Return what is known of an object that was followed: the planes that it is on."""
    first, last = min(planes), max(planes)
    row = (label, first, last, len(planes), last - first + 1 - len(planes), 0, 0)
    return {name: np.array([n]) for name, n in zip(("label", *COLUMNS), row, strict=True)}
