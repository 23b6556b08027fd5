from types import SimpleNamespace

import pytest

from napari_fastsam._napari.status import StatusPanel


@pytest.fixture
def panel(qtbot):
    panel = StatusPanel()
    for widget in (panel, panel.look):
        qtbot.addWidget(widget)
    return panel


def job(done, total):
    return SimpleNamespace(
        doing="Labelling", progress=(done, total), seconds=4.0, before=0, unit="plane"
    )


def colour(panel):
    return panel.state_line.text().split("color: ")[1][:7]


def test_states_have_their_own_colours_and_their_text_is_no_html(panel):
    colours = {}
    for kind in ("idle", "working", "ready", "error"):
        panel.state(kind, "<b>25</b>", "CPU")
        colours[kind] = colour(panel)
        assert panel.kind == kind
    assert len(set(colours.values())) == 4
    assert "&lt;b&gt;25" in panel.state_line.text()
    assert panel.state_line.toolTip() == "CPU"


def test_a_run_shows_its_progress_from_a_moment_after_its_start(panel, qtbot):
    panel.watch(job(12, 80))
    assert panel.running.isHidden()
    qtbot.waitUntil(lambda: not panel.running.isHidden())
    assert (panel.bar.value(), panel.bar.maximum()) == (12, 80)
    assert panel.message.text() == "Labelling: plane 13 of 80 · 23 s left"
    panel.rest()
    assert panel.running.isHidden()


def test_looking_shows_a_thin_bar_and_leaves_the_message(panel, qtbot):
    panel.say("Do this next.")
    panel.watch_look(job(0, 0))
    qtbot.waitUntil(lambda: not panel.look_bar.isHidden())
    assert panel.look_bar.maximum() == 0  # it moves, since nobody knows how long it takes
    panel.watch_look(None)
    assert panel.look_bar.isHidden()
    assert panel.message.text() == "Do this next."


def test_the_end_of_a_run_does_not_end_a_look(panel, qtbot):
    panel.watch(job(1, 2))
    panel.watch_look(job(0, 0))
    panel.rest()
    qtbot.waitUntil(lambda: not panel.look_bar.isHidden())
    assert panel.running.isHidden()
