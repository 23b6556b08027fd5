"""How well objects answered a search, and of which class they are, in a Labels layer's features."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam._napari.features import Features

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Labels

    from napari_fastsam._napari.features import Table

COLUMNS = {"score": float, "text": str, "likeness": float, "class": str}
"""What is told of a label: the network's score; the words that it answered, nothing for examples,
and the probability of these, or the cosine with the nearest example; and its class, where the
network tells several apart."""


class Told(NamedTuple):
    """What is told of one object; see `COLUMNS`."""

    score: float
    text: str = ""
    likeness: float | None = None
    class_name: str = ""


class Finds(Features):
    """How the objects of a Labels layer were found, shown in its features."""

    def __init__(self, labels: Labels) -> None:
        super().__init__(labels, COLUMNS)


def table_of(told: Mapping[int, Told]) -> Table:
    """Return what is told of labels as a table."""
    rows = list(told.values())
    return {
        "label": np.array(list(told), np.int64),
        "score": np.array([round(row.score, 4) for row in rows], np.float64),
        "text": np.array([None if row.likeness is None else row.text for row in rows], object),
        "likeness": np.array(
            [np.nan if row.likeness is None else round(row.likeness, 4) for row in rows], np.float64
        ),
        "class": np.array([row.class_name or None for row in rows], object),
    }
