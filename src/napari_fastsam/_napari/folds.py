"""Parts of the dock widget that fold away below a heading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QPushButton, QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QResizeEvent

_FLAT = "QPushButton { background: transparent; border: 0px; text-align: left; padding: 3px 0px }"


class Fold(QWidget):
    """A part below a heading that shows or hides it; `value` says whether it is open.

    Parameters
    ----------
    content
        What is shown below the heading.
    title
        Returns the heading; call `retitle` when it changes.
    tooltip
        Explains the part.
    """

    changed = Signal(bool)

    def __init__(self, content: QWidget, title: Callable[[], str], tooltip: str) -> None:
        super().__init__()
        self._title = title
        self._content = content
        self.heading = _Heading()
        self.heading.setToolTip(tooltip)
        self.heading.clicked.connect(self._toggle)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(_line())
        column.addWidget(self.heading)
        column.addWidget(content)
        content.hide()
        self.retitle()

    @property
    def value(self) -> bool:
        """Whether the part is open."""
        return not self._content.isHidden()

    @value.setter
    def value(self, is_open: bool) -> None:
        if is_open != self.value:
            self._content.setVisible(is_open)
            self.retitle()
            self.changed.emit(is_open)

    def expand(self) -> None:
        """Open the part."""
        self.value = True

    def text(self) -> str:
        """Return the heading as shown."""
        return self.heading.full_text

    def retitle(self) -> None:
        """Show the heading as it is now, with a mark that says whether the part is open."""
        self.heading.set_full_text(f"{'▾' if self.value else '▸'}  {self._title()}")

    def _toggle(self) -> None:
        self.value = not self.value


class _Heading(QPushButton):
    """A flat button as wide as there is room, whose text ends in dots where that is too long."""

    def __init__(self) -> None:
        super().__init__()
        self.full_text = ""
        self.setStyleSheet(_FLAT)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def set_full_text(self, text: str) -> None:
        """Show as much of a text as fits."""
        self.full_text = text
        room = self.width() - 4
        self.setText(self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Show as much of the text as fits now."""
        super().resizeEvent(event)
        self.set_full_text(self.full_text)


def _line() -> QFrame:
    """Return a thin line, in the colour of the theme's text, hardly seen."""
    line = QFrame()
    line.setFixedHeight(1)
    line.setStyleSheet("background: rgba(128, 128, 128, 80)")
    return line
