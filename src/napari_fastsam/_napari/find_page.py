"""The tab that finds objects by words, or by examples."""

from __future__ import annotations

from magicgui.widgets import CheckBox, FloatSlider, PushButton
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QSizePolicy

from napari_fastsam._napari import words
from napari_fastsam._napari.areas import LimitBox
from napari_fastsam._napari.rows import SmallPrint, between, form, set_row_visible, side_by_side
from napari_fastsam.matching import SIMILAR_THRESHOLD, TEXT_THRESHOLD

BACK, FORTH = "\u2039", "\u203a"  # angle quotation marks, as arrows
_REMEMBERED = 12  # questions that are offered again
_BETWEEN = " ; "  # questions in the settings
_MARGINS = (6, 8, 6, 8)


class WordsBox(QComboBox):
    """A line for words; the last ones are offered again. `value` is all of them, for settings."""

    asked = Signal(str, description="Emitted with the words when Enter is pressed.")
    changed = Signal(str, description="Emitted with `value` when that is another.")

    def __init__(self) -> None:
        super().__init__()
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setCompleter(None)
        self.setMinimumContentsLength(6)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(words.FIND_TIP)
        line = self.lineEdit()
        assert line is not None
        self.line = line
        line.setPlaceholderText(words.FIND_PLACEHOLDER)
        line.setClearButtonEnabled(True)
        line.returnPressed.connect(self.ask)
        self.activated.connect(lambda _: self.ask())

    @property
    def text(self) -> str:
        """The words as they are written now."""
        return self.line.text()

    @text.setter
    def text(self, text: str) -> None:
        self.setEditText(text)

    @property
    def value(self) -> str:
        """What was asked for, the last first."""
        return _BETWEEN.join(self.itemText(n) for n in range(self.count()))

    @value.setter
    def value(self, value: str) -> None:
        written, before = self.text, self.value
        self.clear()
        self.addItems([text for text in value.split(_BETWEEN) if text.strip()][:_REMEMBERED])
        self.setEditText(written)
        if self.value != before:
            self.changed.emit(self.value)

    def ask(self) -> None:
        """Ask for what is written."""
        self.asked.emit(self.text)

    def remember(self, text: str) -> None:
        """Offer words again, as the first."""
        before = [self.itemText(n) for n in range(self.count()) if self.itemText(n) != text]
        self.value = _BETWEEN.join([text, *before])
        self.line.setCursorPosition(0)


class FindPage:
    """Objects that words describe, or that look like examples; `native` is the page."""

    def __init__(self) -> None:
        self.words = WordsBox()
        self.find_button = PushButton(
            text="Find", tooltip="Show the objects of this plane that the words describe (Enter)."
        )
        self.similar_button = PushButton(
            text="Find similar (L)",
            tooltip="Show what looks like the object taken last, or with L like the one under the "
            "mouse. L on others adds examples; L on an example takes it away.",
        )
        self.examples = SmallPrint("", "What objects are compared with.")
        self.examples.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.threshold = _slider(
            "Threshold",
            TEXT_THRESHOLD,
            "Leaves out objects that the words describe with less probability than this.",
        )
        self.likeness = _slider(
            "Likeness",
            SIMILAR_THRESHOLD,
            "Leaves out objects that are less like the examples than this: the cosine of what CLIP "
            "sees in both.",
        )
        self.top_k = LimitBox(
            "At most",
            "At most so many objects for each phrase, the best first; 0 is all.",
            largest=9999,
            suffix="",
            none=words.ALL,
        )
        self.inside = CheckBox(
            text="Inside shapes",
            value=False,
            tooltip="Only objects in the boxes and outlines of the Shapes layer on this plane. It "
            "is the one chosen in the Click tab.",
        )
        self.count = SmallPrint("", "How many of the objects that could answer do so.")
        self.back = PushButton(text=BACK, tooltip="The one before (Shift+N).")
        self.forth = PushButton(text=FORTH, tooltip="The next best (N).")
        self.place = SmallPrint("", "Where you are among what was found, the best first.")
        self.take_button = PushButton(
            text=words.take_found(0), tooltip="Take the objects that are shown, as one step."
        )
        for button in (self.back, self.forth):
            button.native.setFixedWidth(button.native.fontMetrics().horizontalAdvance(BACK) * 5)
        self.place.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.native = form(
            [
                self.words,
                (self.find_button, self.similar_button),
                self.examples,
                self.threshold,
                self.likeness,
                self.top_k,
                side_by_side([self.count, self.inside]),
                between(self.back, self.place, self.forth),
                self.take_button,
                SmallPrint(words.FIND_KEYS),
            ],
            margins=_MARGINS,
        )
        self.show_kind(by_words=True)
        self.show_found(0, "")

    def show_kind(self, *, by_words: bool) -> None:
        """Offer the threshold of words, or the one of examples."""
        for slider, shown in ((self.threshold, by_words), (self.likeness, not by_words)):
            set_row_visible(slider, shown)

    def show_examples(self, number: int) -> None:
        """Say how many examples there are, and offer to drop them."""
        self.examples.setText(words.examples(number))
        self.examples.setVisible(number > 0)

    def show_found(self, number: int, count: str) -> None:
        """Say how many objects answer."""
        self.count.setText(count)
        self.take_button.text = words.take_found(number)
        self.take_button.enabled = number > 0
        for button in (self.back, self.forth):
            button.enabled = number > 0

    def show_place(self, text: str) -> None:
        """Say where one is among what was found."""
        self.place.setText(text)


def _slider(label: str, value: float, tooltip: str) -> FloatSlider:
    return FloatSlider(label=label, value=value, min=0, max=1, step=0.01, tooltip=tooltip)
