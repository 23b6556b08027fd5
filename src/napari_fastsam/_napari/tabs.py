"""The tabs of the dock widget: as tall as the page that is shown, unlike a `QTabWidget`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from psygnal import Signal
from qtpy.QtWidgets import QFrame, QTabBar, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

TabName = Literal["click", "everything", "find", "stack"]


class Tabs(QWidget):
    """Pages of which one is shown; `value` is its name.

    Parameters
    ----------
    pages
        The name of each page, its title, its content, and what it is for.
    """

    changed = Signal(str)

    def __init__(self, pages: Mapping[TabName, tuple[str, QWidget, str]]) -> None:
        super().__init__()
        self._pages = {name: content for name, (_, content, _) in pages.items()}
        self.bar = QTabBar()
        self.bar.setDrawBase(False)
        self.bar.setUsesScrollButtons(False)
        self.bar.setExpanding(False)
        frame = QFrame()
        frame.setObjectName("page")
        frame.setStyleSheet("#page { border: 1px solid rgba(128, 128, 128, 80) }")
        inside = QVBoxLayout(frame)
        inside.setContentsMargins(0, 0, 0, 0)
        for title, content, tooltip in pages.values():
            self.bar.setTabToolTip(self.bar.addTab(title), tooltip)
            inside.addWidget(content)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(frame)
        self.bar.currentChanged.connect(self._show_page)
        self._show_page()

    @property
    def value(self) -> TabName:
        """The name of the page that is shown."""
        return tuple(self._pages)[self.bar.currentIndex()]

    @value.setter
    def value(self, name: str) -> None:
        if name not in self._pages:
            raise ValueError(f"{name!r} is not one of {tuple(self._pages)}")
        self.bar.setCurrentIndex(tuple(self._pages).index(name))

    def _show_page(self) -> None:
        for name, page in self._pages.items():
            page.setVisible(name == self.value)
        self.changed.emit(self.value)
