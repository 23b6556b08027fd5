"""Linked labels as what napari's Tracks layer draws: centroids, and what continues what."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_fastsam._checks import fail_if

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray


class Tracks(NamedTuple):
    """What napari's Tracks layer takes: ``Tracks(data, graph=graph, properties=properties)``.

    Attributes
    ----------
    data
        (N, 4) float64, ``(track, plane, row, column)``, sorted by track, then plane.
    graph
        Tracks that another one continues: ``{track: [tracks before it]}``.
    properties
        ``{"label": (N,) int64}``: the linked label of each row.
    """

    data: NDArray[np.float64]
    graph: dict[int, list[int]]
    properties: dict[str, NDArray[np.int64]]


def track_data(
    linked: Iterable[ArrayLike],
    lineage: Mapping[str, ArrayLike] | None = None,
    *,
    planes: Iterable[int] | None = None,
) -> Tracks:
    """Return the centroids of linked objects, as napari's Tracks layer takes them.

    Parameters
    ----------
    linked
        (Z, Y, X) linked labels of one series, or any iterable of (Y, X) planes; read one at a time.
    lineage
        The table of these labels, as `Linker.lineage` returns it; ``None`` draws no splits and no
        merges.
    planes
        The position of each plane; ``None`` counts from 0.

    Returns
    -------
    Tracks
        A label is one track up to where another splits off or ends in it, and a new one from there
        on: napari draws what joins two tracks from the end of the one to the begin of the other.

    Raises
    ------
    ValueError
        If a plane is no plane of labels, or positions are missing.

    Examples
    --------
    >>> import numpy as np
    >>> data, graph, properties = track_data(np.array([[[1, 1, 1]], [[0, 1, 0]]]))
    >>> data.tolist()
    [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]]
    """
    found = [np.empty((0, 4))]
    positions = iter(count() if planes is None else planes)
    for plane in linked:
        position = next(positions, None)
        fail_if(position is None, "a position for each plane", "fewer", "pass one for each")
        found.append(_centroids(np.asarray(plane), position))
    rows = np.concatenate(found)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    labels = rows[:, 0].astype(np.int64)
    joins = [] if lineage is None else _joins(lineage)
    cuts = {(join.label, join.plane) for join in joins}
    rows[:, 0] = _numbered(labels, rows[:, 1], cuts)
    graph = _graph(labels, rows, joins)
    order = np.lexsort((rows[:, 1], rows[:, 0]))
    return Tracks(rows[order], graph, {"label": labels[order]})


class _Join(NamedTuple):
    """Another label that comes out of this one, or ends in it: the track is cut before a plane."""

    label: int
    plane: int
    other: int
    is_split: bool


def _joins(lineage: Mapping[str, ArrayLike]) -> list[_Join]:
    """Return the splits and merges of a lineage table."""
    names = ("label", "first", "last", "parent", "merged_into")
    rows = zip(*(np.asarray(lineage[name]).tolist() for name in names), strict=True)
    joins = []
    for label, first, last, parent, merged_into in rows:
        if parent:
            joins.append(_Join(parent, first, label, True))
        if merged_into:
            joins.append(_Join(merged_into, last + 1, label, False))
    return joins


def _graph(
    labels: NDArray[np.int64], rows: NDArray[np.float64], joins: list[_Join]
) -> dict[int, list[int]]:
    """Return ``{track: [tracks before it]}`` for rows sorted by label and plane."""
    later = np.flatnonzero((labels[1:] == labels[:-1]) & (rows[1:, 0] != rows[:-1, 0])) + 1
    links = [(row, row - 1) for row in later]
    for join in joins:
        start, stop = np.searchsorted(labels, [join.label, join.label + 1])
        at = start + np.searchsorted(rows[start:stop, 1], join.plane)
        first, end = np.searchsorted(labels, [join.other, join.other + 1])
        if first == end:
            continue  # the planes hold only some of the table's objects
        if join.is_split and at > start:
            links.append((first, at - 1))
        elif not join.is_split and at < stop:
            links.append((at, end - 1))
    graph: dict[int, list[int]] = {}
    for row, before in links:
        graph.setdefault(int(rows[row, 0]), []).append(int(rows[before, 0]))
    return graph


def _centroids(plane: NDArray[Any], position: int | None) -> NDArray[np.float64]:
    """Return (N, 4): label, position, row and column of the objects of a plane."""
    fail_if(
        plane.ndim != 2 or plane.dtype.kind not in "iu",
        "planes of integer labels, each (H, W)",
        f"shape {plane.shape}, dtype {plane.dtype}",
        "pass linked labels, (Z, Y, X)",
    )
    rows, cols = np.nonzero(plane > 0)
    labels, at, counts = np.unique(plane[rows, cols], return_inverse=True, return_counts=True)
    row, col = (np.bincount(at, axis, len(labels)) / counts for axis in (rows, cols))
    return np.stack([labels, np.full(len(labels), position), row, col], 1).astype(np.float64)


def _numbered(
    labels: NDArray[np.int64], planes: NDArray[np.float64], cuts: set[tuple[int, int]]
) -> NDArray[np.int64]:
    """Return the track of each row: its label up to the label's first cut, new ones after."""
    number = labels.copy()
    fresh = int(labels.max(initial=0)) + 1
    for label in sorted({label for label, _ in cuts}):
        rows = slice(*np.searchsorted(labels, [label, label + 1]))
        piece = np.searchsorted(
            sorted(at for name, at in cuts if name == label), planes[rows], "right"
        )
        _, piece = np.unique(np.append(0, piece), return_inverse=True)  # those without rows go
        number[rows] = np.where(piece[1:] > 0, fresh + piece[1:] - 1, label)
        fresh += int(piece.max())
    return number
