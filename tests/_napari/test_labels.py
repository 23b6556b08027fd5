import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels

from napari_fastsam._napari.canvas import LayerCanvas
from napari_fastsam._napari.counting import LargestLabel
from napari_fastsam._napari.labels import check_labels, labels_like
from napari_fastsam._napari.views import layout
from napari_fastsam.labelling import Labelling
from napari_fastsam.planes import PlaneAxes

PLANE = PlaneAxes("YX", (6, 8))
STACK = PlaneAxes("ZYX", (3, 6, 8))


def square(label, rows, columns, shape=(6, 8)):
    labels = np.zeros(shape, np.uint32)
    labels[rows, columns] = label
    return labels


TOP = square(1, slice(0, 3), slice(0, 4))
BOTTOM = square(1, slice(3, 6), slice(4, 8))


class Writer:
    """What writes planes into a layer as `segment_layers` does."""

    def __init__(self, labels, axes, existing="keep", *, each_plane=False):
        canvas = LayerCanvas(labels, axes, few_pixels=None)
        self.work = Labelling(canvas, None, first=LargestLabel(labels.data).next_label)
        self.existing, self.numbers = existing, None if each_plane else {}

    def write(self, result):
        planned = self.work.plan(result.index, result.labels, self.existing, self.numbers)
        self.work.write(planned, {"do": "run"})
        return planned.new, planned.taken


def write(labels, axes, result, existing="keep"):
    return Writer(labels, axes, existing).write(result)


def test_new_labels_lie_on_the_image():
    image = Image(
        np.zeros((3, 6, 8)),
        name="cells",
        scale=(2, 0.5, 0.5),
        translate=(1, 2, 3),
        rotate=(0, 0, 30),
        shear=(0, 0.1, 0.3),
        affine=[[1, 0, 0, 2], [0, 0.8, 0.3, 1], [0, -0.3, 0.9, 7], [0, 0, 0, 1]],
        units=("s", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    labels = labels_like(image, layout(image))
    assert (labels.data.shape, labels.data.dtype) == ((3, 6, 8), np.uint32)
    assert labels.units == image.units
    assert labels.axis_labels == image.axis_labels
    for position in ((0, 0, 0), (2, 5, 7)):
        np.testing.assert_allclose(labels.data_to_world(position), image.data_to_world(position))
    check_labels(labels, image, layout(image))


def test_new_labels_leave_colour_out():
    image = Image(np.zeros((6, 8, 3), np.uint8), rgb=True)
    assert labels_like(image, layout(image)).data.shape == (6, 8)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (
            Labels(np.zeros((6, 9), int), name="other"),
            r"shape of 'image'.*'other' of shape \(6, 9\)",
        ),
        (Labels(np.zeros((6, 8), int), scale=(2, 1)), "scale, translation"),
        (Labels(np.zeros((6, 8), int), translate=(0, 0.5)), "0.5 pixels apart"),
        (Labels(np.zeros((6, 8), int), units=("nm", "nm")), "units"),
        (Labels(da.zeros((6, 8), dtype=int)), "NumPy or zarr"),
        (Labels([np.zeros((6, 8), int), np.zeros((3, 4), int)], multiscale=True), "pyramid"),
    ],
    ids=["shape", "scale", "translation", "units", "dask", "pyramid"],
)
def test_labels_that_do_not_fit_are_refused(labels, complaint):
    image = Image(np.zeros((6, 8)), name="image", units=("um", "um"))
    if "units" not in complaint:
        labels.units = image.units
    with pytest.raises(ValueError, match=f"{complaint}.*choose a new layer"):
        check_labels(labels, image, layout(image))


def test_the_same_place_in_other_units_is_the_same_place():
    image = Image(np.zeros((6, 8)), scale=(0.5, 0.5), units=("um", "um"))
    check_labels(
        Labels(np.zeros((6, 8), int), scale=(500, 500), units=("nm", "nm")), image, layout(image)
    )


def test_each_write_is_one_undo_step(result):
    labels = Labels(np.zeros((6, 8), np.uint32))
    write(labels, PLANE, result(TOP))
    first = labels.data.copy()
    write(labels, PLANE, result(BOTTOM + 2 * (TOP > 0)))
    labels.undo()
    np.testing.assert_array_equal(labels.data, first)
    labels.undo()
    assert not labels.data.any()
    labels.redo()
    np.testing.assert_array_equal(labels.data, TOP)


def test_objects_are_numbered_after_what_is_there(result):
    labels = Labels(square(7, 0, 0))
    assert write(labels, PLANE, result(BOTTOM)) == (1, 0)
    np.testing.assert_array_equal(labels.data, square(7, 0, 0) + 8 * BOTTOM)


def test_kept_objects_are_not_touched(result):
    before = square(7, slice(0, 1), slice(0, 4))
    labels = Labels(before.copy())
    write(labels, PLANE, result(TOP))
    np.testing.assert_array_equal(labels.data, np.where(before, before, 8 * TOP))


def test_an_object_whose_place_is_taken_is_not_written_again(result):
    before = square(7, slice(0, 2), slice(0, 4))  # two thirds of the object
    labels = Labels(before.copy())
    assert write(labels, PLANE, result(TOP)) == (0, 1)
    np.testing.assert_array_equal(labels.data, before)


def test_overwrite_takes_pixels_and_leaves_the_rest(result):
    before = square(7, slice(0, 6), slice(0, 4))
    labels = Labels(before.copy())
    assert write(labels, PLANE, result(TOP), "overwrite") == (1, 0)
    np.testing.assert_array_equal(labels.data, np.where(TOP, 8, before))


def test_clear_leaves_only_what_is_new_on_the_plane(result):
    labels = Labels(np.stack([square(7, 5, 0)] * 3))
    write(labels, STACK, result(TOP, (1,)), "clear")
    np.testing.assert_array_equal(labels.data, [square(7, 5, 0), 8 * TOP, square(7, 5, 0)])


def test_nothing_found_is_no_undo_step(result):
    labels = Labels(np.zeros((6, 8), np.uint32))
    write(labels, PLANE, result(TOP))
    assert write(labels, PLANE, result(np.zeros((6, 8)))) == (0, 0)
    labels.undo()
    assert not labels.data.any()


def test_objects_of_different_planes_have_different_labels(result):
    labels = Labels(np.zeros((3, 6, 8), np.uint32))
    writer = Writer(labels, STACK, each_plane=True)
    writer.write(result(TOP, (0,)))
    writer.write(result(BOTTOM, (2,)))
    np.testing.assert_array_equal(labels.data, [TOP, 0 * TOP, 2 * BOTTOM])


def test_linked_objects_keep_their_label_through_the_planes(result):
    labels = Labels(np.stack([square(3, 5, 0), 0 * TOP, 0 * TOP]))
    writer = Writer(labels, STACK, each_plane=False)
    writer.write(result(5 * TOP, (1,)))
    writer.write(result(5 * TOP + 9 * BOTTOM, (2,)))
    np.testing.assert_array_equal(labels.data[1:], [4 * TOP, 4 * TOP + 5 * BOTTOM])


@pytest.mark.parametrize("axes", ["ZYX", "YZX", "YXZ", "ZXY", "XYZ", "XZY"])
def test_planes_are_written_along_any_axes(axes, result):
    sizes = {"Z": 3, "Y": 6, "X": 8}
    layout = PlaneAxes(axes, tuple(sizes[letter] for letter in axes))
    labels = Labels(np.zeros(layout.shape, np.uint32))
    write(labels, layout, result(TOP, (1,)))
    np.testing.assert_array_equal(layout.read(labels.data, (1,)), TOP)
    assert labels.data.sum() == TOP.sum()


def test_labels_without_numbers_left_are_refused_and_unchanged(result):
    before = square(255, 5, 0).astype(np.uint8)
    labels = Labels(before.copy())
    with pytest.raises(ValueError, match=r"255, the largest of uint8.*256.*more bits"):
        write(labels, PLANE, result(TOP))
    np.testing.assert_array_equal(labels.data, before)


def test_zarr_is_written_and_undone(tmp_path, result):
    data = zarr.create_array(tmp_path / "labels.zarr", shape=(3, 6, 8), dtype="uint16")
    data[0] = square(4, 5, 0)
    labels = Labels(data)
    write(labels, STACK, result(TOP, (1,)))
    np.testing.assert_array_equal(data[1], 5 * TOP)
    labels.undo()
    assert not data[1].any()
    np.testing.assert_array_equal(data[0], square(4, 5, 0))
