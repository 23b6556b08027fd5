"""What the user pointed at on one plane, validated once and frozen.

A prompt is one question, and each has one answer: first the objects that points ask for, then
boxes, then rough masks, then scribbles. `Prompts.questions` lists them in that order. Words, and
examples of what is looked for, are questions with many answers: then all else says where.
Coordinates are data coordinates of the plane, ``(row, column)``, pixel centres on integers.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_fastsam._checks import message
from napari_fastsam.instances import Instances
from napari_fastsam.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

ALONE = -1
"""The group of a point that speaks of its own object."""


class Question(NamedTuple):
    """One prompt: its kind, and which points (or which box, mask, phrase…) it is made of."""

    kind: Literal["points", "box", "mask", "scribble", "text", "similar"]
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prompts:
    """What the user pointed at on one plane.

    Parameters
    ----------
    points
        (P, 2) positions, ``(row, column)``.
    positive
        (P,) bool: the object holds the point (True, the default) or does not.
    group
        (P,) integers from 0: points of the same group speak of one object. -1, the default, is a
        point on its own: a positive one asks for its own object, a negative one speaks to every
        object.
    boxes
        (B, 4) boxes ``(min_row, min_col, max_row, max_col)``, half-open, each around one object.
    masks
        Rough regions, each around one object: `Instances`, or a sequence of (H, W) bool arrays.
    scribbles
        Strokes, each on one object: `Instances`, or a sequence of (H, W) bool arrays.
    text
        Words for the objects that are wanted, several with ``|`` or ``,`` between them and unwanted
        ones as ``"not background"``: every object that they describe. Points and scribbles then say
        on what it lies, negative ones on what not, boxes and masks where it is.
    similar
        What is pointed at are examples: every object that looks like one of them.
    threshold
        From which probability on words describe an object, or from which cosine in [-1, 1] on
        objects look alike; ``None`` for `matching.TEXT_THRESHOLD` or `matching.SIMILAR_THRESHOLD`.
    top_k
        At most so many objects for each phrase, the best first; ``None`` for all.
    shape
        (H, W) of the plane. When given, points outside are refused, and boxes are clipped to it
        with a warning.

    Raises
    ------
    ValueError
        Naming every fault found: shapes, values that are not finite, points outside the plane,
        boxes without area, a group without a positive point, text without words, `similar` without
        an example.

    Examples
    --------
    >>> Prompts(points=[(120, 88), (40, 30)], positive=[True, False], group=[0, 0]).questions
    (Question(kind='points', members=(0, 1)),)
    """

    points: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    positive: NDArray[np.bool_] | None = None
    group: NDArray[np.int64] | None = None
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    masks: Instances | None = None
    scribbles: Instances | None = None
    text: str | None = None
    similar: bool = False
    threshold: float | None = None
    top_k: int | None = None
    shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        faults: list[str] = []
        points = _table(self.points, 2, "points (P, 2)", faults)
        boxes = _table(self.boxes, 4, "boxes (B, 4)", faults)
        positive = _column(self.positive, len(points), True, "b", "positive", faults)
        group = _column(self.group, len(points), ALONE, "iu", "group", faults)
        for n in np.flatnonzero(group < ALONE):
            faults.append(f"point {n} in group {group[n]}, below -1")
        if self.shape is not None and not faults:
            outside = (points < -0.5) | (points >= np.asarray(self.shape) - 0.5)
            for n in np.flatnonzero(outside.any(1)):
                faults.append(f"point {n} at {_numbers(points[n])} outside the plane {self.shape}")
            boxes = _clipped(boxes, self.shape)
        for n in np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(1)):
            faults.append(f"box {n} {_numbers(boxes[n])} without area inside the plane")
        for number in np.unique(group[group != ALONE]):
            if not positive[group == number].any():
                faults.append(f"group {number} without a positive point")
        regions = {
            name: _regions(getattr(self, name), self.shape, name, faults)
            for name in ("masks", "scribbles")
        }
        marks = (positive.any(), len(boxes), regions["masks"], regions["scribbles"])
        faults += _search_faults(self, any(marks))
        if faults:
            raise ValueError(
                message(
                    "prompts on the plane, (row, column) in pixels",
                    "; ".join(faults),
                    "correct or leave out those prompts",
                )
            )
        values: dict[str, Any] = {"points": points, "positive": positive, "group": group}
        for name, value in {**values, "boxes": boxes, **regions}.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def searching(self) -> bool:
        """Whether objects are asked for by words or examples, so that several may answer."""
        return self.text is not None or self.similar

    @property
    def marks(self) -> Prompts:
        """The same without what makes them a search: each asks for its own object."""
        if not self.searching:
            return self
        return replace(self, text=None, similar=False, threshold=None, top_k=None, shape=None)

    @property
    def phrases(self) -> tuple[str, ...]:
        """What each question of a search is called: its words, nothing for examples."""
        return ("",) if self.text is None else Wording.parse(self.text).wanted

    @property
    def point_questions(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Points by the object they ask for: (K,) point numbers, (Q,) where each object's begin.

        Objects come in the order of their first point.
        """
        assert self.positive is not None
        assert self.group is not None
        members = np.flatnonzero(self.positive | (self.group != ALONE))
        groups = self.group[members]
        owner = np.where(groups == ALONE, -1 - members, groups)  # below 0: alone
        _, first, owner = np.unique(owner, return_index=True, return_inverse=True)
        rank = first[owner.reshape(-1)]
        order = np.argsort(rank, kind="stable")
        return members[order], np.flatnonzero(np.diff(rank[order], prepend=-1))

    @property
    def questions(self) -> tuple[Question, ...]:
        """One for each object asked for, in order: points, boxes, masks, scribbles.

        Of a search, one for each phrase, or one for all examples.
        """
        if self.searching:
            kind: Literal["text", "similar"] = "similar" if self.similar else "text"
            return tuple(Question(kind, (n,)) for n in range(len(self.phrases)))
        members, starts = self.point_questions
        groups = np.split(members, starts[1:]) if len(starts) else []
        return (
            *(Question("points", tuple(map(int, group))) for group in groups),
            *(Question("box", (n,)) for n in range(len(self.boxes))),
            *(Question("mask", (n,)) for n in range(len(self.masks or ()))),
            *(Question("scribble", (n,)) for n in range(len(self.scribbles or ()))),
        )

    def __len__(self) -> int:
        return len(self.questions)


def _search_faults(prompts: Prompts, examples: bool) -> list[str]:
    """Return what is wrong with words and examples."""
    faults = []
    if prompts.text is not None:
        if isinstance(prompts.text, str):
            Wording.parse(prompts.text)  # says itself what is missing
        else:
            faults.append(f"text: a {type(prompts.text).__name__}")
    if prompts.similar and prompts.text is not None:
        faults.append("both text and similar")
    if prompts.similar and not examples:
        faults.append("similar without a point, box or mask on an example")
    if prompts.threshold is not None:
        least = -1 if prompts.similar else 0
        if not prompts.searching:
            faults.append("a threshold without text or similar")
        elif not isinstance(prompts.threshold, Real) or not least <= prompts.threshold <= 1:
            faults.append(f"threshold {prompts.threshold!r}, not from {least} to 1")
    if prompts.top_k is not None:
        if not prompts.searching:
            faults.append("top_k without text or similar")
        elif not isinstance(prompts.top_k, int | np.integer) or prompts.top_k < 1:
            faults.append(f"top_k {prompts.top_k}, not 1 or more")
    return faults


def _table(value: ArrayLike, columns: int, name: str, faults: list[str]) -> NDArray[np.float64]:
    """Return an (N, columns) copy in float64; write down what is wrong."""
    try:
        table = np.array(value, np.float64)
    except (TypeError, ValueError):
        faults.append(f"{name}: not an array of numbers")
        return np.empty((0, columns))
    if table.size == 0:
        return np.empty((0, columns))
    if table.ndim != 2 or table.shape[1] != columns:
        faults.append(f"{name}: shape {table.shape}")
        return np.empty((0, columns))
    for n in np.flatnonzero(~np.isfinite(table).all(1)):
        faults.append(f"{name}: row {n} is not finite, {_numbers(table[n])}")
    return table


def _column(
    value: ArrayLike | None, length: int, default: Any, kinds: str, name: str, faults: list[str]
) -> NDArray[Any]:
    """Return an (N,) copy of a dtype of these kinds, or the default N times."""
    column = np.array([default] * length if value is None else value)
    if column.size == 0 and length == 0:
        column = np.array([default])[:0]
    if column.shape != (length,) or column.dtype.kind not in kinds:
        faults.append(f"{name}: shape {column.shape}, {column.dtype}, for {length} points")
        return np.array([default] * length, type(default))
    return column.astype(type(default))


def _clipped(boxes: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the boxes cut to the plane, with a warning if that changed one."""
    clipped = np.clip(boxes, 0, np.tile(np.asarray(shape, float), 2))
    if (clipped != boxes).any():
        warnings.warn("Boxes that reach outside the plane were clipped to it.", stacklevel=4)
    return clipped


def _regions(
    value: Instances | Sequence[NDArray[np.bool_]] | None,
    shape: tuple[int, int] | None,
    name: str,
    faults: list[str],
) -> Instances | None:
    """Return regions as Instances."""
    if value is None or len(value) == 0:
        return None
    if not isinstance(value, Instances):
        masks = [np.asarray(mask, bool) for mask in value]
        for n, mask in enumerate(masks):
            if mask.ndim != 2 or mask.shape != masks[0].shape or not mask.any():
                faults.append(f"{name}: number {n} has shape {mask.shape}, {mask.sum()} pixels")
        if any(fault.startswith(name) for fault in faults):
            return None
        value = Instances.from_masks(masks[0].shape, masks)
    if shape is not None and value.shape != tuple(shape):
        faults.append(f"{name}: made for a plane of {value.shape}, not {shape}")
    return value


def _numbers(row: NDArray[np.float64]) -> str:
    """Return a row of numbers as a person would write it."""
    return "(" + ", ".join(f"{number:g}" for number in row) + ")"
