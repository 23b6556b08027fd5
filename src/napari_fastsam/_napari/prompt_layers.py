"""New layers to draw prompts in: on the image, with its transform, ready for the first click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._napari.drawn import polarity_of

if TYPE_CHECKING:
    from napari.layers import Image, Points, Shapes

POLARITY_COLOURS = {"+": "lime", "-": "red"}


def points_layer(image: Image, plane_shape: tuple[int, int]) -> Points:
    """Return an empty Points layer on an image, whose ``polarity`` feature is ``"+"`` or ``"-"``.

    Parameters
    ----------
    image
        What the points will be about.
    plane_shape
        (H, W) of its planes in pixels, which the points' size follows.
    """
    import pandas as pd
    from napari.layers import Points

    return Points(
        ndim=image.ndim,
        name=f"{image.name} points",
        features={"polarity": pd.Categorical([], categories=list(POLARITY_COLOURS))},
        feature_defaults={"polarity": "+"},
        face_color="polarity",
        face_color_cycle=list(POLARITY_COLOURS.values()),
        border_color="white",
        size=_mark(plane_shape),
        **_transform(image),
    )


def shapes_layer(image: Image, plane_shape: tuple[int, int]) -> Shapes:
    """Return an empty Shapes layer on an image, ready for a first box."""
    from napari.layers import Shapes

    return Shapes(
        ndim=image.ndim,
        name=f"{image.name} shapes",
        face_color="transparent",
        edge_color="lime",
        edge_width=_mark(plane_shape) / 5,
        **_transform(image),
    )


def set_polarity(points: Points, polarity: str) -> None:
    """Make the points that come next, and those that are selected, ``"+"`` or ``"-"``."""
    import pandas as pd

    defaults = points.feature_defaults.iloc[0].to_dict()
    features = points.features.copy()
    positive = polarity_of(features["polarity"].tolist())
    positive[sorted(points.selected_data)] = polarity == "+"
    # Whatever words or numbers the user had: these two can be told apart and coloured.
    features["polarity"] = pd.Categorical(
        np.where(positive, "+", "-"), categories=list(POLARITY_COLOURS)
    )
    points.features = features  # resets the defaults
    points.feature_defaults = defaults | {"polarity": polarity}


def next_polarity(points: Points) -> str:
    """Return what the point that comes next will be, ``"+"`` or ``"-"``; ``"+"`` if unclear."""
    try:
        return "+" if polarity_of(points.feature_defaults["polarity"].tolist())[0] else "-"
    except ValueError:  # a new layer of the user's own, whose default is no polarity
        return "+"


def _mark(plane_shape: tuple[int, int]) -> float:
    """Return how large a mark is on a plane, in pixels."""
    return float(np.clip(min(plane_shape) / 60, 2, 40))


def _transform(image: Image) -> dict[str, Any]:
    """Return what places a layer like an image."""
    names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    return {name: getattr(image, name) for name in names}
