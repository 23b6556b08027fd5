"""What drawn points and shapes mean as prompts: plain arrays in, `Prompts` per plane out.

Positions are data coordinates of the image, (D,) without its channel axis, pixel centres on
integers. A position belongs to the plane that its stepped axes round to.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.outlines import box_of, ellipse_mask, polygon_mask, stroke_mask
from napari_fastsam.instances import Instances
from napari_fastsam.prompts import ALONE, Prompts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam._napari.outlines import Crop
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes


_POSITIVE = frozenset({"+", "positive", "pos", "true", "yes", "1", "foreground", "fg", "object"})
_NEGATIVE = frozenset({"-", "−", "negative", "neg", "false", "no", "0", "background", "bg"})  # noqa: RUF001


class LeftOut(NamedTuple):
    """How many drawn things are on no plane, by the reason."""

    outside: int = 0
    """Points and shapes that lie beside the image, or beyond its planes."""
    across: int = 0
    """Shapes that lie across planes."""
    empty: int = 0
    """Shapes that cover no pixel."""
    negative: int = 0
    """Negative points that speak of no object that is asked for on their plane."""

    def words(self) -> str:
        """Say how many were left out and why, as part of a sentence; nothing if none was."""
        parts = [
            f"{count} {was if count == 1 else were} {why}"
            for count, was, were, why in (
                (self.outside, "lies", "lie", "outside the image"),
                (self.across, "lies", "lie", "across planes"),
                (self.empty, "covers", "cover", "no pixel"),
                (self.negative, "is", "are", "negative without a positive one"),
            )
            if count
        ]
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)


class PromptsByPlane(NamedTuple):
    """Prompts by the position of their plane, and how many drawn things are on none."""

    planes: Mapping[Index, Prompts]
    reasons: LeftOut = LeftOut()

    @property
    def left_out(self) -> int:
        """How many drawn things are on no plane."""
        return sum(self.reasons)


@dataclass(slots=True)
class _Drawn:
    """What was drawn on one plane, in plane coordinates."""

    points: list[NDArray[np.float64]] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    masks: list[Crop] = field(default_factory=list)
    scribbles: list[Crop] = field(default_factory=list)


def prompts_by_plane(
    axes: PlaneAxes,
    *,
    points: NDArray[np.float64] | None = None,
    positive: NDArray[np.bool_] | None = None,
    group: NDArray[np.int64] | None = None,
    shapes: Iterable[tuple[str, NDArray[np.float64]]] = (),
    narrowing: bool = False,
) -> PromptsByPlane:
    """Return what was drawn as prompts, each on its own plane.

    Parameters
    ----------
    axes
        How the image falls into planes; D axes besides the channel.
    points
        (P, D).
    positive
        (P,) bool; ``None`` is True for each.
    group
        (P,) integers, `ALONE` for a point on its own; ``None`` is that for each.
    shapes
        Pairs of a kind, ``"rectangle"``, ``"ellipse"``, ``"polygon"``, ``"path"`` or ``"line"``,
        and its vertices (V, D), as napari's Shapes layer holds them.
    narrowing
        Whether they only say where words look: then a plane may have negative points alone, and
        groups mean nothing.

    Returns
    -------
    PromptsByPlane
        Only planes on which something is asked for. Left out are points and shapes outside the
        image, shapes that lie across planes or cover no pixel, and negative points of a group that
        has no positive one on their plane, or on a plane that asks for nothing else.
    """
    drawn: defaultdict[Index, _Drawn] = defaultdict(_Drawn)
    reasons: Counter[str] = Counter()
    table = np.empty((0, len(axes.label_shape))) if points is None else np.asarray(points, float)
    polarity = np.ones(len(table), bool) if positive is None else positive
    owners = np.full(len(table), ALONE) if group is None or narrowing else group
    steps, there = _steps(axes, table)
    places = _in_plane(axes, table)
    there &= (places >= -0.5).all(1) & (places < np.asarray(axes.plane_shape) - 0.5).all(1)
    reasons["outside"] += int(np.count_nonzero(~there))
    for n in np.flatnonzero(there):
        plane = drawn[tuple(steps[n].tolist())]
        plane.points.append(places[n])
        plane.positive.append(bool(polarity[n]))
        plane.group.append(int(owners[n]))
    for kind, vertices in shapes:
        corners = np.asarray(vertices, float)
        steps, there = _steps(axes, corners)
        if not there.all():
            reasons["outside"] += 1
        elif (steps != steps[0]).any():
            reasons["across"] += 1
        else:
            plane = drawn[tuple(steps[0].tolist())]
            reason = _add_shape(plane, kind, _in_plane(axes, corners), axes.plane_shape)
            reasons[reason] += reason != ""
    planes = {}
    for index, plane in drawn.items():
        reasons["negative"] += _drop_unowned_negatives(plane)
        prompts = _prompts(plane, axes.plane_shape)
        if len(prompts) or (narrowing and len(plane.points)):
            planes[index] = prompts
        else:
            reasons["negative"] += len(plane.points)
    return PromptsByPlane(planes, LeftOut(*(reasons[name] for name in LeftOut._fields)))


def polarity_of(values: Sequence[Any]) -> NDArray[np.bool_]:
    """Return (P,) whether each point is positive, from a column that a person filled in.

    ``"+"``, ``"positive"``, True and numbers above 0 are; nothing at all is, too.
    """
    words = ["+" if _missing(value) else _word(value) for value in values]
    unknown = sorted(set(words) - _POSITIVE - _NEGATIVE)
    fail_if(
        unknown,
        'a "polarity" of "+" or "-" for each point',
        ", ".join(map(repr, unknown)),
        "correct the points layer's features",
    )
    return np.array([word in _POSITIVE for word in words], bool)


def groups_of(values: Sequence[Any]) -> NDArray[np.int64]:
    """Return (P,) group numbers from names or numbers; nothing, and below 0, is a point alone."""
    numbers: dict[Any, int] = {}
    return np.array(
        [
            ALONE
            if _missing(value) or (not isinstance(value, str) and value < 0)
            else numbers.setdefault(value, len(numbers))
            for value in values
        ],
        np.int64,
    )


def _missing(value: Any) -> bool:
    """Whether a cell of a features table is empty: None, NaN or blank."""
    # Words first: pandas does not say whether what is missing is equal to itself.
    return value is None or str(value).strip() in ("", "<NA>") or bool(value != value)


def _word(value: Any) -> str:
    """Return a polarity as a word; numbers by their sign."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return "+" if value > 0 else "-"
    return str(value).strip().lower()


def _steps(
    axes: PlaneAxes, positions: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which plane each position (V, D) is on, (V, S), and whether the image has it, (V,)."""
    finite = np.asarray(np.isfinite(positions).all(axis=1))
    steps = nearest_planes(np.where(finite[:, None], positions, -1)[:, list(axes.steps)])
    sizes = [axes.shape[n] for n in axes.steps]
    there = np.asarray(np.logical_and(steps >= 0, steps < sizes).all(axis=1))
    return steps, finite & there


def nearest_planes(positions: NDArray[Any]) -> NDArray[np.int64]:
    """Return the planes that napari shows at positions on stepped axes: half goes to even."""
    return np.rint(np.round(positions, 9)).astype(np.int64)  # 9 digits: what rounding errors leave


def _in_plane(axes: PlaneAxes, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (V, 2): row and column of positions (V, D)."""
    return positions[:, [axes.axes.index("Y"), axes.axes.index("X")]]


def _add_shape(
    plane: _Drawn, kind: str, outline: NDArray[np.float64], shape: tuple[int, int]
) -> str:
    """Add a shape to what was drawn on its plane, or return why it has no pixel there."""
    beside = (outline.max(0) < -0.5).any() or (outline.min(0) >= np.asarray(shape) - 0.5).any()
    reason = "outside" if beside else "empty"
    if kind == "rectangle" and (box := box_of(outline, shape)) is not None:
        if box[2] <= box[0] or box[3] <= box[1]:
            return reason
        plane.boxes.append(box)
        return ""
    draw, home = {
        "rectangle": (polygon_mask, plane.masks),
        "polygon": (polygon_mask, plane.masks),
        "ellipse": (ellipse_mask, plane.masks),
        "path": (stroke_mask, plane.scribbles),
        "line": (stroke_mask, plane.scribbles),
    }[kind]
    crop = draw(outline, shape)
    if crop is None:
        return reason
    home.append(crop)
    return ""


def _drop_unowned_negatives(plane: _Drawn) -> int:
    """Take away negative points whose group has no positive one here; return how many."""
    asked = {group for group, sign in zip(plane.group, plane.positive, strict=True) if sign}
    keep = [
        n
        for n, (group, sign) in enumerate(zip(plane.group, plane.positive, strict=True))
        if sign or group == ALONE or group in asked
    ]
    dropped = len(plane.points) - len(keep)
    plane.points = [plane.points[n] for n in keep]
    plane.positive = [plane.positive[n] for n in keep]
    plane.group = [plane.group[n] for n in keep]
    return dropped


def _prompts(plane: _Drawn, shape: tuple[int, int]) -> Prompts:
    """Freeze what was drawn on a plane."""

    def regions(crops: list[Crop]) -> Instances:
        return Instances.from_masks(shape, [mask for mask, _ in crops], [box for _, box in crops])

    return Prompts(
        points=np.array(plane.points).reshape(-1, 2),
        positive=np.array(plane.positive, bool),
        group=np.array(plane.group, np.int64),
        boxes=np.array(plane.boxes).reshape(-1, 4),
        masks=regions(plane.masks) if plane.masks else None,
        scribbles=regions(plane.scribbles) if plane.scribbles else None,
        shape=shape,
    )
