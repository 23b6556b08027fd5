"""The controls of the dock widget, and how they follow the viewer's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, FloatSlider, PushButton
from napari.layers import Image, Labels, Points, Shapes

from napari_fastsam._napari import words
from napari_fastsam._napari.models import ModelBox
from napari_fastsam._napari.panels import CleanupPanel, SettingsPanel
from napari_fastsam._napari.prompt_layers import next_polarity, set_polarity
from napari_fastsam._napari.rows import form, scrolling, set_row_visible
from napari_fastsam._napari.status import StatusPanel
from napari_fastsam.selection import DEFAULT_CONFIDENCE

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer


class Form(Container[Any]):
    """The controls of the dock widget; what they do is `FastSamWidget`'s.

    Parameters
    ----------
    viewer
        The viewer whose layers are offered.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.viewer = viewer
        self.image = self._layer_box("Image", Image, "The image layer to segment.")
        self.output = self._layer_box(
            "Labels",
            Labels,
            "Where objects are written, each with a new number. Ctrl+Z on that layer undoes.",
            none="new layer",
        )
        self.model = ModelBox()
        self.planes = ComboBox(
            label="Planes",
            choices=[("in view", "shown"), ("all", "all"), ("all, linked", "linked")],
            tooltip="Which planes of a stack are segmented. Linked: an object that goes on in the "
            "next plane keeps its label.",
        )
        self.points = self._layer_box(
            "Points", Points, "Each point asks for the object under it.", none="none"
        )
        self.add_points = _plus("New points layer: click on objects")
        self.polarity = ComboBox(
            label="Clicks",
            choices=[("+ on an object", "+"), ("− beside it", "-")],  # noqa: RUF001
            tooltip="What the next points, and those selected now, say. No object that holds a "
            "negative point (red) is an answer.",
        )
        self.shapes = self._layer_box(
            "Shapes",
            Shapes,
            "Rectangles are boxes around an object; ellipses and polygons are rough masks; paths "
            "and lines are scribbles on it.",
            none="none",
        )
        self.add_shapes = _plus("New shapes layer: drag boxes")
        self.segment_button = PushButton(
            text="Segment plane", tooltip="Take the objects that the points and shapes ask for."
        )
        self.confidence = FloatSlider(
            label="Confidence",
            value=DEFAULT_CONFIDENCE,
            min=0.05,
            max=0.95,
            step=0.05,
            tooltip="Everything leaves out objects that the network scores below this. Points and "
            "shapes choose among all.",
        )
        self.everything_button = PushButton(
            text="Everything", tooltip="Take every object that the network finds."
        )
        self.cleanup = CleanupPanel()
        self.settings = SettingsPanel()
        self.status = StatusPanel()
        super().__init__(labels=False)
        rows = form(
            [
                self.image,
                self.output,
                self.model,
                self.planes,
                "Objects you point at",
                (self.points, self.add_points),
                self.polarity,
                (self.shapes, self.add_shapes),
                self.segment_button,
                "Every object",
                self.confidence,
                self.everything_button,
            ]
        )
        self.margins = (0, 0, 0, 0)
        self.native.layout().addWidget(
            scrolling([rows, self.cleanup.native, self.settings.native, self.status])
        )
        self._follow_viewer()

    @property
    def whole_stack(self) -> bool:
        """Whether all planes are asked for."""
        image = self.image.value
        return image is not None and image.ndim > 2 and self.planes.value != "shown"

    def refresh(self, _: Any = None) -> None:
        """Show the controls that fit the layers, and what to do next."""
        image = self.image.value
        set_row_visible(self.planes, image is not None and image.ndim > 2)
        self._show_polarity()
        self.segment_button.text = "Segment planes" if self.whole_stack else "Segment plane"
        if image is None:
            self.status.say(words.NO_IMAGE)
        elif self.viewer.dims.ndisplay == 3:
            self.status.say(words.VOLUME)
        elif self.points.value is None and self.shapes.value is None:
            self.status.say(words.NO_PROMPTS)
        else:
            self.status.say(words.READY)

    def reset_choices(self, *_: Any) -> None:
        """Offer the layers that the viewer has now."""
        for box in (self.image, self.output, self.points, self.shapes):
            box.reset_choices()

    def _layer_box(
        self, label: str, kind: type[Layer], tooltip: str, none: str | None = None
    ) -> ComboBox:
        """Return a combo box of the viewer's layers of a kind, with a text for no layer."""

        def choices(_: Any) -> list[tuple[str, Layer]]:
            return [(layer.name, layer) for layer in self.viewer.layers if type(layer) is kind]

        box = ComboBox(label=label, choices=choices, tooltip=tooltip, nullable=none is not None)
        if none is not None:
            box.null_string = none
            box.reset_choices()
        return box

    def _follow_viewer(self) -> None:
        """Keep to the viewer's layers, starting with the image that is selected there."""
        for box in (self.image, self.points, self.shapes, self.planes):
            box.changed.connect(self.refresh)
        self.polarity.changed.connect(self._set_polarity)
        events = self.viewer.layers.events
        events.inserted.connect(self._layer_added)
        for event in (events.removed, events.renamed, events.reordered):
            event.connect(self._layers_changed)
        self.viewer.dims.events.ndisplay.connect(self.refresh)
        active = self.viewer.layers.selection.active
        for layer in self.viewer.layers:
            if layer == active and type(layer) is Image:
                self.image.value = layer
        self.refresh()

    def _layer_added(self, event: Any) -> None:
        """Choose the first prompt layers that come."""
        self._layers_changed()
        for box, kind in ((self.points, Points), (self.shapes, Shapes)):
            if box.value is None and type(event.value) is kind:
                box.value = event.value

    def _show_polarity(self) -> None:
        """Offer negative clicks where points can be negative, and show what the next one is."""
        points = self.points.value
        offered = points is not None and "polarity" in points.features
        set_row_visible(self.polarity, offered)
        if offered:
            with self.polarity.changed.blocked():
                self.polarity.value = next_polarity(points)

    def _set_polarity(self, polarity: str) -> None:
        set_polarity(self.points.value, polarity)

    def _layers_changed(self, _: Any = None) -> None:
        self.reset_choices()
        self.refresh()


def _plus(tooltip: str) -> PushButton:
    """Return a small button that makes a new layer."""
    button = PushButton(text="+", tooltip=tooltip)
    button.native.setFixedWidth(button.native.sizeHint().height() + 4)
    return button
