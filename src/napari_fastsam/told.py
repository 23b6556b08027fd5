"""What is said of objects besides how well they score: by a search, and by the model's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_fastsam.instances import Instances
    from napari_fastsam.selection import Selection


class Found(NamedTuple):
    """What is said of an object."""

    text: str = ""
    """The words that it answers, "" for examples."""
    likeness: float | None = None
    """How well it answers a search; ``None`` if there was none."""
    class_name: str = ""
    """Of the model's classes, "" if the model tells none apart."""

    @property
    def columns(self) -> dict[str, str | float]:
        """The same by name, as in tables and files: what is known alone."""
        told: dict[str, str | float] = {"text": self.text} if self.text else {}
        if self.likeness is not None:
            told["likeness"] = self.likeness
        return told | ({"class": self.class_name} if self.class_name else {})

    @classmethod
    def from_columns(cls, row: Mapping[str, Any]) -> Found | None:
        """Return what `columns` wrote into a row; None if there is nothing."""
        found = cls(row.get("text", ""), row.get("likeness"), row.get("class", ""))
        return found if found != cls() else None


def classes_of(found: Instances) -> tuple[Found | None, ...]:
    """Return what the model says that objects are; None of one without a class."""
    return tuple(Found(class_name=name) if name else None for name in found.class_names)


def told_of(
    candidates: Instances, selection: Selection, phrases: Sequence[str]
) -> tuple[Found | None, ...]:
    """Return what is said of each answer of a selection; None where there is nothing to say."""
    classes = (*classes_of(candidates), None)  # the last is that of -1, no answer
    known = [classes[n] for n in selection.answers]
    if selection.likeness is None:
        return tuple(known)
    searched = [
        (phrase, round(float(value), 4))
        for phrase, values in zip(phrases, selection.likeness, strict=False)
        for value in values
    ]
    return tuple(
        Found(*words, class_name="" if of is None else of.class_name)
        for words, of in zip(searched, known, strict=True)
    )
