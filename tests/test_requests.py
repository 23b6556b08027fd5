import numpy as np
import pytest

from napari_fastsam import PlaneAxes, Prompts, Request

STACK = np.zeros((3, 24, 32), np.uint8)


@pytest.mark.parametrize(
    ("options", "arrived"),
    [
        ({"indices": ((3,),)}, r"\[\(3,\)\]"),
        ({"indices": ((-1,), (0,))}, r"\[\(-1,\)\]"),
        ({"indices": (1, (0,))}, r"\[1\]"),
        ({"prompts": {(0, 0): Prompts(points=[(1, 1)])}}, r"\[\(0, 0\)\]"),
    ],
    ids=["beyond", "negative", "no tuple", "too many axes"],
)
def test_planes_that_are_not_there_are_refused(options, arrived):
    with pytest.raises(ValueError, match=rf"Expected .*\(3,\).*Got {arrived}.*To fix it: "):
        Request(data=STACK, **options)


def test_a_confidence_is_a_share():
    with pytest.raises(ValueError, match=r"from 0 to 1\. Got 25"):
        Request(data=STACK, confidence=25)


def test_the_layout_is_what_was_given_or_guessed():
    assert Request(data=STACK).layout == PlaneAxes("ZYX", STACK.shape)
    given = PlaneAxes("TYX", STACK.shape)
    assert Request(data=STACK, axes=given).layout is given


def test_planes_without_prompts_are_left_out():
    point = Prompts(points=[(1, 1)])
    assert Request(data=STACK).planes() == [(0,), (1,), (2,)]
    assert Request(data=STACK, prompts={(2,): point, (0,): point}).planes() == [(0,), (2,)]
    chosen = Request(data=STACK, prompts={(2,): point, (0,): point}, indices=((2,), (1,), (0,)))
    assert chosen.planes() == [(2,), (0,)]
