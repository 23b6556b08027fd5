"""What the dock widget remembers: its controls, tied to the plugin's settings in napari.

The settings are declared in ``napari.yaml``, shown in napari's preferences and kept in a file
beside napari's own. What a person changes in a dock is saved at once and stays that dock's own;
what they change in the preferences shows in every open dock.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from napari.settings import get_plugin_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from magicgui.widgets.bases import CategoricalWidget

PLUGIN = "napari-fastsam"

_DECIMALS = 6  # of a slider's value, so that 0.3 is not kept as 0.30000000000000004


class Control(Protocol):
    """Anything with a value that tells when it is another."""

    value: Any
    changed: Any


@dataclass(frozen=True, slots=True)
class Kept:
    """How a control is remembered.

    Parameters
    ----------
    control
        Tells when to save.
    get
        Returns what is saved.
    put
        Shows what was saved. Raises `ValueError` where that cannot be shown.
    """

    control: Control
    get: Callable[[], Any]
    put: Callable[[Any], None]


def by_value(control: Control) -> Kept:
    """Remember the value of a control."""

    def get() -> Any:
        value = control.value
        return round(value, _DECIMALS) if isinstance(value, float) else value

    return Kept(control, get, partial(setattr, control, "value"))


def by_text(box: CategoricalWidget[Any]) -> Kept:
    """Remember a choice by its text, which is what the preferences show."""

    def put(text: str) -> None:
        box.value = box.get_choice(text)  # None, where that is no text of the box

    return Kept(box, lambda: box.current_choice, put)


class Preferences:
    """Keeps controls and the plugin's settings the same, where there are settings.

    Without the manifest, as in a script that makes the dock by itself and has no plugins, nothing
    is remembered.

    Parameters
    ----------
    kept
        How each control is remembered, by section and name in the manifest:
        ``"network.model"``.
    """

    _saving: ClassVar[bool] = False  # what one dock saves is not for the others

    def __init__(self, kept: Mapping[str, Kept]) -> None:
        self._kept = dict(kept)
        self._settings: Any = None
        self._seen: dict[str, Any] = {}  # what the settings were when they were last looked at
        self._find_settings()
        for path, how in kept.items():
            self._show(path)
            how.control.changed.connect(partial(self._save, path))

    def close(self) -> None:
        """Follow the settings no more: the controls are going away."""
        self._kept.clear()
        self._unfollow()

    def _find_settings(self) -> None:
        """Follow the settings that napari has now; it makes new ones when plugins come or go."""
        try:
            settings = get_plugin_settings(PLUGIN)
        except KeyError:
            settings = None
        if settings is self._settings:
            return
        self._unfollow()
        if settings is not None:
            self._settings = settings
            self._seen = {path: self._read(path) for path in self._kept}
            settings.events.changed.connect(self._changed)

    def _unfollow(self) -> None:
        if self._settings is not None:
            self._settings.events.changed.disconnect(self._changed)
        self._settings = None

    def _read(self, path: str) -> Any:
        section, name = path.split(".")
        return getattr(getattr(self._settings, section), name)

    def _show(self, path: str) -> None:
        """Show what is in the settings; what cannot be shown, as a lost file, is passed over."""
        if self._settings is not None:
            with suppress(ValueError):
                self._kept[path].put(self._read(path))

    def _save(self, path: str, *_: Any) -> None:
        """Put a control's value into the settings, which write their file."""
        if path not in self._kept or Preferences._saving:
            return
        self._find_settings()
        if self._settings is None:
            return
        section, name = path.split(".")
        Preferences._saving = True
        try:
            with suppress(OSError):  # a folder that cannot be written: kept until napari closes
                setattr(getattr(self._settings, section), name, self._kept[path].get())
        finally:
            Preferences._saving = False

    def _changed(self, _: Any) -> None:
        """Show what was changed in napari's preferences; they say in which section, not what."""
        now = {path: self._read(path) for path in self._kept}
        changed = [path for path, value in now.items() if value != self._seen[path]]
        self._seen = now
        if not Preferences._saving:
            for path in changed:
                self._show(path)
