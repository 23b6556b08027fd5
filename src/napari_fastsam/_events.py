"""What happens to objects from plane to plane besides going on: gaps, splits and merges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.lineage import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_fastsam._tracks import Objects, Pairs

_INHERITED = 1 / 3  # share of a piece on the whole for a split or a merge; daughters move apart


def events_of(
    plane: int, before: Objects, now: Objects, pairs: Pairs, links: NDArray[np.intp]
) -> Iterator[Event]:
    """Yield the gaps, splits and merges of a plane, where `links` are the pairs chosen."""
    rows, cols = pairs.rows[links], pairs.cols[links]
    for row in rows[before.missed[rows] > 0]:
        yield Event(plane, "gap", int(before.numbers[row]), missed=int(before.missed[row]))
    goes_on = np.isin(np.arange(len(before.numbers)), rows)
    is_new = np.isin(np.arange(len(now.numbers)), cols, invert=True)
    for row, col, pixels in zip(pairs.rows, pairs.cols, pairs.pixels, strict=True):
        old, new = int(before.numbers[row]), int(now.numbers[col])
        if before.missed[row] or goes_on[row] != is_new[col]:
            continue  # neither a piece of what goes on nor an end inside it
        if is_new[col] and pixels >= _INHERITED * now.masks.areas[col]:
            yield Event(plane, "split", old, new)
        elif not is_new[col] and pixels >= _INHERITED * before.masks.areas[row]:
            yield Event(plane, "merge", new, old)
