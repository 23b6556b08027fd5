"""Which planes are looked at, in which order, and what becomes of looks that nobody wants."""

from threading import Event

import numpy as np
import pytest
from napari.layers import Image

from fakes import BlobSegmenter
from napari_fastsam import Prompts
from napari_fastsam._napari.ground import Looks, Sight
from napari_fastsam._napari.source import source_of
from napari_fastsam._napari.worker import KeptModel
from napari_fastsam.pipeline import CandidateCache

from .conftest import CENTRES

PLANES = 6


class Watched(BlobSegmenter):
    """Writes down which planes it sees, by their darkest pixel, and waits where it is told to."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.gate = Event()
        self.gate.set()
        self.broken = set()

    def segment(self, image):
        plane = int(image.min()) // 10
        self.seen.append(plane)
        assert self.gate.wait(60)
        if plane in self.broken:
            raise OSError(f"plane {plane} is broken")
        return super().segment(image)


@pytest.fixture
def network():
    network = Watched()
    yield network
    network.gate.set()


@pytest.fixture
def image(plane):
    """A layer whose planes tell their number by their background."""
    planes = np.stack([np.where(plane > 100, plane, 10 * n) for n in range(PLANES)])
    return Image(planes.astype(np.uint8), contrast_limits=(0, 255))


@pytest.fixture
def looks(qtbot):
    told = []
    looks = Looks(
        CandidateCache(),
        came=lambda index: told.append(index[0]),
        changed=lambda job, index, error: told.append(error) if error else None,
    )
    looks.told = told
    looks.settle = lambda: qtbot.waitUntil(lambda: not looks.worker.busy, timeout=60_000)
    yield looks
    looks.worker.close()
    looks.settle()


@pytest.fixture
def sight(image, network):
    """Make what is looked at; equal keys mean equal pixels."""
    model = KeptModel(network)

    def make(key="pixels", *, of=image, closer=True):
        source = source_of(of)
        return Sight(source=source, model=model, key=(key,), closer=closer)

    return make


def test_the_plane_in_view_comes_first_then_what_is_wanted_then_the_neighbours(
    looks, sight, network, qtbot
):
    network.gate.clear()
    looks.aim(sight(), (2,), ahead=[(3,), (1,)])
    looks.want((5,))
    network.gate.set()
    looks.settle()
    assert network.seen == [2, 5, 3, 1]
    assert looks.told == [2, 5, 3, 1]
    assert len(looks.candidates((5,))) == 3
    assert looks.candidates((0,)) is None


def test_a_plane_that_comes_into_view_is_not_kept_waiting(looks, sight, network, qtbot):
    network.gate.clear()
    looks.aim(sight(), (0,), ahead=[(1,)])
    qtbot.waitUntil(lambda: network.seen == [0])
    looks.aim(sight(), (4,), ahead=[(5,)])
    network.gate.set()
    looks.settle()
    assert network.seen == [0, 4, 5]


def test_nothing_is_looked_at_twice(looks, sight, network):
    for index in (1, 2, 1, 2):
        looks.aim(sight(), (index,))
        looks.settle()
    assert network.seen == [1, 2]


def test_ahead_is_nothing_looked_at_while_a_run_goes_on(looks, sight, network):
    looks.paused = True
    looks.aim(sight(), (0,), ahead=[(1,)])
    looks.settle()
    assert network.seen == [0]


def test_other_pixels_are_looked_at_anew_and_what_waits_goes_on_to_wait(looks, sight, network):
    network.gate.clear()
    looks.aim(sight(), (0,))
    looks.want((3,))
    looks.aim(sight("others"), (0,))
    network.gate.set()
    looks.settle()
    assert looks.candidates((0,)) is not None
    assert looks.candidates((3,)) is not None
    looks.aim(sight(), (5,))
    looks.settle()
    assert looks.candidates((3,)) is None, "that was seen of other pixels"


def test_another_image_is_not_asked_for_planes_that_the_first_one_was(looks, sight, image, network):
    network.gate.clear()
    looks.aim(sight(), (0,))
    looks.want((3,))
    other = Image(image.data.copy(), contrast_limits=(0, 255))
    looks.aim(sight("another", of=other), (1,))
    network.gate.set()
    looks.settle()
    assert looks.candidates((1,)) is not None
    assert looks.candidates((3,)) is None


def test_what_failed_is_tried_again_only_when_it_is_asked_for(looks, sight, network):
    network.broken = {2}
    looks.aim(sight(), (2,))
    looks.settle()
    [error] = looks.told
    assert "plane 2 is broken" in str(error)
    looks.aim(sight(), (2,))
    looks.settle()
    assert network.seen == [2]
    network.broken = set()
    looks.want((2,))
    looks.settle()
    assert looks.told[1:] == [2]


def test_a_failure_ahead_is_not_told_before_it_is_in_view(looks, sight, network):
    network.broken = {1}
    looks.aim(sight(), (0,), ahead=[(1,)])
    looks.settle()
    assert looks.told == [0]
    looks.aim(sight(), (1,))
    looks.settle()
    assert "plane 1 is broken" in str(looks.told[-1])


@pytest.mark.parametrize("closer", [True, False])
def test_a_closer_look_only_where_it_is_wanted(looks, sight, network, closer):
    looks.aim(sight(closer=closer), (0,))
    looks.settle()
    nothing_there = Prompts(points=[(2, 78)])
    assert looks.look_closer((0,), nothing_there) == closer
    looks.settle()
    assert (len(network.seen) > 1) == closer
    assert not looks.look_closer((1,), nothing_there), "that plane was not looked at"
    assert not looks.look_closer((0,), Prompts(points=[CENTRES[1]])), "that has an answer"


def test_after_stopping_nothing_is_looked_at(looks, sight, network):
    looks.aim(sight(), (0,))
    looks.settle()
    looks.stop()
    looks.want((3,))
    looks.settle()
    assert network.seen == [0]
    assert looks.candidates((0,)) is None
    looks.aim(sight(), (0,))
    looks.settle()
    assert network.seen == [0, 3], "what is known stays, what was asked for comes now"
