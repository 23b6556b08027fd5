"""What is drawn over an object finds it, however layers lie and whatever the viewer shows."""

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes

from fakes import BlobSegmenter
from napari_fastsam._napari.grid import affine_of, unit_factors
from napari_fastsam._napari.layers import make_request, read_prompts
from napari_fastsam._napari.source import source_in_view, source_of
from napari_fastsam._napari.views import View
from napari_fastsam.pipeline import run

from .conftest import CENTRES, OBJECTS
from .transforms import stepped, transforms

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari's, on purpose
PHASES = [Phase.explicit, Phase.generate]  # viewers take too long to look for smaller examples
often = settings(deadline=None, max_examples=20, phases=PHASES)

PLANES = 5
BRIGHT = {"contrast_limits": (0, 255)}


def volume(displayed):
    """Return an array of three axes: along the displayed ones, planes that hold the objects."""
    image = np.full((PLANES, 60, 80), 10, np.uint8)
    for where in OBJECTS.values():
        image[(slice(None), *where)] = 200
    (other,) = {0, 1, 2} - set(displayed)
    return np.moveaxis(image, (0, 1, 2), (other, *displayed))


def voxel(displayed, index, number):
    """Return the centre of an object on a plane, in that array."""
    position = np.full(3, float(index))
    position[list(displayed)] = CENTRES[number]
    return position


def data_of(layer, world):
    """Return where a world position (D,) is in the data of a layer."""
    linear, offset = affine_of(layer)
    return np.linalg.solve(linear, world[-layer.ndim :] - offset)


def found(source, view, **layers):
    """Return the labels of a plane that prompts in layers ask for."""
    prompts = read_prompts(source.grid, view.axes, view=view, **layers)
    assert prompts.left_out == 0
    request = make_request(source, prompts=prompts, view=view)
    (result,) = run(request, BlobSegmenter())
    return result.labels


def covers(labels, *numbers):
    """Whether labels 1, 2… are exactly these objects."""
    expected = np.zeros((60, 80), int)
    for label, number in enumerate(numbers, 1):
        expected[OBJECTS[number]] = label
    return np.array_equal(labels, expected)


@st.composite
def scenes(draw):
    """Draw a viewer of three or four axes in any order, with an image that it shows a plane of."""
    extra = draw(st.integers(0, 1))
    displayed = tuple(draw(st.permutations(range(3)))[:2])
    viewer = ViewerModel()
    if extra:
        viewer.add_image(np.zeros((2, 2, 2, 2)), contrast_limits=(0, 1), units=("um",) * 4)
    placing = draw(stepped(transforms(3, units=True), displayed))
    image = viewer.add_image(volume(displayed), **BRIGHT, **placing)
    shown = [axis + extra for axis in displayed]
    viewer.dims.order = [n for n in range(3 + extra) if n not in shown] + shown
    index = draw(st.integers(0, PLANES - 1))
    middle = np.array(image.data_to_world(voxel(displayed, index, 1)))
    factors = unit_factors(image.units, viewer.dims.units[-3:])
    viewer.dims.point = (*[1] * extra, *(middle * factors))
    return viewer, image, displayed, index


@often
@given(scenes(), st.data())
def test_points_over_objects_find_them(scene, data):
    viewer, image, displayed, index = scene
    ndim = data.draw(st.integers(3, viewer.dims.ndim))
    shown = [axis + ndim - 3 for axis in displayed]
    placing = data.draw(stepped(transforms(ndim, units=True), shown))
    points = Points(ndim=ndim, **placing)
    for number in (3, 1):
        world = np.array(image.data_to_world(voxel(displayed, index, number)))
        world = world * unit_factors(image.units, points.units[-3:])
        world = np.append(unit_factors(viewer.dims.units[:1], points.units[:1]), world)  # slider: 1
        points.add(data_of(points, world))
    source, view = source_in_view(image, viewer.dims)
    assert view.index == (index,)
    assert covers(found(source, view, points=points), 3, 1)


@often
@given(scenes(), st.data())
def test_shapes_around_objects_find_them(scene, data):
    viewer, image, displayed, index = scene
    placing = data.draw(transforms(3))
    shapes = Shapes(ndim=3, **placing, units=image.units)  # napari keeps shapes in single precision
    kinds = data.draw(st.permutations(["rectangle", "ellipse", "polygon", "path"]))[:2]
    for number, kind in zip((2, 3), kinds, strict=True):
        low = np.array([side.start - 0.5 for side in OBJECTS[number]])
        high = np.array([side.stop - 0.5 for side in OBJECTS[number]])
        corners = np.array([low, (low[0], high[1]), high, (high[0], low[1])])
        if kind == "path":
            corners = np.array([low + 3, high - 3])
        outline = np.full((len(corners), 3), float(index))
        outline[:, list(displayed)] = corners
        world = np.array([image.data_to_world(corner) for corner in outline])
        world *= unit_factors(image.units, shapes.units)
        shapes.add([data_of(shapes, corner) for corner in world], shape_type=kind)
    source, view = source_in_view(image, viewer.dims)
    labels = found(source, view, shapes=shapes)
    assert covers(labels, 2, 3) or covers(labels, 3, 2)  # boxes come before masks and scribbles


@often
@given(transforms(3, units=True), transforms(3, units=True), st.integers(0, PLANES - 1))
def test_points_in_the_world_find_objects_of_an_image_turned_anyhow(placing, other, index):
    image = Image(volume((1, 2)), **BRIGHT, **placing)
    points = Points(ndim=3, **other)
    world = np.array(image.data_to_world(voxel((1, 2), index, 2)))
    points.add(data_of(points, world * unit_factors(image.units, points.units)))
    source = source_of(image)
    prompts = read_prompts(source.grid, source.axes, points=points)
    assert list(prompts.planes) == [(index,)]
    (result,) = run(make_request(source, prompts=prompts), BlobSegmenter())
    assert covers(result.labels, 2)


@often
@given(transforms(3), transforms(2), st.integers(0, PLANES - 1))
def test_flat_points_find_objects_of_the_plane_in_view(placing, other, index):
    image = Image(volume((1, 2)), **BRIGHT, **placing)
    assume(np.linalg.cond(affine_of(image)[0][1:, 1:]) < 1e3)
    points = Points(ndim=2, **other)
    points.add(data_of(points, np.array(image.data_to_world(voxel((1, 2), index, 2)))))
    source = source_of(image)
    assert covers(found(source, View(source.axes, (index,)), points=points), 2)


@often
@given(scenes())
def test_the_pixel_under_the_mouse_is_the_object_s(scene):
    viewer, image, displayed, index = scene
    source, view = source_in_view(image, viewer.dims)
    pixel = source.to_pixel(view, viewer.dims)
    factors = unit_factors(image.units, viewer.dims.units[-3:])
    for number, centre in CENTRES.items():
        world = np.array(image.data_to_world(voxel(displayed, index, number))) * factors
        np.testing.assert_allclose(pixel((1, *world)), centre, atol=1e-6)


@often
@given(transforms(3), st.integers(0, PLANES - 1), st.integers(0, 1), st.sampled_from([0, 1]))
def test_channels_are_pointed_at_like_the_image_that_they_are_of(placing, index, seen, axis):
    viewer = ViewerModel()
    plain = Image(volume((1, 2)), **BRIGHT, **placing)
    matrix = np.insert(np.insert(np.eye(4), axis, 0, axis=0), axis, 0, axis=1)
    linear, offset = affine_of(plain)
    rest = [n for n in range(4) if n != axis]
    matrix[np.ix_(rest, rest)], matrix[rest, -1] = linear, offset
    matrix[axis, axis] = 3
    image = viewer.add_image(np.stack([plain.data] * 2, axis=axis), **BRIGHT, affine=matrix)
    place = np.insert(voxel((1, 2), index, 3), axis, seen)
    other = np.insert(voxel((1, 2), index, 3), axis, 1 - seen)
    source = source_of(image, channel_axis=axis)
    step = (index, 0) if axis else (index,)
    view = View(source.axes, step, (np.nan,) * 4)
    for channel in (place, other):
        points = Points([image.data_to_world(channel)])
        assert covers(found(source, view, points=points), 3)
