"""What the network is shown while it learns: a square of an image, warped and lit at random.

Objects come out between about 8 and 300 pixels wide, turned, inverted, blurred, noisy, dim, grey or
coloured, so that what is learned does not hang on one microscope. Images are (H, W, 3) uint8 as
`planes.to_rgb` makes them, label images (H, W) uint16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam.models._ultralytics import opencv
from napari_fastsam.models.letterbox import FILL

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_fastsam.models.scenes import Scene

    Image = NDArray[np.uint8]
    Values = NDArray[np.float32]
    Light = Callable[[Values, np.random.Generator], Values]

_WIDTHS = (9.0, 160.0)  # network pixels between which the objects' median width is drawn
_TILE = 2
_LARGE = 80.0  # from this median width on, an object needs its surroundings to be recognised


def view(
    scene: Scene, size: int, image_size: int, rng: np.random.Generator
) -> tuple[Image, NDArray[np.uint16]]:
    """Return a (size, size) square of a scene, augmented, with its labels.

    Parameters
    ----------
    scene
        What is looked at.
    size
        Side of the square, in network pixels.
    image_size
        Longer side that a whole image is given at inference; sets the usual scale.
    rng
        Source of every choice.
    """
    cv2 = opencv()
    matrix = _warp(scene, size, image_size, rng)
    square = (size, size)
    image = cv2.warpAffine(
        scene.image, matrix, square, flags=cv2.INTER_LINEAR, borderValue=(FILL,) * 3
    )
    labels = cv2.warpAffine(scene.labels, matrix, square, flags=cv2.INTER_NEAREST, borderValue=0)
    return _lit(np.asarray(image), scene.upright, rng), np.asarray(labels, np.uint16)


def _warp(
    scene: Scene, size: int, image_size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw scale, rotation, mirror image and position: a 2x3 matrix from scene to square."""
    height, width = scene.labels.shape
    scale = _scale(scene, size, image_size, rng)
    if scene.upright:
        angle = rng.uniform(-10, 10) if rng.random() < 0.3 else 0.0
    else:
        angle = rng.uniform(0, 360) if rng.random() < 0.4 else 90.0 * rng.integers(4)
    half = size / scale / 2
    centre = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    if len(scene.centres) and rng.random() < 0.7:
        centre = scene.centres[rng.integers(len(scene.centres))] + rng.uniform(-half, half, 2) / 2
    for axis, extent in enumerate((width, height)):
        slack = extent / 2 - half
        middle = extent / 2
        if slack > 0:  # stay inside the image
            centre[axis] = np.clip(centre[axis], middle - slack, middle + slack)
        else:  # the image lies inside the square
            centre[axis] = middle + rng.uniform(slack, -slack)
    stretch = np.exp(rng.uniform(-0.15, 0.15)) if rng.random() < 0.3 else 1.0
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    linear = turn @ np.diag([scale * stretch * mirror, scale / stretch])
    # Pixel centres are whole numbers to OpenCV: half a pixel either side.
    return np.column_stack([linear, size / 2 - 0.5 - linear @ (centre - 0.5)])


def _scale(scene: Scene, size: int, image_size: int, rng: np.random.Generator) -> float:
    """Draw how many network pixels a pixel becomes: half the time as at inference, or anything."""
    longest = min(max(scene.labels.shape), _TILE * image_size)  # larger ones are cut into tiles
    usual = image_size / longest
    width = scene.width * usual
    if width > _LARGE:
        return float(np.exp(rng.uniform(np.log(size / longest / 1.3), np.log(usual * 1.2))))
    if rng.random() < 0.55:
        return float(usual * np.exp(rng.normal(0, 0.25)))
    wanted = np.exp(rng.uniform(*np.log(_WIDTHS)))
    return float(usual * np.clip(wanted / width, 0.35, 3.0))


def _lit(image: Image, natural: bool, rng: np.random.Generator) -> Image:
    """Change light, colour and sharpness at random, less for a photograph."""
    values: Values = (image / 255).astype(np.float32)
    for chance, chance_natural, change in _LIGHTS:
        if rng.random() < (chance_natural if natural else chance):
            values = np.clip(change(values, rng), 0, 1).astype(np.float32)
    return np.asarray(values * 255 + 0.5).astype(np.uint8)


def _invert(values: Values, rng: np.random.Generator) -> Values:
    return 1 - values


def _bend(values: Values, rng: np.random.Generator) -> Values:
    """Gamma."""
    return values ** np.float32(np.exp(rng.uniform(-0.7, 0.7)))


def _dim(values: Values, rng: np.random.Generator) -> Values:
    """Contrast and brightness."""
    low, high = rng.uniform(-0.15, 0.3), rng.uniform(0.5, 1.3)
    return values * np.float32(high - low) + np.float32(low)


def _shade(values: Values, rng: np.random.Generator) -> Values:
    """Light that falls off across the image."""
    height, width = values.shape[:2]
    cv2 = opencv()
    gain = rng.uniform(0.4, 1.2, (2, 2)).astype(np.float32)
    light = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(values * np.asarray(light, np.float32)[..., None])


def _grey(values: Values, rng: np.random.Generator) -> Values:
    weights = rng.dirichlet((2, 2, 2)).astype(np.float32)
    grey: Values = values @ weights
    return np.repeat(grey[..., None], 3, axis=2)


def _tint(values: Values, rng: np.random.Generator) -> Values:
    """Colours shifted, as another stain or white balance."""
    return values * rng.uniform(0.7, 1.3, 3).astype(np.float32)


def _dye(values: Values, rng: np.random.Generator) -> Values:
    """One colour on black, as a fluorescence channel that is shown in its own colour."""
    colour = np.array([1.0, rng.uniform(0, 1), rng.uniform(0, 0.3)], np.float32)
    bright: Values = values.max(axis=2, keepdims=True)
    return np.asarray(bright * rng.permutation(colour))


def _stain(values: Values, rng: np.random.Generator) -> Values:
    """Nuclei in one dye and clouds of others on white: tissue as transmitted light shows it."""
    grey = values.mean(axis=2)
    nuclei = grey if grey.mean() < 0.5 else 1 - grey
    dyes = np.clip(_DYES[rng.permutation(len(_DYES))[:2]] + rng.normal(0, 0.1, (2, 3)), 0.02, 1.2)
    density = nuclei[..., None] * (rng.uniform(0.6, 2.2) * dyes[0])
    for share in rng.uniform(0, (1.4, 0.5)):
        density = density + _clouds(grey.shape, rng)[..., None] * (share * dyes[1])
    return np.asarray(np.exp(-density), np.float32)


def _clouds(shape: tuple[int, ...], rng: np.random.Generator) -> Values:
    """Return a smooth random field in [0, 1], (H, W), part of it empty, with fine grain."""
    cv2 = opencv()
    size = int(rng.integers(2, 24))
    field = cv2.resize(rng.random((size, size), np.float32), shape[::-1])
    field = np.clip((field - rng.uniform(0.2, 0.6)) * rng.uniform(1.5, 5), 0, 1)
    grain = rng.random((max(shape[0] // 3, 1), max(shape[1] // 3, 1)), np.float32)
    grain = cv2.resize(grain, shape[::-1])
    return np.asarray(field * (1 - rng.uniform(0, 0.7) * grain), np.float32)


def _swap(values: Values, rng: np.random.Generator) -> Values:
    return np.asarray(values[..., rng.permutation(3)], np.float32)


def _blur(values: Values, rng: np.random.Generator) -> Values:
    return np.asarray(opencv().GaussianBlur(values, (0, 0), rng.uniform(0.4, 2.2)), np.float32)


def _count(values: Values, rng: np.random.Generator) -> Values:
    """Few photons or few grey levels: shot noise, the same in every channel of a grey image."""
    most = np.float32(np.exp(rng.uniform(np.log(12), np.log(200))))
    spread = rng.standard_normal(values.shape[:2], np.float32)[..., None]
    counts: Values = np.round(values * most + spread * np.sqrt(values * most))
    return counts / most


def _noise(values: Values, rng: np.random.Generator) -> Values:
    """Camera noise."""
    sigma = np.float32(rng.uniform(0.01, 0.1))
    return values + sigma * rng.standard_normal(values.shape[:2], np.float32)[..., None]


# Optical densities of red, green and blue: haematoxylin, eosin, diaminobenzidine, a green, a red.
_DYES = np.array(
    [(0.9, 0.7, 0.3), (0.07, 0.99, 0.2), (0.4, 0.6, 1.0), (0.9, 0.2, 0.6), (0.1, 0.8, 0.7)]
)

_LIGHTS: tuple[tuple[float, float, Light], ...] = (
    (0.15, 0.05, _grey),
    (0.25, 0.3, _tint),
    (0.08, 0.0, _dye),
    (0.18, 0.0, _stain),
    (0.10, 0.03, _swap),
    (0.25, 0.02, _invert),
    (0.40, 0.2, _bend),
    (0.40, 0.2, _dim),
    (0.12, 0.05, _shade),
    (0.20, 0.1, _blur),
    (0.15, 0.03, _count),
    (0.20, 0.08, _noise),
)
"""Chance for microscopy, chance for photographs, and what happens, in this order."""
