"""Which channels the network is shown as red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari.layers import Image
from psygnal import Signal

from napari_fastsam._napari import words
from napari_fastsam._napari.folds import Fold
from napari_fastsam._napari.layer_boxes import FollowingBox, layers_of
from napari_fastsam._napari.rows import form

if TYPE_CHECKING:
    from magicgui.widgets import ComboBox
    from napari.components import ViewerModel


@dataclass(frozen=True, slots=True, eq=False)
class Colours:
    """What the network is shown.

    Parameters
    ----------
    red, green, blue
        Image layers, or positions along `channel_axis`; ``None`` stays dark. All ``None``: the
        image layer as it is.
    channel_axis
        The axis of the image's array that its channels lie along; ``None`` if it has none.
    """

    red: Image | int | None = None
    green: Image | int | None = None
    blue: Image | int | None = None
    channel_axis: int | None = None

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.red, self.green, self.blue))


class ColoursPanel:
    """A choice of channels; `native` is the part that folds.

    Parameters
    ----------
    viewer
        Whose image layers are offered as colours.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self._image: Image | None = None
        self._viewer = viewer
        self.channel_axis = FollowingBox(
            lambda: axes_of(self._image),
            label="Channels",
            tooltip="The axis of the image's array that its channels lie along, or other image "
            "layers as channels. The labels do not have that axis.",
            none="in other layers",
        )
        self.red, self.green, self.blue = (
            FollowingBox(
                self._channels,
                label=colour,
                tooltip=f"What the network is shown in {colour.lower()}.",
                none="–",  # noqa: RUF001
            )
            for colour in ("Red", "Green", "Blue")
        )
        self.native = Fold(
            form([self.channel_axis, *self.boxes], margins=(10, 0, 0, 0)),
            lambda: self.title,
            "Up to three channels, which the network is shown as red, green and blue.",
        )
        self.channel_axis.changed.connect(self._axis_chosen)
        for box in (self.channel_axis, *self.boxes):
            box.changed.connect(self._chosen)

    @property
    def boxes(self) -> tuple[ComboBox, ComboBox, ComboBox]:
        """The choices for red, green and blue."""
        return self.red, self.green, self.blue

    @property
    def value(self) -> Colours:
        """The channels as chosen."""
        red, green, blue = (box.value for box in self.boxes)
        return Colours(red, green, blue, self.channel_axis.value)

    @property
    def title(self) -> str:
        """What is chosen, for the heading."""
        names = ("red", "green", "blue")
        chosen = {
            name: box.current_choice
            for name, box in zip(names, self.boxes, strict=True)
            if box.value is not None
        }
        return words.colours(chosen)

    def follow(self, image: Image | None) -> None:
        """Offer the axes of another image, and the image layers that there are now."""
        self._image = image
        self.native.setEnabled(image is not None and not image.rgb)
        for box in (self.channel_axis, *self.boxes):
            box.reset_choices()
        self.native.retitle()

    def _channels(self) -> list[tuple[str, Image | int]]:
        """Return what may be shown in a colour."""
        axis = self.channel_axis.value
        if axis is None:
            return [(layer.name, layer) for layer in layers_of(self._viewer, Image)]
        assert self._image is not None  # an axis is an image's
        size = shape_of(self._image)[axis]
        return [(str(n), n) for n in range(size)]

    def _axis_chosen(self, axis: int | None) -> None:
        """Start with the first three channels of an axis, or with the image as it is."""
        for n, box in enumerate(self.boxes):
            with box.changed.blocked():
                box.reset_choices()
                box.value = n if axis is not None and n in box.choices else None

    def _chosen(self) -> None:
        self.native.retitle()
        self.changed.emit()


def shape_of(image: Image) -> tuple[int, ...]:
    """Return the shape of an image's array, of a pyramid's largest level."""
    return tuple((image.data[0] if image.multiscale else image.data).shape)


def axes_of(image: Image | None) -> list[tuple[str, int]]:
    """Return the axes that channels may lie along, all but rows and columns of a single plane.

    Images that are flat or in colours have none.
    """
    if image is None or image.rgb or image.ndim < 3:
        return []
    return [
        (words.axis(n, image.axis_labels[n], size), n) for n, size in enumerate(shape_of(image))
    ]
