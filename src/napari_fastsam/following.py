"""One object through the planes of a stack, by the candidates of each of them.

The object is known on one plane or several. From there it is followed outwards, and between two
planes where it is known along the way that fits both. A plane where no candidate is plainly the
object is left out: never a wrong mask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._continuation import NO_CANDIDATE, TOO_DIFFERENT, Look, continuation
from napari_fastsam._path import path_between
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

END_OF_STACK = "end of stack"
KNOWN = "known"

_SAME = 0.5  # IoU from which two ways have found the same


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What following found on one plane.

    Parameters
    ----------
    plane
        The plane.
    instance
        The object there: `Instances` of one, or None where it was not found.
    fit
        How well it goes on from the plane before, in [0, 1]; 1 where it was known.
    reason
        Why it was not found: ``"no candidate"`` is near, all are ``"too different"``, or the best
        one is more likely another object that ``"touches"`` it. Empty where it was.
    end
        Why following ends in this direction: a reason as above when it was lost, ``"end of
        stack"``, or ``"known"`` where it met a plane that was known. Empty while it goes on.
    lost_at
        When it was lost: the first plane without it, where a correction would help most.
    """

    plane: int
    instance: Instances | None
    fit: float = 0.0
    reason: str = ""
    end: str = ""
    lost_at: int | None = None


def follow(
    candidates: Callable[[int], Instances],
    known: Mapping[int, Instances | NDArray[np.bool_]],
    planes: Sequence[int],
    *,
    max_gap: int = 1,
) -> Iterator[Followed]:
    """Yield where an object is on the planes of a stack, plane by plane, as it is found.

    Parameters
    ----------
    candidates
        Returns the candidates of a plane. Called when the plane's turn comes, so it may run the
        network, and asked again for the planes between two known ones: keep what was found.
    known
        The object on the planes where it is known: `Instances` of one, or (H, W) bool. These are
        never changed. Everything found before a correction can be passed as known, so that it
        stays.
    planes
        The planes to go through, in ascending order, known ones among them; ``range(n, depth)``
        follows in one direction only.
    max_gap
        How many planes in a row the object may be missing on before it is lost.

    Yields
    ------
    Followed
        First what lies between known planes, then from the last one onwards, then from the first
        one back. Known planes are not yielded. The last of each direction has an `end`.

    Raises
    ------
    ValueError
        If no plane is known, a known mask is empty or of another shape than the candidates, or
        the planes are not in order.

    Notes
    -----
    A candidate goes on from a mask if they overlap, where the object is and where its motion so
    far would take it; if their sizes are about the same, it may also be near. It must be the best
    of the plane for the object, and the object, among all those of the plane before, the best for
    it. Wrong where the object moves more than its diameter between planes.

    Examples
    --------
    >>> import numpy as np
    >>> stack = [np.array([[1, 1, 0, 2]]), np.array([[2, 2, 0, 1]]), np.array([[0, 0, 0, 1]])]
    >>> steps = follow(lambda n: Instances.from_labels(stack[n]), {0: stack[0] == 1}, range(3))
    >>> [(step.plane, step.instance is not None, step.end) for step in steps]
    [(1, True, ''), (2, False, 'end of stack')]
    """
    order = [int(n) for n in planes]
    anchors = {int(n): _one(mask) for n, mask in known.items()}
    inside = sorted(set(anchors) & set(order))
    fail_if(not inside, "a plane where the object is known", "none", "pass its mask on a plane")
    fail_if(order != sorted(set(order)), "planes in ascending order", f"{order[:9]}", "sort them")
    fail_if(max_gap < 0, "max_gap of 0 planes or more", f"{max_gap}", "pass 0 or more")
    return _follow(candidates, anchors, order, inside, max_gap)


def _follow(
    candidates: Callable[[int], Instances],
    anchors: Mapping[int, Instances],
    order: list[int],
    inside: list[int],
    max_gap: int,
) -> Iterator[Followed]:
    """Yield between the anchors, then onwards, then back."""
    for first, last in pairwise(inside):
        between = order[order.index(first) + 1 : order.index(last)]
        if between:
            yield from _between(candidates, anchors, [first, *between, last], max_gap)
    onwards = order[order.index(inside[-1]) :]
    yield from _outwards(candidates, anchors, onwards, max_gap)
    back = order[: order.index(inside[0]) + 1][::-1]
    yield from _outwards(candidates, anchors, back, max_gap)


def _outwards(
    candidates: Callable[[int], Instances],
    anchors: Mapping[int, Instances],
    planes: list[int],
    max_gap: int,
) -> Iterator[Followed]:
    """Yield from the first of `planes`, where the object is known, until it is lost."""
    if len(planes) < 2:
        return
    start, heading = planes[0], planes[1] - planes[0]
    look = Look.at(anchors[start], candidates(start))
    earlier = [n for n in anchors if 0 < (start - n) / heading <= max_gap + 1]
    if earlier:
        last = min(earlier, key=lambda n: abs(start - n))
        look = look.coming_from(anchors[last], (start - last) / heading)
    missing: list[int] = []
    for plane in planes[1:]:
        there = candidates(plane)
        fail_if(
            there.shape != look.mask.shape,
            f"candidates on planes of {look.mask.shape}, the shape of the known mask",
            f"some on a plane of {there.shape}",
            "pass masks and candidates of the same planes",
        )
        found = continuation(look, there, len(missing))
        end, lost_at = "", None
        if found.instance is None:
            missing.append(plane)
            if len(missing) > max_gap:
                end, lost_at = found.reason, missing[0]
        else:
            look = look.then(found.instance, there, len(missing) + 1)
            missing = []
        if plane == planes[-1] and not end:
            end, lost_at = END_OF_STACK, missing[0] if missing else None
        yield Followed(plane, found.instance, found.fit, found.reason, end, lost_at)
        if end:
            return


def _between(
    candidates: Callable[[int], Instances],
    anchors: Mapping[int, Instances],
    planes: list[int],
    max_gap: int,
) -> Iterator[Followed]:
    """Yield the planes between the first and the last, both of which are known.

    If no way leads from one to the other, the object is followed from both, and what they find is
    kept where only one found something or both the same.
    """
    inner = planes[1:-1]
    ends = anchors[planes[0]], anchors[planes[-1]]
    path = path_between(ends, [candidates(plane) for plane in inner], max_gap)
    if path is None:
        onwards = {s.plane: s for s in _outwards(candidates, anchors, planes[:-1], max_gap)}
        back = {s.plane: s for s in _outwards(candidates, anchors, planes[:0:-1], max_gap)}
        steps = [_agreed(plane, onwards.get(plane), back.get(plane)) for plane in inner]
    else:
        steps = [
            Followed(plane, instance, fit, "" if instance is not None else NO_CANDIDATE)
            for plane, (instance, fit) in zip(inner, path, strict=True)
        ]
    missing = next((step.plane for step in steps if step.instance is None), None)
    lost = path is None
    yield from steps[:-1]
    yield replace(
        steps[-1], end=TOO_DIFFERENT if lost else KNOWN, lost_at=missing if lost else None
    )


def _agreed(plane: int, first: Followed | None, second: Followed | None) -> Followed:
    """Return what two ways found on a plane, if they do not contradict each other."""
    found = [way for way in (first, second) if way is not None and way.instance is not None]
    masks = [way.instance for way in found if way.instance is not None]
    if not found:
        reasons = [way.reason for way in (first, second) if way is not None]
        return Followed(plane, None, reason=reasons[0] if reasons else TOO_DIFFERENT)
    if len(masks) == 2 and masks[0].iou(masks[1])[0, 0] < _SAME:
        return Followed(plane, None, reason=TOO_DIFFERENT)
    best = max(found, key=lambda way: way.fit)
    return Followed(plane, best.instance, best.fit)


def _one(mask: Instances | NDArray[np.bool_]) -> Instances:
    """Return a known mask as `Instances` of one."""
    if not isinstance(mask, Instances):
        mask = np.asarray(mask, bool)
        fail_if(
            mask.ndim != 2 or not mask.any(),
            "known masks of (H, W) with a True pixel",
            f"shape {mask.shape}, {np.count_nonzero(mask)} True pixels",
            "leave out planes where the object is not",
        )
        mask = Instances.from_masks(mask.shape, [mask])
    fail_if(
        len(mask) != 1 or not mask.areas.all(),
        "one object per known plane",
        f"{len(mask)} objects of {mask.areas.tolist()[:9]} pixels",
        "pass one object, or a bool mask",
    )
    return mask
