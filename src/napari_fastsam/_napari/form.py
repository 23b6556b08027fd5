"""The controls of the dock widget, and how they follow the viewer's layers."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, PushButton
from napari.layers import Image, Labels, Points, Shapes

from napari_fastsam._napari import words
from napari_fastsam._napari.claims import claim, release
from napari_fastsam._napari.colours import ColoursPanel, shape_of
from napari_fastsam._napari.find_page import FindPage
from napari_fastsam._napari.layer_boxes import FollowingBox, LayerBox, layers_of
from napari_fastsam._napari.models import ModelBox
from napari_fastsam._napari.pages import ClickPage, EverythingPage, StackPage
from napari_fastsam._napari.panels import CleanupPanel, SettingsPanel
from napari_fastsam._napari.preferences import Preferences
from napari_fastsam._napari.prompt_layers import next_polarity, set_polarity
from napari_fastsam._napari.ranges import Along
from napari_fastsam._napari.remembered import remembered
from napari_fastsam._napari.rows import SmallPrint, form, scrolling, set_row_visible, side_by_side
from napari_fastsam._napari.status import StatusPanel
from napari_fastsam._napari.tabs import TabName, Tabs

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from qtpy.QtWidgets import QWidget


class Form(Container[Any]):
    """The controls of the dock widget; what they do is `FastSamWidget`'s.

    Parameters
    ----------
    viewer
        The viewer whose layers are offered.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.viewer = viewer
        self._situation: words.Situation | None = None
        self._following: list[tuple[Any, Callable[..., None]]] = []
        self._make_layer_boxes()
        self._make_tabs()
        self._make_foot()
        super().__init__(labels=False)
        self.margins = (0, 0, 0, 0)
        self.native.layout().addWidget(scrolling(self._parts()))
        self.preferences = Preferences(remembered(self))
        self.native.destroyed.connect(self.preferences.close)
        self._follow_viewer()

    @property
    def current_tab(self) -> TabName:
        """The name of the tab that is shown; `tabs.changed` tells when that is another."""
        return self.tabs.value

    @current_tab.setter
    def current_tab(self, name: TabName) -> None:
        self.tabs.value = name

    @property
    def planes_of_image(self) -> int:
        """How many planes the image has in the view that is shown; 0 if there is no image."""
        return 0 if self.image.value is None else prod(axis.size for axis in self.stepped_axes)

    @property
    def stepped_axes(self) -> list[Along]:
        """The axes of the image that are stepped through in the view that is shown."""
        image = self.image.value
        if image is None:
            return []
        shape = shape_of(image)[: image.ndim]
        offset = self.viewer.dims.ndim - image.ndim
        aside = {self.colours.channel_axis.value}
        aside.update(axis - offset for axis in self.viewer.dims.displayed[-2:])
        steps = [n for n, size in enumerate(shape) if n not in aside and size > 1]
        names = [words.axis_name(n, str(image.axis_labels[n])) for n in steps]
        if len(steps) == 1 and names[0].startswith("axis "):
            names = ["planes"]
        return [Along(name, shape[n]) for name, n in zip(names, steps, strict=True)]

    def refresh(self, _: Any = None) -> None:
        """Show the controls that fit the layers, and what to do next."""
        image = self.image.value
        planes = self.planes_of_image
        self.stack.offer(None if image is None else self.stepped_axes)
        self.click.offer_follow(planes)
        self._show_polarity()
        set_row_visible(self.candidates, len(self.candidates.choices) > 1)
        self.model.enabled = self.candidates.value is None
        for button in self._needing_an_image:
            button.enabled = image is not None
        if image is None:
            self.status.state("idle", words.NO_IMAGE_STATE)
        elif self.status.kind == "idle":
            self.status.state("idle", words.NOT_LOOKED)
        situation = words.Situation(
            image=image is not None,
            volume=self.viewer.dims.ndisplay == 3,
            state=self.status.kind,
            tab=self.current_tab,
            clicking=self.click_button.value,
            prompts=self.points.value is not None or self.shapes.value is not None,
            planes=planes,
        )
        if situation != self._situation:  # else what happened last stays
            self._situation = situation
            self.status.say(words.next_step(situation))

    def follow(self, event: Any, callback: Callable[..., None]) -> None:
        """Be called by an event of the viewer or of a layer, until `unfollow`."""
        if callback not in event.callbacks:
            event.connect(callback)
            self._following.append((event, callback))

    def unfollow(self) -> None:
        """Be called by nothing any more: the dock is closed."""
        release(self)
        for event, callback in self._following:
            event.disconnect(callback)
        self._following.clear()

    def reset_choices(self, *_: Any) -> None:
        """Offer the layers that the viewer has now."""
        for box in (self.image, self.output, self.points, self.shapes, self.candidates):
            box.reset_choices()
        self.colours.follow(self.image.value)

    def _make_layer_boxes(self) -> None:
        self.image = LayerBox(
            self.viewer, Image, label="Image", tooltip="The image layer to label."
        )
        self.output = LayerBox(
            self.viewer,
            Labels,
            label="Labels",
            tooltip="Where objects are written, each with a new number.",
            none="new layer",
        )
        self.points = LayerBox(
            self.viewer,
            Points,
            label="Points",
            tooltip="Each point asks for the object under it.",
            none="none",
        )
        self.shapes = LayerBox(
            self.viewer,
            Shapes,
            label="Shapes",
            tooltip="Rectangles are boxes around an object; ellipses and polygons are rough masks; "
            "paths and lines are scribbles on it.",
            none="none",
        )
        self.model = ModelBox()
        self.candidates = FollowingBox(
            self._others,
            label="Candidates",
            tooltip="What clicks and prompts choose among: the objects that the model finds, or "
            "those of a Labels layer, whatever found them.",
            none="of the model",
        )

    def _others(self) -> list[tuple[str, Labels]]:
        """Return the Labels layers that are not written to."""
        layers = layers_of(self.viewer, Labels)
        return [(layer.name, layer) for layer in layers if layer is not self.output.value]

    def _make_tabs(self) -> None:
        self.click = click = ClickPage(self.points, self.shapes)
        self.click_button, self.grouping = click.click_button, click.grouping
        self.next_object, self.polarity = click.next_object, click.polarity
        self.add_points, self.add_shapes = click.add_points, click.add_shapes
        self.segment_button, self.follow_button = click.segment_button, click.follow_button
        self.all = everything = EverythingPage()
        self.confidence, self.areas = everything.confidence, everything.areas
        self.min_area, self.max_area = everything.areas.min_area, everything.areas.max_area
        self.everything_preview, self.everything_count = everything.preview, everything.count
        self.everything_button = everything.everything_button
        self.find = FindPage()
        self.stack = StackPage()
        self.linked, self.ranges = self.stack.linked, self.stack.ranges
        self.prompts_stack_button = self.stack.prompts_stack_button
        self.everything_stack_button = self.stack.everything_stack_button
        self.words_stack_button = self.stack.words_stack_button
        self.tabs = Tabs(
            {
                "click": ("Click", click.native, "Objects you point at."),
                "everything": ("Everything", everything.native, "Every object of the plane."),
                "find": ("Find", self.find.native, "Objects that words or examples describe."),
                "stack": ("Stack", self.stack.native, "All planes of a stack."),
            }
        )
        self._needing_an_image = (
            self.click_button,
            self.segment_button,
            self.everything_button,
            self.find.find_button,
            self.find.similar_button,
        )

    def _make_foot(self) -> None:
        self.cleanup = CleanupPanel()
        self.colours = ColoursPanel(self.viewer)
        self.settings = SettingsPanel()
        self.undo_button = PushButton(text="Undo", tooltip="Take the last step back (Ctrl+Z).")
        self.redo_button = PushButton(
            text="Redo", tooltip="Do again what was taken back (Ctrl+Shift+Z)."
        )
        self.script_button = PushButton(
            text="Copy as script",
            tooltip="Put a Python script of what was done on the clipboard; it makes the same "
            "labels again.",
        )
        for button in (self.undo_button, self.redo_button):
            button.enabled = False  # until there is a step
        self.next_label = SmallPrint("", "The number that the next object gets.")
        self.memory = SmallPrint(
            "", "Memory that the candidates of all planes take; see Memory in the settings."
        )
        self.status = StatusPanel()

    def _parts(self) -> list[QWidget]:
        """Return what is below each other."""
        both = (self.undo_button, self.redo_button)
        return [
            form([self.image, self.output, self.settings.existing, self.model, self.candidates]),
            self.status.look,
            self.tabs,
            side_by_side([side_by_side(both), self.script_button]),
            side_by_side([self.next_label, self.memory]),
            self.status,
            self.cleanup.native,
            self.colours.native,
            self.settings.native,
        ]

    def _follow_viewer(self) -> None:
        """Keep to the viewer's layers, starting with the image that is selected there."""
        self.image.changed.connect(self.colours.follow)
        for box in (
            self.image,
            self.candidates,
            self.points,
            self.shapes,
            self.colours,
            self.click_button,
            self.ranges,
        ):
            box.changed.connect(self.refresh)
        self.output.changed.connect(self.candidates.reset_choices)
        self.output.changed.connect(self.refresh)
        self.tabs.changed.connect(self.refresh)
        self.polarity.changed.connect(self._set_polarity)
        events = self.viewer.layers.events
        self.follow(events.inserted, self._layer_added)
        for event in (events.removed, events.renamed, events.reordered):
            self.follow(event, self._layers_changed)
        for event in (self.viewer.dims.events.ndisplay, self.viewer.dims.events.order):
            self.follow(event, self.refresh)
        active = self.viewer.layers.selection.active
        if active in layers_of(self.viewer, Image):
            self.image.value = active
        self.colours.follow(self.image.value)
        self.refresh()

    def _layer_added(self, event: Any) -> None:
        """Choose the first prompt layers that come."""
        self._layers_changed()
        for box in (self.points, self.shapes):
            if box.value is None and event.value in box.choices and claim(event.value, self):
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
