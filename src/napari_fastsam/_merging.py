"""What becomes of the candidates of overlapping tiles: each object once and whole.

Among candidates that agree, see `napari_fastsam._seams`,

- of those whole in their tiles one stays, the one that scores best;
- pieces that a tile's edge cuts are dropped where another tile holds the whole, and are united
  otherwise, however many tiles they cross;
- what is still cut then is dropped where a tile shows all of it, as that one says otherwise;
- an object of the look at the whole plane stays where the pieces do not make it up.

Candidates that no tile to come can see are settled at once, so that only those of one or two rows
of tiles are held as they were found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam._seams import AGREEMENT, Seam, Window, agreeing, cut_sides
from napari_fastsam._uniting import COVERED, is_whole, union
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LARGEST = 1 << 25
"""Pixels of the box around an object from which it is left to the look at the whole plane."""


MOSTLY = 0.75
"""Share of an unfinished object from which its pieces are those of a large one."""


class _Tile(NamedTuple):
    """What was found in a tile and is not settled, in the plane's coordinates."""

    window: Window
    ids: NDArray[np.intp]  # (N,) of the candidates, counted through the plane
    found: Instances


class _Parts(NamedTuple):
    """Candidates of tiles, N of them, before they are put together."""

    found: Instances
    frames: NDArray[np.int64]  # (N, 4) the tile that each comes from
    cut: NDArray[np.bool_]  # (N, 4) whether the tile's top, left, bottom, right edge cuts it

    @property
    def is_cut(self) -> NDArray[np.bool_]:
        """(N,) whether any edge of the tile cuts it."""
        return np.asarray(self.cut.any(1))


class Merger:
    """Puts together what is found tile by tile.

    Parameters
    ----------
    windows
        All tiles, those that will be looked at too.
    large
        What the look at the whole plane found, K objects; its shape is that of the plane.
    confidence
        Objects that score below this are dropped once they are whole.
    """

    def __init__(
        self, windows: Sequence[Window], large: Instances, *, confidence: float = 0.0
    ) -> None:
        self._windows = np.array(windows, np.int64).reshape(-1, 4)
        self._large = large
        self._confidence = confidence
        self._needed = np.ones(len(large), bool)  # what the tiles do not make up
        self._open: list[_Tile] = []
        self._seams: list[Seam] = []
        self._count = 0
        self._too_large = np.empty(0, np.intp)  # ids of what a tile to come may see more of
        self._settled: list[Instances] = []
        self._doubtful: list[tuple[Instances, NDArray[np.bool_], NDArray[np.int64]]] = []

    def add(self, window: Window, found: Instances) -> None:
        """Take what was found in a tile, in the plane's coordinates."""
        ids = np.arange(self._count, self._count + len(found))
        self._count += len(found)
        for tile in self._open:
            band = window.meet(tile.window)
            for a, b, shared in agreeing(found, tile.found, band) if band else ():
                self._seams.append(Seam(int(ids[a]), int(tile.ids[b]), shared))
        self._open.append(_Tile(window, ids, found))

    def settle(self, frontier: int | None = None) -> None:
        """Put together what lies above a row of pixels, where all tiles to come begin."""
        tiles, self._open = [tile for tile in self._open if len(tile.found)], []
        if not tiles:
            return
        ids = np.concatenate([tile.ids for tile in tiles])
        rows = np.searchsorted(ids, np.array([s[:2] for s in self._seams], np.intp).reshape(-1, 2))
        bboxes = np.concatenate([tile.found.bboxes for tile in tiles])
        group = _connected(len(ids), rows)
        around = _around(bboxes, group)
        frontier = self._large.shape[0] if frontier is None else frontier
        done = around[group, 2] <= frontier
        too_large = (around[:, 2:] - around[:, :2]).prod(1) > LARGEST
        too_large[group[np.isin(ids, self._too_large)]] = True
        dropped = too_large[group]
        waiting = dropped & (bboxes[:, 2] > frontier)
        self._too_large = ids[waiting]
        ends = np.cumsum([len(tile.ids) for tile in tiles])[:-1]
        for tile, mark in zip(tiles, np.split(waiting | ~(done | dropped), ends), strict=True):
            if mark.any():
                self._open.append(_Tile(tile.window, tile.ids[mark], tile.found[mark]))
        done &= ~dropped
        marks = np.split(done, ends)
        found = Instances.concatenate(
            [tile.found[mark] for tile, mark in zip(tiles, marks, strict=True)]
        )
        frames = np.repeat([tile.window for tile in tiles], [mark.sum() for mark in marks], axis=0)
        number = np.cumsum(done) - 1
        seams = [
            Seam(int(number[a]), int(number[b]), seam.shared)
            for (a, b), seam in zip(rows, self._seams, strict=True)
            if done[a]
        ]
        self._seams = [
            seam
            for (a, _), seam in zip(rows, self._seams, strict=True)
            if not done[a] and not dropped[a]
        ]
        cut = cut_sides(found.bboxes, frames, found.shape)
        self._take(_Parts(found, frames, cut), seams)

    def finish(self) -> Instances:
        """Return the objects of the plane, each once and whole, the best first."""
        self.settle()
        large = self._kept(self._large[self._needed])
        parts = [Instances.empty(large.shape), *self._settled]
        for one, of, areas in self._doubtful:
            fragments = of[:, self._needed].any(1)
            if areas[fragments].sum() < MOSTLY * areas.sum():  # slivers look like anything
                parts.append(one)
        self._settled, self._doubtful = [], []
        merged = Instances.concatenate([*parts, large])
        del parts
        return merged[np.argsort(-merged.scores, kind="stable")]

    def _take(self, parts: _Parts, seams: list[Seam]) -> None:
        """Put candidates together that agree with no others than these."""
        alive = _without_doubles(parts, seams)
        seams = [seam for seam in seams if alive[seam.first] and alive[seam.second]]
        merged, groups, closed = self._united(parts, _groups(parts, seams, alive))
        if not len(self._large):
            self._settled.append(self._kept(merged))
            return
        same = self._large.iou(merged).T >= AGREEMENT
        self._needed &= ~(closed & same).any(1)
        for n in np.flatnonzero(~closed):
            kept = self._kept(merged[[n]])
            if len(kept):
                areas = parts.found.areas[groups[n]]
                self._doubtful.append((kept, self._fragments(parts, groups[n]), areas))
        self._settled.append(self._kept(merged[closed]))

    def _united(
        self, parts: _Parts, groups: list[NDArray[np.intp]]
    ) -> tuple[Instances, list[NDArray[np.intp]], NDArray[np.bool_]]:
        """Return an object for each group, the groups, and which of them no edge cuts.

        Without what ends at a tile's edge although another tile has all of it in view: that one
        has found something else there, or nothing.
        """
        found, cut = parts.found, parts.is_cut
        single = [group[0] for group in groups if len(group) == 1]
        pieces = [found[group] for group in groups[len(single) :]]
        merged = Instances.concatenate([found[single], *map(union, pieces)])
        closed = ~cut[[group[0] for group in groups]]
        for n, several in enumerate(pieces, len(single)):
            closed[n] = is_whole(several, parts.frames[groups[n]], parts.cut[groups[n]])
        keep = np.ones(len(groups), bool)
        for at in np.flatnonzero(~closed):
            keep[at] = not cut[groups[at]].all() or not self._in_view(merged.bboxes[[at]])
        groups = [group for group, stays in zip(groups, keep, strict=True) if stays]
        return merged[keep], groups, closed[keep]

    def _in_view(self, bbox: NDArray[np.int32]) -> bool:
        """Return whether a tile shows a box (1, 4), and its edges do not cut it."""
        room = (bbox - self._windows) * (1, 1, -1, -1)
        views = self._windows[(room >= 0).all(1)]
        bboxes = bbox.repeat(len(views), 0)
        return bool((~cut_sides(bboxes, views, self._large.shape).any(1)).any())

    def _kept(self, found: Instances) -> Instances:
        """Return the objects that score high enough."""
        keep = found.scores >= self._confidence
        return found if keep.all() else found[keep]

    def _fragments(self, parts: _Parts, group: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return (P, K): whether each piece of a group is what its tile sees of a large object."""
        pieces = parts.found[group]
        shared = self._large.overlaps(pieces)
        in_view = self._large.overlaps(parts.frames[group])
        return np.asarray(shared >= AGREEMENT * (in_view + pieces.areas[:, None] - shared))


def _connected(count: int, pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return (count,): the number of the group that each of so many belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def _around(bboxes: NDArray[np.int32], group: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return (G, 4): the box around the boxes (N, 4) of each group."""
    around = np.zeros((group.max() + 1, 4), np.int64)
    around[:, :2] = np.iinfo(np.int32).max
    np.minimum.at(around[:, :2], group, bboxes[:, :2])
    np.maximum.at(around[:, 2:], group, bboxes[:, 2:])
    return around


def _without_doubles(parts: _Parts, seams: list[Seam]) -> NDArray[np.bool_]:
    """Return which candidates stay when those that another one stands for are gone."""
    areas, scores, cut = parts.found.areas, parts.found.scores, parts.is_cut
    alive = np.ones(len(areas), bool)
    for first, second, shared in seams:
        if not cut[first] and not cut[second] and alive[first] and alive[second]:
            better, worse = sorted((first, second), key=lambda n: (-scores[n], n))
            if shared >= COVERED * areas[worse]:
                alive[worse] = False
            elif shared >= COVERED * areas[better]:  # a part of the other
                alive[better] = False
    pieces = [
        piece
        for first, second, shared in seams
        for piece, whole in ((first, second), (second, first))
        if cut[piece] and not cut[whole] and shared >= COVERED * areas[piece]
    ]
    alive[pieces] = False
    return alive


def _groups(parts: _Parts, seams: list[Seam], alive: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the candidates that stay: first each on its own, then the pieces of each object."""
    cut = parts.is_cut
    ends = [seam[:2] for seam in seams if cut[seam.first] or cut[seam.second]]
    group = _connected(len(cut), np.array(ends, np.intp).reshape(-1, 2))[alive]
    order = np.argsort(group, kind="stable")
    members = np.flatnonzero(alive)[order]
    groups = np.split(members, np.flatnonzero(np.diff(group[order])) + 1) if len(members) else []
    return sorted(groups, key=lambda group: len(group) > 1)
