"""Pictures with captions, as a CLIP is trained on them: one to three things, said in many ways.

They stand in for photographs: a thing fills a quarter to nearly all of the frame, on some ground or
cut out on an even one, sharp or blurred. No picture is made with the plugin's own crops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import zoom
from shape_drawing import GROUNDS, SHAPES, TONES, Thing, frame, ground, inside, stands_out, tinted

SIDE = 48
ANY = ("thing", "object", "shape", "item")
EVEN = {"white": 255, "black": 0, "grey": 127}

SYNONYMS = {
    "circle": ("circle", "circle", "disc", "disk", "round shape"),
    "ring": ("ring", "ring", "donut"),
    "cross": ("cross", "cross", "plus sign"),
    "square": ("square", "square", "box"),
    "striped": ("striped", "striped", "stripy"),
    "dotted": ("dotted", "dotted", "spotted"),
    "checked": ("checked", "checked", "checkered", "chequered"),
    "plain": ("plain", "plain", "solid"),
}
NOUNS = (*ANY, *SHAPES, "disc", "disk", "donut", "sign", "box")
WITH = {"striped": "stripes", "dotted": "dots", "checked": "checks", "plain": "no pattern"}
TEMPLATES = (
    *("{}", "a {}", "the {}") * 3,
    *("a photo of a {}.", "a picture of a {}") * 3,
    "a photo of the {}.",
    "a photo of one {}.",
    "a close-up photo of a {}.",
    "a cropped photo of the {}.",
    "a bright photo of a {}.",
    "a dark photo of the {}.",
    "a blurry photo of a {}.",
    "a low resolution photo of a {}.",
    "a good photo of the {}.",
    "a bad photo of a {}.",
    "a photo of a small {}.",
    "a photo of a large {}.",
    "a photo of the hard to see {}.",
    "a drawing of a {}.",
    "an image of a {}",
    "itap of a {}.",
    "a close-up picture of a {}.",
    "a {} seen from above.",
    "a {} seen under the microscope.",
    "a medical image of a {}.",
    "there is a {} in the scene.",
    "a {} cut out",
)
GROUND_WORDS = (
    *("background", "a {} background", "the {} background", "a plain {} background") * 3,
    "an empty {} picture",
    "a photo of the background.",
    "a photo of a {} background.",
    "nothing",
    "a picture of nothing",
    "a blurred picture of nothing",
    "empty space",
    "a {} surface",
    "a {} texture",
    "a photo of a texture.",
    "a {} wall",
    "the {} ground",
    "the floor",
    "{} noise",
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """What a caption says of one thing; ``None`` where it says nothing."""

    colour: str | None = None
    texture: str | None = None
    shape: str | None = None

    def holds(self, thing: Thing) -> bool:
        """Return whether this is true of a thing."""
        return all(
            said is None or said == is_
            for said, is_ in zip(
                (self.colour, self.texture, self.shape),
                (thing.colour, thing.texture, thing.shape),
                strict=True,
            )
        )


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption, and what it says: of which things, or of the ground alone (`phrases` empty)."""

    text: str
    phrases: tuple[Phrase, ...]
    tone: str | None = None

    def holds(self, things: tuple[Thing, ...], tone: str) -> bool:
        """Return whether this is true of a picture of these things on such a ground."""
        if self.tone is not None and self.tone != tone:
            return False
        if not self.phrases:
            return not things
        return all(any(phrase.holds(thing) for thing in things) for phrase in self.phrases)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """(48, 48, 3) uint8, the things on it, the most prominent first, and the tone of its ground."""

    image: np.ndarray
    things: tuple[Thing, ...]
    tone: str


def picture(rng: np.random.Generator, *, easy: bool = False) -> Picture:
    """Draw a picture; an easy one is of one large thing, cut out on an even ground."""
    size = 2 * SIDE  # drawn twice as large: outlines are smooth once it is halved
    even = easy or rng.random() < 0.25
    tone = str(rng.choice(list(EVEN if even else TONES)))
    if even:
        canvas = np.full((size, size, 3), EVEN[tone], np.float32)
    else:
        canvas = ground((SIDE, SIDE), tone, str(rng.choice(GROUNDS)), rng)
        canvas = canvas.repeat(2, 0).repeat(2, 1)
    count = 1 if easy else int(rng.choice(4, p=[0.07, 0.6, 0.23, 0.1]))
    things = tuple(_thing(rng, tone) for _ in range(count))
    prominent = easy or rng.random() < 0.75  # as what a photograph was taken of
    largest = rng.uniform(*(0.55, 0.95) if prominent else (0.25, 0.55))
    largest = largest if count == 1 else rng.uniform(0.35, 0.65)
    places = [rng.uniform(0.2, 0.8, 2) for _ in things]
    for n, thing in reversed(list(enumerate(things))):
        extent = largest * (1 if n == 0 else rng.uniform(0.5, 0.9))
        if count == 1:
            slack = max(1 - extent, 0.1) / 2
            places[0] = 0.5 + rng.uniform(-slack, slack, 2)
        radius = extent * size / 2
        angle = rng.uniform(-0.35, 0.35)
        low = np.maximum(places[n] * size - radius - 1, 0).astype(int)
        high = (places[n] * size + radius + 2).astype(int)
        window = canvas[low[0] : high[0], low[1] : high[1]]
        u, v = frame(window.shape[:2], tuple(places[n] * size - low), radius, angle)
        where = inside(thing.shape, u, v)
        window[where] = tinted(thing, u, v, rng)[where]
    image = sum(canvas[row::2, col::2] for row in (0, 1) for col in (0, 1)) / 4
    if not easy and rng.random() < 0.25:
        image = _blurred(image, int(rng.integers(12, 32)))
    image += rng.normal(0, rng.uniform(0, 8), image.shape)
    return Picture(np.clip(image, 0, 255).astype(np.uint8), things, tone)


def _thing(rng: np.random.Generator, tone: str) -> Thing:
    """Draw a thing that can be seen on such a ground."""
    while True:
        thing = Thing.draw(rng)
        if tone in EVEN and thing.colour != tone:
            return thing
        if tone in TONES and stands_out(thing.colour, tone):
            return thing


def _blurred(image: np.ndarray, side: int) -> np.ndarray:
    """Return the picture as if it had been this small."""
    small = zoom(image, (side / SIDE, side / SIDE, 1), order=1, grid_mode=True, mode="nearest")
    return zoom(small, (SIDE / side, SIDE / side, 1), order=1, grid_mode=True, mode="nearest")


def caption(made: Picture, rng: np.random.Generator) -> Caption:
    """Draw one of the many captions of a picture."""
    if not made.things:
        text = str(rng.choice(GROUND_WORDS))
        return Caption(text.format(made.tone), (), made.tone if "{}" in text else None)
    said = made.things[: 1 if rng.random() < 0.5 else 2]
    worded = [_worded(thing, rng) for thing in said]
    tone = None
    if rng.random() < 0.1 and worded[0][1].endswith(NOUNS):
        text = " and ".join(_plural(words) for _, words in worded)
    else:
        text = str(rng.choice(TEMPLATES)).format(" and a ".join(words for _, words in worded))
        if rng.random() < 0.15:
            text = f"{text.rstrip('.')} on a {made.tone} background"
            tone = made.tone
    for wrong in ("a orange", "a object", "a item"):
        text = text.replace(wrong, wrong.replace("a ", "an "))
    text = text.replace("a something", "something").replace("the something", "something")
    return Caption(text, tuple(phrase for phrase, _ in worded), tone)


def _plural(words: str) -> str:
    """Return the words for several of a thing."""
    return words + ("es" if words.endswith(("s", "x")) else "s")


def _worded(thing: Thing, rng: np.random.Generator) -> tuple[Phrase, str]:
    """Say some of what a thing is."""
    has_texture = thing.texture != "plain"
    phrase = Phrase(
        thing.colour if rng.random() < 0.72 else None,
        thing.texture if rng.random() < (0.6 if has_texture else 0.15) else None,
        thing.shape if rng.random() < 0.78 else None,
    )
    words = [phrase.colour] if phrase.colour else []
    after = ""
    if phrase.texture and rng.random() < 0.25:
        after = f" with {WITH[phrase.texture]}"
    elif phrase.texture:
        words.insert(int(rng.integers(len(words) + 1)), _synonym(phrase.texture, rng))
    if phrase.shape:
        words.append(_synonym(phrase.shape, rng))
    elif rng.random() < 0.25:
        words.insert(0, "something")
    elif not words or after or rng.random() < 0.6:
        words.append(str(rng.choice(ANY)))
    return phrase, " ".join(words) + after


def _synonym(word: str, rng: np.random.Generator) -> str:
    """Return another word for it, or the word itself."""
    return str(rng.choice(SYNONYMS.get(word, (word,))))
