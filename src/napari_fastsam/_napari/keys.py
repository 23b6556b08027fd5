"""Keys on layers, for as long as a dock needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.layers import Layer


class _Binding:
    """A function that a key calls, and what the key called before."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function
        self.__name__ = "napari_fastsam_key"  # napari asks each for its name
        self.before: Any = None
        self.ended = False

    def __call__(self, _: Layer) -> None:
        self.function()


def bound(layer: Layer, keys: Mapping[str, Callable[[], None]]) -> Callable[[], None]:
    """Bind keys to functions while a layer is active; the function returned unbinds them.

    Bindings of the layer itself, as those of another dock, come back then, in whatever order docks
    let go; those of its kind, which are napari's, are hidden meanwhile.
    """
    mine = {key: _Binding(function) for key, function in keys.items()}
    for key, binding in mine.items():
        binding.before = layer.bind_key(key, binding, overwrite=True)

    def unbind() -> None:
        for key, binding in mine.items():
            binding.ended = True
            now = layer.bind_key(key, None)
            while isinstance(now, _Binding) and now.ended:
                now = now.before
            if now is not None:
                layer.bind_key(key, now)

    return unbind
