"""How fast the network is on this machine, with each runtime, and what everything around it takes.

    python benchmarks/fast.py                     the network and what follows it, each runtime
    python benchmarks/fast.py --planes 200        a pipeline from zarr to zarr as well
    python benchmarks/fast.py --models starter --sizes 640 --runtimes torch openvino

Rows are a model at a size; "s" and "x" stand for FastSAM-s and FastSAM-x, of which weights are
random: that is enough for time. Their bias is set so that some 2,000 places of the image score, as
with trained weights. Floor is what the network's multiplications and additions take at the highest
rate that a product of large matrices reaches here, in the same precision. The network of each
runtime, and ultralytics' whole call on the same weights, take turns; times are medians.

Whole is from the image to masks at its full resolution, with the runtime of that row, and so many
times faster than ultralytics, which finds the same; refined is the same with edges and scores
refined, as by default. Labels are painted from the masks. Click is from a point on a plane that was
never seen to its label, refined. Memory is what a call adds to a process that ran it once, at its
peak.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import zarr
from torch.utils.flop_counter import FlopCounterMode

from _beside import CONFIDENCE, IOU, discs, interleaved, print_table, ultralytics_predictor
from everything import added_bytes
from napari_fastsam import FastSAM, Prompts, Request, run, run_regions
from napari_fastsam.models._ultralytics import network
from napari_fastsam.models.architecture import Architecture
from napari_fastsam.models.checkpoint import load_checkpoint, save_checkpoint
from napari_fastsam.models.decode import decode
from napari_fastsam.models.detect import detect
from napari_fastsam.models.device import choose_device
from napari_fastsam.models.layers import Layers
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.network import predictions
from napari_fastsam.models.registry import model_path
from napari_fastsam.models.runtimes import PACKAGES, installed, network_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_fastsam import Instances
    from napari_fastsam.models.network import Network

RANDOM = {"s": Architecture("s"), "x": Architecture("x", reg_max=26)}
OBJECTS = 300
SCORING = 2000
PEAK_SIDE = {"cpu": 3072, "cuda": 8192}


def weights_of(model: str, folder: Path) -> str:
    """Return the model's name, or write a file of random weights that score in some places."""
    if model not in RANDOM:
        return model
    path = folder / f"{model}.safetensors"
    torch.manual_seed(0)
    layers = network(RANDOM[model])
    head = layers.model[-1]  # type: ignore[index, union-attr]
    frame = torch.from_numpy(discs(640, OBJECTS))[None]
    with torch.inference_mode():
        scores = Layers(layers).train()(frame)[1].flatten()
    raised = float(np.log(CONFIDENCE) - scores.kthvalue(len(scores) - SCORING).values)
    for branch in head.cv3:
        branch[-1].bias.data += raised
    save_checkpoint(path, layers.eval().state_dict(), {"image_size": "1024"})
    return str(path)


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the most operations a second that a product of matrices reaches here."""
    side = PEAK_SIDE.get(device.type, 3072)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        synchronise(device)
        start = time.perf_counter()
        a @ b
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def operations(weights: str, frame: np.ndarray) -> int:
    """Return how many multiplications and additions the network makes of one frame."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        Layers.of(load_checkpoint(model_path(weights)))(torch.from_numpy(frame)[None])
    return int(counter.get_total_flops())


def labels_of(found: Instances) -> np.ndarray:
    """Return the label image of candidates."""
    labels = np.zeros(found.shape, np.uint32)
    found.paint(labels, np.arange(1, len(found) + 1))
    return labels


def sam_of(
    weights: str, size: int, runtime: str, options: argparse.Namespace, *, refine: bool = True
) -> FastSAM:
    """Return what finds the `OBJECTS` best candidates; without `refine`, those of ultralytics."""
    return FastSAM(
        weights,
        device=options.device,
        runtime=runtime,
        image_size=size,
        confidence=CONFIDENCE,
        iou=IOU,
        max_candidates=OBJECTS,
        refine=refine,
    )


def rows_of(
    model: str,
    size: int,
    options: argparse.Namespace,
    folder: Path,
    rates: dict[torch.dtype, float],
) -> Iterator[list[str]]:
    """Yield a row for each runtime, one for ultralytics, and one for the floor."""
    weights = weights_of(model, folder)
    device = choose_device(options.device)
    image = discs(size, OBJECTS)
    letterbox = Letterbox.fit(image.shape[:2], size)
    frame = letterbox.apply(image)
    half = device.type == "cuda"
    dtype = torch.float16 if half else torch.float32
    if dtype not in rates:
        rates[dtype] = peak(device, dtype)
    floor = operations(weights, frame) / rates[dtype]
    checkpoint = load_checkpoint(model_path(weights))
    networks: dict[str, Network] = {
        name: network_for(checkpoint, device=options.device, runtime=name)
        for name in options.runtimes
    }
    exact = {name: sam_of(weights, size, name, options, refine=False) for name in networks}
    ours = {name: sam_of(weights, size, name, options) for name in networks}
    theirs = ultralytics_predictor(weights, size, OBJECTS, device=str(device), half=half)

    def pass_of(name: str) -> None:
        networks[name]([frame])
        synchronise(device)

    works = [lambda name=name: pass_of(name) for name in networks]
    works += [lambda name=name: exact[name].segment(image) for name in exact]
    works += [lambda name=name: ours[name].segment(image) for name in ours]
    top, left, bottom, right = next(iter(exact.values())).segment(image).bboxes[0].tolist()
    centre = ((top + bottom) / 2, (left + right) / 2)  # of a disc: there is an answer
    click = Request(data=image, prompts={(): Prompts(points=[centre])})
    works += [lambda name=name: next(run(click, ours[name])) for name in ours]
    works.append(lambda: theirs(image)[0])
    for work in works:
        work()
    times = interleaved(works, options.repeats)
    count = len(networks)
    label = f"{model} {size}"
    for n, name in enumerate(networks):
        raw = networks[name]([frame])[0]
        found = ours[name].segment(image)
        rest = after(raw, letterbox, found, options.repeats)
        megabytes = added_bytes(lambda name=name: ours[name].segment(image)) / 1e6
        yield [
            label,
            name,
            milliseconds(times[n]),
            f"{times[n] / floor:.2f}",
            *map(milliseconds, rest),
            milliseconds(times[count + n]),
            milliseconds(times[2 * count + n]),
            milliseconds(times[3 * count + n]),
            f"{times[-1] / times[count + n]:.1f}",
            f"{megabytes:.0f}",
        ]
    added = added_bytes(lambda: theirs(image)[0]) / 1e6
    blank = [""] * 3
    whole = milliseconds(times[-1])
    yield [label, "ultralytics", "", "", *blank, whole, "", "", "1.0", f"{added:.0f}"]
    yield [label, "floor", milliseconds(floor), "1.00", *blank, "", "", "", "", ""]


def after(raw: Any, letterbox: Letterbox, found: Instances, repeats: int) -> list[float]:
    """Return the seconds of choosing boxes, of masks, and of painting labels, on the CPU."""
    given = type(raw)(*(part.float().cpu() for part in raw))
    settings = {"confidence": CONFIDENCE, "iou": IOU, "max_candidates": OBJECTS}

    def boxes() -> Any:
        return detect(predictions(given, CONFIDENCE).numpy(), **settings)

    detections = boxes()
    bboxes = np.ceil(letterbox.to_image(detections.boxes)).astype(np.int32)[:, [1, 0, 3, 2]]
    prototypes = given.prototypes.numpy()
    return interleaved(
        [
            boxes,
            lambda: decode(prototypes, detections.coefficients, bboxes, letterbox),
            lambda: labels_of(found),
        ],
        repeats,
    )


def milliseconds(seconds: float) -> str:
    """Return a time as text."""
    return f"{1000 * seconds:.1f}"


def pipeline_rows(
    models: Sequence[str], options: argparse.Namespace, folder: Path
) -> Iterator[list[str]]:
    """Yield planes a second from zarr to zarr, beside ultralytics on some of them, one by one."""
    for model in models:
        weights = weights_of(model, folder)
        for size in options.sizes:
            planes = [discs(size, OBJECTS, seed)[..., 0] for seed in range(4)]
            shape, chunk = (options.planes, size, size), (1, size, size)
            stack = zarr.create_array(
                folder / f"{model}{size}.zarr", shape=shape, chunks=chunk, dtype="uint8"
            )
            for n in range(options.planes):
                stack[n] = planes[n % len(planes)]
            for runtime, refine in product(options.runtimes, (False, True)):
                sam = sam_of(weights, size, runtime, options, refine=refine)
                device = choose_device(options.device)
                theirs = ultralytics_predictor(
                    weights, size, OBJECTS, device=str(device), half=device.type == "cuda"
                )
                labels = zarr.create_array(
                    folder / f"{model}{size}{runtime}.zarr",
                    shape=shape,
                    chunks=chunk,
                    dtype="uint32",
                    overwrite=True,
                )
                through(stack[: min(8, options.planes)], labels, sam)  # warm
                part = max(min(options.planes // 10, 20), 2)
                beside = []
                start = time.perf_counter()
                through(stack, labels, sam)
                spent = (time.perf_counter() - start) / options.planes
                for n in range(part):
                    start = time.perf_counter()
                    theirs(np.stack([stack[n]] * 3, -1))
                    beside.append(time.perf_counter() - start)
                yield [
                    f"{model} {size}",
                    f"{runtime}, refined" if refine else runtime,
                    f"{1 / spent:.1f}",
                    milliseconds(spent),
                    f"{median(beside) / spent:.1f}",
                ]


def through(stack: Any, labels: Any, sam: FastSAM) -> None:
    """Segment a stack, plane by plane, into a zarr array on disk."""
    for plane in run_regions(Request(data=stack), sam):
        for region, part in plane.regions(max(labels.shape[1:])):
            labels[(*plane.index, *region)] = part


def main() -> None:
    """Print the tables."""
    present = [name for name in PACKAGES if installed(name)]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["starter", "s", "x"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[640, 1024])
    parser.add_argument("--runtimes", nargs="+")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--planes", type=int, default=0, help="of a stack, from zarr to zarr")
    options = parser.parse_args()
    on_cpu = choose_device(options.device).type == "cpu"
    options.runtimes = options.runtimes or (present if on_cpu else ["torch"])
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder, rates = Path(name), {}
        header = ["network", "runtime", "network ms", "of floor", "boxes ms", "masks ms"]
        header += ["labels ms", "whole ms", "refined ms", "click ms", "times faster", "added MB"]
        cases = [(model, size) for model in options.models for size in options.sizes]
        rows = (row for case in cases for row in rows_of(*case, options, folder, rates))
        print_table(header, rows)
        for dtype, rate in rates.items():
            print(f"\n{str(dtype).removeprefix('torch.')}: {rate / 1e9:.0f} GFLOP/s at most")
        if options.planes:
            print(f"\n{options.planes} planes, read from zarr and written to zarr\n")
            header = ["network", "runtime", "planes a second", "ms a plane", "times faster"]
            print_table(header, pipeline_rows(options.models, options, folder))


if __name__ == "__main__":
    main()
