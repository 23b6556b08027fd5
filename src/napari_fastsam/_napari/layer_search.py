"""What `segment_layers` searches for by words and examples, and what it tells of the answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from napari_fastsam._napari.drawn import PromptsByPlane
from napari_fastsam._napari.finds import Finds, Told, table_of
from napari_fastsam.prompts import Prompts
from napari_fastsam.segmenter import TextSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari.layers import Labels

    from napari_fastsam.history import History, Step
    from napari_fastsam.pipeline import Index, Scorer
    from napari_fastsam.requests import PlaneResult, Request


def with_search(
    drawn: PromptsByPlane | None, planes: Iterable[Index], **search: Any
) -> PromptsByPlane | None:
    """Return what is asked on each plane: what is drawn, and what is searched for.

    Parameters
    ----------
    drawn
        Prompts of layers, ``None`` without any.
    planes
        Those that are looked at.
    search
        ``text``, ``similar``, ``threshold`` and ``top_k``, as in `Prompts`.

    Raises
    ------
    ValueError
        If nothing is searched for so, see `Prompts`.
    """
    if all(value is None or value is False for value in search.values()):
        return drawn
    asked: Mapping[Index, Prompts] = {} if drawn is None else drawn.planes
    if search["text"] is not None:
        asked = {index: asked.get(index, Prompts()) for index in planes}
    elif not asked:
        Prompts(**search)  # says what is missing
    found = {index: replace(prompts, **search) for index, prompts in asked.items()}
    return PromptsByPlane(found) if drawn is None else drawn._replace(planes=found)


def described(scorer: Scorer | None, request: Request) -> Any:
    """Return what the scorer of a request is built from; nothing if nobody asked for it."""
    if not any(prompts.searching for prompts in (request.prompts or {}).values()):
        return None
    if isinstance(scorer, str | PathLike):
        return TextSpec(model=fspath(scorer))
    return TextSpec() if scorer is None else getattr(scorer, "spec", scorer)


@dataclass(slots=True, eq=False)
class Answers:
    """What came of the prompts of all planes."""

    unanswered: int = 0
    """How many prompts found nothing; of words, those that describe nothing on any plane."""
    _told: dict[int, Told] = field(default_factory=dict)
    _missing: dict[str, bool] = field(default_factory=dict)

    def add(self, result: PlaneResult, prompts: Prompts | None, numbers: Mapping[int, int]) -> None:
        """Add those of a plane, whose labels have other numbers in the layer."""
        if prompts is None or result.selection is None:
            return
        if prompts.text is None:
            self.unanswered += len(result.selection.unanswered)
        answered = {found.text for found in result.found.values()}
        for phrase in prompts.phrases if prompts.text is not None else ():
            self._missing[phrase] = self._missing.get(phrase, True) and phrase not in answered
        for own, number in numbers.items():
            if own in result.found:
                told = Told(result.scores.get(own, 0.0), *result.found[own])
                before = self._told.get(number, told)
                self._told[number] = max(before, told, key=lambda one: one.likeness or 0.0)

    @property
    def missing(self) -> list[str]:
        """The words that describe nothing."""
        return [phrase for phrase, missing in self._missing.items() if missing]

    def shortfall(self, left_out: str) -> str:
        """Say which prompts came to nothing, or why they were left out, and what to do."""
        parts = [f"{self.unanswered} found no object"] * (self.unanswered > 0)
        parts += [left_out] * (left_out != "")
        said = []
        if parts:
            said.append(f"Of the prompts, {', and '.join(parts)}. Move them onto objects.")
        if self.missing:
            words = ", ".join(map(repr, self.missing))
            said.append(f"No object found for {words}. Try other words, or a lower threshold.")
        return " ".join(said)

    def show(self, labels: Labels, step: Step, history: History) -> None:
        """Write how objects were found into the layer's features."""
        if self._told:
            finds = Finds(labels)
            finds.tell(step, table_of(self._told))
            finds.show(history)
