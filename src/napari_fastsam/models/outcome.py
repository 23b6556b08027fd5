"""What a run of training came to, for a person and for a program."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from napari_fastsam.models.evaluate import Figures, table


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to.

    Parameters
    ----------
    output
        The model's file.
    images, objects
        How many were learned from.
    epochs
        How many were done; fewer than asked for if nothing improved any more.
    seconds
        How long it took, since it was last begun.
    losses
        Loss on the validation images after each epoch.
    figures
        How good the model is on the validation images, by domain.
    """

    output: str
    images: int
    objects: int
    epochs: int
    seconds: float
    losses: tuple[float, ...] = ()
    figures: dict[str, Figures] = field(default_factory=dict)

    def __str__(self) -> str:
        head = (
            f"{self.output}: {self.images} images, {self.objects:,} objects, "
            f"{self.epochs} epochs, {self.seconds / 60:.0f} min"
        )
        nothing_known = "No image was held back, so how good it is on others is not known."
        return f"{head}\n{table(self.figures) if self.figures else nothing_known}"

    def to_json(self) -> dict[str, Any]:
        """Return the same as numbers, text, lists and dictionaries."""
        return asdict(self)
