"""Which parts of a plane are looked at again, enlarged, for prompts that have no answer.

The network sees every image at one size of its own, so a *window*, a square part of the plane, is
seen larger than it was. Windows lie on a grid, half of their length apart: prompts close together
share one, and a point that is dragged asks for a new one only now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fastsam.instances import Instances
from napari_fastsam.segmenter import find
from napari_fastsam.selection import DEFAULT_CONFIDENCE, select

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_fastsam.matching import Looks
    from napari_fastsam.prompts import Prompts
    from napari_fastsam.segmenter import Segmenter, Shown

ENLARGED = 4
"""How many times larger the first closer look shows the plane; the second shows twice that."""

LEAST_LENGTH = 32
"""No window is shorter than this many pixels: it would show nothing around an object."""

CONTEXT = 4
"""A window is at least so many times as long as the prompt that it shows."""

LEAST_SCORE = DEFAULT_CONFIDENCE
"""What scores below this in a closer look is left out: it is wrong more often than right."""

_IMAGE_SIZE = 1024  # where a segmenter does not say at which size it sees an image
_SAME_IOU = 0.7  # nor from which overlap on two objects are one
_MARGIN = 2  # a box that ends this near to a window's inner edge is taken to be cut by it


class Window(NamedTuple):
    """Part of a plane in pixels, half-open."""

    min_row: int
    min_col: int
    max_row: int
    max_col: int


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is known of a plane: the objects found on it, and where it was looked at closer.

    Parameters
    ----------
    candidates
        What was found so far.
    reach
        Length in pixels of the wider windows, 0 if the plane is too small for any.
    windows
        Those that were looked at, in order; what they show is among the candidates.
    looks
        What the first of the candidates look like, once somebody has asked for that.
    """

    candidates: Instances
    reach: int
    windows: tuple[Window, ...] = ()
    looks: Looks | None = None

    @property
    def nbytes(self) -> int:
        """Memory that all this holds, in bytes."""
        return self.candidates.nbytes + (0 if self.looks is None else self.looks.vectors.nbytes)


def first_look(segmenter: Segmenter, image: NDArray[np.uint8]) -> Seen:
    """Return what one pass over an image of shape (H, W, 3), uint8, RGB, finds."""
    candidates = find(segmenter, image)
    return Seen(candidates, reach(segmenter, candidates.shape))


def reach(segmenter: Segmenter, shape: tuple[int, int], *, at_once: int | None = None) -> int:
    """Return the length in pixels of the wider windows on a plane of `shape` (H, W), 0 for none.

    An `ENLARGED` part of what was seen `at_once`, but not so long that the network would shrink it.
    That is a tile, if the plane was seen in tiles, else the whole.
    """
    longest = max(shape)
    at_once = min(longest, at_once or getattr(segmenter, "size", longest))  # a tile of `Tiled`
    network = getattr(segmenter, "segmenter", segmenter)
    image_size = getattr(getattr(network, "spec", None), "image_size", None) or _IMAGE_SIZE
    length = max(min(at_once // ENLARGED, image_size), LEAST_LENGTH)
    return int(length) if 2 * length <= longest else 0


def look_closer(
    segmenter: Segmenter,
    image: Shown,
    candidates: Instances,
    prompts: Prompts,
    *,
    confidence: float = 0.0,
    cancelled: Callable[[], bool] = lambda: False,
) -> Instances:
    """Return the candidates of a plane and what closer looks at unanswered prompts add to them.

    Parameters
    ----------
    segmenter
        What looks at each window.
    image
        The plane, (H, W, 3), uint8, RGB.
    candidates
        What was found on it.
    prompts
        Those without an answer among the candidates are looked at, at most twice each.
    confidence
        As for `select`: candidates that score below this answer nothing.
    cancelled
        Asked before each look; when it says True, what was found until then is returned.

    Returns
    -------
    Instances: `candidates` themselves where every prompt is answered or nothing new was found, else
    the candidates followed by the new ones. Objects that a window's edge may cut, that the
    candidates have already, or that score below `LEAST_SCORE` are not among them.

    Notes
    -----
    Of no use where objects are too *large* for the network, or too faint: nothing is found then,
    and the prompt stays without an answer.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> from skimage.data import hubble_deep_field
    >>> sam, image = fs.FastSAM("starter", device="cpu"), hubble_deep_field()
    >>> candidates, galaxy = sam.segment(image), fs.Prompts(points=[(827, 710)])
    >>> len(fs.select(candidates, galaxy).unanswered)
    1
    >>> candidates = look_closer(sam, image, candidates, galaxy)
    >>> len(fs.select(candidates, galaxy).unanswered)
    0
    """
    seen = Seen(candidates, reach(segmenter, candidates.shape))
    seen = extend(seen, segmenter, image, prompts, confidence=confidence, cancelled=cancelled)
    return seen.candidates


def extend(
    seen: Seen,
    segmenter: Segmenter,
    image: Shown,
    prompts: Prompts,
    *,
    confidence: float = 0.0,
    cancelled: Callable[[], bool] = lambda: False,
) -> Seen:
    """Return what is known after closer looks at the prompts without an answer.

    As `look_closer`, and remembers where it looked, so that nothing is looked at twice.
    """
    while (window := next_window(seen, prompts, confidence=confidence)) and not cancelled():
        seen = look_at(seen, segmenter, image, window)
    return seen


def look_at(seen: Seen, segmenter: Segmenter, image: Shown, window: Window) -> Seen:
    """Return what is known after a closer look at one window of an (H, W, 3) image."""
    part = image[window.min_row : window.max_row, window.min_col : window.max_col]
    found = find(segmenter, np.ascontiguousarray(part))
    found = found.shift((window.min_row, window.min_col), seen.candidates.shape)
    same_iou = getattr(getattr(segmenter, "spec", None), "iou", _SAME_IOU)
    new = _new(seen.candidates, found, window, same_iou)
    return replace(
        seen,
        candidates=Instances.concatenate([seen.candidates, new]) if len(new) else seen.candidates,
        windows=(*seen.windows, window),
    )


def next_window(seen: Seen, prompts: Prompts, *, confidence: float = 0.0) -> Window | None:
    """Return where to look next for a prompt without an answer, wider windows first.

    ``None`` if no look is left: each prompt is answered, or was looked at as closely as it can be.
    Words say nothing of where to look; of a search by examples, these are looked for.
    """
    if prompts.text is not None:
        return None
    prompts = prompts.marks
    unanswered = select(seen.candidates, prompts, confidence=confidence).unanswered
    if not len(unanswered):
        return None
    wanted = (
        window
        for extent in extents(prompts)[unanswered]
        for window in windows(extent, seen.reach, seen.candidates.shape)
        if window not in seen.windows
    )
    return max(wanted, key=_area, default=None)


def extents(prompts: Prompts) -> NDArray[np.int64]:
    """Return (Q, 4): for each question, the box in pixels around what it points at."""
    members, starts = prompts.point_questions
    parts = [np.rint(prompts.boxes)]
    if len(starts):
        pixels = np.floor(prompts.points[members] + 0.5)
        positive = np.asarray(prompts.positive, bool)[members, None]
        low = np.minimum.reduceat(np.where(positive, pixels, np.inf), starts)
        high = np.maximum.reduceat(np.where(positive, pixels, -np.inf), starts)
        parts.insert(0, np.hstack([low, high + 1]))
    regions = (prompts.masks, prompts.scribbles)
    parts += [region.bboxes for region in regions if region is not None]
    return np.concatenate(parts).astype(np.int64)


def windows(extent: NDArray[np.int64], reach: int, shape: tuple[int, int]) -> list[Window]:
    """Return the windows, wider first, that show a box (4,) on a plane of `shape` (H, W) closer.

    None where the box is too large to be enlarged, or off the plane.

    Examples
    --------
    >>> [tuple(window) for window in windows(np.array([200, 10, 201, 11]), 64, (256, 256))]
    [(160, 0, 224, 64), (192, 0, 224, 32)]
    """
    middle = (extent[:2] + extent[2:]) / 2
    least = max(LEAST_LENGTH, CONTEXT * int((extent[2:] - extent[:2]).max()))
    if (middle < 0).any() or (middle > shape).any():
        return []
    lengths = sorted({reach, max(reach // 2, LEAST_LENGTH)}, reverse=True)
    return [_window(middle, length, shape) for length in lengths if least <= length <= reach]


def _window(middle: NDArray[np.float64], length: int, shape: tuple[int, int]) -> Window:
    """Return the window of the grid whose middle is nearest, inside the plane."""
    step = length // 2
    sides = np.minimum(length, shape)
    start = np.rint((middle - length / 2) / step).astype(np.int64) * step
    start = np.clip(start, 0, shape - sides)
    return Window(*map(int, (*start, *(start + sides))))


def _area(window: Window) -> int:
    """Return the pixels of a window."""
    return (window.max_row - window.min_row) * (window.max_col - window.min_col)


def _new(candidates: Instances, found: Instances, window: Window, same_iou: float) -> Instances:
    """Return the objects of a window that it shows whole and that are not candidates yet."""
    # The plane's own border cuts nothing.
    inner = np.array(window) != (0, 0, *candidates.shape)
    room = (found.bboxes - np.array(window)) * (1, 1, -1, -1)
    whole = ~((room < _MARGIN) & inner).any(1)
    found = found[whole & (found.scores >= LEAST_SCORE)]
    return found[~(found.iou(candidates) > same_iou).any(0)]
