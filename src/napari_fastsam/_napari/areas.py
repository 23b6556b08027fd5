"""From which to which area objects are shown: two numbers and a slider over them.

Areas are in pixels, and 0 is no limit. The slider is logarithmic: nuclei of 50 and of 100 pixels
are as far apart on it as tissues of 50,000 and of 100,000.
"""

from __future__ import annotations

import math

from psygnal import Signal
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QSpinBox
from superqt import QDoubleRangeSlider

from napari_fastsam._napari import words

LARGEST = 1_000_000_000
"""The largest area in pixels that can be asked for."""


def handles(least: int, most: int, span: tuple[int, int]) -> tuple[float, float]:
    """Return where the handles of the slider are, from 0 to 1, for areas and the span they cover.

    Examples
    --------
    >>> handles(10, 0, (1, 100))
    (0.5, 1.0)
    """
    low = _position(least or span[0], span)
    return low, max(low, _position(most or span[1], span))


def areas(low: float, high: float, span: tuple[int, int]) -> tuple[int, int]:
    """Return the areas that handles ask for; a handle at its end sets no limit.

    Examples
    --------
    >>> areas(0.5, 1.0, (1, 100))
    (10, 0)
    """
    return (
        0 if low <= 0 else round(_area(low, span)),
        0 if high >= 1 else round(_area(high, span)),
    )


class LimitBox:
    """A box to type a limit, as an area in pixels, or to step through; 0 is shown as none."""

    changed = Signal(int)

    def __init__(
        self,
        label: str,
        tooltip: str,
        *,
        largest: int = LARGEST,
        suffix: str = " px",
        none: str = words.NO_LIMIT,
    ) -> None:
        self.label, self.tooltip = label, tooltip
        self.min, self.max = 0, largest
        self.native = QSpinBox()
        self.native.setRange(self.min, self.max)
        self.native.setSpecialValueText(none)
        self.native.setSuffix(suffix)
        self.native.setToolTip(tooltip)
        self.native.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.native.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.native.setStepType(QSpinBox.StepType.AdaptiveDecimalStepType)
        self.native.valueChanged.connect(self.changed.emit)

    @property
    def value(self) -> int:
        """The limit."""
        return int(self.native.value())

    @value.setter
    def value(self, area: int) -> None:
        self.native.setValue(area)


class AreaRange:
    """A least and a largest area as numbers, and a slider over both."""

    changed = Signal()

    def __init__(self) -> None:
        self.min_area = LimitBox("Area", "Leaves out objects of fewer pixels. 0: no limit.")
        self.max_area = LimitBox("to", "Leaves out objects of more pixels. 0: no limit.")
        for box in (self.min_area, self.max_area):
            box.changed.connect(self._typed)
        self.slider = QDoubleRangeSlider(Qt.Orientation.Horizontal)  # type: ignore[no-untyped-call]
        self.slider.setRange(0, 1)
        self.slider.setToolTip("From which to which area objects are shown, on a log scale.")
        self.slider.valueChanged.connect(self._dragged)
        self._span = (1, 1_000_000)
        self._typed()

    def set_span(self, smallest: int, largest: int) -> None:
        """Let the slider reach from the smallest to the largest area that there is."""
        self._span = (max(1, smallest), max(2, smallest + 1, largest))
        self._show()

    def _typed(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        """Put the handles where the numbers are."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(handles(self.min_area.value, self.max_area.value, self._span))

    def _dragged(self, positions: tuple[float, float]) -> None:
        least, most = areas(*positions, self._span)
        with self.min_area.changed.blocked(), self.max_area.changed.blocked():
            before = self.min_area.value, self.max_area.value
            self.min_area.value, self.max_area.value = least, most
        # Only what moved is told, so that what listens to one number is not called for both.
        for box, old, new in zip(
            (self.min_area, self.max_area), before, (least, most), strict=True
        ):
            if old != new:
                box.changed.emit(new)


def _position(area: int, span: tuple[int, int]) -> float:
    low, high = map(math.log, span)
    return min(max((math.log(area) - low) / (high - low), 0.0), 1.0)


def _area(position: float, span: tuple[int, int]) -> float:
    low, high = map(math.log, span)
    return math.exp(low + position * (high - low))
