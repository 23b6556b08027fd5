"""Keys on layers, for as long as a dock needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.layers import Layer


def bound(layer: Layer, keys: Mapping[str, Callable[[], None]]) -> Callable[[], None]:
    """Bind keys to functions while a layer is active; the function returned unbinds them.

    Bindings of the layer itself, as those of another dock, come back then; those of its kind, which
    are napari's, are hidden meanwhile.
    """

    def on(function: Callable[[], None]) -> Callable[[Any], None]:
        return lambda _: function()

    mine = {key: on(function) for key, function in keys.items()}
    before = {key: layer.bind_key(key, function, overwrite=True) for key, function in mine.items()}

    def unbind() -> None:
        for key, function in mine.items():
            if layer.bind_key(key, None) is function and before[key] is not None:
                layer.bind_key(key, before[key])

    return unbind
