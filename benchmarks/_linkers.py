"""Other ways to link the labels of planes, to compare with: chaining by overlap, and laptrack."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import regionprops
from skimage.metrics import contingency_table

if TYPE_CHECKING:
    from numpy.typing import NDArray


def chained(planes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Name each object after the one that it overlaps most on the plane before."""
    linked = np.zeros_like(planes)
    count = 0
    for n, labels in enumerate(planes):
        names = np.zeros(int(labels.max()) + 1, np.uint32)
        if n:
            table = contingency_table(labels, linked[n - 1], normalize=False).toarray()
            table[:, 0] = 0
            names[: len(table)] = np.where(table.max(1) > 0, table.argmax(1), 0)
        names[0] = 0
        fresh = np.setdiff1d(np.unique(labels[labels > 0]), np.flatnonzero(names))
        names[fresh] = count + 1 + np.arange(len(fresh))
        count += len(fresh)
        linked[n] = names[labels]
    return linked


def laptrack_overlaps(planes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Link by ``laptrack.OverLapTrack``: distance 1 - IoU, gaps of one plane closed."""
    laptrack = _laptrack()
    iou = (1.0, 0.0, -1.0, 0.0, 0.0)
    tracker = laptrack.OverLapTrack(
        metric_coefs=iou,
        gap_closing_metric_coefs=iou,
        cutoff=0.99,
        gap_closing_cutoff=0.99,
        gap_closing_max_frame_count=1,
        splitting_cutoff=False,
        merging_cutoff=False,
    )
    tracks = tracker.predict_overlap_dataframe(list(planes.astype(np.int64)))[0].reset_index()
    return _named(planes, tracks)


def laptrack_centroids(planes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Link by ``laptrack.LapTrack``: centroids within a mean diameter, gaps of one plane closed."""
    laptrack = _laptrack()
    import pandas as pd

    rows = [
        (n, region.label, *region.centroid, region.area)
        for n, plane in enumerate(planes)
        for region in regionprops(plane.astype(np.int64))
    ]
    table = pd.DataFrame(rows, columns=["frame", "label", "row", "column", "area"])
    squared = 4 / np.pi * float(table["area"].mean())
    tracker = laptrack.LapTrack(
        cutoff=squared,
        gap_closing_cutoff=squared,
        gap_closing_max_frame_count=1,
        splitting_cutoff=False,
        merging_cutoff=False,
    )
    tracks = tracker.predict_dataframe(table, ["row", "column"], only_coordinate_cols=False)[0]
    return _named(planes, tracks.reset_index(drop="frame" in tracks))


def _laptrack():
    """Return the module laptrack."""
    try:
        import laptrack
    except ImportError:
        sys.exit("Expected laptrack to compare with. To fix it: pip install --group benchmarks")
    warnings.filterwarnings("ignore", module="laptrack")
    return laptrack


def _named(planes: NDArray[np.uint32], tracks) -> NDArray[np.uint32]:
    """Return the planes with labels that are the tracks of a table of frame, label, track_id."""
    linked = np.zeros_like(planes)
    for frame, rows in tracks.groupby("frame"):
        names = np.zeros(int(planes[frame].max()) + 1, np.uint32)
        names[rows["label"].to_numpy()] = rows["track_id"].to_numpy() + 1
        linked[frame] = names[planes[frame]]
    return linked
