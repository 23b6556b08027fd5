"""What the dock widget says about itself: what it knows of the plane, what to do next, a run."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Literal

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

from napari_fastsam._napari.rows import stacked
from napari_fastsam._napari.words import working

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fastsam._napari.worker import Job

_TICK = 100  # milliseconds; shorter jobs show no bar
_THIN = 4  # pixels

State = Literal["idle", "working", "ready", "none", "error"]
"""Nothing looked at yet, being looked at, candidates at hand, looked at but none found, failed."""

_DOTS: dict[State, str] = {
    "idle": "#8b949e",
    "working": "#d29922",
    "ready": "#2ea043",
    "none": "#8b949e",
    "error": "#e5534b",
}


class StatusPanel(QWidget):
    """What to do next and what happened, and, while a run is on, its progress and *Cancel*.

    Its `look` is another widget, for the head of the dock: a dot and a line that say what is known
    of the plane in view, and a thin bar while it is looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kind: State = "idle"
        self.state_line = _text("What is known of the plane in view.")
        self.look_bar = QProgressBar()
        self.look_bar.setTextVisible(False)
        self.look_bar.setFixedHeight(_THIN)
        self.look_bar.setToolTip("The network looks at the plane in view.")
        _keep_room(self.look_bar)
        self.look = stacked([self.state_line, self.look_bar], spacing=2)
        self.message = _text("What to do next, or what came of the last step.")
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
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.running, self.message):
            column.addWidget(part)
        self._job: Job | None = None
        self._look: Job | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._tick)
        self.state("idle", "")
        self.look_bar.hide()
        self.rest()

    def state(self, kind: State, text: str, details: str = "") -> None:
        """Show what is known of the plane in view, with more in the tooltip."""
        self.kind = kind
        self.state_line.setText(f'<span style="color: {_DOTS[kind]}">●</span> {escape(text)}')
        self.state_line.setToolTip(details or "What is known of the plane in view.")

    def watch_look(self, job: Job | None) -> None:
        """Show how looking at the plane goes, from a moment after its start; ``None``: no more."""
        self._look = job
        if job is None:
            self.look_bar.hide()
        self._run_timer()

    def say(self, text: str) -> None:
        """Show what to do next, or what happened."""
        self.message.setText(text)

    def watch(self, job: Job) -> None:
        """Show how a run goes, from a moment after its start."""
        self._job = job
        self._run_timer()

    def rest(self, job: Job | None = None) -> None:
        """Show that nothing runs; or that a job does not, unless another is watched."""
        if job is not None and job is not self._job:
            return
        self._job = None
        self.running.hide()
        self._run_timer()

    def _run_timer(self) -> None:
        if self._job is None and self._look is None:
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start()

    def _tick(self) -> None:
        if self._look is not None:
            _show_progress(self.look_bar, self._look)
            self.look_bar.show()
        if self._job is not None:
            _show_progress(self.bar, self._job)
            self.running.show()
            job = self._job
            self.say(working(job.doing, *job.progress, job.seconds, job.before, job.unit))


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


def _show_progress(bar: QProgressBar, job: Job) -> None:
    """Show how far a job is; a total of 0 shows that something goes on."""
    done, total = job.progress
    bar.setRange(0, total)
    bar.setValue(done)


def _keep_room(widget: QWidget) -> None:
    """Let a widget take its room when it is hidden too, so that nothing jumps."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)


def _text(tooltip: str) -> QLabel:
    """Return a label that wraps and never widens the dock."""
    label = QLabel()
    label.setWordWrap(True)
    label.setToolTip(tooltip)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
