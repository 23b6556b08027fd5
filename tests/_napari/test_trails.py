"""Labels through a stack as a Tracks layer: where it lies, splits, what is refused."""

import numpy as np
import pytest
from napari.layers import Tracks

from napari_fastsam._napari import words
from napari_fastsam._napari.layer_boxes import layers_of

from .conftest import CENTRES, labels_of


def tracks_of(viewer):
    [layer] = layers_of(viewer, Tracks)
    return layer


@pytest.fixture
def dividing():
    """(5, 60, 80) uint8: an object divides on plane 3; another one is on planes 0 and 1."""
    images = np.full((5, 60, 80), 10, np.uint8)
    images[:3, 20:34, 20:50] = 200
    images[3:, 20:34, 20:34] = images[3:, 20:34, 37:50] = 200
    images[:2, 45:55, 60:75] = 200
    return images


@pytest.fixture
def linked(viewer, dock, dividing):
    """Return the labels of a linked run over an image with a scale, units and a translation."""
    viewer.add_image(dividing, scale=(3, 0.5, 0.5), translate=(6, 1, 2), units=("s", "um", "um"))
    dock.everything_stack()
    dock.settle()
    return labels_of(viewer)


def test_a_run_tells_the_lineage_and_tracks_show_it(viewer, dock, linked):
    assert "1 split, 0 merges." in dock.status.message.text()
    features = linked.features.set_index("index")
    mother = int(linked.data[0, 25, 25])
    other = int(linked.data[0, 50, 65])
    [daughter] = features.index[features["parent"] == mother]
    assert features.loc[other, ["first", "last", "planes", "missed"]].tolist() == [0, 1, 2, 0]
    assert features.loc[daughter, ["first", "last"]].tolist() == [3, 4]
    dock.stack.tracks_button.native.click()
    dock.settle()
    layer = tracks_of(viewer)
    np.testing.assert_array_equal(layer.scale, linked.scale)
    np.testing.assert_array_equal(layer.translate, linked.translate)
    assert layer.units == linked.units
    label = layer.properties["label"]
    for n in (mother, daughter, other):
        planes = np.flatnonzero((linked.data == n).any((1, 2)))
        np.testing.assert_array_equal(layer.data[label == n, 1], planes)
        for plane, row in zip(planes, layer.data[label == n], strict=True):
            middle = np.argwhere(linked.data[plane] == n).mean(0)
            np.testing.assert_allclose(row[2:], middle)
    tracks = {int(track): before for track, before in layer.graph.items()}
    assert len(tracks) == 2, "what goes on, and what came out of it"
    assert {tuple(before) for before in tracks.values()} == {(mother,)}
    assert "4 tracks." in dock.status.message.text()


def test_undoing_takes_the_table_back_and_tracks_follow_when_asked(viewer, dock, linked):
    active = viewer.layers.selection.active
    dock.show_tracks()
    dock.settle()
    assert viewer.layers.selection.active is active
    before = linked.features
    dock.undo()
    dock.settle()
    assert len(linked.features) == 0
    dock.show_tracks()
    dock.settle()
    assert layers_of(viewer, Tracks) == []
    assert dock.status.message.text() == words.tracks(0)
    dock.redo()
    dock.settle()
    assert linked.features.equals(before)
    dock.show_tracks()
    dock.settle()
    assert len(tracks_of(viewer).data) == 5 + 2 + 2
    dock.undo()
    dock.settle()
    dock.redo()
    dock.settle()
    dock.show_tracks()
    dock.settle()
    assert len(tracks_of(viewer).graph) == 2, "the same layer again"


def test_without_labels_it_is_said_what_to_do(viewer, dock, stack):
    viewer.add_image(stack)
    dock.settle()
    dock.show_tracks()
    assert dock.status.message.text() == words.tracks(0)
    assert layers_of(viewer, Tracks) == []


def test_only_some_planes_are_told_by_their_positions(viewer, dock, dividing):
    viewer.add_image(dividing)
    dock.ranges.value = "0:4:2/5"
    dock.everything_stack()
    dock.settle()
    features = labels_of(viewer).features.set_index("index")
    mother = int(labels_of(viewer).data[0, 25, 25])
    assert features.loc[mother, ["first", "last", "planes", "missed"]].tolist() == [0, 4, 3, 0]


def test_a_time_lapse_of_stacks_shows_the_tracks_of_the_stack_in_view(viewer, dock, stack):
    viewer.add_image(np.stack([stack, stack]), axis_labels=("t", "z", "y", "x"))
    viewer.dims.set_point(0, 1)
    dock.everything_stack()
    dock.settle()
    dock.show_tracks()
    dock.settle()
    rows = tracks_of(viewer).data
    assert rows.shape[1] == 5
    assert set(rows[:, 1]) == {1}
    assert set(rows[:, 2]) == {0, 1, 2, 3}


def test_planes_that_tracks_cannot_follow_are_refused(viewer, dock, stack):
    viewer.add_image(np.moveaxis(stack, 0, 1), rgb=False)
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, 3)
    dock.new_points()
    dock.points.value.add((CENTRES[1][0], 3, CENTRES[1][1]))
    dock.settle()
    assert labels_of(viewer).data.any()
    dock.show_tracks()
    assert "Tracks layer" in dock.status.message.text()
    assert layers_of(viewer, Tracks) == []


def test_reading_can_be_cancelled(viewer, dock, linked):
    dock.show_tracks()
    dock.cancel()
    dock.settle()
    assert dock.status.message.text() == words.tracks(0, cancelled=True)
