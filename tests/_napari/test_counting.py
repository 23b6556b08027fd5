"""The largest label of an array: read by part, beside the main thread, known when it is needed."""

import threading

import numpy as np
import pytest
import zarr

from napari_fastsam._napari import counting, words
from napari_fastsam._napari.counting import LargestLabel

from .conftest import CENTRES, found, labels_of


@pytest.mark.parametrize("data", ["numpy", "zarr", "flat zarr"])
def test_the_largest_label_is_found(data):
    array = np.zeros((3, 6, 8), np.uint32)
    array[2, 5, 7] = 70_000
    if data != "numpy":
        array = zarr.array(
            array[2] if data == "flat zarr" else array, chunks=(4,) * 2 + (4,) * (data == "zarr")
        )
    largest = LargestLabel(array)
    assert largest.next_label() == 70_001
    assert largest.known


def test_the_largest_of_negative_labels_is_none():
    assert LargestLabel(np.full((3, 4), -5)).next_label() == 1
    assert LargestLabel(np.zeros((0, 4), int)).next_label() == 1


class Counted:
    """A real array that notes which parts of it were read, as a stored one of these chunks."""

    def __init__(self, array, chunks):
        self.array, self.shape, self.chunks, self.read = array, array.shape, chunks, []

    def __getitem__(self, key):
        self.read.append(key)
        return self.array[key]


def test_each_chunk_is_read_once():
    array = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    data = Counted(array, (2, 6, 4))
    largest = LargestLabel(data)
    assert data.read == [], "nothing is read before it is wanted"
    assert largest.next_label() == array.size
    seen = np.zeros(array.shape, int)
    for key in data.read:
        seen[key] += 1
    assert len(data.read) == 3 * 1 * 2
    assert (seen == 1).all()


def test_planes_of_a_large_array_in_memory_are_read_one_by_one(monkeypatch):
    monkeypatch.setattr(counting, "SMALL", 0)
    largest = LargestLabel(np.full((2, 3, 4, 5), 8))
    assert not largest.known
    for _ in range(6):
        assert largest.read()
    assert not largest.read()
    assert largest.next_label() == 9


def test_a_part_that_cannot_be_read_is_told_each_time():
    class Broken(Counted):
        def __getitem__(self, key):
            if key[0].start == 2:
                raise OSError("a chunk is broken")
            return super().__getitem__(key)

    largest = LargestLabel(Broken(np.ones((4, 3), int), (1, 3)))
    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            largest.next_label()
    assert not largest.known


@pytest.fixture
def slow(monkeypatch):
    """Make the background wait before it reads, until `set`; the main thread reads at once."""
    gate, read = threading.Event(), LargestLabel.read

    def wait(largest):
        if threading.current_thread() is not threading.main_thread():
            assert gate.wait(60)
        return read(largest)

    monkeypatch.setattr(LargestLabel, "read", wait)
    yield gate
    gate.set()


@pytest.fixture
def stored(stack):
    """(4, 60, 80) zarr labels, one of them far beyond the others."""
    labels = zarr.zeros(stack.shape, chunks=(1, 30, 80), dtype=np.uint32)
    labels[3, 58, 78] = 5000
    return labels


def test_labels_are_chosen_before_they_are_read(viewer, dock, stack, stored, slow):
    viewer.add_image(stack)
    dock.output.value = viewer.add_labels(stored)
    assert dock.busy
    assert dock.next_label.text() == "<small></small>"
    slow.set()
    dock.settle()
    assert words.next_label(5001) in dock.next_label.text()


def test_a_click_before_they_are_read_gets_a_number_of_its_own(viewer, dock, stack, stored, slow):
    viewer.add_image(stack)
    viewer.dims.set_point(0, 3)
    dock.output.value = viewer.add_labels(stored)
    dock.new_points()
    dock.points.value.add((3, *CENTRES[1]))
    slow.set()
    dock.settle()
    assert found(labels_of(viewer)) == [5000, 5001]
    dock.undo()
    assert words.next_label(5001) in dock.next_label.text()


def test_other_data_are_read_anew(viewer, dock, stack, stored, slow):
    viewer.add_image(stack)
    labels = dock.output.value = viewer.add_labels(stored)
    other = zarr.zeros(stack.shape, chunks=(1, 60, 80), dtype=np.uint32)
    other[0, 0, 0] = 7
    labels.data = other
    slow.set()
    dock.settle()
    assert words.next_label(8) in dock.next_label.text()


def test_closing_the_layer_ends_reading(viewer, dock, stack, stored, slow):
    viewer.add_image(stack)
    labels = dock.output.value = viewer.add_labels(stored)
    viewer.layers.remove(labels)
    slow.set()
    dock.settle()
    assert dock.next_label.text() == "<small></small>"
