"""Where a layer's positions are in another layer's pixels, and which plane of it a viewer shows.

Layers meet in world coordinates, whose axes are aligned at the last one. World coordinates carry
units; napari's own conversions leave those out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.drawn import nearest_planes
from napari_fastsam.planes import Display, PlaneAxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import Dims
    from napari.layers import Image, Layer
    from numpy.typing import NDArray

    from napari_fastsam.pipeline import Index

_STEP_LETTERS = "ZTQPONMLKJIHGFEDBA"


@dataclass(frozen=True, slots=True)
class View:
    """A plane of an image layer: how the layer falls into planes, and which one this is."""

    axes: PlaneAxes
    index: Index


def carry(
    positions: NDArray[np.float64],
    source: Layer,
    target: Layer,
    view: View | None = None,
) -> NDArray[np.float64]:
    """Return positions (N, source.ndim) of one layer as positions (N, target.ndim) of another.

    Parameters
    ----------
    positions
        Data coordinates of `source`.
    source, target
        Layers; the world axes that only `source` has are left out.
    view
        The plane of `target` that gives positions on axes which only `target` has.

    Raises
    ------
    ValueError
        If `target` has more axes than `source` and `view` does not say where on them.
    """
    linear, offset = _affine(source)
    world = np.asarray(positions, float).reshape(-1, source.ndim) @ linear.T + offset
    shared = min(source.ndim, target.ndim)
    world = world[:, -shared:] * unit_factors(source.units[-shared:], target.units[-shared:])
    linear, offset = _affine(target)
    missing = target.ndim - shared
    if missing:
        steps = () if view is None else view.axes.steps
        fail_if(
            not set(range(missing)) <= set(steps),
            f"prompts with the {target.ndim} axes of the image",
            f"{source.name!r} with {source.ndim}",
            "make a prompt layer with all axes, or say which plane is meant",
        )
        assert view is not None
        corner = np.zeros(target.ndim)
        corner[list(steps)] = view.index
        plane = (linear @ corner + offset)[:missing]
        world = np.hstack([np.broadcast_to(plane, (len(world), missing)), world])
    return np.asarray((world - offset) @ np.linalg.inv(linear).T)


def unit_factors(source: Sequence[Any], target: Sequence[Any]) -> NDArray[np.float64]:
    """Return (D,): what lengths in the units of `source` are multiplied by to be in `target`'s.

    Units that do not measure the same, as pixels and micrometres, are taken as they are: napari
    shows such layers as if they had no units.
    """
    if any(a.dimensionality != b.dimensionality for a, b in zip(source, target, strict=True)):
        return np.ones(len(source))
    return np.array([float((1 * a).to(b).magnitude) for a, b in zip(source, target, strict=True)])


def layout(image: Image, displayed: Sequence[int] = (-2, -1)) -> PlaneAxes:
    """Return how an image layer falls into planes whose rows and columns are axes `displayed`."""
    fail_if(
        image.ndim < 2 or image.ndim - 2 > len(_STEP_LETTERS),
        "an image of two or more axes",
        f"{image.name!r} with {image.ndim}",
        "choose another image layer",
    )
    shown = [axis % image.ndim for axis in displayed]
    stepped = [axis for axis in range(image.ndim) if axis not in shown]
    letters = dict(zip(reversed(stepped), _STEP_LETTERS, strict=False)) | dict(
        zip(shown, "YX", strict=True)
    )
    return PlaneAxes(
        "".join(letters[axis] for axis in range(image.ndim)) + "C" * image.rgb,
        tuple(pixels(image).shape),
    )


def displayed_plane(image: Image, dims: Dims) -> View:
    """Return the plane of an image layer that is on the screen.

    Raises
    ------
    ValueError
        If the viewer shows a volume, only an edge of the image's planes, or a position beside it.
    """
    fail_if(
        dims.ndisplay != 2,
        "a viewer that shows planes",
        "3D display",
        "switch to 2D with the cube button below the layer list",
    )
    displayed = [axis - (dims.ndim - image.ndim) for axis in dims.displayed]
    fail_if(
        min(displayed) < 0,
        f"a view of the planes of {image.name!r}",
        f"axes {tuple(dims.displayed)} on the screen, which it does not span",
        "change the order of the axes with the roll button below the layer list",
    )
    axes = layout(image, displayed)
    units = dims.units or image.units
    point = np.asarray(dims.point[-image.ndim :], float)
    world = point * unit_factors(units[-image.ndim :], image.units)
    linear, offset = _affine(image)
    position = nearest_planes(np.linalg.solve(linear, world - offset))
    index = tuple(int(position[axis]) for axis in axes.steps)
    sizes = tuple(axes.shape[axis] for axis in axes.steps)
    fail_if(
        any(not 0 <= at < size for at, size in zip(index, sizes, strict=True)),
        f"a plane of {image.name!r}, which has {sizes} along the sliders",
        f"position {index}",
        "move the sliders until the image is in view",
    )
    return View(axes, index)


def pixels(image: Image) -> Any:
    """Return the array of an image layer; of a pyramid, its full resolution."""
    return image.data[0] if image.multiscale else image.data


def display_of(image: Image) -> Display:
    """Return contrast limits and gamma as the layer shows them; colour is taken as it is."""
    if image.rgb:
        return Display()
    low, high = image.contrast_limits
    return Display(contrast_limits=(float(low), float(high)), gamma=float(image.gamma))


def _affine(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the layer's transform to world coordinates: linear part (D, D) and offset (D,)."""
    offset = np.array(layer.data_to_world(np.zeros(layer.ndim)))
    columns = [np.array(layer.data_to_world(unit)) - offset for unit in np.eye(layer.ndim)]
    return np.stack(columns, axis=1), offset
