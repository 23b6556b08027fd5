import pytest
from napari.components import ViewerModel

from napari_fastsam._napari.caption import Caption


@pytest.fixture
def model():
    return ViewerModel()


def shown(viewer):
    """Return all texts on the canvas."""
    overlays = viewer.canvas.overlays.values()
    return [overlay.text for overlay in overlays if overlay.visible]


def test_a_caption_is_shown_until_it_is_empty(model):
    caption = Caption(model)
    caption.say("")
    assert shown(model) == []
    caption.say("0.93")
    caption.say("0.50")
    assert shown(model) == [caption.text] == ["0.50"]
    caption.say("")
    assert shown(model) == []


def test_a_text_of_the_users_and_other_captions_stay(model):
    model.canvas.overlays.text.text = "mine"
    model.canvas.overlays.text.visible = True
    before = set(model.canvas.overlays)
    first, second = Caption(model), Caption(model)
    first.say("one")
    second.say("two")
    assert shown(model) == ["mine", "one", "two"]
    first.remove()
    assert shown(model) == ["mine", "two"]
    second.remove()
    second.remove()
    assert shown(model) == ["mine"]
    assert set(model.canvas.overlays) == before


def test_a_caption_comes_again_after_it_was_removed(model):
    caption = Caption(model)
    caption.say("one")
    caption.remove()
    assert caption.text == ""
    caption.say("one")
    assert shown(model) == ["one"]


def test_a_caption_is_seen_on_the_canvas(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    dark = viewer.screenshot(canvas_only=True, flash=False)
    caption = Caption(viewer)
    caption.say("0.93")
    changed = (viewer.screenshot(canvas_only=True, flash=False) != dark).any(-1)
    rows, columns = changed.nonzero()
    assert len(rows)
    assert rows.max() < dark.shape[0] / 4
    assert columns.max() < dark.shape[1] / 4
    caption.remove()
    assert (viewer.screenshot(canvas_only=True, flash=False) == dark).all()
