import numpy as np
import pytest
from hypothesis import given, settings
from napari.layers import Image, Labels

from napari_fastsam._napari.grid import Grid, affine_of

from .transforms import stepped, transforms

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari's, on purpose


@settings(deadline=None, max_examples=50)
@given(transforms(3))
def test_a_grid_lies_where_its_layer_does(placing):
    layer = Image(np.zeros((2, 3, 4)), contrast_limits=(0, 1), **placing)
    for got, expected in zip(affine_of(Grid.of(layer)), affine_of(layer), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(transforms(3))
def test_one_position_covers_all_that_were_on_its_axis(placing):
    layer = Image(np.zeros((2, 3, 4)), contrast_limits=(0, 1), **placing)
    wide = Grid.of(layer).one_along(1, 3)
    for n in (0, 1, 2):
        position = (0.5, (n - 1) / 3, 2)
        expected = layer.data_to_world((0.5, n, 2))
        np.testing.assert_allclose(wide.data_to_world(position), expected, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(stepped(transforms(3)))
def test_a_first_axis_can_be_left_out(placing):
    layer = Image(np.zeros((2, 3, 4)), contrast_limits=(0, 1), **placing)
    flat = Grid.of(layer).without_first()
    for position in ((0, 0), (1, 0), (0, 1)):
        expected = layer.data_to_world((1, *position))[1:]
        np.testing.assert_allclose(flat.data_to_world(position), expected, atol=1e-9)


@pytest.mark.parametrize(
    "mixed",
    [
        {"rotate": (0, 20, 0)},
        {"shear": (0.1, 0, 0)},
        {"affine": np.eye(4) + np.eye(4, k=1) * [0, 0.5, 0, 0]},
    ],
)
def test_a_first_axis_that_is_mixed_with_others_cannot_be_left_out(mixed):
    assert (
        Grid.of(Image(np.zeros((2, 3, 4)), contrast_limits=(0, 1), **mixed)).without_first() is None
    )


@settings(deadline=None, max_examples=50)
@given(transforms(2))
def test_a_layer_is_made_from_a_grid(placing):
    image = Image(np.zeros((3, 4)), contrast_limits=(0, 1), **placing)
    grid = Grid.of(image)
    names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    labels = Labels(np.zeros((3, 4), int), **{name: getattr(grid, name) for name in names})
    np.testing.assert_allclose(labels.data_to_world((1, 2)), image.data_to_world((1, 2)))
    assert labels.units == image.units
