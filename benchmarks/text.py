"""How long words take on a plane with many objects, in both modes, beside ultralytics.

Both sides have the same CLIP, of a real architecture with random weights, and the same objects.
Ours looks at the objects once, and then compares; theirs is `FastSAMPredictor.prompt`, which shows
all objects to CLIP at each question, so that a further one takes it as long as the first. Its CLIP
package is not needed: it is given an object with that package's methods around the same network.
Memory is what a first question adds, at its peak, to a process that has read the weights and the
objects and used the network once.

    python benchmarks/text.py
    python benchmarks/text.py --repeats 1 --objects 60 --architecture ViT-B-16
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from _beside import discs, interleaved, print_table, seconds
from everything import added_bytes
from napari_fastsam import Instances, OpenClip
from napari_fastsam.models._ultralytics import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Ask = Callable[[str], object]

SIDES = ("dense", "crops", "ultralytics")
WORDS = ("bright disc", "nucleus", "cell", "red blood cell", "vessel", "button", "coin", "drop")


def write_weights(path: Path, architecture: str) -> None:
    """Write a CLIP with random weights as a checkpoint."""
    from open_clip import get_model_config
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    config = get_model_config(architecture)
    state = {name: tensor.contiguous() for name, tensor in CLIP(**config).state_dict().items()}
    save_file(state, path, {"model_cfg": json.dumps(config)})


def objects_of(image: NDArray[np.uint8]) -> Instances:
    """Return the discs of an image as candidates."""
    from skimage.measure import label
    from skimage.morphology import opening

    bright = opening(image[..., 0] > 100, np.ones((3, 3), bool))
    found = Instances.from_labels(label(bright))
    return found[found.areas > 100]  # ultralytics leaves out those that are smaller


def ours(
    weights: Path, mode: Any, image: NDArray[np.uint8], candidates: Instances
) -> tuple[OpenClip, Ask]:
    """Return a scorer that has read its weights, and what answers a first question."""
    scorer = OpenClip(weights, device="cpu", mode=mode)

    def ask(text: str, some: Instances = candidates) -> object:
        vectors = scorer.embed(image, some)
        assert vectors is not None
        return scorer.score(vectors, text)

    ask("thing", candidates[:1])
    return scorer, ask


class ClipOfTheirs:
    """What `ultralytics.nn.text_model.CLIP` does, around an open_clip network."""

    def __init__(self, weights: Path, architecture: str) -> None:
        import open_clip
        from safetensors.torch import load_file

        self.model = open_clip.model.CLIP(**open_clip.get_model_config(architecture)).eval()
        self.model.load_state_dict(load_file(weights))
        self.image_preprocess = open_clip.image_transform(
            self.model.visual.image_size, is_train=False
        )
        self.tokenize = open_clip.tokenize

    @torch.inference_mode()
    def encode_text(self, texts: torch.Tensor) -> torch.Tensor:
        """Return (T, D)."""
        return self.model.encode_text(texts, normalize=True)

    @torch.inference_mode()
    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B, D)."""
        return self.model.encode_image(images, normalize=True)


def theirs(
    weights: Path, architecture: str, image: NDArray[np.uint8], candidates: Instances
) -> Ask:
    """Return what answers a question as ultralytics does, with the weights read."""
    sys.modules.setdefault("clip", ModuleType("clip"))  # is imported there, and not used
    with contained():
        from ultralytics.engine.results import Results
        from ultralytics.models.fastsam import FastSAMPredictor

        predictor = FastSAMPredictor(overrides={"device": "cpu", "save": False, "verbose": False})
    predictor.device = torch.device("cpu")
    predictor.clip = ClipOfTheirs(weights, architecture)
    predictor.clip.encode_image(torch.zeros(1, 3, *predictor.clip.model.visual.image_size))
    masks = torch.zeros(len(candidates), *candidates.shape, dtype=torch.uint8)
    for n, (top, left, bottom, right) in enumerate(candidates.bboxes.tolist()):
        masks[n, top:bottom, left:right] = torch.from_numpy(candidates.mask(n).copy())
    nothing = np.zeros_like(candidates.scores)
    rows = np.column_stack([candidates.bboxes[:, [1, 0, 3, 2]], candidates.scores, nothing])
    boxes = torch.from_numpy(rows.astype(np.float32))
    results = Results(image, "", {0: "object"}, boxes=boxes, masks=masks)
    return lambda text: predictor.prompt(results, texts=[text])


def asker(
    side: str, weights: Path, architecture: str, image: NDArray[np.uint8], candidates: Instances
) -> Ask:
    """Return what answers a first question on a side."""
    if side == "ultralytics":
        return theirs(weights, architecture, image, candidates)
    return ours(weights, side, image, candidates)[1]


def memory_of(side: str, weights: Path, options: argparse.Namespace) -> float:
    """Return the megabytes that a first question adds, measured in a process of its own."""
    command = [sys.executable, __file__, "--memory", side, "--weights", str(weights)]
    command += ["--objects", str(options.objects), "--side", str(options.side)]
    command += ["--architecture", options.architecture]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1]) / 1e6


def first_questions(
    askers: Sequence[Ask], candidates: Instances, repeats: int, memory: Sequence[float]
) -> float:
    """Print how long the first question about a plane takes, and return theirs in seconds."""
    times = interleaved([lambda ask=ask: ask(WORDS[0]) for ask in askers], repeats)
    print(f"First question, {len(candidates)} objects on a plane of {candidates.shape}")
    rows = [
        [side, f"{time:.2f}", f"{times[-1] / time:.2f}", f"{added:.0f}"]
        for side, time, added in zip(SIDES, times, memory, strict=True)
    ]
    print_table(["", "s", "times faster", "MB"], rows)
    return times[-1]


def further_questions(scorer: OpenClip, vectors: NDArray[np.float32], their: float) -> None:
    """Print how long later questions take, in words that were asked for before and in new ones."""
    new = [seconds(lambda w=word: scorer.score(vectors, w)) for word in WORDS[1:]]
    known = [seconds(lambda w=word: scorer.score(vectors, w)) for word in WORDS * 20]
    print("\nEvery further question")
    rows = [
        [name, f"{1e3 * median(times):.2f}", f"{their / median(times):,.0f}"]
        for name, times in (("known words", known), ("new words, which are read", new))
    ]
    print_table(["", "ms", "times faster"], [*rows, ["ultralytics", f"{1e3 * their:,.0f}", "1"]])


def main() -> None:
    """Print the tables, or one side's memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--objects", type=int, default=300)
    parser.add_argument("--side", type=int, default=1024, help="of the plane, in pixels")
    parser.add_argument("--architecture", default="ViT-B-32", help="of open_clip")
    parser.add_argument("--memory", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    image = discs(options.side, options.objects)
    if options.memory:
        candidates = objects_of(image)
        ask = asker(options.memory, options.weights, options.architecture, image, candidates)
        print(added_bytes(lambda: ask(WORDS[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "clip.safetensors"
        write_weights(weights, options.architecture)
        candidates = objects_of(image)
        memory = [memory_of(side, weights, options) for side in SIDES]
        scorer, dense = ours(weights, "dense", image, candidates)
        _, crops = ours(weights, "crops", image, candidates)
        askers = [dense, crops, theirs(weights, options.architecture, image, candidates)]
        their = first_questions(askers, candidates, options.repeats, memory)
        one = scorer.embed(image, candidates[:1])
        assert one is not None
        further_questions(scorer, np.repeat(one, len(candidates), axis=0), their)


if __name__ == "__main__":
    main()
