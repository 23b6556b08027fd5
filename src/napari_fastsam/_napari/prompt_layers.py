"""New layers to draw prompts in: on the image, with its transform, ready for the first click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._napari.drawn import polarity_of

if TYPE_CHECKING:
    from napari.layers import Image, Points, Shapes

    from napari_fastsam._napari.grid import Grid

POLARITY_COLOURS = {"+": "lime", "-": "red"}


def points_layer(
    image: Image, plane_shape: tuple[int, int], grid: Grid | Image | None = None
) -> Points:
    """Return an empty Points layer on an image, whose ``polarity`` feature is ``"+"`` or ``"-"``.

    Its feature ``group`` says which points speak of one object.

    Parameters
    ----------
    image
        What the points will be about.
    plane_shape
        (H, W) of its planes in pixels, which the points' size follows.
    grid
        Whose pixels labels are in, if not those of `image`.
    """
    import pandas as pd
    from napari.layers import Points

    grid = image if grid is None else grid
    return Points(
        ndim=grid.ndim,
        name=f"{image.name} points",
        features={
            "polarity": pd.Categorical([], categories=list(POLARITY_COLOURS)),
            "group": np.empty(0),
        },
        feature_defaults={"polarity": "+", "group": np.nan},
        face_color="polarity",
        face_color_cycle=list(POLARITY_COLOURS.values()),
        border_color="white",
        size=_mark(plane_shape),
        **_transform(grid),
    )


def shapes_layer(
    image: Image, plane_shape: tuple[int, int], grid: Grid | Image | None = None
) -> Shapes:
    """Return an empty Shapes layer on an image, ready for a first box."""
    from napari.layers import Shapes

    grid = image if grid is None else grid
    return Shapes(
        ndim=grid.ndim,
        name=f"{image.name} shapes",
        face_color="transparent",
        edge_color="lime",
        edge_width=_mark(plane_shape) / 5,
        **_transform(grid),
    )


def ready_for_clicks(points: Points) -> None:
    """Give a layer of the user's own the features that clicks need: polarity and group.

    Polarities that are numbers or truth values become words, and groups that are truth values
    numbers: napari could not write those of a click in such a column.
    """
    import pandas as pd

    features = points.features
    plain = {name for name in features if pd.api.types.is_numeric_dtype(features[name])}
    truths = {name for name in features if pd.api.types.is_bool_dtype(features[name])}
    missing = {"polarity", "group"} - set(features)
    unfit = ({"polarity"} & plain) | ({"group"} & truths)
    if not missing and not unfit:
        return
    features, defaults = features.copy(), points.feature_defaults.iloc[0].to_dict()
    fresh: dict[str, Any] = {"polarity": "+", "group": np.nan}
    if "polarity" in missing | unfit:
        words = features["polarity"].tolist() if "polarity" in unfit else ["+"] * len(features)
        signs = np.where(polarity_of(words), "+", "-")
        features["polarity"] = pd.Categorical(signs, categories=list(POLARITY_COLOURS))
        if "polarity" in unfit:
            fresh["polarity"] = next_polarity(points)
    if "group" in missing:
        features["group"] = np.full(len(features), np.nan)
    elif "group" in unfit:
        features["group"] = features["group"].astype(float)
    _set_features(points, features)
    points.feature_defaults = defaults | {name: fresh[name] for name in missing | unfit}


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
    _set_features(points, features)
    points.feature_defaults = defaults | {"polarity": polarity}


def _set_features(points: Points, features: Any) -> None:
    """Replace the features, which resets their defaults; words have no place on a colormap."""
    import pandas as pd

    before = points.features
    if "polarity" in before and pd.api.types.is_numeric_dtype(before["polarity"]):
        for kind in ("face_color_mode", "border_color_mode"):
            if str(getattr(points, kind)) == "colormap":
                setattr(points, kind, "direct")
    points.features = features


def next_polarity(points: Points) -> str:
    """Return what the point that comes next will be, ``"+"`` or ``"-"``; ``"+"`` if unclear."""
    try:
        return "+" if polarity_of(points.feature_defaults["polarity"].tolist())[0] else "-"
    except ValueError:  # a new layer of the user's own, whose default is no polarity
        return "+"


def _mark(plane_shape: tuple[int, int]) -> float:
    """Return how large a mark is on a plane, in pixels."""
    return float(np.clip(min(plane_shape) / 60, 2, 40))


def _transform(image: Grid | Image) -> dict[str, Any]:
    """Return what places a layer like an image."""
    names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    return {name: getattr(image, name) for name in names}
