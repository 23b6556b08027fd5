import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from napari_fastsam import Instances

label_images = arrays(
    st.sampled_from([np.uint8, np.int32, np.uint16]),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.integers(0, 5),
)


def masks_of(labels):
    return [labels == value for value in np.unique(labels[labels > 0])]


@given(label_images)
def test_labels_survive_the_way_through_instances(labels):
    objects = Instances.from_labels(labels)
    dense = np.searchsorted(np.unique(labels[labels > 0]), labels) + 1
    np.testing.assert_array_equal(objects.to_labels(), np.where(labels > 0, dense, 0))


@given(label_images)
def test_areas_and_boxes_are_those_of_the_masks(labels):
    objects = Instances.from_labels(labels)
    masks = masks_of(labels)
    assert objects.areas.tolist() == [mask.sum() for mask in masks]
    for n, mask in enumerate(masks):
        rows, cols = np.nonzero(mask)
        assert objects.bboxes[n].tolist() == [
            rows.min(),
            cols.min(),
            rows.max() + 1,
            cols.max() + 1,
        ]
        np.testing.assert_array_equal(objects.mask(n), mask[np.ix_(*_ranges(rows, cols))])


def _ranges(rows, cols):
    return range(rows.min(), rows.max() + 1), range(cols.min(), cols.max() + 1)


@given(label_images, st.lists(st.tuples(st.floats(-3, 15), st.floats(-3, 15)), max_size=8))
def test_contains_agrees_with_looking_at_the_pixel(labels, points):
    held = Instances.from_labels(labels).contains(points)
    masks = masks_of(labels)
    assert held.shape == (len(points), len(masks))
    for p, point in enumerate(points):
        row, col = (int(np.floor(value + 0.5)) for value in point)
        for n, mask in enumerate(masks):
            inside = 0 <= row < labels.shape[0] and 0 <= col < labels.shape[1]
            assert held[p, n] == (inside and mask[row, col])


@given(label_images, st.data())
def test_iou_agrees_with_whole_plane_masks(labels, data):
    other = data.draw(arrays(np.uint8, labels.shape, elements=st.integers(0, 3)))
    got = Instances.from_labels(labels).iou(Instances.from_labels(other))
    want = [[(a & b).sum() / (a | b).sum() for b in masks_of(labels)] for a in masks_of(other)]
    np.testing.assert_allclose(got, np.reshape(want, got.shape))


@given(label_images, st.lists(st.tuples(*[st.integers(0, 12)] * 4), max_size=6))
def test_iou_with_boxes_counts_the_filled_box(labels, corners):
    boxes = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
    objects = Instances.from_labels(labels)
    got = objects.iou(boxes)
    assert got.shape == (len(boxes), len(objects))
    for k, (r0, c0, r1, c1) in enumerate(boxes):
        for n, mask in enumerate(masks_of(labels)):
            shared = mask[r0:r1, c0:c1].sum()
            union = mask.sum() + (r1 - r0) * (c1 - c0) - shared
            assert got[k, n] == pytest.approx(shared / union)


@pytest.mark.parametrize(
    "keep",
    [[2, 0], slice(1, None), np.array([True, False, True]), [], 1, np.array([], int)],
    ids=["integers", "slice", "booleans", "none", "one", "empty array"],
)
def test_indexing_picks_the_same_masks_as_a_list_would(keep):
    labels = label(np.random.default_rng(1).random((20, 20)) > 0.7)
    objects = Instances.from_labels(np.where(labels <= 3, labels, 0), scores=[0.1, 0.2, 0.3])
    numbers = np.atleast_1d(
        np.arange(3)[keep if not isinstance(keep, list) else np.array(keep, int)]
    )
    picked = objects[keep]
    assert picked.scores.tolist() == objects.scores[numbers].tolist()
    for n, number in enumerate(numbers):
        np.testing.assert_array_equal(picked.mask(n), objects.mask(int(number)))


def test_small_objects_lie_on_large_ones_whatever_their_order():
    large, small = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    small[1:3, 1:3] = True
    for masks, number in (([small, large], 1), ([large, small], 2)):
        assert Instances.from_masks((4, 4), masks).to_labels()[1, 1] == number


def test_shift_moves_objects_onto_a_larger_plane():
    objects = Instances.from_labels(np.array([[0, 1], [0, 1]])).shift((3, 4), (6, 8))
    assert objects.bboxes.tolist() == [[3, 5, 5, 6]]
    assert objects.to_labels().sum() == 2
    with pytest.raises(ValueError, match="leaves the plane"):
        objects.shift((10, 0))


def test_concatenate_keeps_order_and_refuses_other_planes():
    one = Instances.from_labels(np.array([[1, 0]]), scores=[0.5])
    two = Instances.from_labels(np.array([[1, 2]]), scores=[0.6, 0.7])
    both = Instances.concatenate([one, two])
    assert both.scores.tolist() == pytest.approx([0.5, 0.6, 0.7])
    assert both.mask(2).tolist() == [[True]]
    with pytest.raises(ValueError, match="same plane shape"):
        Instances.concatenate([one, Instances.empty((5, 5))])


def test_no_objects_answer_every_question():
    nothing = Instances.empty((5, 7))
    assert len(nothing) == 0
    assert nothing.to_labels().shape == (5, 7)
    assert nothing.contains([(1, 1)]).shape == (1, 0)
    assert nothing.iou(nothing).shape == (0, 0)
    assert len(Instances.concatenate([nothing, nothing])) == 0
    assert len(nothing[[]]) == 0


def test_memory_follows_area_not_count_times_plane():
    labels = np.zeros((1000, 1000), int)
    labels[::50, ::50] = np.arange(1, 401).reshape(20, 20)
    assert Instances.from_labels(labels).nbytes < 50 * 400


def test_labels_of_any_size_take_no_memory_of_their_size():
    labels = np.array([[0, 4_000_000_000], [7, -3]], np.int64)
    objects = Instances.from_labels(labels)
    assert objects.to_labels().tolist() == [[0, 2], [1, 0]]


def test_arrays_cannot_be_written_to():
    objects = Instances.from_labels(np.array([[1, 1]]))
    for array in (objects.bboxes, objects.scores, objects.buffer, objects.areas, objects.mask(0)):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"scores": [1, 1]}, "2 scores for 1 boxes"),
        ({"bboxes": [[0, 0, 9, 1]]}, "leaves the plane"),
        ({"bboxes": [[0, 0, 0, 1]]}, "empty"),
        ({"buffer": [True]}, "1 pixels"),
    ],
    ids=["scores", "outside", "empty box", "buffer"],
)
def test_arrays_that_do_not_fit_are_refused(fields, complaint):
    good = {"shape": (3, 3), "bboxes": [[0, 0, 2, 1]], "scores": [1], "buffer": [True, True]}
    with pytest.raises(ValueError, match=complaint):
        Instances(**{**good, **fields})


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2, 2), int), np.zeros((2, 2))], ids=["three axes", "floats"]
)
def test_from_labels_says_what_it_wants(labels):
    with pytest.raises(ValueError, match="integer labels"):
        Instances.from_labels(labels)


def test_a_dtype_too_small_for_the_labels_is_refused():
    many = Instances.from_labels(np.arange(1, 301).reshape(20, 15))
    with pytest.raises(ValueError, match="labels up to 300"):
        many.to_labels(np.uint8)
    assert many.to_labels(np.uint16).max() == 300


def test_masks_must_have_the_size_of_their_boxes():
    with pytest.raises(ValueError, match="one mask for each box"):
        Instances.from_masks((5, 5), [np.ones((2, 3), bool)], [(0, 0, 3, 2)])
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        Instances.from_masks((5, 5), [np.ones(5, bool)])


def test_a_plane_without_pixels_has_no_objects():
    assert len(Instances.from_labels(np.zeros((0, 5), int))) == 0


def test_masks_can_be_asked_for_from_the_end():
    objects = Instances.from_labels(np.array([[1, 2, 2]]))
    assert objects.mask(-1).shape == (1, 2)


def test_what_the_caller_changes_later_changes_nothing():
    base = np.ones(4, bool)
    objects = Instances((2, 2), np.array([[0, 0, 2, 2]]), np.ones(1), base)
    base[:] = False
    assert objects.mask(0).all()
