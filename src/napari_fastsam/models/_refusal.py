"""How it is said that a file of weights cannot be used: expected, arrived, what to do."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A file of weights cannot be used; the message says what to do."""

    @classmethod
    def because(cls, expected: str, arrived: str, remedy: str) -> CheckpointError:
        """Return the error whose message has the three parts that every error has."""
        return cls(f"Expected {expected}, but {arrived}. {remedy}")


def damaged(arrived: str) -> CheckpointError:
    """Return the error for a file that is not as its writer left it."""
    return CheckpointError.because(
        "a whole file as torch.save writes it",
        arrived,
        "The download or copy is probably incomplete: fetch it again.",
    )


def unsafe(arrived: str) -> CheckpointError:
    """Return the error for a file that holds what weights never need."""
    return CheckpointError.because(
        "a file of weights and nothing else",
        arrived,
        "Nothing in it was run. Do not use this file; get it from the model's own publisher.",
    )


def shown(text: object) -> str:
    """Return text of a stranger's file so that it can be printed: ASCII, short, in quotes."""
    if isinstance(text, bytes | bytearray):
        text = text.decode("utf-8", errors="replace")
    cut = str(text) if len(str(text)) <= 60 else f"{str(text)[:57]}..."
    return ascii(cut)
