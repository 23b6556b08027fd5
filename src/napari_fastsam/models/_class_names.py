"""What the classes of a network are called, as a file tells it: short, printable, one for each."""

from __future__ import annotations

import json

MAX_CLASSES = 10_000
MAX_NAME = 100


def plain_names(names: object) -> dict[str, str]:
    """Return names by the number of their class, as JSON takes them; none if they are no names."""
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if (
        not isinstance(names, dict)
        or len(names) > MAX_CLASSES
        or not all(isinstance(name, str) for name in names.values())
    ):
        return {}
    return {str(key)[:MAX_NAME]: _shown(name) for key, name in names.items()}


def class_names(text: str, count: int) -> tuple[str, ...]:
    """Return the names of classes from JSON; none for a single class, or if one is missing."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    names = plain_names(told)
    if count < 2 or not all(names.get(str(n)) for n in range(count)):
        return ()
    return tuple(names[str(n)] for n in range(count))


def _shown(name: str) -> str:
    """Return a stranger's text without what would not print, and not too long."""
    return "".join(letter if letter.isprintable() else " " for letter in name[:MAX_NAME]).strip()
