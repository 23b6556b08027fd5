"""How controls are laid out: aligned labels, headings, and parts that fold, in a narrow dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, PushButton
from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from magicgui.widgets.bases import ValueWidget

    Row = str | ValueWidget[Any] | tuple[ValueWidget[Any], ...] | QWidget

_SHORTEST_TEXT = 6  # characters that a combo box shows at least, so that long names fit any dock


def form(rows: Sequence[Row]) -> QWidget:
    """Return rows as one widget.

    Parameters
    ----------
    rows
        A text is a heading; a control has its label before it, unless it is a button or a box to
        tick; a tuple shares one row; a Qt widget takes a row of its own.
    """
    widget = QWidget()
    layout = QFormLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(4)
    layout.setHorizontalSpacing(6)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    for row in rows:
        if isinstance(row, str):
            layout.addRow(_heading(row))
        elif isinstance(row, QWidget):
            layout.addRow(row)
        elif isinstance(row, tuple):
            layout.addRow(_label(row[0]), _side_by_side(row))
        elif isinstance(row, PushButton | CheckBox):
            layout.addRow(row.native)
        else:
            layout.addRow(_label(row), _fitting(row))
    return widget


def set_row_visible(control: ValueWidget[Any], visible: bool) -> None:
    """Show or hide a control together with its label."""
    layout = control.native.parentWidget().layout()
    layout.labelForField(control.native).setVisible(visible)
    control.native.setVisible(visible)


def folded(content: QWidget, title: Callable[[], str], tooltip: str) -> QCollapsible:
    """Return a part that unfolds when its title is clicked; call `retitle` when that changes."""
    fold = QCollapsible(title(), expandedIcon=QIcon(), collapsedIcon=QIcon())
    fold.setDuration(0)
    if layout := fold.layout():
        layout.setContentsMargins(0, 0, 0, 0)
    fold.toggleButton().setToolTip(tooltip)
    fold.addWidget(content)
    fold.toggled.connect(lambda _: retitle(fold, title))
    retitle(fold, title)
    return fold


def retitle(fold: QCollapsible, title: Callable[[], str]) -> None:
    """Show the title of a part that folds, with a mark that says whether it is open."""
    fold.setText(f"{'▾' if fold.isExpanded() else '▸'}  {title()}")


def scrolling(parts: Sequence[QWidget]) -> QScrollArea:
    """Return parts below each other, which scroll up and down where there is little room."""
    inner = QWidget()
    column = QVBoxLayout(inner)
    column.setContentsMargins(6, 6, 6, 6)
    for part in parts:
        column.addWidget(part)
    column.addStretch()
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area


def _heading(text: str) -> QLabel:
    label = QLabel(f"<b>{text}</b>")
    label.setContentsMargins(0, 8, 0, 0)
    return label


def _label(control: ValueWidget[Any]) -> QLabel:
    """Return the label of a control, which explains it as the control does."""
    label = QLabel(control.label)
    label.setToolTip(control.tooltip or "")
    return label


def _fitting(control: ValueWidget[Any]) -> QWidget:
    """Return the Qt widget of a control, able to become narrow."""
    native: QWidget = control.native
    if isinstance(control, ComboBox):
        box = native if isinstance(native, QComboBox) else native.findChild(QComboBox)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(_SHORTEST_TEXT)
    return native


def _side_by_side(controls: Sequence[ValueWidget[Any]]) -> QWidget:
    """Return controls beside each other, the first one as wide as there is room."""
    widget = QWidget()
    row = QHBoxLayout(widget)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for n, control in enumerate(controls):
        row.addWidget(_fitting(control), 0 if n else 1)
    return widget
