"""Train the small CLIP that the tests of text prompts use, on pictures of coloured shapes.

    python tests/clip/train_clip.py

It is a CLIP of open_clip's own architecture and tokenizer, only small, so that every line which
loads and asks a real one is tested with it. The loss is CLIP's, in its expectation: a caption is
true of several pictures of a batch, and each of them could have been the one it was written for.
Takes minutes on two cores, and writes shapes.safetensors beside this file.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from shape_drawing import COLOURS, SHAPES, TEXTURES, Thing
from shape_pictures import Caption, Phrase, Picture, caption, picture
from torch.nn import functional

FILE = Path(__file__).with_name("shapes.safetensors")
SEED = 20
PICTURES = 12_000  # and half as many easy ones
PARTS = 16
HELD_BACK = 500
BATCH = 96
SAID = 2  # captions of each picture of a batch
RATE = 4e-3
CONTEXT = 28  # tokens of the longest caption, and some: shorter texts train faster
WORDS = (*COLOURS, *TEXTURES, *SHAPES)
UNSAID, NOTHING = -1, -2
MODEL = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": 48,
        "patch_size": 8,
        "width": 64,
        "head_width": 16,
        "layers": 4,
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 24,
        "heads": 4,
        "layers": 3,
    },
}
PREPROCESS = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def train(steps: int, threads: int) -> tuple[CLIP, dict[str, float]]:
    """Return the trained CLIP, and how often it is right on pictures that were held back."""
    torch.manual_seed(SEED)
    torch.set_num_threads(threads)
    rng = np.random.default_rng(SEED)
    with Pool(2) as pool:
        parts = pool.map(_pictures, np.random.SeedSequence(SEED).spawn(PARTS))
    easy = [made for simple, _ in parts for made in simple]
    others = [made for _, rest in parts for made in rest]
    held, pictures = others[:HELD_BACK], [*easy, *others[HELD_BACK:]]
    images = torch.from_numpy(np.stack([made.image for made in pictures])).permute(0, 3, 1, 2)
    tokenizer = SimpleTokenizer(context_length=CONTEXT)
    cfg = {**MODEL, "text_cfg": {**MODEL["text_cfg"], "context_length": CONTEXT}}
    model = CLIP(**cfg)
    spoken = _rows_of_words(tokenizer, pictures, rng)
    with torch.no_grad():
        model.token_embedding.weight[~spoken] = 0
    names = Names()
    blocks = [p for name, p in model.named_parameters() if p.ndim == 2 and "resblocks" in name]
    rest = [p for p in model.parameters() if all(p is not other for other in blocks)]
    rest += names.parameters()
    optimizers = [Muon(blocks, RATE), torch.optim.AdamW(rest, RATE, (0.9, 0.98), weight_decay=0)]
    start = time.monotonic()
    for step in range(steps):
        rate = RATE * min((step + 1) / 40, 2 * (1 - step / steps), 1)
        hard = rng.random(BATCH) < 2 * step / steps  # the easy pictures first, then fewer and fewer
        rows = rng.integers(np.where(hard, len(easy), 0), np.where(hard, len(pictures), len(easy)))
        some = [pictures[row] for row in rows]
        captions = [caption(made, rng) for made in some for _ in range(SAID)]
        seen = model.encode_image(_prepared(_mirrored(images[rows], rng)))
        said = model.encode_text(tokenizer([c.text for c in captions]), normalize=True)
        logits = model.logit_scale.exp() * functional.normalize(seen, dim=-1) @ said.T
        loss = expected_loss(logits, _truth(some, captions))
        for one in optimizers:
            one.zero_grad()
        (loss + names.loss(seen, some)).backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for one in optimizers:
            one.param_groups[0]["lr"] = rate
            one.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        if step % 50 == 49:
            print(f"step {step + 1}, {time.monotonic() - start:.0f} s: loss {loss:.3f}", flush=True)
    return model.eval(), accuracy(model, tokenizer, held)


class Names(torch.nn.Module):
    """Names colour, texture and shape of single things, so that pictures are told apart sooner.

    With words alone it takes far longer until there is anything about shapes that they could mean.
    """

    def __init__(self) -> None:
        super().__init__()
        width = MODEL["embed_dim"]
        counts = (len(COLOURS), len(TEXTURES), len(SHAPES))
        self.heads = torch.nn.ModuleList(torch.nn.Linear(width, count) for count in counts)

    def loss(self, seen: torch.Tensor, pictures: list[Picture]) -> torch.Tensor:
        """Return the mean cross entropy over the pictures (B, D) of one thing."""
        rows = [n for n, made in enumerate(pictures) if len(made.things) == 1]
        codes = torch.tensor([_codes(pictures[n].things[0]) for n in rows])
        codes -= torch.tensor([0, len(COLOURS), len(COLOURS) + len(TEXTURES)])
        named = [
            functional.cross_entropy(h(seen[rows]), c)
            for h, c in zip(self.heads, codes.T, strict=True)
        ]
        return sum(named)


class Muon(torch.optim.SGD):
    """Steps of one length in all directions of a matrix, after Jordan et al. 2024.

    As `torch.optim.Muon`, which computes in a precision that is slow on many processors.
    """

    def __init__(self, matrices: list[torch.nn.Parameter], lr: float) -> None:
        super().__init__(matrices, lr, momentum=0.95, nesterov=True)

    @torch.no_grad()
    def step(self) -> None:
        """Change the matrices."""
        for group in self.param_groups:
            for matrix in group["params"]:
                mean = self.state[matrix].setdefault("mean", torch.zeros_like(matrix))
                mean.lerp_(matrix.grad, 1 - group["momentum"])
                step = matrix.grad.lerp(mean, group["momentum"])
                step = step.T if step.shape[0] > step.shape[1] else step
                step = step / (step.norm() + 1e-7)
                for _ in range(5):
                    square = step @ step.T
                    step = 3.4445 * step + (-4.775 * square + 2.0315 * square @ square) @ step
                step = step if step.shape == matrix.shape else step.T
                matrix.sub_(step, alpha=0.2 * max(matrix.shape) ** 0.5 * group["lr"])


def expected_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return CLIP's loss over all ways in which the captions could belong to the pictures.

    Parameters
    ----------
    logits, truth
        (B, C): pictures in rows, captions in columns; of which a caption is true.
    """
    chance = truth / truth.sum(0)
    by_picture = (chance * functional.log_softmax(logits, 1)).sum()
    by_caption = (chance * functional.log_softmax(logits, 0)).sum()
    return -(by_picture + by_caption) / (2 * logits.shape[1])


@torch.no_grad()
def accuracy(model: CLIP, tokenizer: SimpleTokenizer, held: list[Picture]) -> dict[str, float]:
    """Return how often the right words win, on pictures of one thing each."""
    ones = [made for made in held if len(made.things) == 1]
    images = torch.from_numpy(np.stack([made.image for made in ones])).permute(0, 3, 1, 2)
    seen = model.encode_image(_prepared(images), normalize=True)
    right = {}
    for name, words, truth in (
        ("colour", list(COLOURS), lambda thing: thing.colour),
        ("shape", list(SHAPES), lambda thing: thing.shape),
        ("texture", list(TEXTURES), lambda thing: thing.texture),
        (
            "colour and shape",
            [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES],
            lambda thing: f"{thing.colour} {thing.shape}",
        ),
    ):
        noun = " thing" if name in ("colour", "texture") else ""
        said = model.encode_text(tokenizer([f"a photo of a {w}{noun}." for w in words]))
        best = (seen @ functional.normalize(said, dim=-1).T).argmax(1)
        right[name] = float(
            np.mean([words[b] == truth(made.things[0]) for b, made in zip(best, ones, strict=True)])
        )
    return right


def save(path: Path, model: CLIP, notes: dict[str, str]) -> None:
    """Write the weights in half precision; places in a text that were never learnt are zero."""
    state = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    places = torch.zeros(MODEL["text_cfg"]["context_length"], MODEL["text_cfg"]["width"])
    places[:CONTEXT] = state["positional_embedding"]
    state["positional_embedding"] = places.half()
    told = {"model_cfg": json.dumps(MODEL), "preprocess_cfg": json.dumps(PREPROCESS)}
    save_file(state, path, {**told, **notes})


def _pictures(seed: np.random.SeedSequence) -> tuple[list[Picture], list[Picture]]:
    """Draw a part of the pictures, the easy ones first."""
    rng = np.random.default_rng(seed)
    count = PICTURES // PARTS
    easy = [picture(rng, easy=True) for _ in range(count // 2)]
    return easy, [picture(rng) for _ in range(count)]


def _rows_of_words(
    tokenizer: SimpleTokenizer, pictures: list[Picture], rng: np.random.Generator
) -> torch.Tensor:
    """Return which rows of the token embedding the captions use."""
    spoken = torch.zeros(MODEL["text_cfg"]["vocab_size"], dtype=torch.bool)
    for made in pictures:
        spoken[tokenizer.encode(caption(made, rng).text)] = True
    spoken[[tokenizer.sot_token_id, tokenizer.eot_token_id]] = True
    return spoken


def _prepared(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 images as the network takes them."""
    mean, std = (torch.tensor(PREPROCESS[name]).view(3, 1, 1) for name in ("mean", "std"))
    return (images / 255 - mean) / std


def _mirrored(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return the images, half of them mirrored."""
    rows = torch.from_numpy(rng.random(len(images)) < 0.5)
    return torch.where(rows.view(-1, 1, 1, 1), images.flip(3), images)


def _truth(pictures: list[Picture], captions: list[Caption]) -> torch.Tensor:
    """Return (B, C): 1 where a caption is true of a picture, as `Caption.holds` says."""
    # Repeating a thing or a phrase changes no truth, and makes all of the same length.
    things = np.array([[_codes(t) for t in (p.things * 3)[:3] or (None,) * 3] for p in pictures])
    said = np.array([[_codes(s) for s in (c.phrases * 2)[:2] or (None,) * 2] for c in captions])
    things, said = things[:, None, None], said[None, :, :, None]
    fits = (said == things) | ((said == UNSAID) & (things != NOTHING))
    tones = np.array([p.tone for p in pictures])[:, None]
    asked = np.array([c.tone or "" for c in captions])
    held = fits.all(4).any(3).all(2) & ((asked == "") | (asked == tones))
    return torch.from_numpy(held).float()


def _codes(said: Thing | Phrase | None) -> list[int]:
    """Return the colour, the texture and the shape as numbers."""
    if said is None:
        return [NOTHING] * 3
    words = (said.colour, said.texture, said.shape)
    return [UNSAID if word is None else WORDS.index(word) for word in words]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=FILE)
    asked = parser.parse_args()
    begun = time.monotonic()
    trained, right = train(asked.steps, asked.threads)
    told = {name: f"{share:.3f}" for name, share in right.items()}
    print(told)
    notes = {"seed": str(SEED), "steps": str(asked.steps), "held_back_accuracy": json.dumps(told)}
    notes |= {"recipe": "tests/clip/train_clip.py", "licence": "AGPL-3.0-or-later"}
    save(asked.out, trained, notes)
    size = asked.out.stat().st_size
    print(f"{asked.out}: {size:,} bytes, {time.monotonic() - begun:.0f} s")
