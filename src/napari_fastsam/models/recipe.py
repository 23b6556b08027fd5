"""Which settings a run of training can have."""

from __future__ import annotations

from dataclasses import dataclass

from napari_fastsam._checks import fail_if
from napari_fastsam.models.letterbox import STRIDE

_LARGEST = 8192  # network pixels; no larger image size is read back from a model's file


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The numbers that a run depends on, besides its data.

    Parameters
    ----------
    epochs
        How often as many images are drawn as there are.
    image_size
        Length in network pixels of an image's longer side when the network is used.
    crop_size
        Side in network pixels of the squares that are learned from; a multiple of 32, not more than
        the image size.
    batch_size
        Squares per step.
    learning_rate
        Its highest value, for AdamW.
    seed
        Of everything drawn at random.
    validation
        Share of the images, in [0, 1), that is not learned from but judged on.
    patience
        Epochs without a lower loss on them after which the run ends.
    """

    epochs: int
    image_size: int
    crop_size: int
    batch_size: int
    learning_rate: float
    seed: int
    validation: float
    patience: int

    def __post_init__(self) -> None:
        squares = STRIDE <= self.crop_size <= self.image_size and self.crop_size % STRIDE == 0
        faults = [
            f"{name} {getattr(self, name)}"
            for name, right in (
                ("epochs", self.epochs >= 1),
                ("image_size", STRIDE <= self.image_size <= _LARGEST),
                ("crop_size", squares),
                ("batch_size", self.batch_size >= 1),
                ("learning_rate", self.learning_rate > 0),
                ("seed", self.seed >= 0),
                ("validation", 0 <= self.validation < 1),
                ("patience", self.patience >= 1),
            )
            if not right
        ]
        fail_if(
            faults,
            f"an image_size of {STRIDE} to {_LARGEST}, a crop_size that is a multiple of {STRIDE} "
            f"and at most the image_size ({self.image_size}), validation in [0, 1), and positive "
            "numbers otherwise",
            ", ".join(faults),
            "change these",
        )
