"""What the network is shown of image layers, and whose pixels prompts and labels are in.

Channels become red, green and blue, from layers of their own or from an axis of one layer; of
either, one plane is read, never a volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.grid import Grid
from napari_fastsam._napari.shown import (
    check_numbers,
    check_same_pixels,
    display_as,
    pyramid,
)
from napari_fastsam._napari.views import (
    View,
    axis_letters,
    displayed_axes,
    layout,
    pixels,
    plane_at,
    to_pixel,
)
from napari_fastsam.composite import Channel, composites
from napari_fastsam.planes import Display, PlaneAxes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari.components import Dims
    from napari.layers import Image

    from napari_fastsam._napari.shown import Contrast


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Source:
    """What the network is shown of image layers; see `source_of`.

    Parameters
    ----------
    image
        The layer that was chosen.
    grid
        Whose pixels prompts and labels are in: `image`, or where it would lie without its channel
        axis.
    data
        Anything that is indexed like an array; planes are read one at a time.
    levels
        The same at lower resolutions, of a pyramid.
    axes
        How `data` falls into planes.
    display
        How intensities become what the network sees.
    layers
        All layers that are read, `image` first: when the data of one change, so do the pixels.
    key
        Names what is shown of `layers`: equal keys mean equal pixels, as long as the layers and
        their data stay the same.
    """

    image: Image
    grid: Grid | Image
    data: Any
    levels: tuple[Any, ...]
    axes: PlaneAxes
    display: Display
    layers: tuple[Image, ...]
    key: Hashable
    _free: int | None = None  # the viewer's axis, from the last, that the grid does without

    def view(self, dims: Dims) -> View:
        """Return the plane that is on the screen.

        Raises
        ------
        ValueError
            If the sliders are beside the image.
        """
        view = plane_at(self.grid, self.axes, dims)
        if self._free is None:
            return view
        point = list(view.point)
        point[self._free] = np.nan  # all channels have the same objects
        return View(view.axes, view.index, tuple(point), view.units)

    def to_pixel(
        self, view: View, dims: Dims
    ) -> Callable[[Sequence[float]], tuple[float, float] | None]:
        """Return what turns a position of the mouse into the row and column shown there.

        See `napari_fastsam._napari.views.to_pixel`.
        """
        return to_pixel(self.grid, view, dims)


def source_of(
    image: Image,
    *,
    displayed: Sequence[int] = (-2, -1),
    colours: Sequence[Image | None] = (),
    channel_axis: int | None = None,
    channels: Sequence[int | None] | None = None,
    contrast: Contrast = "shown",
) -> Source:
    """Return what the network is shown of an image layer.

    Parameters
    ----------
    image
        The layer whose pixels count.
    displayed
        The axes that are rows and columns of the planes.
    colours
        Up to three layers with the pixels of `image` to be shown as red, green and blue in its
        place, ``None`` for a colour without a layer. A layer alone is shown in grey.
    channel_axis
        The axis of `image` that holds channels, if one does: it is not stepped through, and all
        its positions have the same labels.
    channels
        Up to three positions on the channel axis, to be red, green and blue, ``None`` for a colour
        without a channel; ``None`` takes the first ones. A channel alone is shown in grey.
    contrast
        ``"shown"`` takes contrast limits and gamma as each layer has them, ``"percentiles"``
        robust percentiles of each plane and channel, ``(low, high)`` these percentiles. RGB is
        taken as it is.

    Raises
    ------
    ValueError, TypeError
        If layers do not have the same pixels, or what is in them cannot be shown.
    """
    fail_if(
        colours and channel_axis is not None,
        "layers as colours, or a channel axis",
        "both",
        "choose one of them",
    )
    if channel_axis is not None:
        return _from_axis(image, displayed, channel_axis, channels, contrast)
    if any(layer is not None for layer in colours):
        return _from_layers(image, displayed, colours, contrast)
    check_numbers(image)
    axes = layout(image, displayed)
    display = display_as([image], contrast)
    data, *levels = pyramid(image)
    return Source(
        image=image,
        grid=image,
        data=data,
        levels=tuple(levels),
        axes=axes,
        display=display,
        layers=(image,),
        key=(axes.axes, display),
    )


def source_in_view(
    image: Image, dims: Dims, *, channel_axis: int | None = None, **options: Any
) -> tuple[Source, View]:
    """Return what the network is shown of an image layer, and the plane on the screen.

    Takes the options of `source_of`, but for the axes, which are those on the screen.

    Raises
    ------
    ValueError, TypeError
        As `source_of`, and if no plane of the image is on the screen.
    """
    source = source_of(
        image, displayed=displayed_axes(image, dims), channel_axis=channel_axis, **options
    )
    return source, source.view(dims)


def _from_layers(
    image: Image,
    displayed: Sequence[int],
    colours: Sequence[Image | None],
    contrast: Contrast,
) -> Source:
    """Return layers as red, green and blue on the pixels of `image`."""
    fail_if(
        len(colours) > 3,
        "up to three layers, for red, green and blue",
        f"{len(colours)}",
        "choose three of them",
    )
    chosen = [layer for layer in colours if layer is not None]
    shape = layout(image, displayed).label_shape
    for layer in chosen:
        check_numbers(layer)
        check_same_pixels(layer, image, shape)
    shown = chosen if len(chosen) == 1 else list(colours)
    return _composed(
        [None if layer is None else pyramid(layer) for layer in shown],
        displayed,
        image=image,
        grid=image,
        display=display_as(shown, contrast),
        layers=(image, *chosen),
        chosen=tuple(layer is not None for layer in shown),
    )


def _from_axis(
    image: Image,
    displayed: Sequence[int],
    channel_axis: int,
    channels: Sequence[int | None] | None,
    contrast: Contrast,
) -> Source:
    """Return positions on one axis of a layer as red, green and blue.

    A first axis is left out of the labels, as napari shows layers with fewer axes on every
    position of the axes before. Another axis, or one that the transform mixes with others, stays,
    with one position as wide as all channels.
    """
    check_numbers(image)
    shape = layout(image, displayed).label_shape
    axis = channel_axis % image.ndim if -image.ndim <= channel_axis < image.ndim else -1
    shown = [n % image.ndim for n in displayed]
    fail_if(
        image.rgb or image.ndim < 3 or axis < 0 or axis in shown,
        "a channel axis besides rows and columns, of an image that is not RGB",
        f"axis {channel_axis} of {image.name!r} with shape {tuple(pixels(image).shape)}",
        "choose the axis that holds the channels, or none",
    )
    positions = list(range(min(shape[axis], 3))) if channels is None else list(channels)
    there = [n for n in positions if n is not None]
    fail_if(
        len(positions) > 3 or not there or not all(0 <= n < shape[axis] for n in there),
        f"one to three channels from 0 to {shape[axis] - 1}",
        f"{tuple(positions)}",
        "choose the channels to be shown as red, green and blue",
    )
    positions = there if len(there) == 1 else positions
    less = Grid.of(image).without_first() if axis == 0 else None
    kept = less is None
    return _composed(
        [
            None if n is None else [Channel(array, axis, n, kept) for array in pyramid(image)]
            for n in positions
        ],
        shown if kept else [n - 1 for n in shown],
        image=image,
        grid=Grid.of(image).one_along(axis, shape[axis]) if less is None else less,
        display=display_as([None if n is None else image for n in positions], contrast),
        layers=(image,),
        chosen=(axis, *positions),
        free=None if kept else -image.ndim,
    )


def _composed(
    pyramids: list[list[Any] | None],
    displayed: Sequence[int],
    *,
    image: Image,
    grid: Grid | Image,
    display: Display,
    layers: tuple[Image, ...],
    chosen: Hashable,
    free: int | None = None,
) -> Source:
    """Return the source that shows channels, each an array with its lower resolutions."""
    data, *levels = composites(pyramids)
    letters = axis_letters(grid.ndim, displayed) + "C"
    return Source(
        image=image,
        grid=grid,
        data=data,
        levels=tuple(levels),
        axes=PlaneAxes(letters, data.shape),
        display=display,
        layers=layers,
        key=(letters, display, chosen),
        _free=free,
    )
