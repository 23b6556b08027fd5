"""What became of linked objects, in the features of a Labels layer, as steps come and go."""

import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels

from napari_fastsam._napari.lineages import COLUMNS, Lineages, of_object, of_run
from napari_fastsam.history import History, Step
from napari_fastsam.linking import Linker

NOTHING = {"first": 0, "last": 0, "planes": 1, "missed": 0, "parent": 0, "merged_into": 0}


@pytest.fixture
def labels():
    return Labels(np.zeros((4, 5, 5), np.uint32))


@pytest.fixture
def history():
    return History()


@pytest.fixture
def lineages(labels):
    return Lineages(labels)


def table(*rows):
    """Return a table of rows ``{"label": …}``, with nothing special in the other columns."""
    whole = [NOTHING | row for row in rows]
    return {name: np.array([row[name] for row in whole]) for name in ("label", *COLUMNS)}


def done(history):
    step = Step({"do": "run"})
    history.push(step)
    return step


def row(labels, label):
    """Return what napari's status bar tells of a label."""
    found = labels.features.set_index("index").loc[label]
    return {name: int(found[name]) for name in COLUMNS}


def test_a_table_comes_and_goes_with_its_step(labels, history, lineages):
    lineages.tell(done(history), table({"label": 3, "last": 2}, {"label": 5, "parent": 3}))
    lineages.show(history)
    assert labels.features["index"].tolist() == [3, 5]
    assert row(labels, 3) == NOTHING | {"last": 2}
    assert row(labels, 5) == NOTHING | {"parent": 3}
    assert labels.features["parent"].dtype.kind == "i"
    history.undo()
    lineages.show(history)
    assert len(labels.features) == 0
    history.redo()
    lineages.show(history)
    assert labels.features["index"].tolist() == [3, 5]


def test_what_can_be_redone_no_more_is_forgotten(labels, history, lineages):
    lineages.tell(done(history), table({"label": 1}))
    lineages.show(history)
    history.undo()
    lineages.show(history)
    done(history)
    lineages.show(history)
    assert lineages.table()["label"].size == 0


def test_what_was_done_too_long_ago_to_be_undone_stays(labels, lineages):
    history = History(max_bytes=1)
    lineages.tell(done(history), table({"label": 1}))
    lineages.show(history)
    history.last.numbers = (1, 2)
    step = Step({"do": "paint"}, note=np.zeros(9))
    history.push(step)
    assert len(list(history)) == 1
    lineages.show(history)
    assert labels.features["index"].tolist() == [1]


def test_a_later_table_prevails_but_keeps_where_an_object_came_from(labels, history, lineages):
    lineages.tell(done(history), table({"label": 2, "first": 3, "last": 4, "parent": 1}))
    lineages.tell(done(history), table({"label": 2, "first": 0, "last": 9}))
    lineages.show(history)
    assert row(labels, 2) == NOTHING | {"last": 9, "parent": 1}
    history.undo()
    lineages.show(history)
    assert row(labels, 2) == NOTHING | {"first": 3, "last": 4, "parent": 1}


def test_a_step_that_goes_on_has_one_table(labels, history, lineages):
    step = done(history)
    lineages.tell(step, table({"label": 1, "last": 1}))
    lineages.show(history)
    lineages.tell(step, table({"label": 1, "last": 3}))
    lineages.show(history)
    assert row(labels, 1) == NOTHING | {"last": 3}


def test_rows_and_columns_of_ones_own_stay(labels, history, lineages):
    labels.features = pd.DataFrame({"index": [7, 2], "kind": ["big", "small"]})
    lineages.tell(done(history), table({"label": 2, "last": 5}, {"label": 4}))
    lineages.show(history)
    features = labels.features.set_index("index")
    assert features["kind"].dropna().to_dict() == {2: "small", 7: "big"}
    assert features["last"].dropna().to_dict() == {2: 5, 4: 0}
    history.undo()
    lineages.show(history)
    features = labels.features.set_index("index")
    assert features["kind"].to_dict() == {2: "small", 7: "big"}
    assert list(features) == ["kind"]


def test_features_by_position_become_features_by_label(labels, history, lineages):
    labels.features = {"kind": ["background", "first", "second"]}
    lineages.tell(done(history), table({"label": 2}))
    lineages.show(history)
    features = labels.features.set_index("index")
    assert features["kind"].tolist() == ["background", "first", "second"]
    assert row(labels, 2) == NOTHING


def test_a_table_that_names_a_label_twice_is_left_alone(labels, history, lineages):
    twice = pd.DataFrame({"index": [1, 1], "kind": ["a", "b"]})
    labels.features = twice
    lineages.tell(done(history), table({"label": 1}))
    lineages.show(history)
    pd.testing.assert_frame_equal(labels.features, twice)


def test_nothing_is_left_of_labels_that_mean_other_objects(labels, history, lineages):
    lineages.tell(done(history), table({"label": 1}))
    lineages.show(history)
    lineages.forget()
    lineages.show(history)
    assert len(labels.features) == 0


def test_a_run_is_told_by_its_own_numbers_and_positions():
    linker = Linker()
    whole, parts = np.zeros((9, 20), int), np.zeros((9, 20), int)
    whole[2:7, 2:16] = 1
    parts[2:7, 2:9], parts[2:7, 10:16] = 1, 2
    other = whole.copy()
    other[0, 19] = 2
    for plane in (other, whole, parts):
        linker.push(plane)
    numbers = {1: 11, 3: 13}  # the second one found its place taken
    told = of_run(linker.lineage(), numbers, np.array([4, 6, 8]))
    rows = {int(told["label"][n]): {c: int(told[c][n]) for c in COLUMNS} for n in range(2)}
    assert rows == {
        11: NOTHING | {"first": 4, "last": 8, "planes": 3},
        13: NOTHING | {"first": 8, "last": 8, "parent": 11},
    }


def test_an_object_that_was_followed_is_told_by_its_planes():
    told = of_object(5, {2, 3, 6})
    assert {name: column.tolist() for name, column in told.items()} == {
        "label": [5], "first": [2], "last": [6], "planes": [3], "missed": [2],
        "parent": [0], "merged_into": [0],
    }  # fmt: skip
