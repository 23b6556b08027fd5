import gc
from itertools import permutations
from weakref import ref

import numpy as np
import pytest
from napari.layers import Labels, Points
from napari.utils.key_bindings import KeymapHandler, coerce_keybinding

from napari_fastsam._napari.keys import bound

UNDO = "Control-Z"


def press(layer, key=UNDO) -> None:
    """Press a key on an active layer, as napari does."""
    handler = KeymapHandler()
    handler.keymap_providers = [layer]
    handler.press_key(key)


@pytest.fixture
def labels() -> Labels:
    return Labels(np.zeros((4, 4), int))


def test_a_key_calls_its_function_until_it_is_unbound(labels):
    calls = []
    unbind = bound(labels, {UNDO: lambda: calls.append("undo"), "N": lambda: calls.append("next")})
    press(labels)
    press(labels, "N")
    assert calls == ["undo", "next"]
    unbind()
    press(labels)
    press(labels, "N")
    assert calls == ["undo", "next"]
    assert not labels.keymap


def test_other_layers_have_their_own_keys(labels):
    calls = []
    bound(labels, {UNDO: lambda: calls.append("undo")})
    press(Points())
    press(Labels(np.zeros((4, 4), int)))
    assert not calls


def test_a_binding_of_the_users_own_comes_back(labels):
    calls = []
    labels.bind_key(UNDO, lambda layer: calls.append(layer))
    unbind = bound(labels, {UNDO: lambda: calls.append("dock")})
    press(labels)
    unbind()
    press(labels)
    assert calls == ["dock", labels]


def test_a_binding_made_meanwhile_stays(labels):
    calls = []
    unbind = bound(labels, {UNDO: lambda: calls.append("dock")})
    labels.bind_key(UNDO, lambda _: calls.append("user"), overwrite=True)
    unbind()
    press(labels)
    assert calls == ["user"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_docks_let_go_in_any_order(labels, order):
    calls = []
    labels.bind_key(UNDO, lambda _: calls.append("user"))
    docks = [bound(labels, {UNDO: lambda n=n: calls.append(n)}) for n in range(3)]
    left = [0, 1, 2]
    for n in order:
        press(labels)
        assert calls[-1] == left[-1]
        docks[n]()
        left.remove(n)
    press(labels)
    assert calls[-1] == "user"


def test_unbinding_twice_takes_nothing_of_others(labels):
    calls = []
    first = bound(labels, {UNDO: lambda: calls.append("first")})
    first()
    bound(labels, {UNDO: lambda: calls.append("second")})
    first()
    press(labels)
    assert calls == ["second"]


def test_an_unbound_key_keeps_nobody_alive(labels):
    class Dock:
        def undo(self) -> None: ...

    first, second = Dock(), Dock()
    gone = ref(first)
    unbind = bound(labels, {UNDO: first.undo})
    other = bound(labels, {UNDO: second.undo})
    unbind()
    other()
    del first, unbind, other
    gc.collect()
    assert gone() is None
    assert coerce_keybinding(UNDO) not in labels.keymap
