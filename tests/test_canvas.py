import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam import PlaneAxes
from napari_fastsam.canvas import ArrayCanvas, upright, window_key

SIZES = {"T": 2, "Z": 3, "Y": 4, "X": 5}


@given(
    st.permutations("TZYX").flatmap(
        lambda p: st.sampled_from(["".join(p), "".join(p).replace("T", "")])
    )
)
def test_what_is_written_to_a_plane_is_read_from_it_and_nowhere_else(axes):
    layout = PlaneAxes(axes, tuple(SIZES[letter] for letter in axes))
    canvas = ArrayCanvas(np.zeros(layout.shape, np.uint8), layout)
    values = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)
    window = (slice(1, 3), slice(2, 5))
    plane = list(layout.indices())[-1]
    canvas.write(plane, window, values)
    np.testing.assert_array_equal(canvas.read(plane, window), values)
    np.testing.assert_array_equal(canvas.read(plane)[window], values)
    assert canvas.plane_shape == canvas.read(plane).shape == (4, 5)
    assert np.count_nonzero(canvas.array) == 6


@pytest.mark.parametrize("axes", ["YX", "XY"])
def test_what_is_read_is_a_copy(axes):
    canvas = ArrayCanvas(np.zeros((4, 5), int), PlaneAxes(axes, (4, 5)))
    canvas.read(())[:] = 3
    assert not canvas.array.any()
    assert canvas.read(()).flags.c_contiguous


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 4, 3), (2, 2, 3, 4), (1, 2, 2, 3, 4)])
def test_all_but_the_last_two_axes_are_stepped_through(shape):
    canvas = ArrayCanvas(np.zeros(shape, int))
    assert canvas.plane_shape == shape[-2:]
    assert len(canvas.axes.steps) == len(shape) - 2


def test_a_zarr_array_is_a_canvas(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(2, 4, 5), chunks=(1, 3, 3), dtype="uint16", fill_value=0
    )
    canvas = ArrayCanvas(array)
    canvas.write((1,), (slice(1, 4), slice(2, 4)), np.full((3, 2), 9))
    assert canvas.dtype == np.uint16
    assert isinstance(canvas.read((1,)), np.ndarray)
    assert np.argwhere(array[:] == 9).shape == (6, 3)


def test_the_channels_of_an_image_are_not_the_labels_concern():
    axes = PlaneAxes("ZYXC", (2, 4, 5, 3))
    canvas = ArrayCanvas(np.zeros((2, 4, 5), int), axes)
    canvas.write((1,), (slice(0, 1), slice(0, 1)), np.ones((1, 1)))
    assert canvas.array[1, 0, 0] == 1
    assert window_key(axes, (1,)) == (1, slice(None), slice(None))
    assert upright(axes)


@pytest.mark.parametrize("index", [(), (3,), (-1,), (0, 0)])
def test_planes_that_are_not_there_are_refused(index):
    canvas = ArrayCanvas(np.zeros((3, 4, 5), int))
    with pytest.raises(ValueError, match=r"a plane inside \(3,\)"):
        canvas.read(index)


def test_what_holds_no_labels_is_refused():
    with pytest.raises(ValueError, match="integer labels"):
        ArrayCanvas(np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"label array of shape \(4, 5\)"):
        ArrayCanvas(np.zeros((4, 6), int), PlaneAxes("YX", (4, 5)))
