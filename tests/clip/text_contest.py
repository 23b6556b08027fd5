"""Questions about scenes, and the answers of the plugin and of FastSAM's own two ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastsam_ways import OneWinner, cut_out_on_black, rectangle_on_white
from shape_scenes import Query, Scene, queries, scene
from text_judging import Tally, judged

from napari_fastsam import Looks, Prompts, select
from napari_fastsam.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from fastsam_ways import Clip

    from napari_fastsam.segmenter import TextScorer

    Answers = Callable[[Query], np.ndarray]

SHAPES_CLIP = Path(__file__).with_name("shapes.safetensors")
WAYS = {"rectangle on white": rectangle_on_white, "cut out on black": cut_out_on_black}


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What was asked, how good the answer is, and whether the one best answer is right."""

    query: Query
    tally: Tally
    winner: bool


def rounds(seeds: Iterable[int]) -> list[tuple[Scene, list[Query]]]:
    """Return scenes with questions about them."""
    return [(made := scene(seed), queries(made, seed)) for seed in seeds]


def ours(made: Scene, scorer: TextScorer) -> tuple[Answers, Answers]:
    """Return what answers questions about a scene, and what answers them with one winner."""
    looks = Looks.of(scorer, made.image, made.candidates)

    def answers(prompts: Prompts) -> np.ndarray:
        return select(made.candidates, prompts, looks=looks).answers

    return (
        lambda query: answers(Prompts(text=query.text)),
        lambda query: answers(Prompts(text=query.text, threshold=0, top_k=1)),
    )


def theirs(made: Scene, clip: Clip, way: str) -> tuple[Answers, Answers]:
    """Return the same for one of FastSAM's ways."""
    asked = OneWinner(clip, made.image, made.candidates, WAYS[way])

    def winners(query: Query) -> np.ndarray:
        return asked.answers(Wording.parse(query.text).wanted)

    return winners, winners


def outcomes(
    asked: list[tuple[Scene, list[Query]]], answering: Callable[[Scene], tuple[Answers, Answers]]
) -> list[Outcome]:
    """Return how well each question was answered."""
    found = []
    for made, questions in asked:
        every, one = answering(made)
        for query in questions:
            winner = judged(made, query, one(query))
            found.append(Outcome(query, judged(made, query, every(query)), not winner.wrong))
    return found
