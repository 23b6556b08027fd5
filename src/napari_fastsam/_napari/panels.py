"""The parts of the dock widget that fold away, and what their values mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, PushButton, SpinBox
from psygnal import Signal

from napari_fastsam._napari import words
from napari_fastsam._napari.areas import LARGEST
from napari_fastsam._napari.folds import Fold
from napari_fastsam._napari.models import TextModelBox
from napari_fastsam._napari.rows import form
from napari_fastsam.cleanup import Cleanup
from napari_fastsam.segmenter import TextSpec

if TYPE_CHECKING:
    from napari_fastsam.placing import Existing
    from napari_fastsam.segmenter import TextMode

Contrast = Literal["shown", "percentiles"]
"""The layer's contrast limits and gamma as shown, or the plane's range without its extremes."""

_INDENT = (10, 0, 0, 0)

IMAGE_SIZES = (320, 480, 640, 832, 1024, 1280, 1536, 2048)
"""Lengths in network pixels to choose from, besides the model's own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the settings panel says.

    Parameters
    ----------
    existing
        What becomes of objects that are in the labels already.
    contrast
        What the network is shown of the intensities.
    device
        Where it runs.
    runtime
        What runs it.
    image_size
        Network pixels along the longer side of a plane; ``None`` for the model's own.
    cache_mb
        Memory for candidates, in MB.
    prefetch
        Whether neighbouring planes are looked at while nothing else is to do.
    closer
        Whether prompts without an answer are looked at again, enlarged.
    text_model, text_mode
        What compares objects with words, and how it is shown them; see `TextSpec`.
    """

    existing: Existing
    contrast: Contrast
    device: str
    runtime: str
    image_size: int | None
    cache_mb: int
    prefetch: bool
    closer: bool
    text_model: str
    text_mode: TextMode


class CleanupPanel:
    """The steps of `Cleanup`, each with its own switch; `native` is the part that folds."""

    changed = Signal(description="Emitted when a step changes.")

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
        self.fill_holes = pixels("Fill holes", "Fills holes of up to this many pixels.", LARGEST)
        self.min_area = pixels("Min. area", "Drops objects of fewer pixels.", LARGEST)
        self.largest_piece = CheckBox(
            text="Keep the largest piece", tooltip="Drops all but the largest piece of each object."
        )
        self.clear_border = CheckBox(
            text="Clear the border", tooltip="Drops objects that touch the border of the plane."
        )
        self.steps: dict[str, SpinBox | FloatSpinBox | CheckBox] = {
            "opening": self.opening,
            "closing": self.closing,
            "smoothing": self.smoothing,
            "fill_holes": self.fill_holes,
            "min_area": self.min_area,
            "largest_piece": self.largest_piece,
            "clear_border": self.clear_border,
        }
        self.preview = CheckBox(
            text="Preview",
            value=True,
            tooltip="Shows what tidying takes off the labels, in red, and what it adds, in green, "
            "before anything is written.",
        )
        self.apply_button = PushButton(
            text="Tidy the labels",
            tooltip="Applies the steps to the labels of the plane in view, as one step to undo.",
        )
        self.native = Fold(
            form([*self.steps.values(), self.preview, self.apply_button], margins=_INDENT),
            lambda: self.title,
            "Tidies each new object; all steps are off at first.",
        )
        for step in self.steps.values():
            step.changed.connect(self._step_changed)
        self._step_changed()

    @property
    def cleanup(self) -> Cleanup:
        """The steps as chosen."""
        values: dict[str, Any] = {name: step.value for name, step in self.steps.items()}
        return Cleanup(**values)

    @property
    def title(self) -> str:
        """What is switched on, for the heading of the folded panel."""
        return words.cleanup([name for name, step in self.steps.items() if step.value])

    def _step_changed(self) -> None:
        self.apply_button.enabled = bool(self.cleanup)
        self.native.retitle()
        self.changed.emit()


class SettingsPanel:
    """What is rarely changed; `native` is the part that folds.

    `existing` belongs to the settings and has its place beside the Labels layer.
    """

    def __init__(self) -> None:
        self.existing = ComboBox(
            label="Existing",
            choices=[
                ("stay as they are", "keep"),
                ("give way", "overwrite"),
                ("leave the plane", "clear"),
            ],
            tooltip="Objects that are in the labels already: they stay untouched, new objects are "
            "written over them, or the plane is emptied first. Undo takes each back.",
        )
        self.contrast = ComboBox(
            label="Contrast",
            choices=[("as shown", "shown"), ("automatic", "percentiles")],
            tooltip="What the network sees: the layer's contrast limits and gamma as shown, or the "
            "range of the plane without its extremes. Colour images are taken as they are.",
        )
        self.device = ComboBox(
            label="Device",
            choices=["auto", "cpu", "cuda", "mps"],
            tooltip="Where the network runs; auto takes the graphics card if there is one.",
        )
        self.runtime = ComboBox(
            label="Runtime",
            choices=["auto", "torch", "openvino", "onnx", "openvino-int8"],
            tooltip="What runs the network; auto takes the fastest that is installed. OpenVINO and "
            "ONNX are for the CPU.",
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
        self.cache_mb = SpinBox(
            label="Memory (MB)",
            min=16,
            max=65_536,
            step=64,
            value=512,
            tooltip="Memory for candidates, in MB. Planes that were looked at longest ago leave "
            "first, and are looked at again when they come back into view.",
        )
        self.prefetch = CheckBox(
            text="Look ahead while idle",
            value=True,
            tooltip="While nothing else is to do, the planes beside the one in view are looked at.",
        )
        self.closer = CheckBox(
            text="Look closer where needed",
            value=True,
            tooltip="Where a prompt has no answer, the network looks again, enlarged, around it.",
        )
        self.text_model = TextModelBox()
        self.text_mode = ComboBox(
            label="Text looks at",
            choices=[("each object", "crops"), ("the plane", "dense")],
            value=TextSpec().mode,
            tooltip="What the text model is shown: each object by itself, or many in one look at "
            "the plane, which is faster where there are many.",
        )
        rows: list[Any] = [
            self.contrast,
            self.device,
            self.runtime,
            self.image_size,
            self.cache_mb,
            self.prefetch,
            self.closer,
            self.text_model,
            self.text_mode,
        ]
        self.native = Fold(
            form(rows, margins=_INDENT),
            lambda: "Settings",
            "Contrast, device, runtime, network size and memory. All of it is remembered.",
        )

    @property
    def settings(self) -> Settings:
        """The values as chosen."""
        return Settings(
            existing=self.existing.value,
            contrast=self.contrast.value,
            device=self.device.value,
            runtime=self.runtime.value,
            image_size=self.image_size.value,
            cache_mb=self.cache_mb.value,
            prefetch=self.prefetch.value,
            closer=self.closer.value,
            text_model=self.text_model.value,
            text_mode=self.text_mode.value,
        )
