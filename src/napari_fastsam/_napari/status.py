"""The foot of the dock widget: what to do next, what was found, and a bar with *Cancel*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_fastsam._napari.words import working

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fastsam._napari.worker import Job

_TICK = 100  # milliseconds; shorter jobs show no bar


class StatusPanel(QWidget):
    """What to do next, what was found, and, while a job runs, its progress and *Cancel*."""

    def __init__(self) -> None:
        super().__init__()
        self._job: Job | None = None
        self.message = _text("What to do next, or what came of the last run.")
        self.details = _text("What the network found on the last plane, with what, in what time.")
        self.details.setStyleSheet("font-size: 11px")
        self.bar = QProgressBar()
        self.bar.setToolTip("How far the run is.")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop now. What is written stays; the rest is dropped.")
        self.running = QWidget()
        row = QHBoxLayout(self.running)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        for part in (self.running, self.message, self.details):
            column.addWidget(part)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._tick)
        self.rest()

    def say(self, text: str) -> None:
        """Show what to do next, or what happened."""
        self.message.setText(text)

    def detail(self, text: str) -> None:
        """Show what was found."""
        self.details.setText(text)

    def watch(self, job: Job) -> None:
        """Show how a job goes, from a moment after its start."""
        self._job = job
        self._timer.start()

    def rest(self) -> None:
        """Show that nothing runs."""
        self._job = None
        self._timer.stop()
        self.running.hide()

    def _tick(self) -> None:
        if self._job is None:
            return
        done, total = self._job.progress
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.running.show()
        self.say(working(self._job.doing, done, total, self._job.seconds))


class _Orphaned(QObject):
    """Calls back when the widget it watches loses its parent: its dock was closed."""

    def __init__(self, widget: QWidget, callback: Callable[[], None]) -> None:
        super().__init__(widget)
        self._callback = callback

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See whether the parent is gone; let every event through."""
        if watched and event and event.type() == QEvent.Type.ParentChange and not watched.parent():
            self._callback()
        return False


def on_orphaned(widget: QWidget, callback: Callable[[], None]) -> None:
    """Call back when a dock widget is closed for good (not when it is hidden)."""
    widget.installEventFilter(_Orphaned(widget, callback))


def _text(tooltip: str) -> QLabel:
    """Return a label that wraps, and that can be copied from."""
    label = QLabel()
    label.setWordWrap(True)
    label.setToolTip(tooltip)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
