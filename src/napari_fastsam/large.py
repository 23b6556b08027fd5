"""How a plane is seen first: at once, or in tiles where it is large; and how parts of it are shown.

A plane that is not much longer than the network sees is read as a whole. Of a larger one only a
small picture and the tiles are ever in memory.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_fastsam.closer import Seen, first_look, reach
from napari_fastsam.given import Given
from napari_fastsam.instances import Instances
from napari_fastsam.pictures import Picture
from napari_fastsam.planes import level_for
from napari_fastsam.scales import LARGE, choose_tiling
from napari_fastsam.segmenter import ModelSpec, ScaledSegmenter, find
from napari_fastsam.tiling import (
    Tiled,
    Tiling,
    coarse_look,
    look_at_tile,
    look_at_tiles,
    put_together,
    too_large,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam._seams import Window
    from napari_fastsam.requests import Index, Request
    from napari_fastsam.segmenter import Segmenter, Shown, Tile


@dataclass(frozen=True, slots=True, eq=False)
class _Network:
    """What looks, at which size it sees an image if it can say, and which tiles are asked for."""

    segmenter: Segmenter
    image_size: int | None
    tile: Tile | Tiling

    @classmethod
    def of(cls, model: Segmenter) -> _Network:
        """Return what a model asks for."""
        if isinstance(model, Tiled):
            return cls(model.segmenter, None, model.tiling)
        spec = getattr(model, "spec", None)
        tile = spec.tile if isinstance(spec, ModelSpec) else "off"
        return cls(model, model.image_size if isinstance(model, ScaledSegmenter) else None, tile)

    def in_parts(self, longest: int) -> bool:
        """Whether a plane of that length is never read as a whole."""
        if isinstance(self.tile, str):
            return self.image_size is not None and longest > LARGE * self.image_size
        return longest > (self.tile.size if isinstance(self.tile, Tiling) else self.tile)


def look(
    request: Request,
    index: Index,
    model: Segmenter,
    image: Callable[[], Shown],
    *,
    confidence: float = 0.0,
    cancelled: Callable[[], bool] = lambda: False,
    looked: Callable[[int, int], None] = lambda done, total: None,
) -> Seen | None:
    """Return what the network finds on a plane, None if that was cancelled.

    Parameters
    ----------
    request
        Of the plane and how it is shown.
    index
        Its position on the stepped axes.
    model
        What looks.
    image
        Returns the plane as `shown` does, when it is called.
    confidence
        Of a plane seen in tiles, what scores below this is left out.
    cancelled
        Asked before each look at a part of a large plane.
    looked
        Called after each tile with how many of the plane are done, and their total.
    """
    if isinstance(model, Given):
        return Seen(model.plane(request.layout, index), 0)
    planned = plan(request, index, model, image, cancelled=cancelled)
    if not isinstance(planned, Plan):
        return planned
    with closing(planned.looks(model)) as looks:
        found = put_together(
            planned.tiles,
            planned.large,
            lambda tile: next(looks),
            confidence=confidence,
            cancelled=cancelled,
            looked=looked,
        )
    return None if found is None else planned.seen(model, found)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is left to do on a plane that is seen in tiles: to look at them.

    Parameters
    ----------
    plane
        Read tile by tile.
    tiling
        Where the tiles are.
    large
        The objects that are too large for them, found in a look at the whole.
    """

    plane: Picture
    tiling: Tiling
    large: Instances

    @property
    def tiles(self) -> list[Window]:
        """The tiles, row by row."""
        return self.tiling.windows(self.large.shape)

    def look_at(self, model: Segmenter, tile: Window) -> Instances:
        """Return what is found in one of the tiles, on the whole plane."""
        return look_at_tile(_Network.of(model).segmenter, self.plane, tile)

    def looks(self, model: Segmenter) -> Generator[Instances, None, None]:
        """Yield what is found in each of the tiles, on the whole plane."""
        return look_at_tiles(_Network.of(model).segmenter, self.plane, self.tiles)

    def seen(self, model: Segmenter, found: Instances) -> Seen:
        """Return what is known of the plane once its tiles are put together."""
        size = self.tiling.size
        return Seen(found, reach(_Network.of(model).segmenter, found.shape, at_once=size))


def plan(
    request: Request,
    index: Index,
    model: Segmenter,
    image: Callable[[], Shown],
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Plan | Seen | None:
    """Return in which tiles a plane has to be looked at, or what one look at it has found.

    The parameters are those of `look`; None if it was cancelled.
    """
    network, shape = _Network.of(model), request.layout.plane_shape
    if not network.in_parts(max(shape)):
        one = OneLook.of(request, model)
        assert one is not None
        if one.level is None:
            picture: Any = image()
            return first_look(one.segmenter, picture)
        return one.seen(find(one.segmenter, one.picture(index), shape=shape))
    if cancelled():
        return None
    plane = image()
    assert isinstance(plane, Picture)
    tiling = Tiling.of(network.tile) if isinstance(network.tile, int) else network.tile
    if isinstance(tiling, Tiling) and not tiling.whole:
        return Plan(plane, tiling, Instances.empty(shape))
    whole = plane.like or plane
    size = network.image_size or (tiling.size if isinstance(tiling, Tiling) else max(shape))
    small = whole.overview(max(max(whole.shape) // size, 1))
    if tiling == "off":
        candidates = find(network.segmenter, small, shape=shape)
        return Seen(candidates, reach(network.segmenter, shape))
    coarse = coarse_look(network.segmenter, small, shape)
    if tiling == "auto":
        assert network.image_size is not None
        chosen = choose_tiling(
            network.segmenter, plane, small, coarse, network.image_size, cancelled=cancelled
        )
        if cancelled():
            return None
        if chosen is None:
            if coarse.shape != shape:
                coarse = find(network.segmenter, small, shape=shape)
            return Seen(coarse, reach(network.segmenter, shape))
        tiling = chosen
    assert isinstance(tiling, Tiling)
    return Plan(plane, tiling, too_large(coarse, tiling, shape))


@dataclass(frozen=True, slots=True, eq=False)
class OneLook:
    """How the planes of a request are looked at that are seen at once.

    Parameters
    ----------
    request
        Of the planes and how they are shown.
    segmenter
        What looks.
    level
        The lower resolution that it is shown, where that is all that it sees; ``None`` for the
        plane itself.
    """

    request: Request
    segmenter: Segmenter
    level: Any | None

    @classmethod
    def of(cls, request: Request, model: Segmenter) -> OneLook | None:
        """Return that; None if planes so large are not seen at once."""
        network, axes = _Network.of(model), request.layout
        if network.in_parts(max(axes.plane_shape)):
            return None
        level = None
        if request.levels and network.image_size:
            level = level_for(axes, request.levels, network.image_size)
        return cls(request, network.segmenter, level)

    def picture(self, index: Index) -> NDArray[np.uint8]:
        """Return what is shown of a plane, (h, w, 3)."""
        axes, array = self.request.layout, self.request.data
        if self.level is not None:
            axes, array = replace(axes, shape=tuple(self.level.shape)), self.level
        return self.request.display(axes.read(array, index))

    def seen(self, candidates: Instances) -> Seen:
        """Return what is known of a plane on which that was found."""
        return Seen(candidates, reach(self.segmenter, candidates.shape))


def shown(request: Request, index: Index, model: Segmenter) -> Shown:
    """Return a plane as the network sees it, as a whole or, if it is large, to be read in parts."""
    network = _Network.of(model)
    if not network.in_parts(max(request.layout.plane_shape)):
        return OneLook(request, network.segmenter, None).picture(index)
    like = _whole(request, index, network)
    return Picture(request.data, request.layout, index, request.display, like=like)


def _whole(request: Request, index: Index, network: _Network) -> Picture | None:
    """Return the level of a pyramid that is large enough for a look at the whole, if there is."""
    axes = request.layout
    level = level_for(axes, request.levels, network.image_size or max(axes.plane_shape))
    if level is None:
        return None
    at_level = replace(axes, shape=tuple(level.shape))
    return Picture(level, at_level, index, request.display)
