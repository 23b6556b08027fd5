"""How FastSAM itself answers words, both published ways, with any CLIP: one winner for a text.

Charitably: the winner is mapped back to its mask rightly in both, and each phrase of a text
that has several is asked on its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import image_transform
from PIL import Image
from safetensors import safe_open
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fastsam import Instances

LEAST_AREA = 100  # pixels: smaller masks are skipped
WHITE = (255, 255, 255)


class Clip:
    """A CLIP as open_clip itself runs one."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            told = file.metadata()
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        config: dict[str, Any] = json.loads(told["model_cfg"])
        self.network = CLIP(**config).eval()
        self.network.load_state_dict(state)
        size = config["vision_cfg"]["image_size"]
        # Resizes the shorter side and cuts out the middle, as OpenAI's own.
        self.prepare = image_transform(size, False, **json.loads(told["preprocess_cfg"]))
        self.tokenizer = SimpleTokenizer()

    @torch.no_grad()
    def see(self, images: list[Image.Image]) -> np.ndarray:
        """Return (N, D) vectors of length 1."""
        batch = torch.stack([self.prepare(image) for image in images])
        return functional.normalize(self.network.encode_image(batch), dim=-1).numpy()

    @torch.no_grad()
    def read(self, texts: list[str]) -> np.ndarray:
        """Return (N, D) vectors of length 1."""
        said = self.network.encode_text(self.tokenizer(texts))
        return functional.normalize(said, dim=-1).numpy()


class OneWinner:
    """Answers of one of FastSAM's ways to questions about a plane.

    Parameters
    ----------
    clip
        What compares pictures and words.
    image
        (H, W, 3) uint8.
    candidates
        N masks.
    way
        `rectangle_on_white`, or `cut_out_on_black`.
    """

    def __init__(
        self,
        clip: Clip,
        image: np.ndarray,
        candidates: Instances,
        way: Callable[[np.ndarray, Instances], Image.Image],
    ) -> None:
        self.clip = clip
        self.numbers = np.flatnonzero(candidates.areas > LEAST_AREA)
        self.vectors = clip.see([way(image, candidates[[n]]) for n in self.numbers])

    def answers(self, phrases: tuple[str, ...]) -> np.ndarray:
        """Return the winner for each phrase; softmax over the masks changes nothing about it."""
        best = (self.vectors @ self.clip.read(list(phrases)).T).argmax(0)
        return self.numbers[best]


def rectangle_on_white(image: np.ndarray, one: Instances) -> Image.Image:
    """Show an object's rectangle where it is on a white canvas, as the authors' code does."""
    top, left, bottom, right = one.bboxes[0]
    canvas = np.full_like(image, WHITE)
    canvas[top:bottom, left:right] = image[top:bottom, left:right]
    return Image.fromarray(canvas)


def cut_out_on_black(image: np.ndarray, one: Instances) -> Image.Image:
    """Show an object's rectangle with black around the object, as ultralytics does."""
    top, left, bottom, right = one.bboxes[0]
    return Image.fromarray(image[top:bottom, left:right] * one.mask(0)[..., None])
