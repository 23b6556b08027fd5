"""Points and Shapes layers as a `Drawing`, and drawings back into the layers, as when undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._napari.asked import Drawing, point_rows, shape_row
from napari_fastsam._napari.drawn import polarity_of
from napari_fastsam._napari.prompt_layers import ready_for_clicks
from napari_fastsam._napari.views import carry, in_view

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.layers import Points, Shapes
    from numpy.typing import NDArray

    from napari_fastsam._napari.source import Source
    from napari_fastsam._napari.views import View
    from napari_fastsam.planes import PlaneAxes


_OBJECT = 160  # bytes of an array besides its numbers, and of the tuple that it is in


@dataclass(frozen=True, slots=True, eq=False)
class Memo:
    """The content of prompt layers, and which of their rows are in the drawing.

    `axes` are those of the planes that the rows are on.
    """

    points: Points | None = None
    places: NDArray[Any] | None = None
    point_features: Any = None
    point_rows: tuple[int, ...] = ()
    shapes: Shapes | None = None
    outlines: tuple[tuple[NDArray[Any], str], ...] = ()
    shape_features: Any = None
    shape_rows: tuple[int, ...] = ()
    axes: PlaneAxes | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the copies, in bytes; words are shared by all of them."""
        tables = [t for t in (self.point_features, self.shape_features) if t is not None]
        outlines = sum(outline.nbytes + _OBJECT for outline, _ in self.outlines)
        rows = (len(self.point_rows) + len(self.shape_rows)) * 8
        places = 0 if self.places is None else self.places.nbytes
        return places + outlines + rows + sum(int(t.memory_usage().sum()) for t in tables)


def drawing_of(points: Points | None, shapes: Shapes | None, source: Source, view: View) -> Drawing:
    """Return what is drawn in prompt layers, in pixels of an image.

    Points that are not shown ask nothing. Layers with fewer axes than the image speak of the plane
    in view.

    Raises
    ------
    ValueError
        If a polarity is not understood.
    """
    grid, axes = source.grid, view.axes
    memo: dict[str, Any] = {"axes": axes}
    point_table, shape_table = [], []
    if points is not None:
        there = np.asarray(points.shown, bool) & in_view(points.data, points, grid, view)
        rows = np.flatnonzero(there)
        features = points.features
        memo |= {
            "points": points,
            "places": points.data.copy(),
            "point_features": features.copy(),
            "point_rows": tuple(rows.tolist()),
        }
        positive = (
            polarity_of(features["polarity"].iloc[rows].tolist())
            if "polarity" in features
            else np.ones(len(rows), bool)
        )
        group = features["group"].iloc[rows].tolist() if "group" in features else [None] * len(rows)
        place = carry(points.data[rows], points, grid, view)
        point_table = point_rows(axes, place, positive, [group_name(value) for value in group])
    if shapes is not None:
        # Copies: napari moves shapes in place.
        outlines = tuple(
            (np.array(outline), kind)
            for outline, kind in zip(shapes.data, shapes.shape_type, strict=True)
        )
        shape_rows = [
            n
            for n, (outline, _) in enumerate(outlines)
            if in_view(outline, shapes, grid, view).all()
        ]
        memo |= {
            "shapes": shapes,
            "outlines": outlines,
            "shape_features": shapes.features.copy(),
            "shape_rows": tuple(shape_rows),
        }
        shape_table = [
            shape_row(axes, outlines[n][1], carry(outlines[n][0], shapes, grid, view))
            for n in shape_rows
        ]
    flat = tuple(layer is not None and layer.ndim < grid.ndim for layer in (points, shapes))
    return Drawing(tuple(point_table), tuple(shape_table), (flat[0], flat[1]), Memo(**memo))


def redraw(drawing: Drawing) -> None:
    """Draw what was in the layers when a drawing was read, where they differ from it now."""
    memo = drawing.memo
    if not isinstance(memo, Memo):
        return
    if memo.points is not None and memo.places is not None:
        points = memo.points
        if not np.array_equal(points.data, memo.places):
            points.selected_data = set()
            points.data = memo.places.copy()
        if not points.features.equals(memo.point_features):
            defaults = points.feature_defaults.iloc[0].to_dict()
            points.features = memo.point_features.copy()
            ready_for_clicks(points)
            points.feature_defaults = defaults
    if memo.shapes is not None:
        shapes = memo.shapes
        if not _same_outlines(shapes, memo.outlines):
            shapes.selected_data = set()
            shapes.data = list(memo.outlines)
            shapes.features = memo.shape_features.copy()


def erase(drawing: Drawing, points: Sequence[int], shapes: Sequence[int]) -> None:
    """Take rows of a drawing off the layers that it was read from."""
    memo = drawing.memo
    assert isinstance(memo, Memo)
    if points and memo.points is not None:
        memo.points.remove([memo.point_rows[n] for n in points])
    if shapes and memo.shapes is not None:
        memo.shapes.selected_data = {memo.shape_rows[n] for n in shapes}
        memo.shapes.remove_selected()


def group_name(value: Any) -> Hashable:
    """Return what a cell of the feature ``group`` names: None for a point alone.

    Whole numbers are the same as words: napari writes a number as a word where others are words.
    """
    word = str(value).strip()
    if isinstance(value, str):
        return int(word) if word.isdecimal() and str(int(word)) == word else word or None
    if value is None or word in ("nan", "<NA>", "NaT"):
        return None
    if not isinstance(value, int | float | np.number | np.bool_):
        return word
    number = float(value)
    if number < 0 or not np.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _same_outlines(shapes: Shapes, outlines: Sequence[tuple[NDArray[Any], str]]) -> bool:
    """Whether a layer has these shapes, in this order."""
    return list(shapes.shape_type) == [kind for _, kind in outlines] and all(
        np.array_equal(a, b) for a, (b, _) in zip(shapes.data, outlines, strict=True)
    )
