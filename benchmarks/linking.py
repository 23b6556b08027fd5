"""How many objects of a 3D ground truth keep one identity when only their planes are known.

The labels of every plane of ``plant3d`` are shuffled, then linked: by `napari_fastsam.link` and,
for comparison, by chaining each object to what it overlaps most on the plane before, with
scikit-image only. The lower rows leave objects out at random, as a network would.

    python benchmarks/linking.py ../shared/data/plant3d/masks/sample_patch.tif
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np
from skimage.io import imread
from skimage.metrics import contingency_table

from napari_fastsam import link

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def shuffled(truth: NDArray[np.integer], seed: int = 0, drop: float = 0.0) -> NDArray[np.uint32]:
    """Return the volume with labels that mean nothing beyond their plane, some objects left out."""
    rng = np.random.default_rng(seed)
    planes = np.zeros(truth.shape, np.uint32)
    for plane, labels in zip(planes, truth, strict=True):
        values = np.unique(labels[labels > 0])
        names = np.zeros(int(truth.max()) + 1, np.uint32)
        names[values] = rng.permutation(len(values)) + 1
        names[values[rng.random(len(values)) < drop]] = 0
        plane[:] = names[labels]
    return planes


def chained(planes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Name each object after the one that it overlaps most on the plane before."""
    linked = np.zeros_like(planes)
    count = 0
    for n, labels in enumerate(planes):
        names = np.zeros(int(labels.max()) + 1, np.uint32)
        if n:
            table = contingency_table(labels, linked[n - 1], normalize=False).toarray()
            table[:, 0] = 0
            names[: len(table)] = np.where(table.max(1) > 0, table.argmax(1), 0)
        names[0] = 0
        fresh = np.setdiff1d(np.unique(labels[labels > 0]), np.flatnonzero(names))
        names[fresh] = count + 1 + np.arange(len(fresh))
        count += len(fresh)
        linked[n] = names[labels]
    return linked


def consistent(truth: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which planes name at least half their pixels as a neighbour does.

    One plane of the sample's ground truth names every cell anew; it is linked, but not scored.
    """
    same = np.append(False, (truth[1:] == truth[:-1]).mean((1, 2)) >= 0.5)
    return same | np.append(same[1:], False)


def identities(
    truth: NDArray[np.integer], linked: NDArray[np.uint32]
) -> tuple[float, float, float]:
    """Return the shares of true objects with one label, nearly so, and with one of their own.

    Nearly so: on at least 95 % of the voxels, so that a cap of some pixels does not decide. Of
    their own: that label, besides, has no larger share of another object.
    """
    table = contingency_table(truth, linked, ignore_labels=[0], normalize=False).toarray()
    table = table[table[:, 1:].any(1), 1:]  # what has no label is missed, not split
    one = (table > 0).sum(1) == 1
    nearly = table.max(1) >= 0.95 * table.sum(1)
    own = nearly & (table.argmax(0)[table.argmax(1)] == np.arange(len(table)))
    return float(one.mean()), float(nearly.mean()), float(own.mean())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", help="a (Z, Y, X) label image")
    truth = imread(parser.parse_args().labels)
    methods: dict[str, Callable[[NDArray[np.uint32]], NDArray[np.uint32]]] = {
        "napari_fastsam.link": link,
        "overlap chaining": chained,
    }
    scored = consistent(truth)
    print(f"{len(np.unique(truth[truth > 0]))} objects in {truth.shape}")
    print(f"{len(np.unique(truth[scored][truth[scored] > 0]))} on the {scored.sum()} sound planes")
    print(f"{'':<32}{'all planes':^30}{'sound planes':^30}")
    columns = f"{'one label':>10}{'nearly':>10}{'its own':>10}"
    print(f"{'left out':>9} {'method':<22}{columns}{columns}{'ms/plane':>10}")
    for drop in (0.0, 0.02, 0.05):
        planes = shuffled(truth, drop=drop)
        for name, method in methods.items():
            start = time.perf_counter()
            linked = method(planes)
            elapsed = (time.perf_counter() - start) / len(planes) * 1000
            figures = identities(truth, linked) + identities(truth[scored], linked[scored])
            shares = "".join(f"{figure:>10.3f}" for figure in figures)
            print(f"{drop:>9.0%} {name:<22}{shares}{elapsed:>10.1f}")


if __name__ == "__main__":
    main()
