"""A task that a worker imports from here, so that it is as small as a real one."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_fastsam.batch.tasks import Done, Look, Task, Work
from napari_fastsam.report import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fastsam.batch.tasks import Models


@dataclass(frozen=True, slots=True)
class Sleep:
    """Takes the time of a task, and does not do it.

    Parameters
    ----------
    task
        What would be done.
    seconds
        For each plane.
    """

    task: Task
    seconds: float

    @property
    def work(self) -> Work:
        """What is done with its image."""
        return self.task.work

    def based(self, folder: Path) -> Sleep:
        """Return the same for a process that works in another folder."""
        return replace(self, task=self.task.based(folder))

    def perform(self, models: Models) -> tuple[str, ...] | Done:
        """Sleep."""
        if isinstance(self.task, Look):
            time.sleep(self.seconds * len(self.task.indices))
            return ()
        assert self.work.output is not None
        self.work.output.mkdir()  # else the run has left nothing worth a manifest
        return self.work.done(self.work.open(), Tally(across_planes=False), 0.0)
