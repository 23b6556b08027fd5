"""What CLIP is told for a phrase, and what else there is in a picture than what a person wants."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if, message

if TYPE_CHECKING:
    from collections.abc import Sequence

TEMPLATES = (
    "{}",
    "a photo of a {}.",
    "a cropped photo of the {}.",
    "a close-up picture of a {}.",
    "a {} seen under the microscope.",
    "a medical image of a {}.",
)
"""A phrase is the mean of what it says in each of these."""
BACKGROUND = (
    "background",
    "an object",
    "something",
    "a texture",
    "a blurred picture of nothing",
)
"""What else there may be, where a person does not say."""

_SPECIAL = re.compile(r"<(start|end)_of_text>", re.IGNORECASE)  # would end what CLIP reads


def sentences(phrase: str, tokenizer: Any, length: int) -> tuple[list[list[int]], str]:
    """Return the tokens of a phrase in every template, and what of it was cut.

    Parameters
    ----------
    phrase
        As a person wrote it. What is too long is cut at the end of a word.
    tokenizer
        open_clip's.
    length
        As many tokens CLIP reads, among them those for beginning and end.

    Raises
    ------
    ValueError
        If nothing of it can be read.
    """
    text = " ".join(_SPECIAL.sub(" ", phrase).split())
    fail_if(
        not tokenizer.encode(text),
        "words that CLIP can read",
        f"{phrase!r}, of which nothing is left",
        "describe what is wanted in a few English words",
    )
    room = length - 2 - max(len(tokenizer.encode(t.format(""))) for t in TEMPLATES)
    kept = _beginning(text, tokenizer, room)
    spoken = [tokenizer.encode(template.format(kept)) for template in TEMPLATES]
    return spoken, text[len(kept) :].strip()


def tell_cut(phrase: str, cut: str) -> None:
    """Warn that a phrase was too long, and say what of it CLIP does not read."""
    warnings.warn(
        message(
            "a phrase that CLIP can read, of some sixty short words at most",
            f"{phrase[:40]!r}…, of which this was cut: {cut!r}",
            "describe what is wanted in fewer words",
        ),
        UserWarning,
        stacklevel=3,
    )


def alike(first: str, second: str) -> bool:
    """Say whether two phrases are the same but for capitals and spaces."""
    return first.casefold().split() == second.casefold().split()


def _beginning(text: str, tokenizer: Any, room: int) -> str:
    """Return as much of a text, whole words if there are several, as has `room` tokens."""
    if len(tokenizer.encode(text)) <= room:
        return text
    words = text.split(" ")
    parts: Sequence[str] = [" ".join(words[:n]) for n in range(1, len(words))]
    if not parts or len(tokenizer.encode(parts[0])) > room:
        parts = [text[:n] for n in range(1, len(text))]  # a script without spaces
    low, high = 0, len(parts)
    while low < high:
        middle = (low + high) // 2
        if len(tokenizer.encode(parts[middle])) <= room:
            low = middle + 1
        else:
            high = middle
    return parts[low - 1] if low else text[:1]
