"""What a coloured shape is: its words, its outline, its colours; and the grounds it lies on.

A shape is drawn by asking of every pixel where it lies in the shape's own frame, ``(u, v)``, in
which the shape about fills the unit circle. Colours are RGB in 0 to 255, float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

COLOURS = {
    "red": (205, 35, 35),
    "green": (40, 150, 50),
    "blue": (35, 65, 205),
    "yellow": (235, 215, 40),
    "orange": (240, 130, 20),
    "purple": (135, 40, 165),
    "white": (242, 242, 242),
    "black": (18, 18, 18),
}
TEXTURES = ("plain", "striped", "dotted", "checked")
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "heart")
TONES = {
    "grey": (128, 128, 128),
    "light": (205, 202, 198),
    "dark": (62, 62, 66),
    "brown": (125, 100, 78),
}
"""What grounds look like: pale enough that no ground is one of the colours."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape in words: its colour, its texture and its shape, each one of the names above."""

    colour: str
    texture: str
    shape: str

    @classmethod
    def draw(cls, rng: np.random.Generator, *, plain: float = 0.4) -> Thing:
        """Draw one; `plain` is the chance that it has no texture."""
        texture = "plain" if rng.random() < plain else str(rng.choice(TEXTURES[1:]))
        return cls(str(rng.choice(list(COLOURS))), texture, str(rng.choice(SHAPES)))


def frame(
    shape: tuple[int, int], centre: tuple[float, float], radius: float, angle: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each pixel of an (H, W) image lies in the frame of a shape: u and v."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    y, x = (rows - centre[0]) / radius, (cols - centre[1]) / radius
    cos, sin = np.cos(angle), np.sin(angle)
    return (x * cos + y * sin).astype(np.float32), (y * cos - x * sin).astype(np.float32)


def inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return which pixels lie in the shape."""
    if shape == "circle":
        return u**2 + v**2 <= 1
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) <= 0.85
    if shape == "triangle":
        return (v <= 0.6) & (np.abs(u) * 1.732 - v <= 1.1)
    if shape == "ring":
        squared = u**2 + v**2
        return (squared <= 1) & (squared >= 0.3)
    if shape == "cross":
        thin, long = np.minimum(np.abs(u), np.abs(v)), np.maximum(np.abs(u), np.abs(v))
        return (thin <= 0.3) & (long <= 1)
    if shape == "heart":
        x, y = u * 1.25, 0.1 - v * 1.2
        return (x**2 + y**2 - 1) ** 3 <= x**2 * y**3
    spike = np.pi / 5
    turned = np.abs((np.arctan2(u, -v) + spike) % (2 * spike) - spike)
    x, y = np.hypot(u, v) * np.cos(turned), np.hypot(u, v) * np.sin(turned)
    waist = 0.45 * np.array([np.cos(spike), np.sin(spike)])
    return (x - 1) * waist[1] - y * (waist[0] - 1) <= 0


def tinted(thing: Thing, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (H, W, 3) colours of a thing: its texture is its own colour, lighter or darker."""
    colour = np.float32(COLOURS[thing.colour]) + rng.normal(0, 9, 3).astype(np.float32)
    period = rng.uniform(0.42, 0.62)
    turn = rng.uniform(0, np.pi)
    a, b = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    x, y = a / period % 1, b / period % 1
    if thing.texture == "striped":
        other = x > 0.55
    elif thing.texture == "dotted":
        other = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.085
    elif thing.texture == "checked":
        other = (a / period % 2 < 1) ^ (b / period % 2 < 1)
    else:
        other = np.zeros(np.broadcast(u, v).shape, bool)
    grey = thing.colour in ("white", "black")
    second = np.float32((128, 128, 128)) if grey else _other_tone(colour, rng)
    shade = rng.uniform(-0.12, 0.12) * u + rng.uniform(-0.12, 0.12) * v + rng.uniform(0.88, 1.08)
    return np.where(other[..., None], second, colour) * shade[..., None]


def _other_tone(colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a much darker or a much lighter tone of a colour."""
    return colour * 0.4 if rng.random() < 0.5 else colour * 0.3 + 178


def ground(shape: tuple[int, int], tone: str, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return (H, W, 3) of a ground; kinds are plain, gradient, noise and weave."""
    base = np.float32(TONES[tone]) + rng.normal(0, 8, 3).astype(np.float32)
    rows, cols = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    along = rows * np.sin(turn) + cols * np.cos(turn)
    relief = np.zeros(shape, np.float32)
    if kind == "gradient":
        relief = along * rng.uniform(15, 40)
    elif kind == "noise":
        coarse = rng.normal(0, 1, (rng.integers(4, 12),) * 2)
        relief = zoom(coarse, np.divide(shape, coarse.shape), order=1) * rng.uniform(8, 20)
    elif kind == "weave":
        grain = gaussian_filter(rng.normal(0, 1, shape), rng.permutation([0.6, 5]))
        relief = grain / grain.std() * rng.uniform(6, 14)
    return base + relief[..., None].astype(np.float32)


def stands_out(colour: str, tone: str) -> bool:
    """Return whether a thing of this colour is told from such a ground at a glance."""
    return float(np.abs(np.subtract(COLOURS[colour], TONES[tone])).sum()) > 150


GROUNDS = ("plain", "gradient", "noise", "weave")
