"""Where a layer's positions are in another layer's pixels, and which plane of it a viewer shows.

Layers meet in world coordinates. A viewer cuts planes out of layers along their own axes: what is
rotated or sheared out of the plane is shown as if it were not, and pointed at as it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.drawn import nearest_planes
from napari_fastsam._napari.grid import affine_of, unit_factors
from napari_fastsam.planes import PlaneAxes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import Dims
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_fastsam._napari.grid import Placed
    from napari_fastsam.pipeline import Index

_STEP_LETTERS = "ZTQPONMLKJIHGFEDBA"


@dataclass(frozen=True, slots=True)
class View:
    """A plane of an image: how the image falls into planes, and which one this is.

    Parameters
    ----------
    axes, index
        How it falls into planes, and the position of this one on the stepped axes.
    point
        Where the viewer's sliders are in the world, for each of its axes; NaN where any position
        will do. Empty without a viewer.
    units
        The units of `point`.
    """

    axes: PlaneAxes
    index: Index
    point: tuple[float, ...] = field(default=(), compare=False)
    units: tuple[Any, ...] = field(default=(), compare=False)

    @property
    def displayed(self) -> tuple[int, int]:
        """The positions of rows and columns among the image's axes."""
        return self.axes.axes.index("Y"), self.axes.axes.index("X")


def carry(
    positions: NDArray[np.float64],
    source: Placed,
    target: Placed,
    view: View | None = None,
) -> NDArray[np.float64]:
    """Return positions (N, source.ndim) of one layer as positions (N, target.ndim) of another.

    Parameters
    ----------
    positions
        Data coordinates of `source`.
    source, target
        Layers; the world axes that only `source` has are left out, see `in_view`.
    view
        The plane of `target` that gives its own position on axes which only `target` has. The
        other axes follow from the world axes that both have.

    Raises
    ------
    ValueError
        If `target` has more axes than `source` and `view` does not say where on them.
    """
    linear, offset = affine_of(source)
    world = np.asarray(positions, float).reshape(-1, source.ndim) @ linear.T + offset
    shared = min(source.ndim, target.ndim)
    world = world[:, -shared:] * unit_factors(source.units[-shared:], target.units[-shared:])
    linear, offset = affine_of(target)
    missing = target.ndim - shared
    steps = () if view is None else view.axes.steps
    fail_if(
        not set(range(missing)) <= set(steps),
        f"prompts with the {target.ndim} axes of the image",
        f"{source.name!r} with {source.ndim}",
        "make a prompt layer with all axes, or say which plane is meant",
    )
    fixed = np.array([] if view is None else view.index[:missing], float)
    rest = world - offset[missing:] - linear[missing:, :missing] @ fixed
    # Least squares: a turned target may have an axis that the shared ones say nothing of.
    solved = np.linalg.lstsq(linear[missing:, missing:], rest.T, rcond=None)[0].T
    return np.hstack([np.broadcast_to(fixed, (len(solved), missing)), solved])


def in_view(
    positions: NDArray[np.float64], source: Placed, target: Placed, view: View | None
) -> NDArray[np.bool_]:
    """Return (N,): whether positions are on the sliders' position of axes that `target` lacks.

    All of them are, where `view` comes from no viewer.
    """
    extra = source.ndim - target.ndim
    if view is None or extra <= 0 or source.ndim > len(view.point):
        return np.ones(len(positions), bool)
    displayed = [axis + extra for axis in view.displayed]
    hidden = [axis for axis in range(source.ndim) if axis not in displayed]
    point = np.array(view.point[-source.ndim :])
    slider = _cut(source, hidden, np.nan_to_num(point), view.units or source.units)
    lacking = [n for n, axis in enumerate(hidden) if axis < extra and not np.isnan(point[axis])]
    own = np.asarray(positions, float)[:, [hidden[n] for n in lacking]]
    return np.asarray((nearest_planes(own) == nearest_planes(slider[lacking])).all(axis=1))


def layout(image: Image, displayed: Sequence[int] = (-2, -1)) -> PlaneAxes:
    """Return how an image layer falls into planes whose rows and columns are axes `displayed`."""
    fail_if(
        image.ndim < 2 or image.ndim - 2 > len(_STEP_LETTERS),
        "an image of two or more axes",
        f"{image.name!r} with {image.ndim}",
        "choose another image layer",
    )
    letters = axis_letters(image.ndim, displayed)
    return PlaneAxes(letters + "C" * image.rgb, tuple(pixels(image).shape))


def axis_letters(ndim: int, displayed: Sequence[int]) -> str:
    """Return a letter for each axis: Y and X for the displayed ones, others for the stepped."""
    shown = [axis % ndim for axis in displayed]
    stepped = [axis for axis in range(ndim) if axis not in shown]
    letters = dict(zip(reversed(stepped), _STEP_LETTERS, strict=False)) | dict(
        zip(shown, "YX", strict=True)
    )
    return "".join(letters[axis] for axis in range(ndim))


def displayed_plane(image: Image, dims: Dims) -> View:
    """Return the plane of an image layer that is on the screen.

    Raises
    ------
    ValueError
        If the viewer shows a volume, only an edge of the image's planes, or a position beside it.
    """
    return plane_at(image, layout(image, displayed_axes(image, dims)), dims)


def displayed_axes(image: Placed, dims: Dims) -> tuple[int, int]:
    """Return which axes of an image are the rows and columns on the screen.

    Raises
    ------
    ValueError
        If the viewer shows a volume, or only an edge of the image's planes.
    """
    fail_if(
        dims.ndisplay != 2,
        "a viewer that shows planes",
        "3D display",
        "switch to 2D with the cube button below the layer list",
    )
    row, column = (axis - (dims.ndim - image.ndim) for axis in dims.displayed)
    fail_if(
        min(row, column) < 0,
        f"a view of the planes of {image.name!r}",
        f"axes {tuple(dims.displayed)} on the screen, which it does not span",
        "change the order of the axes with the roll button below the layer list",
    )
    return row, column


def plane_at(image: Placed, axes: PlaneAxes, dims: Dims) -> View:
    """Return the plane of an image that the sliders are at.

    Raises
    ------
    ValueError
        If they are beside the image.
    """
    point = np.asarray(dims.point, float)
    units = tuple(dims.units or image.units)
    position = nearest_planes(_cut(image, axes.steps, point[-image.ndim :], units))
    index = tuple(int(at) for at in position)
    sizes = tuple(axes.shape[axis] for axis in axes.steps)
    fail_if(
        any(not 0 <= at < size for at, size in zip(index, sizes, strict=True)),
        f"a plane of {image.name!r}, which has {sizes} along the sliders",
        f"position {index}",
        "move the sliders until the image is in view",
    )
    return View(axes, index, tuple(point.tolist()), units)


def to_pixel(
    image: Placed, view: View, dims: Dims
) -> Callable[[Sequence[float]], tuple[float, float] | None]:
    """Return what turns a position of the mouse into the row and column shown there, at once.

    It holds as long as the image, the units and the order of the axes stay as they are.

    Parameters
    ----------
    image, view
        An image and the plane of it that is on the screen.
    dims
        The viewer's.

    Returns
    -------
    A function of world coordinates, as a mouse event's ``position``, which gives None outside the
    image and for another plane than that in view.
    """
    factors = unit_factors((dims.units or image.units)[-image.ndim :], image.units)
    linear, offset = affine_of(image)
    shown, hidden = list(view.displayed), list(view.axes.steps)
    inverse = np.linalg.inv(linear[np.ix_(shown, shown)])
    (a, b), (c, d) = (inverse * factors[shown]).tolist()
    e, f = (-inverse @ offset[shown]).tolist()
    full = np.linalg.inv(linear)
    across = (full[np.ix_(hidden, hidden)] * factors[hidden]).tolist()
    start = (-full @ offset)[hidden].tolist()
    height, width = view.axes.plane_shape
    y, x = (axis - image.ndim for axis in shown)
    sliders = [axis - image.ndim for axis in hidden]

    def pixel(world: Sequence[float]) -> tuple[float, float] | None:
        for weights, begin, at in zip(across, start, view.index, strict=True):
            depth = begin + sum(w * world[n] for w, n in zip(weights, sliders, strict=True))
            if round(round(depth, 9)) != at:  # as nearest_planes
                return None
        row = a * world[y] + b * world[x] + e
        column = c * world[y] + d * world[x] + f
        inside = -0.5 <= row < height - 0.5 and -0.5 <= column < width - 0.5
        return (float(row), float(column)) if inside else None

    return pixel


def pixels(image: Image) -> Any:
    """Return the array of an image layer; of a pyramid, its full resolution."""
    return image.data[0] if image.multiscale else image.data


def _cut(
    layer: Placed, hidden: Sequence[int], point: NDArray[np.float64], units: Sequence[Any]
) -> NDArray[np.float64]:
    """Return the position on a layer's `hidden` axes at which napari cuts it at a world `point`.

    Other axes have no part in it, so that a turned layer is cut along its own axes.
    """
    linear, offset = affine_of(layer)
    hidden = list(hidden)
    inverse = np.linalg.inv(linear)
    world = point * unit_factors(units[-layer.ndim :], layer.units)
    return np.asarray(inverse[np.ix_(hidden, hidden)] @ world[hidden] - (inverse @ offset)[hidden])
