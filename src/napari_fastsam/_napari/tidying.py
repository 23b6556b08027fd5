"""Cleanup of labels that are there: shown beforehand, done on request, beside the main thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._napari.preview_layer import COMES, GOES
from napari_fastsam._napari.worker import Job, Worker
from napari_fastsam.cleanup import Cleanup, clean
from napari_fastsam.records import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_fastsam._napari.work import Work
    from napari_fastsam._napari.worker import Ending
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index
    from napari_fastsam.plans import Planned


class Tidying:
    """Works out what tidying does to a plane of labels; the newest question wins.

    Parameters
    ----------
    failed
        Called with an error.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self.worker = Worker()
        self._failed = failed

    def plan(
        self, work: Work, cleanup: Cleanup, index: Index, then: Callable[[Planned], None]
    ) -> Job:
        """Work out what becomes of a plane, and pass it on in the main thread."""
        labelling = work.labelling

        def plan(_: Callable[[], bool]) -> Iterator[Planned]:
            yield labelling.plan_clean(cleanup, index)

        def ended(_: Ending, error: Exception | None) -> None:
            if error is not None:
                self._failed(error)

        job = Job(plan, then, ended, doing="Tidying")
        self.worker.submit(job)
        return job

    def tidy(
        self, objects: Instances, cleanup: Cleanup, then: Callable[[NDArray[Any]], None]
    ) -> Job:
        """Work out what becomes of objects, and pass their label image on in the main thread."""

        def tidied(_: Callable[[], bool]) -> Iterator[NDArray[Any]]:
            yield clean(objects.to_labels(), cleanup)

        def ended(_: Ending, error: Exception | None) -> None:
            if error is not None:
                self._failed(error)

        job = Job(tidied, then, ended, doing="Tidying")
        self.worker.submit(job)
        return job


def write(work: Work, planned: Planned, cleanup: Cleanup) -> tuple[int, int]:
    """Write what was planned, as one step; return how many objects changed and how many left."""
    changed = changes(planned)
    record = plain(do="clean", plane=planned.edit.index, cleanup=cleanup)
    work.labelling.write(planned, record)
    return changed


def difference(planned: Planned, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return, for a preview of a plane (H, W), which pixels its objects lose and which they gain.

    Labels cannot show that themselves: what goes would be seen through what is left.
    """
    shown = np.zeros(shape, np.uint8)
    before, after = planned.before, planned.after
    window = shown[planned.edit.window]
    window[(before != after) & (before > 0)] = GOES
    window[(before != after) & (before == 0)] = COMES
    return shown


def changes(planned: Planned) -> tuple[int, int]:
    """Return how many objects a plan changes and how many it takes away.

    Notes
    -----
    Counted in the part of the plane that changes: an object that loses all its pixels there but has
    others elsewhere counts as taken away too, which tidying never does to an object in one piece.
    """
    before, after = planned.before, planned.after
    touched = np.unique(before[before != after])
    touched = np.union1d(touched, np.unique(after[before != after]))
    touched = touched[touched > 0]
    gone = np.setdiff1d(touched, np.unique(after))
    return len(touched) - len(gone), len(gone)
