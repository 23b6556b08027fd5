"""What became of linked objects, as a table and as tracks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fastsam import Linker, track_data
from napari_fastsam.lineage import COLUMNS, Event, Lineage


def plane(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    labels = np.zeros((40, 40), np.uint8)
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        labels[top:bottom, left:right] = number
    return labels


WHOLE, LEFT, RIGHT = (5, 5, 15, 30), (5, 5, 15, 20), (5, 21, 15, 30)


def linked(planes: list[np.ndarray], **options: int) -> tuple[np.ndarray, Linker]:
    linker = Linker(**options)
    return np.stack([linker.push(labels)[labels] for labels in planes]), linker


def test_an_object_has_a_row_with_its_first_and_last_plane() -> None:
    _, linker = linked([plane(), plane(LEFT), plane(LEFT), plane()])
    table = linker.lineage()
    assert tuple(table) == COLUMNS
    assert [column.tolist() for column in table.values()] == [
        [1],
        [0],
        [1],
        [2],
        [2],
        [0],
        [0],
        [0],
    ]


def test_missed_planes_are_counted_where_the_object_came_back() -> None:
    _, linker = linked([plane(LEFT), plane(), plane(LEFT), plane()])
    table = linker.lineage()
    assert (table["planes"].tolist(), table["missed"].tolist()) == ([2], [1])
    assert table["last"].tolist() == [2]


def test_a_piece_has_the_object_that_it_came_out_of_as_parent() -> None:
    _, linker = linked([plane(WHOLE), plane(LEFT, RIGHT)])
    assert linker.lineage()["parent"].tolist() == [0, 1]


def test_what_ends_in_another_object_says_in_which() -> None:
    _, linker = linked([plane(LEFT, RIGHT), plane(WHOLE)])
    table = linker.lineage()
    assert table["merged_into"].tolist() == [0, 1]
    assert table["last"].tolist() == [1, 0]


def test_each_series_has_a_number() -> None:
    linker = Linker()
    linker.push(plane(LEFT), plane=7)
    linker.reset()
    linker.push(plane(LEFT), plane=3)
    table = linker.lineage()
    assert (table["series"].tolist(), table["first"].tolist()) == ([0, 1], [7, 3])


def test_the_table_is_a_copy() -> None:
    linker = Linker()
    linker.push(plane(LEFT))
    linker.lineage()["first"][:] = 99
    assert linker.lineage()["first"].tolist() == [0]


def test_a_table_read_again_goes_on() -> None:
    lineage = Lineage()
    lineage.add(0, [1, 2])
    again = Lineage.from_table(lineage.table())
    again.add(1, [2, 3], [Event(1, "split", 2, 3)])
    table = again.table()
    assert table["planes"].tolist() == [1, 2, 1]
    assert table["parent"].tolist() == [0, 0, 2]


def test_tracks_are_centroids_sorted_by_track_and_plane() -> None:
    labels, _ = linked([plane(LEFT, RIGHT), plane(RIGHT), plane(LEFT)])
    data, graph, properties = track_data(labels, planes=[2, 4, 6])
    assert data.tolist() == [[1, 2, 9.5, 12], [1, 6, 9.5, 12], [2, 2, 9.5, 25], [2, 4, 9.5, 25]]
    assert graph == {}
    assert properties["label"].tolist() == [1, 1, 2, 2]


def test_after_a_split_both_parts_are_tracks_that_go_on_from_the_whole() -> None:
    labels, linker = linked([plane(WHOLE), plane(LEFT, RIGHT), plane(LEFT, RIGHT)])
    data, graph, properties = track_data(labels, linker.lineage())
    assert data[:, :2].tolist() == [[1, 0], [2, 1], [2, 2], [3, 1], [3, 2]]
    assert graph == {3: [1], 2: [1]}
    assert properties["label"].tolist() == [1, 2, 2, 1, 1]


def test_after_a_merge_one_track_goes_on_from_both_parts() -> None:
    labels, linker = linked([plane(LEFT, RIGHT), plane(WHOLE)])
    data, graph, _ = track_data(labels, linker.lineage())
    assert data[:, :2].tolist() == [[1, 0], [2, 0], [3, 1]]
    assert graph == {3: [1, 2]}


def test_tracks_of_some_objects_leave_out_what_is_not_there() -> None:
    labels, linker = linked([plane(WHOLE), plane(LEFT, RIGHT)])
    data, graph, _ = track_data(np.where(labels == 1, labels, 0), linker.lineage())
    assert set(graph) <= set(data[:, 0])


def test_planes_without_objects_have_no_tracks() -> None:
    data, graph, properties = track_data(np.zeros((2, 4, 4), np.uint32))
    assert (data.shape, graph, len(properties["label"])) == ((0, 4), {}, 0)


def test_a_position_is_needed_for_each_plane() -> None:
    with pytest.raises(ValueError, match="a position for each plane"):
        track_data(np.zeros((2, 4, 4), np.uint32), planes=[0])


def test_napari_takes_the_tracks() -> None:
    layers = pytest.importorskip("napari.layers")
    labels, linker = linked([plane(WHOLE), plane(LEFT, RIGHT), plane(WHOLE)])
    data, graph, properties = track_data(labels, linker.lineage())
    layer = layers.Tracks(data, graph=graph, properties=properties)
    assert layer.graph == graph
    assert len(layer.data) == len(data)
