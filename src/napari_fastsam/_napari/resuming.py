"""Runs over a stack that ended early, and whether they can be gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_fastsam._napari.words import Stopped

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.layers import Labels

    from napari_fastsam._napari.runs import Run

Kind = Literal["prompts", "everything", "words"]


@dataclass(frozen=True, slots=True)
class Asking:
    """What a run over a stack depends on: with equal values, a new run would do the same."""

    kind: Kind
    depends: Hashable


@dataclass(frozen=True, slots=True, eq=False)
class Halted:
    """A run that ended early, and what it depended on."""

    run: Run
    asking: Asking

    def fits(self, asking: Asking | None, labels: Labels | None) -> bool:
        """Whether the run would go on to do what is asked now, in these labels.

        Not so once it was undone: then the planes that it did are no longer done.
        """
        run = self.run
        if asking != self.asking:
            return False
        if run.work is None:
            return labels is None
        history = list(run.work.history)
        done = all(part in history for part in run.parts)
        return run.work.labels is labels and done

    def told(self, asking: Asking | None, labels: Labels | None) -> Stopped:
        """Return what a person is told of it."""
        run = self.run
        return Stopped(
            self.asking.kind, run.planes - run.left, run.planes, self.fits(asking, labels)
        )
