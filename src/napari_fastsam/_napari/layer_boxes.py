"""Combo boxes that offer the viewer's layers, and keep to the chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox

from napari_fastsam._napari.preview_layer import is_preview

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer


class FollowingBox(ComboBox):
    """A combo box whose choices change; what is chosen stays, whatever it is called by then.

    magicgui alone goes by the texts, so it would drop a layer that was renamed and never reorder.

    Parameters
    ----------
    offered
        Returns the texts and what they stand for.
    label, tooltip
        As of every control.
    none
        The text for no choice; where it is missing, the first one is chosen, if there is one.
    """

    def __init__(
        self,
        offered: Callable[[], Sequence[tuple[str, Any]]],
        *,
        label: str,
        tooltip: str,
        none: str | None = None,
    ) -> None:
        self.null_string = none or ""
        super().__init__(
            label=label,
            choices=lambda _: offered(),
            tooltip=tooltip,
            nullable=none is not None,
        )

    def reset_choices(self, *_: Any) -> None:
        """Offer what there is now, and tell when the choice had to change."""
        chosen = self.value
        with self.changed.blocked():
            self.choices = ()
            super().reset_choices()
            if chosen in self.choices:
                self.value = chosen
        if self.value is not chosen:
            self.changed.emit(self.value)


class LayerBox(FollowingBox):
    """A combo box of the viewer's layers of a kind, the previews of this plugin left out.

    Parameters
    ----------
    viewer
        Whose layers are offered.
    kind
        Their class.
    label, tooltip, none
        As of `FollowingBox`.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        kind: type[Layer],
        *,
        label: str,
        tooltip: str,
        none: str | None = None,
    ) -> None:
        super().__init__(
            lambda: [(layer.name, layer) for layer in layers_of(viewer, kind)],
            label=label,
            tooltip=tooltip,
            none=none,
        )


def layers_of(viewer: ViewerModel, kind: type[Layer]) -> list[Layer]:
    """Return the viewer's layers of a kind, the previews of this plugin left out."""
    return [layer for layer in viewer.layers if type(layer) is kind and not is_preview(layer)]
