"""What is tidied in a label image, object by object, on request only.

Each object is worked on inside its own box, so the cost follows the objects. No step ever writes
over a neighbour: an object only gains background pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.instances import Instances, labelled_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup:
    """Which morphological steps to take, in this order; all are off by default.

    Parameters
    ----------
    opening
        Radius in pixels of the disk that an object is opened with: removes spikes and bridges
        thinner than twice that.
    closing
        Radius in pixels of the disk that an object is closed with: fills notches and cracks.
    smoothing
        Standard deviation in pixels of a Gaussian; the outline is where the blurred mask is 0.5.
    fill_holes
        Holes of up to this many pixels, enclosed by the object on all sides, are filled.
    largest_piece
        Keep only an object's largest piece; pixels that touch at a corner are connected.
    min_area
        Drop objects of fewer pixels.
    clear_border
        Drop objects that touch the border of the plane.

    Raises
    ------
    ValueError
        If a number is negative or not finite.

    Notes
    -----
    Opening is wrong for thin objects: one with radius r deletes what is narrower than 2 r pixels.
    """

    opening: int = 0
    closing: int = 0
    smoothing: float = 0.0
    fill_holes: int = 0
    largest_piece: bool = False
    min_area: int = 0
    clear_border: bool = False

    def __post_init__(self) -> None:
        wrong = [
            f"{item.name}={getattr(self, item.name)!r}"
            for item in fields(self)
            if not np.isfinite(getattr(self, item.name)) or getattr(self, item.name) < 0
        ]
        fail_if(
            wrong,
            "radii, areas and smoothing of 0 or more",
            ", ".join(wrong),
            "use 0 to switch a step off",
        )

    def __bool__(self) -> bool:
        return any(getattr(self, item.name) for item in fields(self))

    @property
    def margin(self) -> int:
        """How far in pixels a step may reach beyond an object's box."""
        return 1 + int(np.ceil(max(self.opening, self.closing, 4 * self.smoothing)))


def clean(labels: NDArray[Any], cleanup: Cleanup) -> NDArray[Any]:
    """Return the label image with each object tidied.

    Parameters
    ----------
    labels
        (H, W) integers; 0 is background. Not changed.
    cleanup
        The steps.

    Returns
    -------
    (H, W) of the same dtype. Labels keep their numbers; dropped ones become background. Negative
    values are left as they are.

    Raises
    ------
    ValueError
        If `labels` is not a 2D array of integers.

    See Also
    --------
    skimage.morphology.opening, skimage.morphology.closing, scipy.ndimage.binary_fill_holes

    Examples
    --------
    >>> import numpy as np
    >>> ring = np.array([[2, 2, 2], [2, 0, 2], [2, 2, 2]])
    >>> int(clean(ring, Cleanup(fill_holes=1))[1, 1])
    2
    """
    source = np.asarray(labels)
    fail_if(
        source.ndim != 2 or source.dtype.kind not in "iu",
        "an (H, W) array of integer labels",
        f"shape {source.shape}, dtype {source.dtype}",
        "pass one plane of a label image",
    )
    if not cleanup:
        return source.copy()
    cleaned = source.copy()
    for label, window in labelled_windows(source):
        reach = tuple(
            slice(max(0, side.start - cleanup.margin), side.stop + cleanup.margin)
            for side in window
        )
        before, after = source[reach], cleaned[reach]
        own = before == label
        # Only what was background at first is free, so no object moves in where another shrank.
        free = (before == 0) & (after == 0)
        at_border = any(
            side.start == 0 or side.stop == size
            for side, size in zip(window, source.shape, strict=True)
        )
        mask = tidied(own, free, cleanup, at_border=at_border)
        after[own] = 0
        after[mask] = label
    return cleaned


def tidied(
    own: NDArray[np.bool_], free: NDArray[np.bool_], cleanup: Cleanup, *, at_border: bool
) -> NDArray[np.bool_]:
    """Return what is left of one object, nothing if it is dropped.

    Parameters
    ----------
    own, free
        (h, w): its pixels, and those that it may gain, in its box grown by `Cleanup.margin`.
    cleanup
        The steps.
    at_border
        Whether it touches the border of the plane.
    """
    mask = _steps(own, own | free, cleanup)
    dropped = cleanup.clear_border and at_border
    if dropped or np.count_nonzero(mask) < cleanup.min_area:
        mask = np.zeros_like(mask)
    return mask


def _steps(mask: NDArray[np.bool_], free: NDArray[np.bool_], cleanup: Cleanup) -> NDArray[np.bool_]:
    """Apply the steps to one mask, never leaving the `free` pixels."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import label
    from skimage.morphology import closing, disk, opening

    # The plane ends at the window's edge: "edge" padding keeps objects that leave it whole.
    pad = cleanup.margin
    mask = np.pad(mask, pad, mode="edge")
    if cleanup.opening:
        mask = opening(mask, disk(cleanup.opening))
    if cleanup.closing:
        mask = closing(mask, disk(cleanup.closing))
    if cleanup.smoothing:
        mask = gaussian_filter(mask.astype(np.float32), cleanup.smoothing) > 0.5
    mask = mask[pad:-pad, pad:-pad] & free
    if cleanup.fill_holes:
        mask |= _small_holes(mask, cleanup.fill_holes) & free
    if cleanup.largest_piece and mask.any():
        pieces = label(mask, connectivity=2)
        mask = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return np.asarray(mask, bool)


def _small_holes(mask: NDArray[np.bool_], largest: int) -> NDArray[np.bool_]:
    """Return the pixels of the holes, wholly enclosed by the mask, of up to `largest` pixels."""
    from scipy.ndimage import binary_fill_holes, label

    holes, _ = label(binary_fill_holes(mask) & ~mask)
    small = np.bincount(holes.ravel()) <= largest
    small[0] = False
    return np.asarray(small[holes])


def tidy(found: Instances, cleanup: Cleanup) -> Instances:
    """Return objects tidied one by one, as if each were alone; those that are dropped are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fastsam.instances import Instances
    >>> ring = Instances.from_labels(np.array([[2, 2, 2], [2, 0, 2], [2, 2, 2]]))
    >>> tidy(ring, Cleanup(fill_holes=1)).areas
    array([9])
    """
    if not cleanup:
        return found
    kept: list[int] = []
    masks, boxes = [], []
    for n in range(len(found)):
        top, left, bottom, right = (int(side) for side in found.bboxes[n])
        row, column = max(0, top - cleanup.margin), max(0, left - cleanup.margin)
        # The crop ends where the plane does or further away than any step reaches.
        crop = np.zeros(
            (
                min(found.shape[0], bottom + cleanup.margin) - row,
                min(found.shape[1], right + cleanup.margin) - column,
            ),
            np.uint8,
        )
        crop[top - row : bottom - row, left - column : right - column] = found.mask(n)
        tidied = clean(crop, cleanup)
        for _, (rows, columns) in labelled_windows(tidied):
            kept.append(n)
            masks.append(tidied[rows, columns] > 0)
            boxes.append(
                (row + rows.start, column + columns.start, row + rows.stop, column + columns.stop)
            )
    tidied_ones = Instances.from_masks(found.shape, masks, boxes, found.scores[kept])
    return tidied_ones.classed_as(found, kept)
