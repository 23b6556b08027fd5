"""When a dock has to look again: what in the viewer changes what is in view, or its pixels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_fastsam._napari.source import Source
    from napari_fastsam._napari.views import View

CALM = 250
"""Milliseconds without a change before what was changed counts."""

_SAMPLE = 256  # rows and columns of a plane that are compared to notice edits in place


class Watching:
    """Calls back when the plane in view, its place or its pixels change.

    Parameters
    ----------
    viewer
        Whose sliders and axes are watched.
    again
        Called when another plane may be in view, or lies elsewhere.
    edited
        Called with an image whose pixels were changed in place.
    """

    def __init__(
        self, viewer: ViewerModel, again: Callable[[], None], edited: Callable[[Image], None]
    ) -> None:
        self._again, self._edited = again, edited
        self._layers: tuple[Image, ...] = ()
        self._release: list[Callable[[], None]] = []
        self._prints: dict[tuple[Any, ...], int] = {}
        self._seen: tuple[Source, View] | None = None
        self._calm = QTimer()
        self._calm.setSingleShot(True)
        self._calm.setInterval(CALM)
        self._calm.timeout.connect(again)
        events = viewer.dims.events
        self._dims = [events.point, events.current_step, events.order, events.ndisplay]
        for event in self._dims:
            event.connect(self._now)

    def watch(self, layers: Sequence[Image]) -> None:
        """Watch these image layers in place of those before."""
        if tuple(layers) == self._layers:
            return
        self.release()
        self._layers = tuple(layers)
        for layer in self._layers:
            events = layer.events
            for name in ("scale", "translate", "rotate", "shear", "affine", "units"):
                self._connect(getattr(events, name), self._now)
            self._connect(events.data, self._replaced)
            for name in ("contrast_limits", "gamma"):
                self._connect(getattr(events, name), self._soon)
            self._connect(events.set_data, self._refreshed)

    def seen(self, source: Source, view: View) -> None:
        """Compare the pixels in view with those that were there, if they were in view before."""
        self._seen = (source, view)
        self._compare(source.image)

    def release(self) -> None:
        """Watch no layers any more."""
        for release in self._release:
            release()
        self._release, self._layers = [], ()
        self._seen = None
        self._prints.clear()

    def close(self) -> None:
        """Watch nothing any more."""
        self._calm.stop()
        self.release()
        for event in self._dims:
            event.disconnect(self._now)

    def _connect(self, event: Any, callback: Callable[..., None]) -> None:
        event.connect(callback)
        self._release.append(partial(event.disconnect, callback))

    def _now(self, _: Any = None) -> None:
        self._again()

    def _replaced(self, _: Any = None) -> None:
        """Forget the pixels of an image that has others now."""
        self._prints.clear()
        self._again()

    def _soon(self, _: Any = None) -> None:
        """Wait until a slider comes to rest."""
        self._calm.start()

    def _refreshed(self, event: Any) -> None:
        """Compare the pixels in view: napari tells of a refresh, not of what was edited."""
        self._compare(event.source)

    def _compare(self, image: Image) -> None:
        """Tell of the pixels in view if they were changed in place, of arrays in memory."""
        if self._seen is None:
            return
        source, view = self._seen
        if not isinstance(source.data, np.ndarray):
            return  # reading stored planes again would cost more than it tells
        plane = source.axes.read(source.data, view.index)
        steps = tuple(-(-size // _SAMPLE) for size in plane.shape[:2])
        name = (source.axes.axes, view.index)
        now = hash(plane[:: steps[0], :: steps[1]].tobytes())
        if self._prints.setdefault(name, now) != now:
            self._prints[name] = now
            self._edited(image)
