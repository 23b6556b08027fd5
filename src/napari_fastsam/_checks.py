"""How the package says no: what was expected, what arrived, what to do."""

from __future__ import annotations


def message(expected: str, arrived: str, remedy: str) -> str:
    """Return the three parts of an error as one text."""
    return f"Expected {expected}. Got {arrived}. To fix it: {remedy}."


def fail_if(
    fault: object,
    expected: str,
    arrived: str,
    remedy: str,
    error: type[Exception] = ValueError,
) -> None:
    """Raise `error` with the three parts if there is a `fault`."""
    if fault:
        raise error(message(expected, arrived, remedy))
