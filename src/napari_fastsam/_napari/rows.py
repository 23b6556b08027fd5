"""How controls are laid out in a narrow dock: aligned labels, small print, parts that fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, FloatSlider, PushButton, RadioButtons
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from magicgui.widgets.bases import ValueWidget
    from qtpy.QtGui import QResizeEvent

    from napari_fastsam._napari.areas import LimitBox

    Part = ValueWidget[Any] | LimitBox | QWidget
    Row = str | Part | tuple[Part, ...]

_SHORTEST_TEXT = 6  # characters that a combo box shows at least, so that long names fit any dock
_PLAIN_GROUP = "QGroupBox { border: 0px; margin: 0px; padding: 0px }"
NARROW = "QAbstractSpinBox { min-width: 40px }"  # napari asks for 70, more than fits beside labels
_READOUT = "QAbstractSpinBox { background: transparent; min-width: 0px; padding: 0px }"


def form(rows: Sequence[Row], *, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> QWidget:
    """Return rows as one widget.

    Parameters
    ----------
    rows
        A text is a heading; a control has its label before it, unless it is a button, a box to
        tick or a choice of radio buttons; a tuple shares one row; a Qt widget takes a row.
    margins
        Left, top, right, bottom, in pixels.
    """
    widget = QWidget()
    layout = QFormLayout(widget)
    layout.setContentsMargins(*margins)
    layout.setVerticalSpacing(4)
    layout.setHorizontalSpacing(6)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    for row in rows:
        if isinstance(row, str):
            layout.addRow(_heading(row))
        elif isinstance(row, tuple):
            if _has_label(row[0]):
                layout.addRow(_label(row[0]), side_by_side(row))
            else:
                layout.addRow(side_by_side(row))
        elif _has_label(row):
            layout.addRow(_label(row), _fitting(row))
        else:
            layout.addRow(_fitting(row))
    return widget


def set_row_visible(control: ValueWidget[Any], visible: bool) -> None:
    """Show or hide a control together with its label."""
    layout = control.native.parentWidget().layout()
    layout.labelForField(control.native).setVisible(visible)
    control.native.setVisible(visible)


class SmallPrint(QLabel):
    """A text in small letters, HTML if it looks like it, that wraps and never widens the dock."""

    def __init__(self, text: str = "", tooltip: str = "") -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setToolTip(tooltip)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.setText(text)

    def setText(self, text: str | None) -> None:
        """Show a text, smaller than the theme's letters whatever their size."""
        self.said = text or ""
        super().setText(f"<small>{self.said}</small>")

    def sizeHint(self) -> QSize:
        """Return the height that the text takes at its width: Qt's own is that of a narrow one."""
        return QSize(super().sizeHint().width(), self.heightForWidth(self.width()))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Tell the layout what the text takes at another width."""
        super().resizeEvent(event)
        if event is not None and event.oldSize().width() != event.size().width():
            self.updateGeometry()


def scrolling(parts: Sequence[QWidget]) -> QScrollArea:
    """Return parts below each other, which scroll up and down where there is little room."""
    inner = QWidget()
    column = QVBoxLayout(inner)
    column.setContentsMargins(6, 6, 6, 6)
    column.addWidget(stacked(parts, spacing=6))
    column.addStretch()
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area


def stacked(
    parts: Sequence[QWidget], *, margins: tuple[int, int, int, int] = (0, 0, 0, 0), spacing: int = 4
) -> QWidget:
    """Return parts below each other, at the top of the room there is."""
    widget = QWidget()
    column = QVBoxLayout(widget)
    column.setContentsMargins(*margins)
    column.setSpacing(spacing)
    for part in parts:
        column.addWidget(part)
    widget.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
    return widget


def side_by_side(parts: Sequence[Part]) -> QWidget:
    """Return parts beside each other: alike ones share the room, else the first takes the rest."""
    even = len({type(part) for part in parts}) == 1
    widget = QWidget()
    row = QHBoxLayout(widget)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for n, part in enumerate(parts):
        row.addWidget(_fitting(part), 1 if even or n == 0 else 0)
    return widget


def between(left: PushButton, text: QWidget, right: PushButton) -> QWidget:
    """Return a text with a button at each end."""
    widget = QWidget()
    row = QHBoxLayout(widget)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    row.addWidget(left.native)
    row.addWidget(text, 1)
    row.addWidget(right.native)
    return widget


def plus(tooltip: str) -> PushButton:
    """Return a small button that makes a new layer."""
    button = PushButton(text="+", tooltip=tooltip)
    button.native.setFixedWidth(button.native.sizeHint().height() + 4)
    return button


def _heading(text: str) -> QLabel:
    label = QLabel(f"<b>{text}</b>")
    label.setContentsMargins(0, 6, 0, 0)
    return label


def _has_label(part: Part) -> bool:
    return not isinstance(part, QWidget | PushButton | CheckBox | RadioButtons)


def _label(control: Any) -> QLabel:
    """Return the label of a control, which explains it as the control does."""
    label = QLabel(control.label)
    label.setToolTip(control.tooltip or "")
    return label


def _fitting(part: Part) -> QWidget:
    """Return the Qt widget of a control, able to become narrow."""
    if isinstance(part, QWidget):
        return part
    native: QWidget = part.native
    if isinstance(part, ComboBox):
        box = native if isinstance(native, QComboBox) else native.findChild(QComboBox)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(_SHORTEST_TEXT)
    if isinstance(native, QAbstractSpinBox):
        native.setStyleSheet(NARROW)
    if isinstance(part, FloatSlider):
        readout = native.findChild(QAbstractSpinBox)
        readout.setStyleSheet(_READOUT)
        readout.setFixedWidth(readout.fontMetrics().horizontalAdvance("0.000"))
    if isinstance(part, RadioButtons):
        native.setStyleSheet(_PLAIN_GROUP)
        if layout := native.layout():
            layout.setContentsMargins(0, 0, 0, 0)
    return native
