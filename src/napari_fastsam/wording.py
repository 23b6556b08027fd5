"""What a person asks for in words: phrases that are wanted, and phrases that are not."""

from __future__ import annotations

import re
from typing import NamedTuple

from napari_fastsam._checks import fail_if

ANYTHING = "anything"
"""What is wanted where only unwanted phrases are named."""


class Wording(NamedTuple):
    """The phrases of a text, in order, each once.

    Parameters
    ----------
    wanted
        Each asks for all objects that it describes.
    unwanted
        No object that one of these describes better is an answer.
    """

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether all is wanted that is not unwanted."""
        return self.wanted == (ANYTHING,) and bool(self.unwanted)

    @classmethod
    def parse(cls, text: str) -> Wording:
        """Return the phrases of a text.

        Parameters
        ----------
        text
            Phrases with ``|`` or ``,`` between them; those that begin with *not* are unwanted. Of
            these alone, `ANYTHING` else is wanted.

        Raises
        ------
        ValueError
            If there is no phrase in it.

        Examples
        --------
        >>> Wording.parse("red circle | green  square, not background")
        Wording(wanted=('red circle', 'green square'), unwanted=('background',))
        """
        parts = [" ".join(part.split()) for part in re.split(r"[|,]", text)]
        denied = [re.fullmatch(r"not\b\s*(.*)", part, re.IGNORECASE) for part in parts]
        unwanted = [match[1] for match in denied if match and match[1]]
        wanted = [part for part, match in zip(parts, denied, strict=True) if part and not match]
        fail_if(
            not any(char.isalnum() or ord(char) > 127 for char in "".join([*wanted, *unwanted])),
            "words for what is wanted",
            f"the text {text!r}" if text.strip() else "no text",
            'name it, as "nucleus", "red circle | square" or "cell, not debris"',
        )
        return cls(_each_once(wanted) or (ANYTHING,), _each_once(unwanted))


def _each_once(phrases: list[str]) -> tuple[str, ...]:
    """Return the phrases without repetitions, however they are capitalised."""
    once: dict[str, str] = {}
    for phrase in phrases:
        once.setdefault(phrase.casefold(), phrase)
    return tuple(once.values())
