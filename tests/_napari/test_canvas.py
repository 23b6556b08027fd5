import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Labels

from napari_fastsam._napari.canvas import FEW_PIXELS, LayerCanvas
from napari_fastsam.canvas import ArrayCanvas
from napari_fastsam.planes import PlaneAxes

SIZES = {"Y": 7, "X": 9, "Z": 4, "T": 3}
TURNED = ["YX", "XY", "ZYX", "YZX", "XYZ", "ZXY", "TZYX", "XTYZ"]


def axes_of(letters) -> PlaneAxes:
    return PlaneAxes(letters, tuple(SIZES[letter] for letter in letters))


def filled(axes, dtype=np.int32, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, axes.shape).astype(dtype)


def planes_of(array, axes) -> dict:
    canvas = ArrayCanvas(array, axes)
    return {index: canvas.read(index) for index in axes.indices()}


@pytest.mark.parametrize("few_pixels", [FEW_PIXELS, 0, None], ids=["few", "many", "history"])
@pytest.mark.parametrize("letters", TURNED)
def test_a_window_is_written_on_its_plane_and_nowhere_else(letters, few_pixels):
    axes = axes_of(letters)
    labels = Labels(filled(axes))
    canvas = LayerCanvas(labels, axes, few_pixels=few_pixels)
    index = tuple(axes.shape[n] - 1 for n in axes.steps)
    expected = planes_of(labels.data.copy(), axes)
    window, values = (slice(2, 5), slice(1, 8)), np.arange(21).reshape(3, 7)
    canvas.write(index, window, values)
    expected[index][window] = values
    for plane, wanted in expected.items():
        np.testing.assert_array_equal(canvas.read(plane), wanted)
    np.testing.assert_array_equal(canvas.read(index, window), values)
    assert canvas.plane_shape == (7, 9)
    assert canvas.dtype == np.int32


def test_what_is_read_is_a_copy():
    labels = Labels(np.zeros((4, 5), int))
    canvas = LayerCanvas(labels, PlaneAxes("YX", (4, 5)))
    canvas.read(())[:] = 9
    assert not labels.data.any()


def test_labels_of_colours_have_no_channel():
    labels = Labels(np.zeros((4, 5), int))
    canvas = LayerCanvas(labels, PlaneAxes("YXC", (4, 5, 3)))
    assert canvas.axes.axes == "YX"
    assert canvas.read(()).shape == (4, 5)


@pytest.mark.parametrize("few_pixels", [FEW_PIXELS, 0], ids=["few", "many"])
def test_what_is_in_view_is_repainted(few_pixels):
    """napari keeps what it shows; it has to be as the data are after each write."""
    viewer = ViewerModel()
    labels = viewer.add_labels(np.zeros((3, 6, 8), np.uint8))
    viewer.dims.set_point(0, 1)
    axes = PlaneAxes("ZYX", (3, 6, 8))
    canvas = LayerCanvas(labels, axes, few_pixels=few_pixels)
    canvas.write((1,), (slice(0, 2), slice(3, 5)), np.array([[1, 2], [3, 4]]))
    canvas.write((2,), (slice(0, 2), slice(3, 5)), np.array([[5, 6], [7, 8]]))
    np.testing.assert_array_equal(labels._slice.image.raw, labels.data[1])
    viewer.dims.set_point(0, 2)
    np.testing.assert_array_equal(labels._slice.image.raw, labels.data[2])


@pytest.mark.parametrize("few_pixels", [FEW_PIXELS, 0], ids=["few", "many"])
def test_zarr_is_written_and_shown(tmp_path, few_pixels):
    array = zarr.create_array(
        tmp_path / "labels.zarr", shape=(3, 6, 8), chunks=(1, 4, 4), dtype="uint16", fill_value=0
    )
    viewer = ViewerModel()
    labels = viewer.add_labels(array)
    viewer.dims.set_point(0, 1)
    canvas = LayerCanvas(labels, PlaneAxes("ZYX", (3, 6, 8)), few_pixels=few_pixels)
    values = np.arange(20).reshape(4, 5)
    canvas.write((1,), (slice(1, 5), slice(2, 7)), values)
    np.testing.assert_array_equal(array[1, 1:5, 2:7], values)
    np.testing.assert_array_equal(labels._slice.image.raw[1:5, 2:7], values)
    assert not array[0].any()
    assert not array[2].any()


def test_writing_what_is_there_does_nothing():
    labels = Labels(np.ones((4, 5), int))
    heard = []
    labels.events.paint.connect(heard.append)
    labels.events.set_data.connect(heard.append)
    canvas = LayerCanvas(labels, PlaneAxes("YX", (4, 5)))
    canvas.write((), (slice(0, 2), slice(0, 2)), np.ones((2, 2), int))
    assert not heard


def test_writing_is_told_from_painting():
    labels = Labels(np.zeros((4, 5), int))
    canvas = LayerCanvas(labels, PlaneAxes("YX", (4, 5)))
    states = []
    labels.events.paint.connect(lambda _: states.append(canvas.writing))
    canvas.write((), (slice(0, 2), slice(0, 2)), np.ones((2, 2), int))
    labels.paint((3, 3), 2)
    assert states == [True, False]


def test_the_brush_is_the_label_that_is_about_to_be_painted():
    labels = Labels(np.zeros((4, 5), int))
    canvas = LayerCanvas(labels, PlaneAxes("YX", (4, 5)))
    labels.selected_label = 7
    assert canvas.brush == 0
    for mode in ("paint", "fill", "polygon"):
        labels.mode = mode
        assert canvas.brush == 7
    labels.mode = "erase"
    assert canvas.brush == 0


@st.composite
def stroke(draw, ndim, dims):
    """Return a function that paints by hand as a person does, with napari's own tools."""
    kind = draw(st.sampled_from(["paint", "fill", "polygon", "drag", "erase", "items"]))
    sizes = [4, 3, 7, 9, 5]
    place = [draw(st.integers(0, sizes[n % len(sizes)] - 1)) for n in range(ndim)]
    label = draw(st.integers(0, 6))
    more = [[draw(st.integers(-1, 8)) for _ in range(ndim)] for _ in range(3)]
    brush = draw(st.integers(1, 6))
    contiguous = draw(st.booleans())

    def places(shape):
        return np.clip([place, *more], 0, np.array(shape) - 1)

    def paint(labels):
        shape = labels.data.shape
        at = places(shape)[0]
        labels.brush_size, labels.contiguous = brush, contiguous
        labels.preserve_labels = draw_preserve
        if kind == "paint":
            labels.paint(at, label)
        elif kind == "erase":
            labels.paint(at, 0)
        elif kind == "fill":
            labels.fill(at, label)
        elif kind == "drag":
            with labels.block_history():  # several parts are one stroke
                for n, part in enumerate(places(shape)):
                    labels.paint(part, (label + n // 2) % 7)
        elif kind == "items":
            labels.data_setitem(tuple(np.unique(places(shape), axis=0).T), label)
        elif dims == 2:
            shown = labels._slice_input.displayed
            corners = np.array([at] * 4)
            for corner, part in zip(corners, places(shape), strict=True):
                corner[shown] = [part[n] for n in shown]
            labels.paint_polygon(corners, label)

    draw_preserve = draw(st.booleans())
    return paint


@settings(deadline=None, max_examples=50)
@given(data=st.data(), letters=st.sampled_from(TURNED), dims=st.sampled_from([2, 3]))
def test_strokes_are_read_as_they_were_painted(data, letters, dims):
    """Taken back, edits give what was there, done again what came; each is on its own plane."""
    axes = axes_of(letters)
    viewer = ViewerModel()
    labels = viewer.add_labels(filled(axes, data.draw(st.sampled_from([np.uint8, np.int64]))))
    viewer.dims.order = (*axes.steps, axes.axes.index("Y"), axes.axes.index("X"))
    for n in axes.steps:
        viewer.dims.set_point(n, data.draw(st.integers(0, axes.shape[n] - 1)))
    labels.n_edit_dimensions = min(dims, labels.ndim)
    canvas = LayerCanvas(labels, axes)
    values = []
    labels.events.paint.connect(lambda event: values.append(canvas.strokes(event.value)))
    told = 0
    for _ in range(3):
        before = planes_of(labels.data.copy(), axes)
        data.draw(stroke(labels.ndim, dims))(labels)
        after = planes_of(labels.data.copy(), axes)
        edits = [edit for edits in values[told:] for edit in edits]
        told = len(values)
        changed = {index for index in before if (before[index] != after[index]).any()}
        assert {edit.index for edit in edits} == changed
        made = {index: plane.copy() for index, plane in before.items()}
        for edit in edits:
            assert edit.before.shape == edit.after.shape
            made[edit.index][edit.window] = edit.onto(made[edit.index][edit.window])
        for index, plane in after.items():
            np.testing.assert_array_equal(made[index], plane)
        for edit in reversed(edits):
            back = edit.reversed()
            made[edit.index][edit.window] = back.onto(made[edit.index][edit.window])
        for index, plane in before.items():
            np.testing.assert_array_equal(made[index], plane)
