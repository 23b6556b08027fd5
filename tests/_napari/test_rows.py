"""How controls are laid out in a narrow dock."""

import pytest
from qtpy.QtWidgets import QLabel

from napari_fastsam._napari.rows import SmallPrint, form


@pytest.mark.parametrize("width", [200, 300, 600])
def test_small_print_takes_the_room_of_its_lines(qtbot, width):
    text = SmallPrint("Cancel keeps the planes that are done. " * 4)
    page = form([text, QLabel("below")])
    qtbot.addWidget(page)
    page.resize(width, 400)
    page.show()
    qtbot.waitUntil(lambda: text.width() > width - 40)
    lines = text.heightForWidth(text.width())
    qtbot.waitUntil(lambda: text.height() == lines)
    assert page.layout().minimumSize().height() == page.layout().minimumHeightForWidth(width)
    text.setText("Short.")
    assert text.sizeHint().height() < lines
