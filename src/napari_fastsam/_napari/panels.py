"""The parts of the dock widget that fold away, and what their values mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, SpinBox

from napari_fastsam._napari.rows import folded, form, retitle
from napari_fastsam.cleanup import Cleanup

if TYPE_CHECKING:
    from napari_fastsam._napari.labels import Existing

_LARGEST = 1_000_000_000

IMAGE_SIZES = (320, 480, 640, 832, 1024, 1280, 1536, 2048)
"""Lengths in network pixels to choose from, besides the model's own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the settings panel says."""

    existing: Existing
    as_shown: bool
    device: str
    image_size: int | None


class CleanupPanel:
    """The steps of `Cleanup`, each with its own switch; `native` is the part that folds."""

    def __init__(self) -> None:
        def pixels(label: str, tooltip: str, largest: int = 100) -> SpinBox:
            return SpinBox(label=label, min=0, max=largest, value=0, tooltip=tooltip)

        self.opening = pixels(
            "Opening", "Radius in pixels. Removes spikes and bridges thinner than twice that."
        )
        self.closing = pixels(
            "Closing", "Radius in pixels. Fills notches and cracks narrower than twice that."
        )
        self.smoothing = FloatSpinBox(
            label="Smoothing",
            min=0,
            max=50,
            step=0.5,
            value=0,
            tooltip="Standard deviation in pixels of the blur that rounds outlines.",
        )
        self.fill_holes = pixels("Fill holes", "Fills holes of up to this many pixels.", _LARGEST)
        self.min_area = pixels("Min. area", "Drops objects of fewer pixels.", _LARGEST)
        self.largest_piece = CheckBox(
            text="Keep the largest piece", tooltip="Drops all but the largest piece of each object."
        )
        self.clear_border = CheckBox(
            text="Clear the border", tooltip="Drops objects that touch the border of the plane."
        )
        steps = (
            self.opening,
            self.closing,
            self.smoothing,
            self.fill_holes,
            self.min_area,
            self.largest_piece,
            self.clear_border,
        )
        self.native = folded(
            form(steps), lambda: self.title, "Tidies each new object; all steps are off at first."
        )
        for step in steps:
            step.changed.connect(lambda: retitle(self.native, lambda: self.title))

    @property
    def cleanup(self) -> Cleanup:
        """The steps as chosen."""
        return Cleanup(
            opening=self.opening.value,
            closing=self.closing.value,
            smoothing=self.smoothing.value,
            fill_holes=self.fill_holes.value,
            min_area=self.min_area.value,
            largest_piece=self.largest_piece.value,
            clear_border=self.clear_border.value,
        )

    @property
    def title(self) -> str:
        """What is switched on, for the heading of the folded panel."""
        names = {
            "opening": self.opening.value,
            "closing": self.closing.value,
            "smoothing": self.smoothing.value,
            "holes": self.fill_holes.value,
            "area": self.min_area.value,
            "piece": self.largest_piece.value,
            "border": self.clear_border.value,
        }
        return "Cleanup: " + (", ".join(name for name, on in names.items() if on) or "off")


class SettingsPanel:
    """What is rarely changed; `native` is the part that folds."""

    def __init__(self) -> None:
        self.existing = ComboBox(
            label="Existing",
            choices=[
                ("keep", "keep"),
                ("overwrite", "overwrite"),
                ("clear plane", "clear"),
            ],
            tooltip="Objects that are in the output already: they stay untouched, new objects are "
            "written over them, or the plane is emptied first. Ctrl+Z takes each back.",
        )
        self.intensities = ComboBox(
            label="Contrast",
            choices=[("as shown", True), ("automatic", False)],
            tooltip="What the network sees: the layer's contrast limits and gamma as shown, or the "
            "range of the plane without its extremes. Colour images are taken as they are.",
        )
        self.device = ComboBox(
            label="Device",
            choices=["auto", "cpu", "cuda", "mps"],
            tooltip="Where the network runs; auto takes the graphics card if there is one.",
        )
        self.image_size = ComboBox(
            label="Network size",
            choices=[(f"{n} px", n) for n in IMAGE_SIZES],
            nullable=True,
            tooltip="The plane's longer side is scaled to this before the network sees it. Larger "
            "finds smaller objects and takes longer.",
        )
        self.image_size.null_string = "model's own"
        self.image_size.reset_choices()
        self.native = folded(
            form([self.existing, self.intensities, self.device, self.image_size]),
            lambda: "Settings",
            "Existing labels, contrast, device and network size.",
        )

    @property
    def settings(self) -> Settings:
        """The values as chosen."""
        return Settings(
            self.existing.value, self.intensities.value, self.device.value, self.image_size.value
        )
