"""What becomes of the candidates of overlapping tiles: each object once and whole.

Among candidates that agree, see `napari_fastsam._seams`,

- of those whole in their tiles one stays, the one that scores best;
- pieces that a tile's edge cuts are dropped where another tile holds the whole, and are united
  otherwise, however many tiles they cross;
- an object of the look at the whole plane stays where the pieces do not make it up.

Candidates that no tile to come can see are settled at once, so that only those of one or two rows
of tiles are held as they were found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam._seams import AGREEMENT, MARGIN, Seam, Window, agreeing, cut_sides
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LARGEST = 1 << 25
"""Pixels of the box around an object from which it is left to the look at the whole plane."""

_COVERED = 0.5  # share of a candidate from which another one stands for it
_STRIPS = (np.s_[:MARGIN], np.s_[:, :MARGIN], np.s_[-MARGIN:], np.s_[:, -MARGIN:])


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
        self._settled: list[Instances] = []
        self._doubtful: list[tuple[Instances, NDArray[np.bool_]]] = []

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
        done = np.ones(len(ids), bool) if frontier is None else around[group, 2] <= frontier
        sides = around[:, 2:] - around[:, :2]
        dropped = (sides.prod(1) > LARGEST)[group]
        ends = np.cumsum([len(tile.ids) for tile in tiles])[:-1]
        for tile, mark in zip(tiles, np.split(~done & ~dropped, ends), strict=True):
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
        parts += [one for one, of in self._doubtful if not of[:, self._needed].any(1).all()]
        self._settled, self._doubtful = [], []
        merged = Instances.concatenate([*parts, large])
        del parts
        return merged[np.argsort(-merged.scores, kind="stable")]

    def _take(self, parts: _Parts, seams: list[Seam]) -> None:
        """Put candidates together that agree with no others than these."""
        found = parts.found
        alive = _without_doubles(parts, seams)
        seams = [seam for seam in seams if alive[seam.first] and alive[seam.second]]
        _drop_unconfirmed(alive, parts, seams, self._windows)
        groups = _groups(parts, seams, alive)
        single = [group[0] for group in groups if len(group) == 1]
        united = [_united(found[group]) for group in groups[len(single) :]]
        merged = Instances.concatenate([found[single], *united])
        if not len(self._large):
            self._settled.append(self._kept(merged))
            return
        closed = np.array([not parts.cut[group].any() for group in groups], bool)
        for n in np.flatnonzero(~closed):
            closed[n] = _is_closed(found[groups[n]], parts.cut[groups[n]])
        same = self._large.iou(merged).T >= AGREEMENT
        self._needed &= ~(closed & same).any(1)
        for n in np.flatnonzero(~closed):
            kept = self._kept(merged[[n]])
            if len(kept):
                self._doubtful.append((kept, self._fragments(parts, groups[n])))
        self._settled.append(self._kept(merged[closed]))

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
            if shared >= _COVERED * areas[worse]:
                alive[worse] = False
            elif shared >= _COVERED * areas[better]:  # a part of the other
                alive[better] = False
    pieces = [
        piece
        for first, second, shared in seams
        for piece, whole in ((first, second), (second, first))
        if cut[piece] and not cut[whole] and alive[whole] and shared >= _COVERED * areas[piece]
    ]
    alive[pieces] = False
    return alive


def _drop_unconfirmed(
    alive: NDArray[np.bool_], parts: _Parts, seams: list[Seam], windows: NDArray[np.int64]
) -> None:
    """Drop pieces that agree with nothing although another tile has them in full view."""
    lone = alive & parts.is_cut
    lone[[n for seam in seams for n in seam[:2]]] = False
    for n in np.flatnonzero(lone):
        room = (parts.found.bboxes[n] - windows) * (1, 1, -1, -1)
        views = windows[(room >= 0).all(1)]
        bboxes = np.tile(parts.found.bboxes[n], (len(views), 1))
        alive[n] = not (~cut_sides(bboxes, views, parts.found.shape).any(1)).any()


def _groups(parts: _Parts, seams: list[Seam], alive: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the candidates that stay: first each on its own, then the pieces of each object."""
    cut = parts.is_cut
    ends = [seam[:2] for seam in seams if cut[seam.first] or cut[seam.second]]
    group = _connected(len(cut), np.array(ends, np.intp).reshape(-1, 2))[alive]
    order = np.argsort(group, kind="stable")
    members = np.flatnonzero(alive)[order]
    groups = np.split(members, np.flatnonzero(np.diff(group[order])) + 1) if len(members) else []
    return sorted(groups, key=lambda group: len(group) > 1)


def _united(pieces: Instances) -> Instances:
    """Return the union of pieces; its score is their mean, weighted by area."""
    count, bbox = _stacked(pieces)
    score = np.average(pieces.scores, weights=pieces.areas)
    return Instances.from_masks(pieces.shape, [count > 0], [bbox], [score])


def _stacked(pieces: Instances) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return how many pieces hold each pixel of the box around them, and that box."""
    bbox = np.append(pieces.bboxes[:, :2].min(0), pieces.bboxes[:, 2:].max(0))
    count = np.zeros(bbox[2:] - bbox[:2], np.uint8)
    for n in range(len(pieces)):
        _view(count, pieces.bboxes[n], bbox)[pieces.mask(n)] += 1
    return count, bbox


def _view(
    canvas: NDArray[np.uint8], bbox: NDArray[np.int32], frame: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """Return the part of a canvas, which shows `frame`, that a box is on."""
    top, left, bottom, right = bbox - np.tile(frame[:2], 2)
    return canvas[top:bottom, left:right]


def _is_closed(pieces: Instances, cut: NDArray[np.bool_]) -> bool:
    """Return whether each end of a piece that a tile cuts off goes on in another piece."""
    count, bbox = _stacked(pieces)
    for n, side in zip(*np.nonzero(cut), strict=True):
        end = _STRIPS[side]
        others = _view(count, pieces.bboxes[n], bbox)[end][pieces.mask(n)[end]] > 1
        if others.size and others.mean() < _COVERED:
            return False
    return True
