"""A run of training: when it is interrupted, where it goes on, and when it ends."""

from __future__ import annotations

import math
import pickle
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_fastsam._checks import fail_if, message
from napari_fastsam._files import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from napari_fastsam.models.scenes import Scene
    from napari_fastsam.models.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    step, steps
        Steps done, and how many there are to be.
    epoch, epochs
        Whole epochs done, of how many.
    loss
        Of the last step.
    validation_loss
        After the last whole epoch; ``None`` before the first, or without validation.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    validation_loss: float | None


class Run:
    """A trainer's way through its epochs, with its state on disk after each.

    Parameters
    ----------
    trainer
        What learns.
    file
        Where the state is kept until the run ends.
    fingerprint
        Of everything that the run depends on; a state with another one is not gone on with.
    patience
        Epochs without a lower validation loss after which the run ends.
    """

    def __init__(self, trainer: Trainer, file: Path, fingerprint: str, patience: int) -> None:
        self.trainer = trainer
        self.losses: list[float] = []
        self.best: dict[str, Tensor] = trainer.averaged
        self._file, self._fingerprint, self._patience = file, fingerprint, patience

    @property
    def epochs_done(self) -> int:
        """Whole epochs behind us."""
        return self.trainer.step_count // self.trainer.steps_per_epoch

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or nothing has improved for long."""
        waited = len(self.losses) - self._best_epoch - 1 if self.losses else 0
        return self.epochs_done >= self.trainer.recipe.epochs or waited >= self._patience

    def epoch(
        self, validation: Sequence[Scene], progress: Callable[[Progress], None] | None
    ) -> None:
        """Learn for one epoch, validate, and keep the state.

        Raises
        ------
        ValueError
            If a loss is not finite, or the device's memory does not hold a batch. The file then
            holds the state after the epoch before.
        """
        trainer = self.trainer
        with _memory_told(trainer):
            for _ in range(trainer.steps_per_epoch):
                loss = trainer.step()
                self._require_finite(loss)
                if progress is not None:
                    progress(self._progress(loss))
            if validation:
                judged = trainer.validate(validation)
                self._require_finite(judged)
                self.losses.append(judged)
        self._require_finite(sum(float(t.sum()) for t in trainer.averaged.values()))
        if not validation or self._best_epoch == len(self.losses) - 1:
            self.best = trainer.averaged
        state = {
            "fingerprint": self._fingerprint,
            "trainer": trainer.state(),
            "losses": self.losses,
            "best": self.best,
        }
        with whole(self._file, overwrite=True) as partial:
            torch.save(state, partial)

    def resume(self) -> None:
        """Go on where the file says, if there is one.

        Raises
        ------
        ValueError
            If it is damaged or another run's.
        """
        if not self._file.is_file():
            return
        remedy = "delete it, or train with resume=False, to begin anew"
        expected = f"the state of this run in {self._file}"
        try:
            state: dict[str, Any] = torch.load(self._file, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(message(expected, f"a damaged file ({reason})", remedy)) from error
        fail_if(
            state.get("fingerprint") != self._fingerprint,
            expected,
            "that of a run with other images, another first model or other settings",
            remedy,
        )
        self.trainer.restore(state["trainer"])
        self.losses, self.best = state["losses"], state["best"]

    def end(self) -> None:
        """Delete the file: there is nothing to go on with."""
        self._file.unlink(missing_ok=True)

    def _require_finite(self, number: float) -> None:
        """Stop when learning has diverged."""
        fail_if(
            not math.isfinite(number),
            "a loss and weights that stay finite",
            f"{number} at step {self.trainer.step_count}: learning has diverged",
            f"train at a lower learning_rate than {self.trainer.recipe.learning_rate} "
            "(--learning-rate), and with resume=False (--no-resume), to begin anew; the state "
            f"after the last good epoch, if there was one, is still in {self._file}",
        )

    @property
    def _best_epoch(self) -> int:
        return min(range(len(self.losses)), key=self.losses.__getitem__)

    def _progress(self, loss: float) -> Progress:
        """Return how far the run is."""
        trainer = self.trainer
        return Progress(
            step=trainer.step_count,
            steps=trainer.recipe.epochs * trainer.steps_per_epoch,
            epoch=self.epochs_done,
            epochs=trainer.recipe.epochs,
            loss=loss,
            validation_loss=self.losses[-1] if self.losses else None,
        )


@contextmanager
def _memory_told(trainer: Trainer) -> Iterator[None]:
    """Say what to do where the memory does not hold a batch."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        # Torch has a type of its own for this on CUDA alone.
        if "out of memory" not in reason and "allocate memory" not in reason:
            raise
        recipe = trainer.recipe
        raise ValueError(
            message(
                f"memory for {recipe.batch_size} squares of {recipe.crop_size} pixels",
                reason.rstrip("."),
                "choose a smaller batch_size (--batch-size) or crop_size (--crop-size), or another "
                "device",
            )
        ) from error
