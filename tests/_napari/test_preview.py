import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_fastsam._napari.grid import Grid
from napari_fastsam._napari.preview import WIDTH, Preview, is_preview
from napari_fastsam._napari.preview_layer import OUTLINE
from napari_fastsam._napari.views import (
    axis_letters,
    displayed_axes,
    displayed_plane,
    plane_at,
    to_pixel,
)
from napari_fastsam.planes import PlaneAxes

SQUARE = np.ones((20, 30), bool)
BOX = (10, 20, 30, 50)
EDGE = np.zeros((60, 80), bool)
EDGE[10:30, 20:50] = True
EDGE[11:29, 21:49] = False

TRANSFORMS = {
    "scaled": {"scale": (0.5, 0.25), "units": ("um", "um")},
    "moved": {"translate": (300, -40)},
    "turned": {"rotate": 30},
    "sheared": {"shear": [0.3]},
    "affine": {"affine": [[0.8, 0.3, 1], [-0.3, 0.9, 7], [0, 0, 1]]},
}

VOLUMES = {
    "scaled": {"scale": (2, 0.5, 0.25), "units": ("um", "nm", "um")},
    "moved": {"translate": (3, -4, 5)},
    "turned": {"rotate": (0, 0, 30)},
    "turned out of the plane": {"rotate": (20, 10, 30), "scale": (2, 1, 1)},
    "sheared": {"shear": (0.2, 0.1, 0.3)},
    "affine": {"affine": [[0.8, 0.1, 0.3, 2], [0, 0.9, 0.2, 1], [-0.3, 0, 1, 7], [0, 0, 0, 1]]},
}


@pytest.fixture
def model():
    return ViewerModel()


@pytest.fixture
def viewer(make_napari_viewer):
    """A real viewer, shown: others draw nothing."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 900)
    return viewer


def previewed(viewer, data, **options):
    """Return a preview on a new image layer, its outlines one pixel wide, and the layer."""
    image = viewer.add_image(data, **options)
    preview = Preview(viewer)
    place(preview, image, viewer)
    viewer.scene.camera.zoom = 2 * WIDTH / min(image.scale)
    return preview, image


def place(preview, image, viewer):
    preview.place(image, displayed_plane(image, viewer.dims).axes)


def shown(preview, viewer):
    """Return the plane of the preview that is on the screen."""
    layer = preview.layer
    letters = axis_letters(layer.ndim, displayed_axes(layer, viewer.dims))
    axes = PlaneAxes(letters, layer.data.shape)
    return axes.read(layer.data, plane_at(layer, axes, viewer.dims).index)


def screen(viewer, image):
    """Return the colour (H, W, 3) that the canvas shows at each pixel of a layer's plane."""
    viewer.scene.camera.center = (0, 30, 40)
    viewer.scene.camera.zoom = 8
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    height, width = picture.shape[:2]
    rows = np.round((np.arange(60) - 30) * 8 + height / 2).astype(int)
    columns = np.round((np.arange(80) - 40) * 8 + width / 2).astype(int)
    return picture[np.ix_(rows, columns)]


def test_nothing_is_there_until_there_is_something_to_show(model, plane):
    preview, image = previewed(model, plane)
    preview.outline(None)
    preview.objects(None)
    preview.clear()
    preview.remove()
    assert preview.layer is None
    assert list(model.layers) == [image]


def test_the_layer_can_be_made_ahead(model, plane):
    preview, image = previewed(model, plane)
    preview.prepare()
    layer = preview.layer
    assert list(model.layers) == [image, layer]
    assert not layer.data.any()
    preview.outline(SQUARE, BOX)
    assert preview.layer is layer


def test_the_outline_is_the_objects_edge(model, plane):
    preview, _ = previewed(model, plane)
    preview.outline(SQUARE, BOX)
    np.testing.assert_array_equal(preview.layer.data == OUTLINE, EDGE)


def test_an_outline_takes_the_place_of_the_one_before(model, plane):
    preview, _ = previewed(model, plane)
    preview.outline(np.ones((9, 9), bool), (15, 25, 24, 34))
    preview.outline(SQUARE, BOX)
    np.testing.assert_array_equal(preview.layer.data == OUTLINE, EDGE)
    preview.outline(None)
    assert not preview.layer.data.any()


def test_an_outline_that_is_there_is_not_drawn_again(model, plane):
    preview, _ = previewed(model, plane)
    preview.outline(SQUARE, BOX)
    drawn = []
    preview.layer.events.labels_update.connect(drawn.append)
    preview.outline(SQUARE.copy(), BOX, text="2 of 3")
    assert drawn == []
    assert captions(model) == ["2 of 3"]
    preview.outline(SQUARE, (11, 20, 31, 50))
    assert len(drawn) == 2
    preview.outline(SQUARE, BOX)
    np.testing.assert_array_equal(preview.layer.data == OUTLINE, EDGE)


def test_a_mask_of_the_whole_plane_needs_no_box(model, plane):
    preview, _ = previewed(model, plane)
    mask = np.zeros(plane.shape, bool)
    mask[10:30, 20:50] = True
    preview.outline(mask)
    np.testing.assert_array_equal(preview.layer.data == OUTLINE, EDGE)


def test_a_mask_that_does_not_fit_its_box_is_refused(model, plane):
    preview, _ = previewed(model, plane)
    with pytest.raises(ValueError, match=r"\(20, 30\).*\(30, 20\)"):
        preview.outline(SQUARE.T, BOX)


def test_labels_of_another_plane_are_refused(model, plane):
    preview, _ = previewed(model, plane)
    with pytest.raises(ValueError, match=r"\(60, 80\).*\(80, 60\)"):
        preview.objects(np.ones((80, 60), int))


@pytest.mark.parametrize("zoom", [0.05, 0.3, 1])
@pytest.mark.parametrize(
    "place", [{}, {"scale": (0.1, 0.1)}, {"scale": (500, 500), "units": ("nm", "nm")}]
)
def test_outlines_stay_visible_however_small_the_plane_is_shown(model, zoom, place):
    preview, image = previewed(model, np.zeros((600, 800)), **place)
    model.scene.camera.zoom = zoom / image.scale[0]
    preview.outline(np.ones((300, 400), bool), (150, 200, 450, 600))
    across = (preview.layer.data[300, :400] == OUTLINE).sum()
    assert WIDTH <= across * zoom < WIDTH + 2 * zoom + 1


def test_objects_have_the_colours_that_new_labels_have(model, plane):
    preview, _ = previewed(model, plane)
    labels = np.zeros(plane.shape, np.uint32)
    labels[:4] = np.arange(1, 255).repeat(2)[:320].reshape(4, 80)
    preview.objects(labels)
    np.testing.assert_array_equal(preview.layer.data, labels)
    ours = preview.layer.colormap.map(preview.layer.data)
    theirs = Labels(labels).colormap.map(labels)
    np.testing.assert_allclose(ours[..., :3], theirs[..., :3])
    assert (ours[labels > 0][:, 3] == ours[0, 0, 3]).all()
    assert 0 < ours[0, 0, 3] < 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_every_label_is_shown_and_none_as_an_outline(model, plane, dtype):
    preview, _ = previewed(model, plane)
    most = min(np.iinfo(dtype).max, 70_000)
    labels = np.linspace(0, most, plane.size).astype(dtype).reshape(plane.shape)
    preview.objects(labels)
    np.testing.assert_array_equal(preview.layer.data > 0, labels > 0)
    assert preview.layer.data.max() < OUTLINE


def test_objects_and_an_outline_do_not_disturb_each_other(model, plane):
    preview, _ = previewed(model, plane)
    labels = np.zeros(plane.shape, np.uint32)
    labels[:, :40] = 3
    preview.objects(labels)
    preview.outline(SQUARE, BOX)
    np.testing.assert_array_equal(preview.layer.data, np.where(EDGE, OUTLINE, labels))
    preview.objects(labels * 2)
    np.testing.assert_array_equal(preview.layer.data, np.where(EDGE, OUTLINE, labels * 2))
    preview.outline(None)
    np.testing.assert_array_equal(preview.layer.data, labels * 2)
    preview.outline(SQUARE, BOX)
    preview.objects(None)
    np.testing.assert_array_equal(preview.layer.data, np.where(EDGE, OUTLINE, 0))


def test_given_labels_and_masks_are_left_as_they_are(model, plane):
    preview, image = previewed(model, plane)
    mine = model.add_labels(np.full(plane.shape, 300))
    labels, mask = np.full(plane.shape, 300), SQUARE.copy()
    before = plane.copy()
    preview.objects(labels)
    preview.outline(mask, BOX)
    assert (labels == 300).all()
    assert mask.all()
    assert (mine.data == 300).all()
    np.testing.assert_array_equal(image.data, before)


@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
def test_a_stack_costs_the_memory_of_one_plane(model, plane, ndim):
    stack = np.broadcast_to(plane, (7,) * (ndim - 2) + plane.shape)
    preview, _ = previewed(model, stack)
    preview.outline(SQUARE, BOX)
    assert preview.layer.data.shape == (1,) * (ndim - 2) + plane.shape
    assert preview.layer.data.nbytes == plane.size
    np.testing.assert_array_equal(shown(preview, model) == OUTLINE, EDGE)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_the_outline_is_on_the_plane_in_view_in_any_order_of_axes(model, order):
    model.dims.ndim = 3
    model.dims.order = order
    sizes = dict(zip(order, (5, 60, 80), strict=True))
    preview, _ = previewed(model, np.zeros([sizes[n] for n in range(3)]))
    preview.outline(SQUARE, BOX)
    np.testing.assert_array_equal(shown(preview, model) == OUTLINE, EDGE)


def test_a_new_order_of_axes_empties_the_preview_and_the_next_outline_fits(model):
    preview, image = previewed(model, np.zeros((90, 60, 80)))
    preview.outline(SQUARE, BOX)
    model.dims.order = (1, 0, 2)
    assert not preview.layer.data.any()
    preview.outline(SQUARE, BOX)  # the dock has not said yet that other planes are meant
    assert not preview.layer.data.any()
    place(preview, image, model)
    preview.outline(SQUARE, BOX)
    assert shown(preview, model).shape == (90, 80)
    assert (shown(preview, model) == OUTLINE).sum() == EDGE.sum()


def test_another_plane_does_not_show_what_belonged_to_the_one_before(model, stack):
    preview, _ = previewed(model, stack, scale=(2, 1, 1))
    model.dims.set_current_step(0, 1)
    preview.objects(np.ones((60, 80), int))
    preview.outline(SQUARE, BOX, text="here")
    model.dims.set_current_step(0, 2)
    assert not preview.layer.data.any()
    assert captions(model) == []
    preview.outline(SQUARE, BOX)
    np.testing.assert_array_equal(shown(preview, model) == OUTLINE, EDGE)
    model.dims.set_current_step(0, 1)
    assert not preview.layer.data.any()


def test_sliders_reach_no_further_for_the_preview(model, stack):
    preview, _ = previewed(model, stack, scale=(2, 0.3, 0.3), translate=(1, 2, 3))
    before = model.dims.range
    for step in range(4):
        model.dims.set_current_step(0, step)
        preview.outline(SQUARE, BOX)
        np.testing.assert_array_equal(shown(preview, model) == OUTLINE, EDGE)
        np.testing.assert_allclose(model.dims.range, before)


def test_a_step_along_another_layers_axis_changes_nothing(model, plane):
    model.add_image(np.zeros((4, *plane.shape)))
    preview, _ = previewed(model, plane)
    preview.outline(SQUARE, BOX, text="here")
    model.dims.set_current_step(0, 3)
    np.testing.assert_array_equal(preview.layer.data == OUTLINE, EDGE)


def test_nothing_is_shown_beside_the_image(model, stack):
    preview, _ = previewed(model, stack)
    model.add_image(np.zeros((9, 60, 80)))
    model.dims.set_current_step(0, 8)
    preview.outline(SQUARE, BOX)
    preview.objects(np.ones((60, 80), int))
    assert preview.layer is None


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_the_preview_lies_where_the_image_lies_also_after_it_was_moved(model, plane, transform):
    preview, image = previewed(model, plane, **transform)
    corners = np.array([(0, 0), (0, 80), (60, 0)])
    preview.outline(SQUARE, BOX)

    def at(layer):
        return [layer.data_to_world(corner) for corner in corners]

    np.testing.assert_allclose(at(preview.layer), at(image))
    assert preview.layer.units == image.units
    layer = preview.layer
    image.scale, image.translate, image.units = (3, 2), (5, 6), ("mm", "mm")
    place(preview, image, model)
    np.testing.assert_allclose(at(preview.layer), at(image))
    assert preview.layer.units == image.units
    assert preview.layer is layer


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("transform", VOLUMES.values(), ids=VOLUMES)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_each_plane_of_the_preview_is_seen_where_the_images_is(model, transform, order):
    image = model.add_image(np.zeros((60, 60, 60)), **transform)
    model.dims.order = order
    preview = Preview(model)
    place(preview, image, model)
    for part in (0.45, 0.6):
        step = int(model.dims.nsteps[order[0]] * part)
        model.dims.set_current_step(order[0], step)
        preview.outline(SQUARE, BOX)
        view = displayed_plane(image, model.dims)
        axes = PlaneAxes(view.axes.axes, preview.layer.data.shape)
        there = to_pixel(preview.layer, plane_at(preview.layer, axes, model.dims), model.dims)
        seen = to_pixel(image, view, model.dims)
        near = np.array(model.dims.point)
        places = near + np.random.default_rng(step).uniform(-5, 5, (9, 3)) * (
            np.arange(3) != order[0]
        )
        np.testing.assert_allclose([there(p) for p in places], [seen(p) for p in places])


def test_colour_and_pyramids_have_previews_of_full_resolution(model):
    pyramid = [np.zeros((5, 60, 80, 3), np.uint8), np.zeros((5, 30, 40, 3), np.uint8)]
    preview, _ = previewed(model, pyramid, rgb=True, multiscale=True)
    preview.outline(SQUARE, BOX)
    assert preview.layer.data.shape == (1, 60, 80)
    assert not preview.layer.multiscale


def test_a_channel_axis_that_labels_lack_is_left_out(model):
    image = model.add_image(np.zeros((2, 4, 60, 80)), scale=(1, 3, 1, 1))
    preview = Preview(model)
    model.scene.camera.zoom = 2 * WIDTH
    model.dims.set_current_step(1, 2)
    preview.place(image, PlaneAxes("ZYXC", (4, 60, 80, 2)), Grid.of(image).without_first())
    preview.outline(SQUARE, BOX)
    assert preview.layer.data.shape == (1, 60, 80)
    np.testing.assert_allclose(preview.layer.scale, (3, 1, 1))
    np.testing.assert_array_equal(shown(preview, model) == OUTLINE, EDGE)
    model.dims.set_current_step(0, 1)  # another channel: the same objects
    np.testing.assert_array_equal(shown(preview, model) == OUTLINE, EDGE)


def test_what_was_selected_stays_selected_and_the_tool_in_hand(model, plane):
    preview, image = previewed(model, plane)
    points = model.add_points(ndim=2)
    points.mode = "add"
    preview.outline(SQUARE, BOX)
    assert model.layers.selection.active is points
    assert points.mode == "add"
    preview.remove()
    model.layers.selection = {image, points}
    preview.outline(SQUARE, BOX)
    assert set(model.layers.selection) == {image, points}
    preview.remove()
    model.layers.selection.clear()
    preview.outline(SQUARE, BOX)
    assert set(model.layers.selection) == set()


def test_the_preview_lies_above_images_and_labels_and_below_prompts(model, plane):
    preview, image = previewed(model, plane)
    points = model.add_points(ndim=2)
    preview.outline(SQUARE, BOX)
    assert list(model.layers) == [image, preview.layer, points]
    labels, shapes = model.add_labels(np.zeros(plane.shape, int)), model.add_shapes(ndim=2)
    model.layers.selection.active = shapes
    preview.outline(None)
    preview.outline(SQUARE, BOX)
    assert list(model.layers) == [image, points, labels, preview.layer, shapes]
    assert model.layers.selection.active is shapes


def test_a_deleted_preview_comes_again_when_it_is_needed(model, plane):
    preview, _ = previewed(model, plane)
    preview.outline(SQUARE, BOX, text="here")
    first = preview.layer
    model.layers.remove(first)
    preview.outline(None)
    assert preview.layer is None
    preview.outline(SQUARE, BOX)
    assert preview.layer in model.layers
    assert preview.layer is not first
    np.testing.assert_array_equal(preview.layer.data == OUTLINE, EDGE)


def test_the_preview_leaves_with_the_image(model, plane):
    preview, image = previewed(model, plane)
    preview.outline(SQUARE, BOX, text="here")
    model.layers.remove(image)
    assert list(model.layers) == []
    preview.outline(SQUARE, BOX)
    preview.objects(np.ones(plane.shape, int))
    preview.clear()
    assert list(model.layers) == []


def test_an_image_of_another_shape_has_a_preview_of_its_own(model, plane):
    preview, _ = previewed(model, plane)
    preview.outline(SQUARE, BOX)
    other = model.add_image(np.zeros((3, 90, 100)))
    place(preview, other, model)
    preview.outline(SQUARE, BOX)
    assert [layer for layer in model.layers if is_preview(layer)] == [preview.layer]
    assert preview.layer.data.shape == (1, 90, 100)


def test_an_image_of_the_same_shape_begins_with_an_empty_preview(model, plane):
    preview, _ = previewed(model, plane)
    preview.outline(SQUARE, BOX, text="here")
    place(preview, model.add_image(plane + 1), model)
    assert not preview.layer.data.any()
    assert captions(model) == []


def test_two_previews_in_one_viewer_are_apart(model, plane):
    first, image = previewed(model, plane)
    second = Preview(model)
    place(second, image, model)
    first.outline(SQUARE, BOX, text="one")
    second.outline(SQUARE, (30, 40, 50, 70), text="two")
    assert captions(model) == ["one", "two"]
    first.remove()
    assert (second.layer.data == OUTLINE).sum() == EDGE.sum()
    assert captions(model) == ["two"]


def captions(viewer):
    """Return what is said in the corner of the canvas."""
    overlays = viewer.canvas.overlays.items()
    return [o.text for name, o in overlays if name.startswith("fastsam") and o.visible]


def test_the_score_is_said_as_long_as_the_outline_is_there(model, plane):
    preview, _ = previewed(model, plane)
    preview.outline(SQUARE, BOX, score=0.934, text="2 of 3")
    assert captions(model) == ["0.93 · 2 of 3"]
    preview.outline(SQUARE, BOX, score=0.5)
    assert captions(model) == ["0.50"]
    preview.outline(None)
    assert captions(model) == []


def test_nothing_is_shown_in_3d(model, stack):
    preview, _ = previewed(model, stack)
    preview.objects(np.ones((60, 80), int))
    model.dims.ndisplay = 3
    preview.outline(SQUARE, BOX)
    assert not preview.layer.visible
    assert not preview.layer.data.any()
    model.dims.ndisplay = 2
    assert preview.layer.visible
    preview.outline(SQUARE, BOX)
    np.testing.assert_array_equal(shown(preview, model) == OUTLINE, EDGE)


def test_a_preview_that_the_user_hid_stays_hidden(model, stack):
    preview, _ = previewed(model, stack)
    preview.outline(SQUARE, BOX)
    preview.layer.visible = False
    model.dims.ndisplay = 3
    model.dims.ndisplay = 2
    preview.outline(SQUARE, BOX)
    assert not preview.layer.visible


def test_a_preview_that_nobody_holds_is_freed(model, plane):
    preview, _ = previewed(model, plane)
    preview.outline(SQUARE, BOX)
    gone = weakref.ref(preview)
    del preview
    gc.collect()
    assert gone() is None
    model.dims.ndisplay = 3
    model.layers.clear()


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)], ids=["upright", "transposed"])
def test_outlines_and_objects_are_on_the_screen(viewer, order):
    data = np.zeros((3, 60, 80) if order[1] == 1 else (3, 80, 60), np.uint8)
    viewer.dims.ndim = 3
    viewer.dims.order = order
    preview, image = previewed(viewer, data)
    viewer.scene.camera.zoom = 8
    dark = screen(viewer, image)
    preview.outline(SQUARE, BOX, score=0.9)
    for _ in range(2):  # another place, and back, each drawn in part
        np.testing.assert_array_equal((screen(viewer, image) != dark).any(-1), EDGE)
        preview.outline(SQUARE, (30, 40, 50, 70))
        assert not (screen(viewer, image) != dark)[10:29, 20:40].any()
        preview.outline(SQUARE, BOX)
    labels = np.zeros((60, 80), np.uint32)
    labels[35:50, 5:70] = 8
    preview.objects(labels)
    seen = (screen(viewer, image) != dark).any(-1)
    np.testing.assert_array_equal(seen, EDGE | (labels > 0))
    preview.clear()
    np.testing.assert_array_equal(screen(viewer, image), dark)


def test_stepping_and_3d_leave_nothing_on_the_screen(viewer, stack):
    preview, image = previewed(viewer, np.zeros_like(stack))
    dark = screen(viewer, image)
    preview.objects(np.ones((60, 80), int))
    viewer.dims.set_current_step(0, 2)
    np.testing.assert_array_equal(screen(viewer, image), dark)
    preview.outline(SQUARE, BOX)
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    np.testing.assert_array_equal(screen(viewer, image), dark)
    preview.outline(SQUARE, BOX)
    np.testing.assert_array_equal((screen(viewer, image) != dark).any(-1), EDGE)


def test_nothing_is_raised_when_the_viewer_is_closed(viewer, plane):
    preview, _ = previewed(viewer, plane)
    preview.outline(SQUARE, BOX, score=0.5)
    viewer.close()
    preview.outline(None)
    preview.clear()
    preview.remove()
    assert preview.layer is None
