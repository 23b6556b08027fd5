"""Large planes, from a stored array to painted regions."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import Batching, BlobSegmenter, Network
from napari_fastsam import (
    CandidateCache,
    Cleanup,
    Instances,
    ModelSpec,
    PlaneAxes,
    Prompts,
    Request,
    Tiled,
    run,
)
from napari_fastsam.pipeline import run_regions
from napari_fastsam.planes import Display, to_rgb

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (200, 280)
LIMITS = Display(contrast_limits=(0, 255))


class Cut(BlobSegmenter):
    """Finds blobs, and has large planes seen in tiles of a size."""

    def __init__(self, tile: int = 96) -> None:
        super().__init__()
        self.spec = ModelSpec(model="blobs", tile=tile)


def cells(shape: tuple[int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    """Discs of many sizes on a grid, and a ring across all of it."""
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    image = np.zeros(shape, np.uint8)
    for row in range(15, shape[0] - 10, 24):
        for col in range(15, shape[1] - 10, 24):
            radius = rng.uniform(2, 10)
            image[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = 200
    away = np.hypot(rows - shape[0] / 2, cols - shape[1] / 2)
    image[np.abs(away - 0.4 * shape[0]) < 9] = 0
    image[np.abs(away - 0.4 * shape[0]) < 6] = 255
    return image


def painted(request: Request, model: Any, side: int | tuple[int, int] = 64) -> np.ndarray:
    labels = np.full(request.layout.label_shape, 12345, np.uint32)
    for plane in run_regions(request, model):
        part = labels[request.layout.key(plane.index)]
        for region, values in plane.regions(side):
            part[region] = values
    return labels


def labelled(request: Request, model: Any) -> np.ndarray:
    labels = np.zeros(request.layout.label_shape, np.uint32)
    for result in run(request, model):
        request.layout.write(labels, result.index, result.labels)
    return labels


def same_objects(one: np.ndarray, other: np.ndarray) -> None:
    """Assert that two label images hold the same objects, whatever their numbers."""
    assert ((one > 0) == (other > 0)).all()
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(one)) == len(np.unique(other))


STACK = np.stack([cells(seed=seed) for seed in range(2)])
PROMPTS = Prompts(points=[(39, 39), (180, 140), (0, 0)], boxes=[(30, 78, 48, 97)])

REQUESTS = {
    "everything": {},
    "cleaned": {"cleanup": Cleanup(opening=2, fill_holes=9, min_area=40, clear_border=True)},
    "filtered": {"min_area": 60, "max_area": 300, "confidence": 0.5},
    "prompts": {"prompts": {(0,): PROMPTS, (1,): PROMPTS}},
    "prompts, cleaned": {"prompts": {(1,): PROMPTS}, "cleanup": Cleanup(min_area=90)},
    "linked": {"link": True},
    "linked and cleaned": {"link": True, "cleanup": Cleanup(opening=3)},
    "cached": {"key": "stack"},
}
MODELS = {
    "at once": BlobSegmenter,
    "tiles": Cut,
    "Tiled": lambda: Tiled(BlobSegmenter(), size=80, overlap=20),
    "off": lambda: Network(image_size=64, least=1, tile="off"),
    "auto": lambda: Network(image_size=64, least=4),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("options", REQUESTS)
def test_painted_regions_are_the_labels_of_run(options: str, model: str) -> None:
    request = Request(data=STACK, axes=PlaneAxes("ZYX", STACK.shape), **REQUESTS[options])
    whole, parts = labelled(request, MODELS[model]()), painted(request, MODELS[model]())
    assert whole.any()
    for index in request.planes():
        np.testing.assert_array_equal(parts[index], whole[index])


@pytest.mark.parametrize("options", ["everything", "prompts", "linked", "prompts, cleaned"])
def test_what_is_told_of_a_plane_is_told_with_regions_too(options: str) -> None:
    request = Request(data=STACK, axes=PlaneAxes("ZYX", STACK.shape), **REQUESTS[options])
    for plane, result in zip(run_regions(request, Cut()), run(request, Cut()), strict=True):
        assert plane.index == result.index
        assert plane.scores == result.scores
        assert plane.numbers == result.numbers
        assert plane.windows == result.windows
        assert len(plane.candidates) == len(result.candidates)


def test_what_scores_too_low_to_be_labelled_is_not_kept_without_a_cache() -> None:
    class Doubtful(Cut):
        def segment(self, image: np.ndarray) -> Instances:
            found = super().segment(image)
            scores = np.where(found.areas > 100, 0.9, 0.06)
            return Instances(found.shape, found.bboxes, scores, found.buffer)

    request = Request(data=STACK[0])
    (plane,), (result,) = run_regions(request, Doubtful()), run(request, Doubtful())
    assert 0 < len(plane.candidates) < len(result.candidates)
    np.testing.assert_array_equal(plane.labels((0, 0, *SHAPE)), result.labels)
    cache = CandidateCache()
    list(run_regions(Request(data=STACK[0], key="a"), Doubtful(), cache=cache))
    (again,) = run(Request(data=STACK[0], key="a"), Doubtful(), cache=cache)
    assert len(again.candidates) == len(result.candidates)


@pytest.mark.parametrize("model", ["tiles", "auto", "off"])
@pytest.mark.parametrize(
    "store",
    [
        lambda image, _: da.from_array(image, chunks=(57, 101)),
        lambda image, _: zarr.array(image, chunks=(64, 64)),
        lambda image, path: written(image, path),
        lambda image, path: np.load(saved(image, path), mmap_mode="r"),
    ],
    ids=["dask", "zarr", "zarr with shards", "memory map"],
)
def test_every_store_gives_the_same_labels(store: Any, model: str, tmp_path: Path) -> None:
    image = cells()
    expected = painted(Request(data=image), MODELS[model]())
    assert expected.any()
    stored = store(image, tmp_path)
    np.testing.assert_array_equal(painted(Request(data=stored), MODELS[model]()), expected)


def written(image: np.ndarray, path: Path) -> zarr.Array:
    array = zarr.create_array(
        path / "image.zarr", shape=image.shape, chunks=(32, 32), shards=(128, 64), dtype="uint8"
    )
    array[:] = image
    return array


def saved(image: np.ndarray, path: Path) -> Path:
    np.save(path / "image.npy", image)
    return path / "image.npy"


def test_tiles_of_a_pyramid_are_those_of_its_full_resolution() -> None:
    image = cells((384, 448))
    levels = tuple(image[::step, ::step] for step in (2, 4, 8))
    for model in ("tiles", "auto"):
        alone = painted(Request(data=image, display=LIMITS), MODELS[model]())
        among = painted(Request(data=image, levels=levels, display=LIMITS), MODELS[model]())
        same_objects(among, alone)


class Recorder:
    """An array that writes down how much of it is read at once, and in all."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.ndim = data, data.shape, data.dtype, data.ndim
        self.sizes: list[int] = []

    def __getitem__(self, key: Any) -> np.ndarray:
        part = self.data[key]
        self.sizes.append(part.size)
        return part


def test_a_large_plane_is_read_tile_by_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_fastsam.pictures.BLOCK", 5000)
    lazy = Recorder(cells())
    assert painted(Request(data=lazy), Cut(96)).any()
    assert max(lazy.sizes) <= 96 * 96


def test_the_look_at_the_whole_is_at_a_level_that_is_large_enough() -> None:
    image = cells((384, 448))
    full = Recorder(image)
    half, eighth = Recorder(image[::2, ::2]), Recorder(image[::8, ::8])
    request = Request(data=full, levels=(half, eighth))
    network = Network(image_size=56, least=2)
    assert painted(request, network).any()
    assert sum(eighth.sizes) > 0
    assert sum(half.sizes) == 0
    assert max(full.sizes) < image.size // 4


def test_progress_counts_the_tiles_of_each_plane() -> None:
    told: list[tuple[int, int]] = []
    list(run(Request(data=STACK), Cut(), looked=lambda *count: told.append(count)))
    total = told[0][1]
    assert total == 12
    assert told == [(n, total) for n in range(1, total + 1)] * 2


@pytest.mark.parametrize("source", [run, run_regions])
def test_cancelling_in_the_middle_keeps_the_planes_before(source: Any) -> None:
    model, told = Cut(), []
    results = source(
        Request(data=STACK),
        model,
        cancelled=lambda: len(told) >= 17,
        looked=lambda *count: told.append(count),
    )
    assert [result.index for result in results] == [(0,)]
    assert told[-1] == (5, 12)
    assert model.calls == 12 + 5 + 2  # and each plane as a whole


@pytest.mark.parametrize("after", [1, 3])
def test_cancelling_while_tiles_are_chosen_ends_the_run(after: int) -> None:
    model = Network(image_size=64, least=4)
    assert not list(run(Request(data=cells()), model, cancelled=lambda: model.calls >= after))
    assert model.calls == after


def test_a_cancelled_plane_is_not_cached() -> None:
    cache, told = CandidateCache(), []
    request = Request(data=cells(), key="a")
    looks = {"cancelled": lambda: len(told) > 3, "looked": lambda *count: told.append(count)}
    assert not list(run(request, Cut(), cache=cache, **looks))
    assert len(cache) == 0


def test_an_unreadable_chunk_is_an_error_that_says_where(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=SHAPE, chunks=(64, 64), dtype="uint8")
    array[:] = np.random.default_rng(0).integers(0, 256, SHAPE)
    (chunk,) = tmp_path.glob("a.zarr/c/2/3")
    chunk.write_bytes(b"damaged")
    where = r"Expected pixels in rows \d+ to \d+ and columns .* Got .*To fix it: "
    with pytest.raises(OSError, match=where):
        list(run(Request(data=array), Cut()))


def test_an_error_in_a_tile_names_the_tile_and_the_plane() -> None:
    def failing(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info and block_info[0]["chunk-location"] == (1, 1, 2):
            raise RuntimeError("the disk is gone")
        return block

    lazy = da.from_array(STACK, chunks=(1, 100, 100)).map_blocks(failing, dtype=np.uint8)
    model = Tiled(BlobSegmenter(), size=90, overlap=10, whole=False)
    results = run(Request(data=lazy, display=LIMITS), model)
    next(results)  # the plane before is good
    where = r"rows 55 to 145 and columns 126 to 216 of plane \(1,\).*the disk is gone"
    with pytest.raises(OSError, match=where) as raised:
        next(results)
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_tiles_without_a_number_are_empty_and_the_others_stay() -> None:
    image = cells().astype(np.float32)
    expected = painted(Request(data=image, display=LIMITS), Cut())
    image[70:140, 140:] = np.nan
    labels = painted(Request(data=image, display=LIMITS), Cut())
    assert not labels[70:140, 140:].any()
    same_objects(labels[:60], expected[:60])
    same_objects(labels[:140, :40], expected[:140, :40])


@pytest.mark.parametrize("value", [np.nan, 0.0, 17.0])
@pytest.mark.parametrize("model", ["tiles", "auto", "off"])
def test_a_plane_of_one_value_has_no_objects(value: float, model: str) -> None:
    image = np.full(SHAPE, value, np.float32)
    assert not painted(Request(data=image), MODELS[model]()).any()


def test_a_constant_tile_among_others_is_shown_as_in_the_whole_plane() -> None:
    image = cells().astype(np.uint16) * 100
    image[:110, :120] = 5100  # below the threshold, at a fifth of the scale
    labels = painted(Request(data=image), Cut())
    assert not labels[:100, :110].any()
    assert labels[120:].any()


def test_tiles_can_be_set_and_switched_off() -> None:
    image = np.zeros((640, 640), np.uint8)
    for row in range(10, 620, 40):
        for col in range(10, 620, 40):
            image[row : row + 12, col : col + 12] = 200
    found, looks = {}, {}
    for tile in ("off", "auto", 64, 320):
        network = Network(image_size=64, least=4, tile=tile)
        found[tile] = len(np.unique(painted(Request(data=image), network))) - 1
        looks[tile] = network.shapes
    assert found == {"off": 0, "auto": 256, 64: 256, 320: 0}
    assert len(looks["off"]) == 1
    assert {max(shape) for shape in looks[64][1:]} == {64}
    assert {max(shape) for shape in looks[320][1:]} == {320}


@settings(max_examples=25, deadline=None)
@given(st.integers(33, 160), st.integers(33, 160), st.integers(32, 90), st.integers(0, 99))
def test_any_plane_in_any_tiles_has_the_objects_of_one_look(
    height: int, width: int, tile: int, seed: int
) -> None:
    image = cells((height, width), seed)
    expected = painted(Request(data=image, display=LIMITS), BlobSegmenter())
    same_objects(painted(Request(data=image, display=LIMITS), Cut(tile)), expected)


def test_prompts_on_a_plane_in_tiles_answer_as_in_one_look() -> None:
    image = cells()
    prompts = {(): Prompts(points=[(39, 39), (39, 63), (180, 140)])}
    request = Request(data=image, prompts=prompts, display=LIMITS)
    expected = labelled(request, BlobSegmenter())
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(labelled(request, Cut()), expected)


class Pattern:
    """A plane of squares that is made where it is read."""

    shape, dtype, ndim = (3072, 3072), np.dtype(np.uint8), 2

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        rows, cols = (np.arange(*side.indices(3072)) % 64 < 20 for side in key)
        return np.where(rows[:, None] & cols, 200, 0).astype(np.uint8)


def test_neither_plane_nor_labels_are_ever_whole_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_fastsam.pictures.BLOCK", 1 << 18)
    pattern = Pattern()
    labels = zarr.create_array(
        tmp_path / "labels.zarr", shape=pattern.shape, chunks=(512, 512), dtype="uint32"
    )
    tracemalloc.start()
    try:
        for plane in run_regions(Request(data=pattern), Cut(512)):
            for region, part in plane.regions(512):
                labels[region] = part
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(plane.scores) == 48**2
    np.testing.assert_array_equal(labels[:512, 2560:] > 0, pattern[:512, 2560:] > 0)
    assert peak < 0.5 * 4 * 3072**2


@pytest.mark.parametrize("size", [1, 3])
def test_tiles_that_are_looked_at_together_are_put_together_alike(size: int) -> None:
    model = Batching(size)
    model.spec = Cut().spec
    request, looked = Request(data=STACK), []
    results = run(request, model, looked=lambda *done: looked.append(done))
    for result, other in zip(results, run(request, Cut()), strict=True):
        np.testing.assert_array_equal(result.labels, other.labels)
        np.testing.assert_array_equal(result.candidates.buffer, other.candidates.buffer)
    assert bool(model.callers) == (size > 1)
    assert looked == [(n, looked[0][1]) for _ in STACK for n in range(1, looked[0][1] + 1)]
    plain = Tiled(BlobSegmenter(), size=80, overlap=20).segment(to_rgb(STACK[0]))
    found = Tiled(Batching(size), size=80, overlap=20).segment(to_rgb(STACK[0]))
    np.testing.assert_array_equal(found.buffer, plain.buffer)


def test_no_tile_is_looked_at_long_after_a_cancelled_one() -> None:
    model = Batching(2)
    model.spec = ModelSpec(model="blobs", tile=32)
    looked = []
    request = Request(data=STACK[0])
    results = run(
        request,
        model,
        looked=lambda *done: looked.append(done),
        cancelled=lambda: len(looked) == 3,
    )
    assert list(results) == []
    assert len(looked) == 3
    assert model.calls <= 1 + 3 + 2 * (2 + 1)
    assert looked[0][1] > 20
