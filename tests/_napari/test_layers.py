import dask.array as da
import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Labels, Points, Shapes

from napari_fastsam import Cleanup, Display, ModelSpec, segment_layers
from napari_fastsam._napari.layers import read_prompts
from napari_fastsam._napari.views import View, layout

from .conftest import CENTRES, OBJECTS


def drawn(labels):
    """Return which object each label is; every label covers one object, and only it."""
    found = {}
    for label in map(int, np.unique(labels[labels > 0])):
        found[label] = next(n for n, where in OBJECTS.items() if (labels[where] == label).all())
        assert np.count_nonzero(labels == label) == labels[OBJECTS[found[label]]].size
    return found


def box(where, margin=1):
    low = [side.start - 0.5 - margin for side in where]
    high = [side.stop - 0.5 + margin for side in where]
    return np.array([low, (low[0], high[1]), high, (high[0], low[1])])


def test_each_point_asks_for_its_object(plane, blobs):
    image = Image(plane, contrast_limits=(0, 255), name="cells")
    layer = segment_layers(image, points=Points([CENTRES[3], CENTRES[1]]), model=blobs)
    assert drawn(layer.data) == {1: 3, 2: 1}
    assert layer.name == "cells labels"


def test_negative_points_and_groups_are_read_from_features(plane, blobs):
    features = pd.DataFrame({"polarity": ["+", "-", "+"], "group": ["a", None, "b"]})
    points = Points([CENTRES[1], CENTRES[2], CENTRES[2]], features=features)
    with pytest.warns(UserWarning, match="1 found no object"):
        layer = segment_layers(Image(plane, contrast_limits=(0, 255)), points=points, model=blobs)
    assert drawn(layer.data) == {1: 1}


def test_hidden_points_ask_for_nothing(plane, blobs):
    points = Points([CENTRES[1], CENTRES[2]], shown=[False, True], features={"group": [5, 6]})
    layer = segment_layers(Image(plane, contrast_limits=(0, 255)), points=points, model=blobs)
    assert layer.data.max() == 1
    assert layer.data[OBJECTS[2]].all()


@pytest.mark.parametrize("kind", ["rectangle", "ellipse", "polygon", "line"])
def test_each_kind_of_shape_asks_for_its_object(kind, plane, blobs):
    outline = box(OBJECTS[2]) if kind != "line" else np.array([(27, 52), (30, 66)])
    shapes = Shapes([outline], shape_type=kind)
    layer = segment_layers(Image(plane, contrast_limits=(0, 255)), shapes=shapes, model=blobs)
    assert drawn(layer.data) == {1: 2}


def test_points_come_before_shapes(plane, blobs):
    layer = segment_layers(
        Image(plane, contrast_limits=(0, 255)),
        points=Points([CENTRES[3]]),
        shapes=Shapes([box(OBJECTS[1])]),
        model=blobs,
    )
    assert drawn(layer.data) == {1: 3, 2: 1}


def test_without_prompts_everything_is_taken(plane, blobs):
    layer = segment_layers(Image(plane, contrast_limits=(0, 255)), model=blobs)
    assert sorted(drawn(layer.data).values()) == [1, 2, 3]


def test_layers_meet_in_the_world_with_its_units(plane, blobs):
    image = Image(
        plane, contrast_limits=(0, 255), scale=(0.5, 0.25), translate=(3, 4), units=("um", "um")
    )
    world = np.array([image.data_to_world(CENTRES[n]) for n in (2, 3)])
    points = Points(world * 1000, units=("nm", "nm"))
    layer = segment_layers(image, points=points, model=blobs)
    assert drawn(layer.data) == {1: 2, 2: 3}
    np.testing.assert_allclose(layer.data_to_world((7, 9)), image.data_to_world((7, 9)))


def test_a_box_is_a_box_in_the_pixels_of_the_image(plane, blobs):
    turned = {"rotate": 30, "scale": (2, 2)}
    image = Image(plane, contrast_limits=(0, 255), **turned)
    layer = segment_layers(image, shapes=Shapes([box(OBJECTS[2])], **turned), model=blobs)
    assert drawn(layer.data) == {1: 2}


def test_prompts_of_a_stack_apply_to_their_own_planes(stack, blobs):
    points = Points([(2, *CENTRES[1]), (0, *CENTRES[3])])
    layer = segment_layers(Image(stack, contrast_limits=(0, 255)), points=points, model=blobs)
    assert blobs.calls == 2
    assert drawn(layer.data[0]) == {1: 3}
    assert drawn(layer.data[2]) == {2: 1}
    assert not layer.data[[1, 3]].any()


def test_flat_prompts_apply_to_the_plane_that_is_said(stack, blobs):
    layer = segment_layers(
        Image(stack, contrast_limits=(0, 255)), points=Points([CENTRES[1]]), plane=3, model=blobs
    )
    assert drawn(layer.data[3]) == {1: 1}
    assert not layer.data[:3].any()


def test_flat_prompts_on_a_stack_need_a_plane(stack, blobs):
    with pytest.raises(ValueError, match="say which plane"):
        segment_layers(Image(stack), points=Points([CENTRES[1]]), model=blobs)


def test_a_plane_beyond_the_stack_is_refused(stack, blobs):
    with pytest.raises(ValueError, match=r"planes inside \(4,\)"):
        segment_layers(Image(stack), plane=4, model=blobs)


def test_everything_on_a_stack_numbers_planes_apart(stack, blobs):
    layer = segment_layers(Image(stack, contrast_limits=(0, 255)), model=blobs)
    assert [len(drawn(plane)) for plane in layer.data] == [2, 2, 2, 3]
    assert layer.data.max() == 9


def test_linked_objects_have_one_label(stack, blobs):
    layer = segment_layers(Image(stack[2:], contrast_limits=(0, 255)), model=blobs, link=True)
    kept = {n: {int(plane[CENTRES[n]]) for plane in layer.data} for n in (1, 2)}
    assert all(len(labels) == 1 for labels in kept.values())
    assert layer.data.max() == 3


def test_lazy_stack_computes_the_asked_plane_only(stack, blobs):
    computed = []

    def load(block, block_info=None):
        computed.append(block_info[0]["chunk-location"][0])
        return block

    lazy = da.from_array(stack, chunks=(1, 60, 80)).map_blocks(load, dtype=stack.dtype)
    image = Image(lazy, contrast_limits=(0, 255))
    computed.clear()
    segment_layers(image, plane=2, model=blobs)
    assert computed == [2]


def test_colour_and_pyramids_are_segmented(plane, blobs):
    colour = np.repeat(plane[..., None], 3, axis=2)
    pyramid = Image([colour, colour[::2, ::2]], rgb=True, multiscale=True)
    for image in (Image(colour, rgb=True), pyramid):
        assert len(drawn(segment_layers(image, model=blobs).data)) == 3


def test_the_network_sees_what_the_layer_shows(plane, blobs):
    dim = plane.astype(np.uint16) + 1000
    seen = segment_layers(Image(dim, contrast_limits=(1000, 1300)), model=blobs)
    assert len(drawn(seen.data)) == 3
    dark = segment_layers(Image(dim, contrast_limits=(1000, 9000)), model=blobs)
    assert not dark.data.any()
    chosen = Display(contrast_limits=(1000, 1300))
    image = Image(dim, contrast_limits=(1000, 9000))
    assert len(drawn(segment_layers(image, model=blobs, display=chosen).data)) == 3


def test_results_join_the_labels_that_are_there(plane, blobs):
    before = np.zeros(plane.shape, np.uint16)
    before[OBJECTS[1]] = 40
    labels = Labels(before)
    image = Image(plane, contrast_limits=(0, 255))
    assert segment_layers(image, labels=labels, model=blobs) is labels
    assert drawn(labels.data) == {40: 1, 41: 2, 42: 3}


def test_cleanup_tidies_new_objects(plane, blobs):
    plane[OBJECTS[1][0].start + 3, OBJECTS[1][1].start + 3] = 0
    image = Image(plane, contrast_limits=(0, 255))
    layer = segment_layers(image, model=blobs, cleanup=Cleanup(fill_holes=1, min_area=10 * 14 + 1))
    assert sorted(drawn(layer.data).values()) == [2, 3]


def test_prompts_that_come_to_nothing_are_told_with_the_reason(plane, blobs):
    points = Points([CENTRES[1], (500, 500), (0, 0)])
    shapes = Shapes([np.array([(3.2, 3), (3.2, 9), (3.2, 9), (3.2, 3)])], shape_type="polygon")
    told = "1 found no object, and 1 lies outside the image and 1 covers no pixel"
    with pytest.warns(UserWarning, match=told):
        segment_layers(
            Image(plane, contrast_limits=(0, 255)), points=points, shapes=shapes, model=blobs
        )


def test_layers_are_shown_to_the_network_as_colours(plane, blobs):
    dark = Image(np.zeros_like(plane), contrast_limits=(0, 255))
    bright = Image(plane, contrast_limits=(0, 255))
    assert not segment_layers(bright, colours=(dark, bright), model=blobs).data.any()
    assert len(drawn(segment_layers(dark, colours=(bright, dark), model=blobs).data)) == 3


@pytest.mark.parametrize(
    ("axis", "shape"), [(0, (4, 60, 80)), (1, (4, 1, 60, 80))], ids=["first", "second"]
)
def test_channels_have_the_same_labels(axis, shape, stack, blobs):
    channels = np.stack([np.zeros_like(stack), stack], axis=axis)
    image = Image(channels, contrast_limits=(0, 255), scale=(2, 3, 1, 1))
    points = Points([(2, *CENTRES[1])], scale=(3 if axis == 0 else 2, 1, 1))
    wide = Points(np.insert(points.data, axis, 1, axis=1), scale=image.scale)
    prompts = [wide] if axis else [wide, points]
    for drawn_points in prompts:
        layer = segment_layers(
            image, channel_axis=axis, channels=(1, 0), points=drawn_points, model=blobs
        )
        assert layer.data.shape == shape
        assert drawn(layer.data[2].reshape(60, 80)) == {1: 1}
    linked = segment_layers(image, channel_axis=axis, channels=(1,), model=blobs, link=True)
    assert len(np.unique(linked.data[2:, ..., CENTRES[2][0], CENTRES[2][1]])) == 1


def test_a_plane_with_channels_is_named_by_the_axes_that_are_stepped_through(stack, blobs):
    image = Image(np.stack([stack, stack], axis=1), contrast_limits=(0, 255))
    layer = segment_layers(image, channel_axis=1, plane=2, model=blobs)
    assert np.flatnonzero(layer.data.any((1, 2, 3))).tolist() == [2]


@pytest.mark.parametrize("contrast", ["percentiles", (1, 99)])
def test_contrast_may_be_percentiles(contrast, plane, blobs):
    image = Image(plane.astype(np.uint16) + 1000, contrast_limits=(0, 60000))
    assert not segment_layers(image, model=blobs).data.any()
    assert len(drawn(segment_layers(image, contrast=contrast, model=blobs).data)) == 3


def test_points_elsewhere_on_an_axis_that_the_image_lacks_are_left_out(plane):
    points = Points([(0, *CENTRES[1]), (3, *CENTRES[2])])
    image = Image(plane)
    view = View(layout(image), (), (3.0, 0.0, 0.0))
    found = read_prompts(image, view.axes, points=points, view=view)
    np.testing.assert_array_equal(found.planes[()].points, [CENTRES[2]])
    assert found.left_out == 0
    everywhere = read_prompts(image, view.axes, points=points)
    assert len(everywhere.planes[()].points) == 2


def test_a_model_can_be_a_name_or_a_path(plane):
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        segment_layers(Image(plane), model="nothing.pt")
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        segment_layers(Image(plane), model=ModelSpec(model="nothing.pt"))
