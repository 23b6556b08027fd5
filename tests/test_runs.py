import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_fastsam.runs import Runs, window_of

planes = st.sampled_from([np.uint8, np.int16, np.int64, np.uint64]).flatmap(
    lambda dtype: arrays(
        dtype,
        st.tuples(st.integers(0, 9), st.integers(0, 9)),
        elements=st.sampled_from([0, 1, 1, int(np.iinfo(dtype).max)]),
    )
)


@given(planes)
def test_runs_hold_the_array(array):
    runs = Runs.of(array)
    np.testing.assert_array_equal(runs.array(), array)
    assert runs.array().dtype == array.dtype
    assert runs.lengths.all()


@given(planes)
def test_json_holds_the_array(array):
    again = Runs.from_json(json.loads(json.dumps(Runs.of(array).to_json()))).array()
    assert again.shape == array.shape
    assert again.tolist() == array.tolist()


def test_runs_follow_the_outlines_and_not_the_area():
    plane = np.zeros((1000, 1000), np.uint32)
    plane[200:800, 200:800] = 1
    assert Runs.of(plane).nbytes < plane.nbytes / 400


def test_a_column_of_an_array_has_runs():
    turned = np.arange(6).reshape(2, 3).T
    np.testing.assert_array_equal(Runs.of(turned).array(), turned)


@pytest.mark.parametrize(
    ("boxes", "window"),
    [
        ([(1, 2, 3, 4)], (slice(1, 3), slice(2, 4))),
        ([(1, 2, 3, 4), (0, 3, 2, 9)], (slice(0, 3), slice(2, 9))),
    ],
)
def test_a_window_holds_all_boxes_and_no_more(boxes, window):
    assert window_of(boxes) == window
