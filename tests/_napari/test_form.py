import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtWidgets import QLabel, QWidget

from napari_fastsam._napari import words
from napari_fastsam._napari.form import Form
from napari_fastsam._napari.preview_layer import is_preview

LONG = "a name that is far too long for any dock widget to show in full"


@pytest.fixture
def viewer():
    """A viewer without a window: nothing of the form needs one."""
    return ViewerModel()


@pytest.fixture
def form(viewer, qtbot):
    form = Form(viewer)
    qtbot.addWidget(form.native)
    return form


def inner(form) -> QWidget:
    """Return what scrolls."""
    return form.native.layout().itemAt(0).widget().widget()


def shown(control, form) -> bool:
    return (control if isinstance(control, QWidget) else control.native).isVisibleTo(form.native)


def test_the_selected_image_is_chosen_and_labels_are_new(viewer, plane, qtbot):
    viewer.add_image(plane)
    second = viewer.add_image(plane)
    viewer.add_labels(plane.astype(int))
    viewer.layers.selection.active = second
    form = Form(viewer)
    qtbot.addWidget(form.native)
    assert form.image.value is second
    assert form.output.value is None


def test_several_selected_layers_stay_selected(viewer, form, plane):
    layers = {viewer.add_image(plane), viewer.add_labels(plane.astype(int))}
    viewer.layers.selection = layers
    form.image.value = viewer.layers[0]
    form.refresh()
    assert set(viewer.layers.selection) == layers


def test_a_layer_stays_chosen_when_it_is_renamed_or_moved(viewer, form, plane):
    viewer.add_image(plane, name="first")
    second = viewer.add_image(plane, name="second")
    labels = viewer.add_labels(plane.astype(int))
    form.image.value, form.output.value = second, labels
    told = []
    for box in (form.image, form.output):
        box.changed.connect(told.append)
    second.name, labels.name = "another", "others"
    viewer.layers.move(0, 2)
    viewer.layers.move(2, 0)
    assert (form.image.value, form.output.value) == (second, labels)
    assert form.image.current_choice == "another"
    assert told == []


def test_layers_are_offered_in_their_order(viewer, form, plane):
    for name in "abc":
        viewer.add_image(plane, name=name)
    viewer.layers.move(2, 0)
    assert [layer.name for layer in form.image.choices] == ["c", "a", "b"]


def test_removed_layers_are_no_longer_chosen_and_that_is_told(viewer, form, plane):
    image, labels = viewer.add_image(plane), viewer.add_labels(plane.astype(int))
    form.output.value = labels
    told = []
    for box in (form.image, form.output):
        box.changed.connect(told.append)
    viewer.layers.remove(labels)
    viewer.layers.remove(image)
    assert told == [None, None]
    assert form.image.value is None


@pytest.mark.parametrize("kind", [Image, Labels])
def test_previews_are_not_offered(kind, viewer, form, plane):
    preview = kind(plane.astype(int), metadata={"napari-fastsam preview": True})
    assert is_preview(preview)
    viewer.add_layer(preview)
    assert form.image.value is None
    assert form.output.choices == (None,)
    assert form.colours.red.choices == (None,)


def test_the_first_prompt_layers_are_chosen(viewer, form, plane):
    viewer.add_image(plane)
    points = viewer.add_points()
    viewer.add_points()
    shapes = viewer.add_shapes()
    assert (form.points.value, form.shapes.value) == (points, shapes)


def test_controls_that_need_an_image_wait_for_one(viewer, form, plane):
    buttons = (form.click_button, form.segment_button, form.everything_button)
    assert not any(button.enabled for button in buttons)
    assert form.status.message.text() == words.NO_IMAGE
    viewer.add_image(plane)
    assert all(button.enabled for button in buttons)


def test_the_stack_tab_says_why_it_is_empty(viewer, form, plane, stack):
    form.current_tab = "stack"
    assert not shown(form.everything_stack_button, form)
    viewer.add_image(plane)
    assert "single plane" in form.stack.reason.text()
    form.image.value = viewer.add_image(stack)
    assert shown(form.everything_stack_button, form)
    assert "4 planes" in form.stack.reason.text()


def test_following_and_tracks_are_offered_where_there_is_a_stack(viewer, form, plane, stack):
    viewer.add_image(plane)
    assert not shown(form.follow_button, form)
    assert words.FOLLOW_KEY not in form.click.keys.said
    form.image.value = viewer.add_image(stack)
    assert shown(form.follow_button, form)
    assert form.click.keys.said.endswith(words.FOLLOW_KEY)
    form.current_tab = "stack"
    assert shown(form.stack.tracks_button, form)
    form.image.value = viewer.layers[0]
    assert not shown(form.stack.tracks_button, form)


def test_planes_are_counted_beside_what_is_displayed_and_channels(viewer, form):
    form.image.value = viewer.add_image(np.zeros((5, 3, 8, 9)))
    assert form.planes_of_image == 15
    form.colours.channel_axis.value = 1
    assert form.planes_of_image == 5
    viewer.dims.order = (2, 1, 0, 3)
    assert form.planes_of_image == 8
    viewer.dims.order = (0, 1, 2, 3)
    form.image.value = viewer.add_image(np.zeros((8, 9, 3), np.uint8), rgb=True)
    assert form.planes_of_image == 1


def test_one_tab_is_shown_and_told(form):
    told = []
    form.tabs.changed.connect(told.append)
    form.current_tab = "everything"
    assert shown(form.confidence, form)
    assert not shown(form.click_button, form)
    assert told == ["everything"]
    with pytest.raises(ValueError, match="not one of"):
        form.current_tab = "text"


def test_next_object_is_offered_for_clicks_that_ask_for_one(form):
    assert not shown(form.next_object, form)
    form.grouping.value = "one"
    assert shown(form.next_object, form)


def test_folds_open_and_say_what_is_on(form):
    cleanup = form.cleanup.native
    assert not shown(form.cleanup.opening, form)
    cleanup.heading.click()
    form.cleanup.opening.value = 2
    form.cleanup.clear_border.value = True
    assert shown(form.cleanup.opening, form)
    assert cleanup.text() == "▾  Cleanup: opening, border"
    cleanup.heading.click()
    assert cleanup.text().startswith("▸")


def test_there_is_nothing_to_tidy_without_a_step(form):
    assert not form.cleanup.apply_button.enabled
    form.cleanup.min_area.value = 5
    assert form.cleanup.apply_button.enabled


def test_what_happened_stays_until_something_else_is_to_do(viewer, form, plane):
    viewer.add_image(plane)
    form.status.say("4 new objects.")
    form.refresh()
    assert form.status.message.text() == "4 new objects."
    form.current_tab = "everything"
    assert form.status.message.text() == words.next_step(words.Situation(tab="everything"))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_long_texts_and_open_folds_fit_a_narrow_dock(theme, make_napari_viewer, stack):
    viewer = make_napari_viewer()
    viewer.theme = theme
    form = Form(viewer)
    viewer.window.add_dock_widget(form)
    viewer.add_image(stack, name=LONG)
    viewer.add_points(name=LONG)
    form.status.say(LONG * 5)
    form.status.state("error", LONG)
    form.everything_count.setText(LONG)
    form.colours.red.value = viewer.layers[0]
    form.grouping.value = "one"
    for panel in (form.cleanup, form.colours, form.settings):
        panel.native.expand()
    scroll_bar = 13  # pixels
    for name in ("click", "everything", "stack"):
        form.current_tab = name
        assert inner(form).minimumSizeHint().width() <= 280 - scroll_bar


def test_every_control_explains_itself(form):
    owners = (form, form.cleanup, form.colours, form.settings, form.areas)
    controls = [control for owner in owners for control in vars(owner).values()]
    silent = [c for c in controls if hasattr(c, "tooltip") and c is not form and not c.tooltip]
    assert silent == []
    bare = [
        child.text()
        for child in inner(form).findChildren(QLabel)
        if child.buddy() is not None and not child.toolTip()
    ]
    assert bare == []
