"""Which object each drawn prompt asks for, and what changed since the prompts were read last.

A point with a group asks, with the others of its group on its plane, for one object; any other
positive point, and any shape, for one of its own. Positions are data coordinates of the image.
Prompts have no names: a row that stays in place is the same prompt, and so is one that changes
where no row comes or goes before it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from napari_fastsam._napari.drawn import nearest_planes, prompts_by_plane
from napari_fastsam.instances import Instances
from napari_fastsam.prompts import ALONE, Prompts

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes

DIGITS = 6
"""Of positions: what is left when they go from layer to layer and back."""

_ROW_BYTES = 120  # of a row or an object in the tuples and the dictionary of a ledger

_T = TypeVar("_T")

Name = tuple["Hashable", ...]
"""What an object that is asked for is called while its prompts last."""


class PointRow(NamedTuple):
    """A point: its plane, its place ``(row, column)``, its polarity, its group or None.

    `inside` is whether it is in the image: only then does it ask for anything.
    """

    plane: Index
    place: tuple[float, float]
    positive: bool
    group: Hashable
    inside: bool = True


class ShapeRow(NamedTuple):
    """A shape: its kind, its vertices, and its question on its plane, None if it asks nothing."""

    plane: Index
    kind: str
    vertices: bytes
    prompts: Prompts | None


Row = PointRow | ShapeRow


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What is drawn in the prompt layers, row by row.

    Parameters
    ----------
    points, shapes
        In the order of the layers.
    memo
        What is needed to draw it again.
    flat
        Whether the layers have no stepped axes of their own. A prompt then stays on the plane that
        was in view when it was drawn.
    """

    points: tuple[PointRow, ...] = ()
    shapes: tuple[ShapeRow, ...] = ()
    flat: tuple[bool, bool] = (False, False)
    memo: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """An object that prompts ask for.

    Parameters
    ----------
    index
        Its plane.
    rows
        The points, or the shape, that ask for it.
    label
        The number it got, None as long as there was no answer.
    choice
        How many answers were passed over.
    settled
        Whether the prompts were answered as they are, or are left alone.
    crowded
        Whether others had its place when it was asked for.
    left
        Whether the prompts are left alone until they change themselves.
    spread
        Whether the label has objects on other planes too.
    """

    index: Index
    rows: tuple[PointRow, ...] | ShapeRow
    label: int | None = None
    choice: int = 0
    settled: bool = False
    crowded: bool = False
    left: bool = False
    spread: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """All objects asked for, by name, and the rows that they were read from."""

    drawing: Drawing = field(default_factory=Drawing)
    names: tuple[tuple[Name, ...], tuple[Name, ...]] = ((), ())
    objects: Mapping[Name, Asked] = field(default_factory=dict)
    against: Mapping[Index, NDArray[np.float64]] = field(default_factory=dict)
    count: int = 0

    @property
    def nbytes(self) -> int:
        """About the memory that it holds besides what other ledgers hold too, in bytes."""
        rows = len(self.names[0]) + len(self.names[1]) + len(self.objects)
        return rows * _ROW_BYTES + int(getattr(self.drawing.memo, "nbytes", 0))

    def pending(self) -> dict[Index, list[Name]]:
        """Return the objects whose prompts wait for an answer, by plane."""
        found: defaultdict[Index, list[Name]] = defaultdict(list)
        for name, asked in self.objects.items():
            if not asked.settled:
                found[asked.index].append(name)
        return dict(found)

    def settled(self, changes: Mapping[Name, Asked]) -> Ledger:
        """Return the ledger with some objects as they are now."""
        return replace(self, objects={**self.objects, **changes})

    def only(self, *, points: bool, shapes: bool) -> Ledger:
        """Return the ledger without what points, or shapes, ask for."""
        names = (self.names[0] if points else (), self.names[1] if shapes else ())
        kept = {*names[0], *names[1]}
        drawing = replace(
            self.drawing,
            points=self.drawing.points if points else (),
            shapes=self.drawing.shapes if shapes else (),
        )
        return replace(
            self,
            drawing=drawing,
            names=names,
            objects={name: asked for name, asked in self.objects.items() if name in kept},
            against=self.against if points else {},
        )

    def without(self, name: Name) -> Ledger:
        """Return the ledger without an object and what asks for it."""
        points, shapes = self.names
        drawing = replace(
            self.drawing,
            points=_others(self.drawing.points, points, name),
            shapes=_others(self.drawing.shapes, shapes, name),
        )
        return replace(
            self,
            drawing=drawing,
            names=(_others(points, points, name), _others(shapes, shapes, name)),
            objects={other: asked for other, asked in self.objects.items() if other != name},
        )

    def owner(self, label: int, index: Index) -> Name | None:
        """Return the name of the object that has a label on a plane."""
        for name, asked in self.objects.items():
            if asked.label == label and asked.index == index:
                return name
        return None

    def rows_of(self, name: Name) -> tuple[list[int], list[int]]:
        """Return the rows of the points and of the shapes that ask for an object."""
        points, shapes = self.names
        return (
            [n for n, owner in enumerate(points) if owner == name],
            [n for n, owner in enumerate(shapes) if owner == name],
        )


def read(ledger: Ledger, drawing: Drawing, *, settled: bool = False) -> tuple[Ledger, list[Asked]]:
    """Return the ledger of what is drawn now, and the objects that are no longer asked for.

    Parameters
    ----------
    ledger
        Of what was drawn before.
    drawing
        What is drawn now.
    settled
        Whether prompts that are new are left alone until they change.
    """
    count = ledger.count
    names: list[tuple[Name, ...]] = []
    rows: list[tuple[Any, ...]] = []
    kinds: tuple[tuple[Sequence[Row], Sequence[Row], tuple[Name, ...], bool], ...] = (
        (ledger.drawing.points, drawing.points, ledger.names[0], drawing.flat[0]),
        (ledger.drawing.shapes, drawing.shapes, ledger.names[1], drawing.flat[1]),
    )
    for before, now, owners, flat in kinds:
        found: list[Name] = []
        places: list[Row] = []
        keys = [key(row, flat=flat) for row in before]
        for drawn, was in zip(now, matched(keys, [key(r, flat=flat) for r in now]), strict=True):
            # What has not changed stays on the plane where it was drawn.
            same = was is not None and keys[was] == key(drawn, flat=flat)
            row = before[was] if same and was is not None else drawn
            group = row.group if isinstance(row, PointRow) else None
            owner = None if was is None else owners[was]
            places.append(row)
            if group is not None:
                found.append(("group", group, row.plane))
            elif owner is not None and owner[0] != "group":
                found.append(owner)
            else:
                found.append(("own", count))
                count += 1
        names.append(tuple(found))
        rows.append(tuple(places))
    drawing = replace(drawing, points=rows[0], shapes=rows[1])
    against = _against(drawing)
    objects: dict[Name, Asked] = {}
    for name, asking in _questions(drawing, (names[0], names[1])).items():
        index = asking.plane if isinstance(asking, ShapeRow) else asking[0].plane
        old = ledger.objects.get(name)
        if old is None:
            objects[name] = Asked(index, asking, settled=settled, left=settled)
        elif _same(old.rows, asking) and (old.left or _same_points(ledger.against, against, index)):
            objects[name] = old
        elif old.index == index:
            objects[name] = Asked(index, asking, old.label, spread=old.spread)
        else:
            objects[name] = Asked(index, asking)
    lost = [
        old
        for name, old in ledger.objects.items()
        if name not in objects or (objects[name].label is None and old.label is not None)
    ]
    return Ledger(drawing, (names[0], names[1]), objects, against, count), lost


def matched(before: Sequence[Hashable], now: Sequence[Hashable]) -> list[int | None]:
    """Return for each row the one that it was before, None for a new one.

    Rows that are equal are the same, in order. Of the rest, a row is the one that stood at its
    position, if that one is not elsewhere.

    Examples
    --------
    >>> matched("abc", "ac"), matched("abc", "axc"), matched("ab", "abc")
    ([0, 2], [0, 1, 2], [0, 1, None])
    """
    places: defaultdict[Hashable, list[int]] = defaultdict(list)
    for n in range(len(before) - 1, -1, -1):
        places[before[n]].append(n)
    found = [places[row].pop() if places.get(row) else None for row in now]
    free = set(range(len(before))) - {n for n in found if n is not None}
    if len(now) < len(before):
        return found
    return [n if old is None and n in free else old for n, old in enumerate(found)]


def key(row: PointRow | ShapeRow, *, flat: bool) -> Hashable:
    """Return what makes a row the same as another."""
    index = () if flat else row.plane
    if isinstance(row, ShapeRow):
        return (index, row.kind, row.vertices)
    return (index, row.place, row.positive, row.group, row.inside)


def shape_row(axes: PlaneAxes, kind: str, vertices: NDArray[np.float64]) -> ShapeRow:
    """Return a shape with vertices (V, D) as a row."""
    outline = np.asarray(np.round(np.array(vertices, np.float64), DIGITS), np.float64)
    planes = prompts_by_plane(axes, shapes=[(kind, outline)]).planes
    for index, prompts in planes.items():
        return ShapeRow(index, kind, outline.tobytes(), prompts)
    return ShapeRow((), kind, outline.tobytes(), None)


def point_rows(
    axes: PlaneAxes,
    positions: NDArray[np.float64],
    positive: Iterable[bool],
    group: Iterable[Hashable],
) -> list[PointRow]:
    """Return points (P, D) as rows."""
    table = np.asarray(positions, float)
    finite = np.isfinite(table).all(1, keepdims=True)
    table = np.round(np.where(finite, table, -1), DIGITS)  # -1 is on no plane
    planes = nearest_planes(table[:, list(axes.steps)])
    places = table[:, [axes.axes.index("Y"), axes.axes.index("X")]]
    sizes = [axes.shape[n] for n in axes.steps]
    inside = np.logical_and(planes >= 0, planes < sizes).all(1)
    inside &= np.logical_and(places >= -0.5, places < np.array(axes.plane_shape) - 0.5).all(1)
    return [
        PointRow(
            tuple(planes[n].tolist()), (float(row), float(column)), bool(sign), name, bool(there)
        )
        for n, ((row, column), sign, name, there) in enumerate(
            zip(places, positive, group, np.atleast_1d(inside), strict=True)
        )
    ]


def joined(parts: Sequence[Asked], against: NDArray[np.float64]) -> tuple[Prompts, list[int]]:
    """Return the questions of objects on one plane as prompts, and which object each is about.

    Parameters
    ----------
    parts
        Objects.
    against
        (K, 2) negative points that speak to all of them.
    """
    points: list[tuple[float, float]] = []
    positive: list[bool] = []
    group: list[int] = []
    order: list[int] = []
    for n, part in enumerate(parts):
        if not isinstance(part.rows, ShapeRow):
            order.append(n)
            points.extend(row.place for row in part.rows)
            positive.extend(row.positive for row in part.rows)
            group.extend([n] * len(part.rows))
    table = np.concatenate([np.array(points).reshape(-1, 2), against.reshape(-1, 2)])
    drawn = [
        (n, part.rows.prompts)
        for n, part in enumerate(parts)
        if isinstance(part.rows, ShapeRow) and part.rows.prompts is not None
    ]
    regions: dict[str, Instances | None] = {}
    order += [n for n, prompts in drawn if len(prompts.boxes)]
    for kind in ("masks", "scribbles"):
        found = [(n, getattr(prompts, kind)) for n, prompts in drawn if getattr(prompts, kind)]
        order += [n for n, _ in found]
        regions[kind] = Instances.concatenate([mask for _, mask in found]) if found else None
    boxes = [prompts.boxes for _, prompts in drawn]
    return (
        Prompts(
            points=table,
            positive=np.array([*positive, *[False] * len(against)], np.bool_),
            group=np.array([*group, *[ALONE] * len(against)], np.int64),
            boxes=np.concatenate(boxes) if boxes else np.empty((0, 4)),
            masks=regions["masks"],
            scribbles=regions["scribbles"],
        ),
        order,
    )


def _others(items: Sequence[_T], owners: Sequence[Name], name: Name) -> tuple[_T, ...]:
    """Return the items of all owners but one."""
    return tuple(item for item, owner in zip(items, owners, strict=True) if owner != name)


def same_rows(one: Asked, other: Asked) -> bool:
    """Whether two objects are asked for by the same rows."""
    return _same(one.rows, other.rows)


def _questions(
    drawing: Drawing, names: tuple[tuple[Name, ...], tuple[Name, ...]]
) -> dict[Name, tuple[PointRow, ...] | ShapeRow]:
    """Return the rows that ask for each object; groups without a positive point ask for none."""
    points: defaultdict[Name, list[PointRow]] = defaultdict(list)
    for name, row in zip(names[0], drawing.points, strict=True):
        if row.inside:
            points[name].append(row)
    asking: dict[Name, tuple[PointRow, ...] | ShapeRow] = {
        name: tuple(rows) for name, rows in points.items() if any(row.positive for row in rows)
    }
    for name, shape in zip(names[1], drawing.shapes, strict=True):
        if shape.prompts is not None:
            asking[name] = shape
    return asking


def _against(drawing: Drawing) -> dict[Index, NDArray[np.float64]]:
    """Return, by plane, the negative points without a group: they speak to every object there."""
    found: defaultdict[Index, list[tuple[float, float]]] = defaultdict(list)
    for row in drawing.points:
        if row.inside and not row.positive and row.group is None:
            found[row.plane].append(row.place)
    return {index: np.array(places) for index, places in found.items()}


def _same(old: tuple[PointRow, ...] | ShapeRow, new: tuple[PointRow, ...] | ShapeRow) -> bool:
    """Whether the same rows ask, in whatever order."""
    if isinstance(old, ShapeRow) or isinstance(new, ShapeRow):
        return (
            isinstance(old, ShapeRow)
            and isinstance(new, ShapeRow)
            and key(old, flat=False) == key(new, flat=False)
        )
    return Counter(old) == Counter(new)


def _same_points(
    old: Mapping[Index, NDArray[np.float64]], new: Mapping[Index, NDArray[np.float64]], index: Index
) -> bool:
    """Whether the same negative points speak to all objects of a plane."""
    none = np.empty((0, 2))
    return np.array_equal(old.get(index, none), new.get(index, none))
