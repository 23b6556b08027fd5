import pytest

from napari_fastsam._napari.ranges import Along, PlaneRanges

Z, T = Along("z", 80), Along("t", 5)


@pytest.fixture
def ranges(qtbot):
    """Rows for the planes of a time-lapse of volumes."""
    made = PlaneRanges()
    qtbot.addWidget(made)
    made.offer([T, Z])
    return made


def boxes(ranges, row):
    return ranges._boxes[row]


def test_all_planes_are_chosen_at_first(ranges):
    assert ranges.positions == (range(5), range(80))
    assert (ranges.planes, ranges.value) == (400, "")


def test_from_to_and_every_nth_are_chosen_and_told(ranges):
    told = []
    ranges.changed.connect(lambda: told.append(ranges.value))
    first, last, step = boxes(ranges, 1)
    first.setValue(10)
    last.setValue(40)
    step.setValue(3)
    assert ranges.positions[1] == range(10, 41, 3)
    assert ranges.planes == 5 * 11
    assert told[-1] == "0:4:1/5 10:40:3/80"


def test_from_never_goes_beyond_to(ranges):
    first, last, _ = boxes(ranges, 1)
    last.setValue(20)
    first.setValue(30)
    assert (first.value(), last.value()) == (30, 30)
    last.setValue(7)
    assert (first.value(), last.value()) == (7, 7)


def test_what_is_remembered_comes_back_for_an_axis_as_long(ranges):
    ranges.value = "0:4:1/5 10:40:3/80"
    ranges.offer([Along("z", 30)])
    assert ranges.positions == (range(30),)
    ranges.offer([T, Z])
    assert ranges.positions == (range(5), range(10, 41, 3))


def test_every_nth_is_kept_for_an_axis_of_another_length(ranges):
    ranges.value = "10:40:3/80"
    ranges.offer([Along("z", 30)])
    assert ranges.positions == (range(0, 30, 3),)


@pytest.mark.parametrize("words", ["", "nonsense", "9:3", "70:90:0/80", "3:1:1/80"])
def test_what_cannot_be_understood_chooses_planes_all_the_same(ranges, words):
    ranges.offer([Z])
    ranges.value = words
    assert ranges.planes >= 1


def test_without_an_axis_what_is_remembered_waits(qtbot):
    ranges = PlaneRanges()
    qtbot.addWidget(ranges)
    ranges.value = "10:40:3/80"
    assert (ranges.positions, ranges.value) == ((), "10:40:3/80")
    ranges.offer([Z])
    assert ranges.positions == (range(10, 41, 3),)
