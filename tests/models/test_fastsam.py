from __future__ import annotations

import pickle
import re
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.data import coins

from napari_fastsam.models import torch_runtime
from napari_fastsam.models.checkpoint import load_checkpoint, save_checkpoint
from napari_fastsam.models.device import choose_device
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.letterbox import Letterbox
from napari_fastsam.models.network import predictions
from napari_fastsam.models.registry import MODELS
from napari_fastsam.planes import to_rgb
from napari_fastsam.segmenter import ModelSpec, ScaledSegmenter, Segmenter
from napari_fastsam.tiling import shrunk

if TYPE_CHECKING:
    from napari_fastsam.instances import Instances

DTYPES = [np.uint8, np.uint16, np.int32, np.float32, np.float64, bool]


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def equal(a: Instances, b: Instances) -> bool:
    return a.shape == b.shape and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("bboxes", "scores", "buffer")
    )


def test_it_is_a_segmenter(random_sam):
    assert isinstance(random_sam, Segmenter)
    assert isinstance(random_sam, ScaledSegmenter)


def test_candidates_lie_on_the_image_s_plane_by_descending_score(random_sam):
    found = random_sam.segment(noise((50, 90, 3)))
    assert found.shape == (50, 90)
    assert 0 < len(found) <= 20
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores > random_sam.spec.confidence).all()
    assert (found.areas > 0).all()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(1, 300), st.integers(1, 300), st.sampled_from(DTYPES), st.sampled_from([0, 3, 4])
)
def test_any_size_and_dtype_is_segmented(random_sam, height, width, dtype, channels):
    image = noise((height, width, channels) if channels else (height, width)).astype(dtype)
    found = random_sam.segment(image)
    assert found.shape == (height, width)
    assert (found.areas > 0).all()


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 10000), (10000, 1), (1023, 1024), (1024, 1023), (2, 3)], ids=str
)
def test_extreme_sizes_are_segmented(random_sam, shape):
    assert random_sam.segment(noise(shape)).shape == shape


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(1, 300), st.integers(1, 300))
def test_what_the_network_is_shown_of_a_picture_of_the_plane_is_all_that_counts(
    random_sam, height, width
):
    image = noise((height, width, 3))
    letterbox = Letterbox.fit((height, width), random_sam.image_size)
    (top, left), (rows, columns) = letterbox.offset, letterbox.content
    picture = letterbox.apply(image)[top : top + rows, left : left + columns]
    assert equal(random_sam.segment(picture, shape=(height, width)), random_sam.segment(image))


def test_a_smaller_picture_of_the_plane_gives_nearly_the_same_masks():
    starter = FastSAM("starter", device="cpu", image_size=192, confidence=0.5)
    image = np.repeat(coins()[..., None], 3, axis=-1)
    full = starter.segment(image)
    small = starter.segment(shrunk(image, 2), shape=image.shape[:2])
    assert small.shape == full.shape == (303, 384)
    assert len(full) > 10
    assert (full.iou(small).max(1) > 0.9).mean() > 0.9
    assert (small.iou(full).max(1) > 0.9).mean() > 0.9


def test_a_grey_image_is_segmented_as_its_colour_copy():
    starter = FastSAM("starter", device="cpu", image_size=384, confidence=0.5)
    image = coins()  # 1 to 252, so that stretching changes next to nothing
    grey, colour = starter.segment(image), starter.segment(np.stack([image] * 3, -1))
    assert len(colour) > 10
    assert (grey.iou(colour).max(0) > 0.9).mean() > 0.9
    assert (colour.iou(grey).max(0) > 0.9).mean() > 0.9


def test_the_network_sees_red_first(random_sam):
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = noise((64, 64))
    assert not equal(random_sam.segment(image), random_sam.segment(image[..., ::-1]))


def test_nothing_found_is_empty(random_weights):
    sure = FastSAM(random_weights, device="cpu", image_size=64, confidence=1.0)
    found = sure.segment(noise((30, 40, 3)))
    assert len(found) == 0
    assert found.shape == (30, 40)


def test_a_lower_confidence_only_adds_candidates(random_weights):
    low, high = (
        FastSAM(random_weights, device="cpu", image_size=64, confidence=c) for c in (0.3, 0.5)
    )
    image = noise((64, 64, 3))
    many, few = low.segment(image), high.segment(image)
    assert 0 < len(few) < len(many)
    assert equal(many[many.scores > 0.5], few)


def test_at_most_as_many_candidates_as_asked_for(random_weights):
    one = FastSAM(random_weights, device="cpu", image_size=64, max_candidates=1)
    assert len(one.segment(noise((64, 64, 3)))) == 1


@pytest.mark.parametrize(
    ("image", "error", "says"),
    [
        (np.zeros((4, 4), complex), TypeError, "complex"),
        (np.zeros((0, 5)), ValueError, "at least one pixel"),
        (np.zeros(7), ValueError, r"\(7,\)"),
        (np.zeros((3, 4, 4, 3)), ValueError, "one plane"),
        (np.zeros((4, 4, 7)), ValueError, r"\(4, 4, 7\)"),
        (np.array([["a"]]), TypeError, "numbers"),
    ],
    ids=["complex", "no pixel", "one axis", "a stack", "seven channels", "text"],
)
def test_what_is_no_image_is_refused_by_name(random_sam, image, error, says):
    with pytest.raises(error, match=says):
        random_sam.segment(image)


def test_the_image_size_is_the_checkpoint_s_unless_asked_for(random_weights):
    assert FastSAM(random_weights, device="cpu").spec.image_size == 320
    assert FastSAM(random_weights, device="cpu", image_size=100).spec.image_size == 128


def test_a_spec_rebuilds_the_same_segmenter(random_sam):
    spec = pickle.loads(pickle.dumps(random_sam.spec))
    assert isinstance(spec, ModelSpec)
    image = noise((50, 70, 3))
    assert equal(FastSAM.from_spec(spec).segment(image), random_sam.segment(image))


def test_the_description_says_what_runs_where(random_sam):
    assert random_sam.description == "random.safetensors · CPU · fp32 · 64 px"
    assert random_sam.description in repr(random_sam)


def test_a_missing_file_is_said_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        FastSAM(tmp_path / "absent.safetensors", device="cpu")


def test_a_runtime_that_does_not_exist_is_refused(random_weights):
    with pytest.raises(ValueError, match=r"'auto', 'torch'.*'abacus'.*runtime=\"auto\""):
        FastSAM(random_weights, runtime="abacus")


def test_numbers_out_of_range_are_refused_all_at_once(random_weights):
    with pytest.raises(ValueError, match=r"image_size 0, confidence 2, iou -1, max_candidates 0"):
        FastSAM(random_weights, image_size=0, confidence=2, iou=-1, max_candidates=0)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_refused_with_a_way_out(random_weights, name):
    with pytest.raises(ValueError, match=rf"'{name}'.*0 CUDA and 0 MPS.*\"auto\" or \"cpu\""):
        FastSAM(random_weights, device=name)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:1:2", ""])
def test_a_device_that_has_no_such_name_is_refused(name):
    with pytest.raises(ValueError, match="one of the devices"):
        choose_device(name)


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_where_there_is_nothing_else():
    assert choose_device("auto").type == "cpu"


def test_auto_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto").type == "cuda"
    with pytest.raises(ValueError, match="1 CUDA"):
        choose_device("cuda:1")


def raising(error):
    """Return a function that fails so, whatever it is given."""

    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.\nmore"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["CUDA", "MPS", "driver", "cuBLAS"],
)
@pytest.mark.parametrize("where", ["the move", "the network"])
def test_a_full_device_falls_back_to_the_cpu_with_one_warning(
    random_weights, monkeypatch, error, where
):
    sam = FastSAM(random_weights, device="cpu", image_size=64)
    image = noise((64, 64, 3))
    expected = sam.segment(image)
    runtime = sam._runtime
    runtime._wanted = torch.device("meta")
    if where == "the move":
        monkeypatch.setattr(torch.nn.Module, "to", raising(error))
    else:
        runtime._device, runtime._model = runtime._wanted, raising(error)
    told = re.escape(str(error).partition("\n")[0])
    with pytest.warns(RuntimeWarning, match=rf"Out of memory on META.*{told}.*smaller"):
        assert equal(sam.segment(image), expected)
    assert "CPU · fp32" in sam.description
    assert equal(sam.segment(image), expected)


def test_a_move_that_fails_leaves_the_network_where_it_was(random_weights, monkeypatch):
    sam = FastSAM(random_weights, device="cpu", image_size=64)
    image = noise((64, 64, 3))
    expected = sam.segment(image)
    runtime = sam._runtime
    runtime._wanted = torch.device("meta")
    monkeypatch.setattr(torch.nn.Module, "to", raising(RuntimeError("CUDA error: device lost")))
    for _ in range(2):  # the second call must not take the first one's move for done
        with pytest.raises(RuntimeError, match="device lost"):
            sam.segment(image)
    runtime._wanted = torch.device("cpu")
    assert equal(sam.segment(image), expected)


def test_memory_that_the_cpu_lacks_is_an_error(random_weights, monkeypatch):
    sam = FastSAM(random_weights, device="cpu", image_size=64)

    monkeypatch.setattr(sam._runtime, "_model", raising(torch.OutOfMemoryError("no memory")))
    with pytest.raises(torch.OutOfMemoryError):
        sam.segment(noise((64, 64, 3)))


def test_threads_share_a_segmenter_and_leave_the_thread_count_alone(random_sam):
    images = [noise((40 + 30 * n, 100, 3), n) for n in range(6)]
    expected = [random_sam.segment(image) for image in images]
    results = [None] * len(images)
    before = torch.get_num_threads()

    def work(n):
        results[n] = random_sam.segment(images[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(equal(a, b) for a, b in zip(results, expected, strict=True))
    assert torch.get_num_threads() == before


@pytest.fixture
def half_everywhere(monkeypatch):
    monkeypatch.setattr(torch_runtime, "HALF_DEVICES", ("cpu", "cuda"))


@pytest.mark.usefixtures("half_everywhere")
def test_half_precision_says_so_and_finds_what_single_precision_finds(random_weights, random_sam):
    half = FastSAM(random_weights, device="cpu", image_size=64, max_candidates=20)
    assert "CPU · fp16" in half.description
    image = noise((64, 64, 3))
    found, expected = half.segment(image), random_sam.segment(image)
    assert len(found) > 0
    assert np.median(expected.iou(found).max(0)) > 0.8


@pytest.mark.usefixtures("half_everywhere")
def test_half_precision_places_boxes_between_pixels_far_from_the_corner():
    runtime = torch_runtime.TorchRuntime(load_checkpoint(MODELS["starter"].path), "cpu")
    frame = to_rgb(np.tile(coins(), 6)[:64, :2048])
    found = predictions(*runtime([frame]), 0)[:4].numpy()
    runtime._half = False
    runtime._place(torch.device("cpu"))
    expected = predictions(*runtime([frame]), 0)[:4].numpy()
    far = expected[0] > 1024
    assert np.median(np.abs(found - expected)[0, far]) < 0.1
    assert (found[0][far] % 0.5 > 0).mean() > 0.9


def scaled_weights(source, path, factor):
    """Write weights whose first layer is `factor` times larger, and the second smaller again."""
    state = dict(load_checkpoint(source).state)
    state["model.0.bn.weight"] = state["model.0.bn.weight"] * factor
    state["model.1.conv.weight"] = state["model.1.conv.weight"] / factor
    save_checkpoint(path, state)
    return path


@pytest.mark.usefixtures("half_everywhere")
def test_weights_that_overflow_half_precision_are_run_in_single(random_weights, tmp_path):
    path = scaled_weights(random_weights, tmp_path / "large.safetensors", 1e6)
    sam = FastSAM(path, device="cpu", image_size=64)
    assert len(sam.segment(noise((64, 64, 3)))) > 0
    assert "CPU · fp32" in sam.description


def test_predictions_that_are_no_numbers_are_an_error_and_not_empty(random_weights, tmp_path):
    path = scaled_weights(random_weights, tmp_path / "huge.safetensors", 3e38)
    sam = FastSAM(path, device="cpu", image_size=64)
    with pytest.raises(ValueError, match=r"finite.*NaN.*fetch the model again"):
        sam.segment(noise((64, 64, 3)))


@pytest.mark.gpu
def test_half_precision_on_cuda_finds_what_the_cpu_finds(coco_weights, shared_data):
    from skimage.io import imread

    image = imread(shared_data / "photos" / "bus.jpg")
    cpu, cuda = (
        FastSAM(coco_weights, device=d, image_size=640, confidence=0.25) for d in ("cpu", "cuda")
    )
    assert "fp16" in cuda.description
    expected, found = cpu.segment(image), cuda.segment(image)
    assert (expected.iou(found).max(0) > 0.9).mean() >= 0.95
