"""How well words and examples choose objects, beside FastSAM's own two ways to answer words.

    python benchmarks/words.py
    python benchmarks/words.py --scenes 40 --sweep

Scenes of coloured shapes that overlap, of 10 to 200 pixels, and candidates as a network finds them;
the CLIP is the small one of the tests, the same for all. Precision, recall and F1 are those of all
questions together; one winner is the share of questions whose best answer is right. ``--sweep``
shows what the constants of the text prompts do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from _beside import print_table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/clip"))

from fastsam_ways import Clip
from text_contest import SHAPES_CLIP, WAYS, Outcome, ours, outcomes, rounds, theirs
from text_judging import total

from napari_fastsam import Looks, OpenClip, Prompts, select
from napari_fastsam.matching import TEXT_THRESHOLD
from napari_fastsam.models import _looking_at

if TYPE_CHECKING:
    from shape_scenes import Query, Scene

KINDS = ("one", "several", "texture", "part", "negative", "phrases")
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
COSINES = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
EXAMPLES = 3  # of a scene


def figures(found: list[Outcome]) -> list[str]:
    """Return precision, recall, F1, right winners, wrong answers where there are none, by kind."""
    whole = total(one.tally for one in found)
    present = [one for one in found if one.query.kind != "none"]
    absent = [one.tally.wrong for one in found if one.query.kind == "none"]
    return [
        *(f"{value:.2f}" for value in (whole.precision, whole.recall, whole.f1)),
        f"{np.mean([one.winner for one in present]):.2f}",
        f"{np.mean(absent):.2f}",
        *(f"{total(o.tally for o in found if o.query.kind == kind).f1:.2f}" for kind in KINDS),
    ]


def compared(asked: list[tuple[Scene, list[Query]]]) -> None:
    """Print the table of both modes and both ways."""
    clip = Clip(SHAPES_CLIP)
    rows = []
    for mode in ("crops", "dense"):
        scorer = OpenClip(SHAPES_CLIP, device="cpu", mode=mode)
        rows.append([mode, *figures(outcomes(asked, lambda made, s=scorer: ours(made, s)))])
    for way in WAYS:
        rows.append([way, *figures(outcomes(asked, lambda made, w=way: theirs(made, clip, w)))])
    print_table(("", "precision", "recall", "F1", "winner", "none: wrong", *KINDS), rows)


def similar(asked: list[tuple[Scene, list[Query]]]) -> None:
    """Print how well the vectors rank what has the same words as an example, and by threshold."""
    rows = []
    for mode in ("crops", "dense"):
        scorer = OpenClip(SHAPES_CLIP, device="cpu", mode=mode)
        precisions, tallies = [], np.zeros((len(COSINES), 3))
        for made, _ in asked:
            looks = Looks.of(scorer, made.image, made.candidates)
            for alike, relevant in _examples(made, looks):
                order = np.argsort(-alike)
                hits = np.cumsum(relevant[order])
                ranks = np.flatnonzero(relevant[order])
                precisions.append(np.mean(hits[ranks] / (ranks + 1)))
                for n, threshold in enumerate(COSINES):
                    taken = alike >= threshold
                    tallies[n] += [
                        (taken & relevant).sum(),
                        (taken & ~relevant).sum(),
                        (~taken & relevant).sum(),
                    ]
        right, wrong, missed = tallies.T
        by_threshold = 2 * right / (2 * right + wrong + missed)
        rows.append(
            [mode, f"{np.mean(precisions):.2f}", *(f"{value:.2f}" for value in by_threshold)]
        )
    print_table(("find similar", "average precision", *(f"F1 at {c}" for c in COSINES)), rows)


def _examples(made: Scene, looks: Looks) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for some objects how alike all candidates of others are, and whether rightly so."""
    found = []
    words = [(thing.colour, thing.shape) for thing in made.things]
    for example in [n for n, said in enumerate(words) if words.count(said) > 1][:EXAMPLES]:
        own = np.flatnonzero(made.truth == example)
        if not len(own):
            continue
        others = made.truth != example
        same = np.array([said == words[example] for said in words])
        relevant = (made.truth >= 0) & same[made.truth]
        if (relevant & others).any():
            found.append((looks.likeness(own[:1])[others], relevant[others]))
    return found


def swept(asked: list[tuple[Scene, list[Query]]]) -> None:
    """Print F1 by the weight of the object alone, the size of its context, and the threshold."""
    alone, around = _looking_at.ALONE, _looking_at.AROUND
    rows = []
    for weight, context in [
        *((w, around) for w in (0.0, 0.25, 0.5, 0.75, 1.0)),
        *((alone, a) for a in (1.2, 2.0, 2.5)),
    ]:
        _looking_at.ALONE, _looking_at.AROUND = weight, context
        scorer = OpenClip(SHAPES_CLIP, device="cpu", mode="crops")
        looks = [Looks.of(scorer, made.image, made.candidates) for made, _ in asked]
        by_threshold = []
        for threshold in THRESHOLDS:

            def answering(made: Scene, least: float = threshold, known: list = looks) -> tuple:
                of = next(k for k, (other, _) in zip(known, asked, strict=True) if other is made)

                def answers(query: Query) -> np.ndarray:
                    prompts = Prompts(text=query.text, threshold=least)
                    return select(made.candidates, prompts, looks=of).answers

                return answers, answers

            by_threshold.append(total(o.tally for o in outcomes(asked, answering)).f1)
        rows.append([f"{weight:g}", f"{context:g}", *(f"{value:.2f}" for value in by_threshold)])
    _looking_at.ALONE, _looking_at.AROUND = alone, around
    print_table(("alone", "around", *(f"F1 at {t}" for t in THRESHOLDS)), rows)
    print(f"Now: alone {alone:g}, around {around:g}, threshold {TEXT_THRESHOLD:g}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args()
    chosen = rounds(range(options.scenes))
    compared(chosen)
    similar(chosen)
    if options.sweep:
        swept(chosen)
