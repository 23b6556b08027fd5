import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_fastsam import Instances
from napari_fastsam.history import Edit, History, Step, Taken

WINDOW = (slice(2, 6), slice(3, 8))
values = arrays(np.uint16, (4, 5), elements=st.integers(0, 3))


def edit(size: int = 4, index=()) -> Edit:
    """Return an edit whose memory grows with the size."""
    noise = np.arange(size * size).reshape(size, size)
    return Edit.between(index, (slice(0, size), slice(0, size)), noise * 0, noise)


@given(values, values)
def test_an_edit_makes_what_came_of_what_was_and_back(before, after):
    made = Edit.between((1,), WINDOW, before, after)
    assert made.window == WINDOW
    np.testing.assert_array_equal(made.onto(before), after)
    np.testing.assert_array_equal(made.reversed().onto(after), before)


@given(values, values, values)
def test_what_came_in_between_stays(before, after, current):
    onto = Edit.between((), WINDOW, before, after).onto(current)
    np.testing.assert_array_equal(onto[current != before], current[current != before])
    np.testing.assert_array_equal(onto[current == before], after[current == before])


def test_labels_beyond_what_a_float_holds_stay_exact():
    large = np.array([[2**63 + 1, 0]], np.uint64)
    made = Edit.between((), (slice(0, 1), slice(0, 2)), large, large * 0 + np.uint64(2**53 + 1))
    assert made.onto(large).tolist() == [[2**53 + 1, 2**53 + 1]]


def test_steps_come_back_in_reverse_order():
    history = History()
    for name in "abc":
        history.push(Step({"do": name}))
    assert [history.undo().record["do"] for _ in range(3)] == ["c", "b", "a"]
    assert history.undo() is None
    assert history.redo().record["do"] == "a"
    assert history.next.record["do"] == "b"
    assert history.records == [{"do": "a"}]


def test_a_new_step_forgets_what_was_undone():
    history = History()
    history.push(Step({"do": "a"}, [edit()]))
    history.undo()
    history.push(Step({"do": "b"}, [edit()]))
    assert history.redo() is None
    assert history.records == [{"do": "b"}]
    assert history.nbytes == edit().nbytes


@pytest.mark.parametrize("kept", [1, 2, 5])
def test_the_oldest_steps_leave_first_and_their_records_stay(kept):
    history = History(max_bytes=kept * edit().nbytes)
    for n in range(8):
        history.push(Step({"do": n}, [edit()]))
    assert [step.record["do"] for step in history] == list(range(8 - kept, 8))
    assert [record["do"] for record in history.records] == list(range(8))
    assert history.nbytes == kept * edit().nbytes


def test_the_last_step_stays_however_large():
    history = History(max_bytes=10)
    history.push(Step({"do": "huge"}, [edit(50)]))
    assert history.undo().record["do"] == "huge"


def test_a_step_that_grows_is_counted_as_it_grows():
    history = History(max_bytes=3 * edit().nbytes)
    history.push(Step({"do": "old"}, [edit()]))
    step = Step({"do": "run"})
    history.push(step)
    for plane in range(3):
        step.edits.append(edit(index=(plane,)))
        history.push(step)
    assert len(history) == 1
    assert history.nbytes == 3 * edit().nbytes


def test_the_masks_of_objects_count_too():
    mask = Instances.from_masks((90, 90), [np.ones((90, 90), bool)])
    step = Step({"do": "take"}, objects={1: (None, Taken((), mask, None))})
    assert step.nbytes >= 90 * 90


def test_clearing_forgets_records_too():
    history = History()
    history.push(Step({"do": "a"}, [edit()]))
    history.clear()
    assert (history.records, history.last, history.next, history.nbytes) == ([], None, None, 0)
