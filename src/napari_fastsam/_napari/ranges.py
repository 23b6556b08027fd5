"""Which planes of a stack a run goes through: from, to and every n-th, along each stepped axis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtWidgets import QGridLayout, QSpinBox, QWidget

from napari_fastsam._napari.rows import NARROW, SmallPrint

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD = re.compile(r"(\d+):(\d+):(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Along:
    """An axis that is stepped through: its name and how many positions it has."""

    name: str
    size: int


class PlaneRanges(QWidget):
    """From, to and every n-th plane, a row for each axis; `positions` is what is chosen.

    Positions are those that napari's sliders show; *to* is the last one. `value` is what is
    remembered: from and to count only for an axis as long as the one they were chosen for.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._axes: tuple[Along, ...] = ()
        self._boxes: list[tuple[QSpinBox, QSpinBox, QSpinBox]] = []
        self._remembered = ""
        self._recalling = False
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(4)
        self._grid.setVerticalSpacing(2)
        for column in (1, 2, 3):
            self._grid.setColumnStretch(column, 1)

    @property
    def positions(self) -> tuple[range, ...]:
        """The positions along each axis, the first axis first."""
        return tuple(
            range(first.value(), last.value() + 1, step.value())
            for first, last, step in self._boxes
        )

    @property
    def value(self) -> str:
        """What is chosen, in words to remember; nothing while all planes are."""
        words = [
            f"{first.value()}:{last.value()}:{step.value()}/{axis.size}"
            for axis, (first, last, step) in zip(self._axes, self._boxes, strict=True)
        ]
        chosen = [len(r) for r in self.positions] != [axis.size for axis in self._axes]
        return (" ".join(words) if chosen else "") if self._axes else self._remembered

    @value.setter
    def value(self, words: str) -> None:
        self._remembered = words
        self._recall()
        self.changed.emit()

    @property
    def planes(self) -> int:
        """How many planes are chosen."""
        planes = 1
        for positions in self.positions:
            planes *= len(positions)
        return planes

    def offer(self, axes: Sequence[Along]) -> None:
        """Show a row for each of these axes; those that are shown already keep what they say."""
        if tuple(axes) == self._axes:
            return
        self._clear()
        self._axes = tuple(axes)
        if axes:
            for column, head in enumerate(("from", "to", "every"), 1):
                self._grid.addWidget(SmallPrint(head), 0, column)
        for row, axis in enumerate(axes, 1):
            self._add(row, axis)
        self._recall()

    def _add(self, row: int, axis: Along) -> None:
        """Add the row of an axis."""
        first = _box(0, axis.size - 1, 0, f"The first plane along {axis.name}.")
        last = _box(0, axis.size - 1, axis.size - 1, f"The last plane along {axis.name}.")
        step = _box(1, axis.size, 1, "1 for every plane, 2 for every second one, and so on.")
        first.valueChanged.connect(lambda value: last.setValue(max(value, last.value())))
        last.valueChanged.connect(lambda value: first.setValue(min(value, first.value())))
        name = SmallPrint(axis.name)
        name.setToolTip(f"Planes along {axis.name}, as on napari's slider.")
        self._grid.addWidget(name, row, 0)
        for column, box in enumerate((first, last, step), 1):
            box.valueChanged.connect(self._changed)
            self._grid.addWidget(box, row, column)
        self._boxes.append((first, last, step))

    def _recall(self) -> None:
        """Show what is remembered, as far as it fits the axes."""
        if not self._axes:
            return
        known = [_WORD.fullmatch(word) for word in self._remembered.split()]
        self._recalling = True
        for n, (axis, (first, last, step)) in enumerate(zip(self._axes, self._boxes, strict=True)):
            word = known[n] if n < len(known) else None
            if word is None:
                low, high, every = 0, axis.size - 1, 1
            else:
                low, high, every, size = (int(part) for part in word.groups())
                low, high = (low, high) if size == axis.size else (0, axis.size - 1)
            for box, value in ((first, 0), (last, high), (first, low), (step, every)):
                box.setValue(value)
        self._recalling = False

    def _changed(self, _: int) -> None:
        """Tell of what a person has changed, once the other boxes have followed."""
        if not self._recalling:
            self._remembered = self.value
            self.changed.emit()

    def _clear(self) -> None:
        """Take all rows away."""
        self._boxes = []
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()


def _box(low: int, high: int, value: int, tooltip: str) -> QSpinBox:
    """Return a narrow box for a number."""
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    box.setToolTip(tooltip)
    box.setStyleSheet(NARROW)
    return box
