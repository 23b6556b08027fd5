"""Which candidates of overlapping tiles are one object, and what becomes of pieces cut by an edge.

Two tiles see the same pixels where they overlap, so an object looks the same there in both: two
candidates *agree* if their masks, cropped to the overlap, do, as a whole or in a connected piece.
Among candidates that agree,

- of those whole in their tiles one stays, the one that scores best;
- pieces that a tile's edge cuts are dropped where another tile holds the whole, and are united
  otherwise, however many tiles they cross;
- an object of the coarse look at the whole plane stays where the pieces do not make it up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_MARGIN = 2  # a mask that ends this near to a tile's inner edge is taken to be cut by it
_AGREEMENT = 0.5  # IoU inside the overlap from which two candidates are one object
_COVERED = 0.5  # share of a candidate from which another one stands for it
_STRIPS = (np.s_[:_MARGIN], np.s_[:, :_MARGIN], np.s_[-_MARGIN:], np.s_[:, -_MARGIN:])


class Window(NamedTuple):
    """Part of a plane in pixels, half-open."""

    top: int
    left: int
    bottom: int
    right: int


class Look(NamedTuple):
    """What was found in a window of the plane, in the plane's coordinates."""

    window: Window
    found: Instances
    coarse: bool = False


class _Seam(NamedTuple):
    """Two candidates that agree, and how many pixels both have."""

    first: int
    second: int
    shared: int


class _Parts(NamedTuple):
    """The candidates of all tiles, N of them, before they are put together."""

    found: Instances
    windows: NDArray[np.int64]  # (T, 4) of the tiles
    tile: NDArray[np.intp]  # (N,) the tile that each comes from
    cut: NDArray[np.bool_]  # (N, 4) whether the tile's top, left, bottom, right edge cuts it

    @property
    def is_cut(self) -> NDArray[np.bool_]:
        """(N,) whether any edge of the tile cuts it."""
        return np.asarray(self.cut.any(1))


def merge(looks: Sequence[Look], shape: tuple[int, int]) -> Instances:
    """Return the objects of a plane of `shape` (H, W), each once and whole, the best first."""
    tiles = [look for look in looks if not look.coarse]
    large = [look.found for look in looks if look.coarse]
    found = Instances.concatenate([look.found for look in tiles])
    windows = np.array([look.window for look in tiles], np.int64)
    tile = np.repeat(np.arange(len(tiles)), [len(look.found) for look in tiles])
    parts = _Parts(found, windows, tile, _cut(found.bboxes, windows[tile], shape))
    seams = list(_seams(tiles))
    alive = _without_doubles(parts, seams)
    seams = [seam for seam in seams if alive[seam.first] and alive[seam.second]]
    _drop_unconfirmed(alive, parts, seams)
    groups = _groups(parts, seams, alive)
    single = [group[0] for group in groups if len(group) == 1]
    united = [_united(found[group]) for group in groups[len(single) :]]
    merged = Instances.concatenate([found[single], *united])
    for coarse in large:
        merged = _with_large(merged, coarse, parts, groups)
    return merged[np.argsort(-merged.scores, kind="stable")]


def _cut(
    bboxes: NDArray[np.int32], frames: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return (N, 4): whether a box reaches its frame's top, left, bottom, right inside the plane.

    The plane's own border cuts nothing.
    """
    room = (bboxes - frames) * (1, 1, -1, -1)
    return np.asarray((room < _MARGIN) & (frames != (0, 0, *shape)))


def _seams(tiles: Sequence[Look]) -> Iterator[_Seam]:
    """Yield the pairs of candidates from different tiles that agree where the tiles overlap."""
    first = np.cumsum([0, *(len(look.found) for look in tiles)])
    windows = np.array([look.window for look in tiles], np.int64)
    for n in range(len(tiles)):
        low = np.maximum(windows[n, :2], windows[:n, :2])
        high = np.minimum(windows[n, 2:], windows[:n, 2:])
        for m in map(int, np.flatnonzero((low < high).all(1))):
            band = Window(*map(int, (*low[m], *high[m])))
            for a, b, shared in _agreeing(tiles[n].found, tiles[m].found, band):
                yield _Seam(int(first[n]) + a, int(first[m]) + b, shared)


def _agreeing(one: Instances, other: Instances, band: Window) -> Iterator[tuple[int, int, int]]:
    """Yield the numbers of two tiles' candidates that agree in a band, and the shared pixels."""
    rows, cols = (np.flatnonzero(_meets(found.bboxes, band)) for found in (one, other))
    one, other = one[rows], other[cols]
    shared = other.overlaps(one)
    in_band = [found.overlaps([band])[0] for found in (one, other)]
    union = in_band[0][:, None] + in_band[1][None] - shared
    agree = shared >= _AGREEMENT * np.maximum(union, 1)
    for a, b in zip(*np.nonzero(shared), strict=True):
        if agree[a, b] or _agree_in_part(_crop(one, a, band), _crop(other, b, band)):
            yield int(rows[a]), int(cols[b]), int(shared[a, b])


def _meets(bboxes: NDArray[np.int32], band: Window) -> NDArray[np.bool_]:
    """Return which boxes reach into a window."""
    return np.asarray((bboxes[:, :2] < band[2:]).all(1) & (bboxes[:, 2:] > band[:2]).all(1))


def _crop(found: Instances, n: int, band: Window) -> NDArray[np.bool_]:
    """Return the mask of one object in a window that it reaches into."""
    canvas = np.zeros((band.bottom - band.top, band.right - band.left), bool)
    top, left, bottom, right = (found.bboxes[n] - np.tile(band[:2], 2)).tolist()
    inside = found.mask(n)[max(-top, 0) : len(canvas) - top, max(-left, 0) : canvas.shape[1] - left]
    canvas[max(top, 0) : bottom, max(left, 0) : right] = inside
    return canvas


def _agree_in_part(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Return whether a connected piece of one mask is a connected piece of the other.

    A ring seen by two tiles may be one piece in the first and two in the second.
    """
    from scipy.ndimage import label

    (pieces, count), (others, other_count) = label(one), label(other)
    if count == other_count == 1:
        return False  # and the masks as wholes do not agree
    both = one & other
    pairs = pieces[both].astype(np.int64) * (other_count + 1) + others[both]
    names, shared = np.unique(pairs, return_counts=True)
    areas, other_areas = np.bincount(pieces.ravel()), np.bincount(others.ravel())
    a, b = np.divmod(names, other_count + 1)
    return bool((shared >= _AGREEMENT * (areas[a] + other_areas[b] - shared)).any())


def _without_doubles(parts: _Parts, seams: list[_Seam]) -> NDArray[np.bool_]:
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


def _drop_unconfirmed(alive: NDArray[np.bool_], parts: _Parts, seams: list[_Seam]) -> None:
    """Drop pieces that agree with nothing although another tile has them in full view."""
    lone = alive & parts.is_cut
    lone[[n for seam in seams for n in seam[:2]]] = False
    for n in np.flatnonzero(lone):
        bboxes = np.tile(parts.found.bboxes[n], (len(parts.windows), 1))
        inside = ((bboxes - parts.windows) * (1, 1, -1, -1) >= 0).all(1)
        alive[n] = not (inside & ~_cut(bboxes, parts.windows, parts.found.shape).any(1)).any()


def _groups(parts: _Parts, seams: list[_Seam], alive: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the candidates that stay: first each on its own, then the pieces of each object."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    cut = parts.is_cut
    ends = [seam[:2] for seam in seams if cut[seam.first] or cut[seam.second]]
    rows, cols = np.array(ends, np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, cols)), shape=(len(cut), len(cut)))
    group = connected_components(graph, directed=False)[1][alive]
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


def _with_large(
    merged: Instances, coarse: Instances, parts: _Parts, groups: list[NDArray[np.intp]]
) -> Instances:
    """Return the objects of the tiles, and of the coarse look those that the tiles do not make up.

    What the tiles saw of such an object goes.
    """
    same = merged.iou(coarse) >= _AGREEMENT
    closed = np.array([not parts.cut[group].any() for group in groups], bool)
    for n in np.flatnonzero(~closed):
        closed[n] = _is_closed(parts.found[groups[n]], parts.cut[groups[n]])
    extra = ~(closed & same).any(1)
    shared = parts.found.overlaps(coarse)
    in_view = coarse.overlaps(parts.windows).T[:, parts.tile]
    fragment = shared >= _AGREEMENT * (in_view + parts.found.areas - shared)
    gone = np.asarray(fragment[extra].any(0))
    kept = [n for n, group in enumerate(groups) if closed[n] or not gone[group].all()]
    return Instances.concatenate([merged[kept], coarse[extra]])
