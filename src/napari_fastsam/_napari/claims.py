"""Which dock turned to which prompt layer by itself: two docks never take the same prompts so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

if TYPE_CHECKING:
    from napari.layers import Layer

_OWNERS: WeakKeyDictionary[Layer, ReferenceType[Any]] = WeakKeyDictionary()


def claim(layer: Layer, dock: object) -> bool:
    """Make a layer a dock's own; False if it is another one's, as long as that is there."""
    known = _OWNERS.get(layer)
    owner = None if known is None else known()
    if owner is not None and owner is not dock:
        return False
    _OWNERS[layer] = ref(dock)
    return True


def release(dock: object) -> None:
    """Let others have the layers of a dock."""
    for layer, owner in list(_OWNERS.items()):
        if owner() is dock:
            del _OWNERS[layer]
