"""Many images at once: batches, recordings, memory, and the first outputs of a device checked."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_fastsam import FastSAM
from napari_fastsam.ahead import THREAD_NAME
from napari_fastsam.models import tensorrt_runtime, torch_runtime
from napari_fastsam.models.batching import batches
from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.graphs import MOST, OFTEN, Recording
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.torch_runtime import MOST_FRAMES, how_many

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_fastsam import Instances


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def images() -> list[np.ndarray]:
    """Return images of three letterboxes, some of which follow each other."""
    shapes = [(60, 60), (60, 60), (60, 60), (30, 60), (60, 30), (60, 30), (60, 60)]
    return [noise((*shape, 3), n) for n, shape in enumerate(shapes)]


def require_equal(found: Instances, expected: Instances) -> None:
    assert found.shape == expected.shape
    for name in ("bboxes", "scores", "buffer"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def require_alike(found: Instances, expected: Instances) -> None:
    """Require what is the same but for the order of additions."""
    assert found.shape == expected.shape
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert np.median(expected.iou(found).max(1)) > 0.99


def alive() -> int:
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())


def test_many_images_give_what_each_gives_alone(random_sam: FastSAM) -> None:
    assert random_sam.batch_size == 1
    found = list(random_sam.segment_many(iter(images())))
    assert alive() == 0
    for one, image in zip(found, images(), strict=True):
        require_equal(one, random_sam.segment(image))
        assert len(one) > 0


def test_masks_of_many_are_made_at_the_shape_asked_for(random_sam: FastSAM) -> None:
    pair = [noise((32, 32, 3), n) for n in range(2)]
    for found, image in zip(random_sam.segment_many(pair, shape=(64, 64)), pair, strict=True):
        require_equal(found, random_sam.segment(image, shape=(64, 64)))


@pytest.fixture
def batched(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> FastSAM:
    """A network that likes three frames at once, and writes down how many it got."""
    sam = FastSAM(random_weights, device="cpu", image_size=64, max_candidates=20)
    network = sam._runtime
    assert isinstance(network, torch_runtime.TorchRuntime)
    monkeypatch.setattr(torch_runtime, "BATCH_DEVICES", ("cpu",))
    monkeypatch.setattr(network, "_memory_for", lambda height, width: (10, 60))
    model = network._model
    sam.together = []  # type: ignore[attr-defined]

    def counted(frames: torch.Tensor) -> Any:
        sam.together.append(len(frames))  # type: ignore[attr-defined]
        return model(frames)

    network._model = counted
    return sam


def test_consecutive_images_that_lie_alike_are_looked_at_together(
    batched: FastSAM, random_sam: FastSAM
) -> None:
    assert batched.batch_size == MOST_FRAMES
    many = [*images(), *(noise((60, 60, 3), n) for n in range(5))]
    for found, image in zip(batched.segment_many(many), many, strict=True):
        require_alike(found, random_sam.segment(image))
    assert batched.together == [2, 1, 1, 2, 2, 2, 2]  # type: ignore[attr-defined]
    assert alive() == 0


def test_an_image_that_cannot_be_shown_is_an_error_after_those_before_it(batched: FastSAM) -> None:
    def some() -> Iterator[np.ndarray]:
        yield from images()[:2]
        yield noise((60, 60, 3))
        yield np.zeros((4, 4), complex)

    found = batched.segment_many(some())
    assert [next(found).shape for _ in range(3)] == [(60, 60)] * 3
    with pytest.raises(TypeError, match="complex"):
        next(found)
    assert alive() == 0


def test_who_stops_asking_ends_the_threads(batched: FastSAM) -> None:
    taken: list[int] = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            taken.append(1)
            yield noise((60, 60, 3))

    found = batched.segment_many(endless())
    next(found)
    assert alive() > 0
    found.close()
    assert alive() == 0
    assert len(taken) < 6 * MOST_FRAMES


def test_batches_are_of_one_size_where_nothing_is_known_of_the_network() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    letterbox = Letterbox.fit((64, 64), 64)
    framed = ((letterbox, frame) for _ in range(3))
    assert [len(batch) for batch in batches(framed, lambda frames: [])] == [1, 1, 1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("needed", "free", "expected"),
    [(10, 1000, MOST_FRAMES), (100, 1000, 4), (100, 1100, 4), (1000, 1000, 1), (0, 0, 1)],
)
def test_as_many_frames_as_fit_into_part_of_the_free_memory(
    needed: int, free: int, expected: int
) -> None:
    assert how_many(needed, free) == expected


def test_a_batch_that_does_not_fit_is_halved_and_so_are_those_after_it(
    batched: FastSAM, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = batched._runtime
    assert isinstance(network, torch_runtime.TorchRuntime)
    assert network.batch_for(64, 64) == 2
    whole = network._model

    def small(frames: torch.Tensor) -> Any:
        if len(frames) > 1:
            raise torch.OutOfMemoryError("no room")
        return whole(frames)

    network._wanted = torch.device("meta")
    network._device, network._model = network._wanted, small
    monkeypatch.setattr(network, "_sent", torch.from_numpy)
    frames = [noise((64, 64, 3), n) for n in range(2)]
    assert len(network(frames)) == 2
    assert batched.together == [1, 1]  # type: ignore[attr-defined]
    monkeypatch.setattr(torch_runtime, "BATCH_DEVICES", ("meta",))
    assert network.batch_for(64, 64) == 1


class Doubling:
    """Stands for what records: writes down what it was asked for, and fails for long inputs."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, work: Any, example: torch.Tensor) -> Any:
        self.shapes.append(tuple(example.shape))
        if len(example) > 90:
            raise RuntimeError("operation not permitted when stream is capturing")
        return lambda given: (*work(given), "replayed")


def test_what_comes_often_is_recorded_and_the_oldest_is_forgotten() -> None:
    record = Doubling()
    recording = Recording(lambda given: (given * 2,), record)
    for _ in range(OFTEN):
        assert len(recording(torch.ones(3))) == 1
    assert record.shapes == []
    for _ in range(2):
        assert len(recording(torch.ones(3))) == 2
    assert record.shapes == [(3,)]
    for size in range(10, 10 + MOST):
        for _ in range(OFTEN + 1):
            recording(torch.ones(size))
    assert len(recording(torch.ones(3))) == 1  # forgotten: it has to come often again
    assert len(record.shapes) == 1 + MOST


def test_what_cannot_be_recorded_is_done_as_before_and_not_tried_again() -> None:
    record = Doubling()
    recording = Recording(lambda given: (given * 2,), record)
    for _ in range(3 * OFTEN):
        (result,) = recording(torch.ones(99))
        assert float(result.sum()) == 2 * 99
    assert record.shapes == [(99,)]


@pytest.fixture
def checked(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> FastSAM:
    """A network whose first outputs are compared with the CPU's."""
    sam = FastSAM(random_weights, device="cpu", image_size=64, max_candidates=20)
    monkeypatch.setattr(torch_runtime, "CHECKED_DEVICES", ("cpu",))
    return sam


@pytest.mark.parametrize("spoil", [lambda part: part.flip(-1), lambda part: part / 0])
def test_a_device_that_says_something_else_is_left_for_the_cpu_with_one_warning(
    checked: FastSAM, random_sam: FastSAM, spoil: Any
) -> None:
    network, image = checked._runtime, noise((60, 60, 3))
    assert isinstance(network, torch_runtime.TorchRuntime)
    right = network._model

    def wrong(frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        sides, scores, *rest = right(frames)
        return sides, spoil(scores), *rest

    network._model = wrong
    with pytest.warns(RuntimeWarning, match=r"Expected .*Got .*To fix it: ") as told:
        require_equal(checked.segment(image), random_sam.segment(image))
    assert len(told) == 1
    require_equal(checked.segment(image), random_sam.segment(image))


def test_a_device_that_agrees_is_checked_once(checked: FastSAM, random_sam: FastSAM) -> None:
    network, image = checked._runtime, noise((60, 60, 3))
    assert isinstance(network, torch_runtime.TorchRuntime)
    right, calls = network._single, []

    def counted(frames: torch.Tensor) -> Any:
        calls.append(len(frames))
        return right(frames)

    network._single = counted  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            require_equal(checked.segment(image), random_sam.segment(image))
    assert calls == [1]


def test_tensorrt_says_what_it_needs(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"Expected a CUDA device .*tensorrt.*Got .*cpu"):
        FastSAM(random_weights, device="cpu", runtime="tensorrt")
    monkeypatch.setattr(tensorrt_runtime, "choose_device", lambda name: torch.device("cuda", 0))
    with pytest.raises(ValueError, match=r"Expected .*Got .*To fix it: install onnxruntime-gpu"):
        tensorrt_runtime.TensorRT(load_checkpoint(random_weights), "cuda")
