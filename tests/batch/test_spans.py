"""Which planes of a stack are wanted, and how far apart those that are linked through are."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_fastsam.batch import Done, Failed, Job, Span, segment_files
from napari_fastsam.files.inputs import find_images
from napari_fastsam.planes import PlaneAxes

STACK = PlaneAxes("TZYXC", (3, 6, 8, 8, 2))


@pytest.mark.parametrize(
    ("spans", "wanted"),
    [
        ([], [(t, z) for t in range(3) for z in range(6)]),
        ([Span(stop=2)], [(t, z) for t in range(3) for z in range(2)]),
        ([Span(step=3)], [(t, z) for t in range(3) for z in (0, 3)]),
        ([Span(start=-1)], [(t, 5) for t in range(3)]),
        ([Span("t", 1, 2), Span("Z", 4)], [(1, 4), (1, 5)]),
    ],
)
def test_spans_choose_planes_as_slices_do(spans, wanted):
    assert Job(spans=tuple(spans)).indices(STACK) == wanted


def test_an_axis_of_one_plane_is_not_the_one_that_is_meant():
    axes = PlaneAxes("TZYX", (5, 1, 8, 8))
    assert Job(spans=(Span(start=3),)).indices(axes) == [(3, 0), (4, 0)]
    assert Job(spans=(Span(step=2),)).step(axes) == 2
    assert Job(spans=(Span("Z", step=2),)).step(axes) == 1


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ((Span("X"),), "X of an array with axes TZYXC"),
        ((Span("Z"), Span()), "each axis once"),
        ((Span(start=6),), "leaves none"),
    ],
)
def test_planes_that_are_not_there_are_told(spans, said):
    with pytest.raises(ValueError, match=said):
        Job(spans=spans).indices(STACK)


def test_a_single_image_has_no_planes_to_choose_from():
    with pytest.raises(ValueError, match="a stack"):
        Job(spans=(Span(start=0),)).indices(PlaneAxes("YX", (8, 8)))


def test_a_step_of_nothing_is_told():
    with pytest.raises(ValueError, match="10:50:2"):
        Span(step=0)


@pytest.fixture
def drift(tmp_path, monkeypatch):
    """A stack of 9 planes with two squares, one of which is missing on plane 4 and ends on 6."""
    monkeypatch.chdir(tmp_path)
    stack = np.zeros((9, 60, 80), np.uint8)
    for n in range(9):
        stack[n, 5:25, 5 + n : 25 + n] = 200
        if n != 4 and n <= 6:
            stack[n, 35:55, 40:60] = 250
    tifffile.imwrite("stack.tif", stack, metadata={"axes": "ZYX"})
    return stack


def segment(segmenter, output, **asked):
    inputs = find_images(["stack.tif"])
    return list(segment_files(inputs, [Path(output)], segmenter, Job(**asked)))


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_only_the_planes_wanted_are_looked_at_and_labelled(blobs, drift):
    (done,) = segment(blobs, "v.npy", spans=(Span(start=2, stop=6),))
    labels = np.load("v.npy")
    assert blobs.calls == 4
    np.testing.assert_array_equal(labels[2:6] > 0, drift[2:6] > 0)
    assert not labels[:2].any()
    assert not labels[6:].any()
    assert done.summary.count == 7


def test_every_other_plane_is_linked_as_neighbours(blobs, drift):
    segment(blobs, "v.npy", spans=(Span(step=2),), link=True, tables=True)
    labels = np.load("v.npy")
    assert np.unique(labels[::2]).tolist() == [0, 1, 2]
    assert not labels[1::2].any()
    still, moving = sorted(rows_of("v.lineage.csv"), key=lambda row: int(row["planes"]))
    assert (moving["first"], moving["last"], moving["missed"]) == ("0", "8", "0")
    assert (still["first"], still["last"], still["planes"]) == ("0", "6", "3")
    assert int(still["missed"]) == 1  # of those that were looked at


@pytest.mark.parametrize("output", ["v.tif", "v.json"])
def test_tables_lie_beside_the_labels(blobs, drift, output):
    (done,) = segment(blobs, output, link=True, tables=True)
    assert isinstance(done, Done)
    objects = rows_of("v.csv")
    assert sorted(int(row["area"]) for row in objects) == [6 * 400, 9 * 400]
    assert {row["image"] for row in objects} == {done.name}
    assert {int(row["label"]) for row in objects} == {1, 2}
    (gap,) = (row for row in rows_of("v.lineage.csv") if row["missed"] != "0")
    assert (gap["first"], gap["last"], gap["planes"], gap["missed"]) == ("0", "6", "6", "1")


def test_without_links_there_is_a_row_for_each_object_of_each_plane(blobs, drift):
    segment(blobs, "v.tif", tables=True)
    assert len(rows_of("v.csv")) == 9 + 6
    assert not Path("v.lineage.csv").exists()


@pytest.mark.parametrize("name", ["v.csv", "v.lineage.csv"])
def test_a_table_that_exists_is_not_replaced_unasked(blobs, drift, name):
    Path(name).write_text("mine")
    with pytest.raises(FileExistsError, match=name):
        segment(blobs, "v.tif", link=True, tables=True)
    assert Path(name).read_text() == "mine"
    assert blobs.calls == 0


def test_planes_outside_the_stack_cost_that_image_only(blobs, drift):
    tifffile.imwrite("short.tif", drift[:2], metadata={"axes": "ZYX"})
    inputs = find_images(["short.tif", "stack.tif"])
    outputs = [Path("a.npy"), Path("b.npy")]
    results = list(segment_files(inputs, outputs, blobs, Job(spans=(Span(start=5),))))
    assert {type(result) for result in results} == {Failed, Done}
    assert not Path("a.npy").exists()
    assert np.load("b.npy").shape == drift.shape
