"""What is on the tabs of the dock widget: clicking on objects, taking everything, whole stacks."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, ComboBox, FloatSlider, PushButton, RadioButtons
from qtpy.QtCore import Qt

from napari_fastsam._napari import words
from napari_fastsam._napari.areas import AreaRange
from napari_fastsam._napari.ranges import PlaneRanges
from napari_fastsam._napari.rows import SmallPrint, form, plus, side_by_side, stacked
from napari_fastsam.selection import DEFAULT_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fastsam._napari.layer_boxes import LayerBox
    from napari_fastsam._napari.ranges import Along

_MARGINS = (6, 8, 6, 8)


class ClickPage:
    """Objects that are pointed at; `native` is the page."""

    def __init__(self, points: LayerBox, shapes: LayerBox) -> None:
        self.click_button = PushButton(
            text="Click on objects",
            tooltip="While this is on, the image takes clicks: hovering shows the object that a "
            "click takes. Press again to move about as usual.",
        )
        self.click_button.native.setCheckable(True)
        self.keys = SmallPrint(words.CLICK_KEYS, "What clicks and keys do on the image.")
        self.grouping = RadioButtons(
            label="Clicks ask for",
            choices=[("one object each", "each"), ("one object", "one")],
            orientation="horizontal",
            tooltip="Whether each click takes an object of its own, or all clicks together "
            "describe one object, until Next object.",
        )
        self.grouping.value = "each"
        self.next_object = PushButton(
            text="Next object (N)",
            tooltip="The object is finished: the clicks that follow describe another one.",
        )
        self.follow_button = PushButton(
            text="Follow through the stack (F)",
            tooltip="Finds the object taken last, or with F the one under the mouse, on the planes "
            "before and after, where it is plainly the same. Click it where it was lost to go on.",
        )
        self.followed = SmallPrint("", "Where it was lost: press a plane to go there.")
        self.followed.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.polarity = ComboBox(
            label="Clicks",
            choices=[("+ on an object", "+"), ("− beside it", "-")],  # noqa: RUF001
            tooltip="What the next points, and those selected now, say. No object that holds a "
            "negative point (red) is an answer.",
        )
        self.add_points = plus("New points layer: click on objects")
        self.add_shapes = plus("New shapes layer: drag boxes, draw outlines or scribbles")
        self.segment_button = PushButton(
            text="Take all prompts",
            tooltip="Take the objects that the points and shapes ask for on the plane in view.",
        )
        self.native = form(
            [
                self.click_button,
                self.keys,
                self.grouping,
                self.next_object,
                self.follow_button,
                self.followed,
                "Prompts in layers",
                (points, self.add_points),
                self.polarity,
                (shapes, self.add_shapes),
                self.segment_button,
            ],
            margins=_MARGINS,
        )
        self.grouping.changed.connect(self._show_next)
        self._show_next()

    def offer_follow(self, planes: int) -> None:
        """Offer to follow objects where there are planes to follow them through."""
        self.follow_button.native.setVisible(planes > 1)
        self.keys.setText(words.CLICK_KEYS + (words.FOLLOW_KEY if planes > 1 else ""))
        self.followed.setVisible(planes > 1 and bool(self.followed.said))

    def tell_followed(self, text: str) -> None:
        """Say where an object was followed to, with links to planes; nothing for no object."""
        self.followed.setText(text)
        self.followed.setVisible(bool(text))

    def _show_next(self) -> None:
        self.next_object.native.setVisible(self.grouping.value == "one")


class EverythingPage:
    """Every object that was found, filtered by sliders; `native` is the page."""

    def __init__(self) -> None:
        self.confidence = FloatSlider(
            label="Confidence",
            value=DEFAULT_CONFIDENCE,
            min=0.05,
            max=0.95,
            step=0.05,
            tooltip="Leaves out objects that the network scores below this. Points and shapes "
            "choose among all.",
        )
        self.areas = AreaRange()
        self.preview = CheckBox(
            text="Preview",
            value=True,
            tooltip="Shows the objects that would be taken, while this tab is open.",
        )
        self.count = SmallPrint("", "How many of the candidates are left by the sliders.")
        self.everything_button = PushButton(
            text="Take all", tooltip="Take every object that the sliders leave."
        )
        self.native = form(
            [
                self.confidence,
                (self.areas.min_area, self.areas.max_area),
                self.areas.slider,
                side_by_side([self.count, self.preview]),
                self.everything_button,
                SmallPrint(words.EVERYTHING_KEYS),
            ],
            margins=_MARGINS,
        )


class StackPage:
    """All planes of a stack; `native` is the page."""

    def __init__(self) -> None:
        self.ranges = PlaneRanges()
        self.linked = CheckBox(
            text="Link through the stack",
            value=True,
            tooltip="An object that goes on in the next plane keeps its label.",
        )
        self.prompts_stack_button = PushButton(
            text=words.stack_button("prompts"),
            tooltip="Take what points and shapes ask for, on each plane that has some.",
        )
        self.everything_stack_button = PushButton(
            text=words.stack_button("everything"),
            tooltip="Take every object that the sliders of the Everything tab leave, on each "
            "plane. Cancel keeps the planes that are done.",
        )
        self.words_stack_button = PushButton(
            text=words.stack_button("words"),
            tooltip="Take every object that the words of the Find tab describe, on each plane. "
            "Cancel keeps the planes that are done.",
        )
        self.tracks_button = PushButton(
            text="Show tracks",
            tooltip="Show where labelled objects go through the stack, as a Tracks layer, with "
            "their splits and merges.",
        )
        self.reason = SmallPrint()
        self._content = form(
            [
                self.ranges,
                self.linked,
                self.prompts_stack_button,
                self.everything_stack_button,
                self.words_stack_button,
            ]
        )
        self.native = stacked(
            [self._content, self.reason, self.tracks_button.native], margins=_MARGINS
        )
        self._planes, self._stopped = 0, words.Stopped()

    def offer(self, axes: Sequence[Along] | None) -> None:
        """Show the controls, or why there are none.

        Parameters
        ----------
        axes
            Those that are stepped through; ``None`` if there is no image.
        """
        self._planes = 0 if axes is None else prod(axis.size for axis in axes)
        self.ranges.offer(axes or ())
        for part in (self._content, self.tracks_button.native):
            part.setVisible(self._planes > 1)
        self._tell()

    def offer_resume(self, stopped: words.Stopped) -> None:
        """Show whether a run that was stopped can be gone on with, and by which button."""
        self._stopped = stopped
        self._tell()

    def _tell(self) -> None:
        """Say what the buttons do, and what there is."""
        stopped, chosen = self._stopped, self.ranges.planes
        part = None if chosen == self._planes else chosen
        for kind, button in (
            ("prompts", self.prompts_stack_button),
            ("everything", self.everything_stack_button),
            ("words", self.words_stack_button),
        ):
            goes_on = stopped.fits and stopped.kind == kind
            button.text = words.resume(stopped) if goes_on else words.stack_button(kind, part)
        self.reason.setText(words.stack_of(self._planes, chosen, stopped))
