"""A large plane as the network sees it, read part by part."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fastsam import PlaneAxes, pictures, planes
from napari_fastsam.pictures import Picture
from napari_fastsam.planes import Display

SHAPE = (90, 70)
DISPLAYS = [
    Display(),
    Display(percentiles=(5, 80)),
    Display(contrast_limits=(20, 90), gamma=0.5),
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plane is large: it is sampled, and gone through in many blocks."""
    monkeypatch.setattr(pictures, "BLOCK", 500)
    monkeypatch.setattr(planes, "_SAMPLE", 800)


def array_of(kind: str, seed: int = 0) -> tuple[np.ndarray, str]:
    rng = np.random.default_rng(seed)
    grey = rng.integers(0, 200, SHAPE) + 3 * np.arange(SHAPE[0])[:, None]
    match kind:
        case "uint8":
            return np.clip(grey, 0, 255).astype(np.uint8), "YX"
        case "uint16":
            return (grey * 100).astype(np.uint16), "YX"
        case "floats with NaN and infinities":
            values = grey.astype(np.float32)
            values[10:40, 5:20], values[50, 3], values[51, 3] = np.nan, np.inf, -np.inf
            return values, "YX"
        case "NaN":
            return np.full(SHAPE, np.nan), "YX"
        case "constant":
            return np.full(SHAPE, 7, np.int32), "YX"
        case "bool":
            return grey > 150, "YX"
        case "RGB":
            return rng.integers(0, 256, (*SHAPE, 3), np.uint8), "YXC"
        case "RGBA of 16 bit":
            return rng.integers(0, 60000, (*SHAPE, 4), np.uint16), "YXC"
        case "RGB within 1":
            return rng.random((*SHAPE, 3)), "YXC"
        case "two channels first":
            channels = rng.integers(0, 4000, (2, *SHAPE), np.uint16)
            channels[1] += 900
            return channels, "CYX"
        case "X before Y":
            return grey.T.astype(np.uint16), "XY"
    raise AssertionError(kind)


KINDS = [
    "uint8",
    "uint16",
    "floats with NaN and infinities",
    "NaN",
    "constant",
    "bool",
    "RGB",
    "RGBA of 16 bit",
    "RGB within 1",
    "two channels first",
    "X before Y",
]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 89), st.integers(0, 69), st.sampled_from(DISPLAYS), st.integers(0, 99))
def test_every_part_looks_as_it_does_in_the_whole_plane(
    kind: str, top: int, left: int, display: Display, seed: int
) -> None:
    array, axes = array_of(kind, seed)
    layout = PlaneAxes(axes, array.shape)
    expected = display(layout.read(array, ()))
    window = np.s_[top : top + 30, left : left + 40]
    part = Picture(array, layout, (), display)[window]
    np.testing.assert_array_equal(part, expected[window])


@pytest.mark.parametrize("limits", [((0, 3000), None), ((None, None))], ids=["one", "none"])
def test_channels_may_have_limits_of_their_own(limits: tuple[Any, ...]) -> None:
    array, axes = array_of("two channels first")
    display, layout = Display(contrast_limits=limits or None), PlaneAxes(axes, array.shape)
    np.testing.assert_array_equal(
        Picture(array, layout, (), display)[:, :], display(layout.read(array, ()))
    )


@pytest.mark.parametrize("factor", [1, 3, 8])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "RGB", "two channels first"])
def test_the_overview_shows_the_means_of_blocks(kind: str, factor: int) -> None:
    array, axes = array_of(kind)
    layout = PlaneAxes(axes, array.shape)
    picture = Picture(array, layout, (), Display())
    small = picture.overview(factor)
    plane = layout.read(array, ()).astype(float)
    means = np.array(
        [
            [
                plane[row : row + factor, col : col + factor].mean((0, 1))
                for col in range(0, SHAPE[1], factor)
            ]
            for row in range(0, SHAPE[0], factor)
        ]
    )
    expected = picture.settled(means)
    if kind == "RGB":  # of 8 bits: taken as it is
        expected = (means + 0.5).astype(np.uint8)
    assert small.dtype == np.uint8
    assert np.abs(small.astype(int) - expected).max() <= 1


def test_pixels_that_are_not_finite_do_not_darken_the_overview() -> None:
    array = np.full(SHAPE, 100.0)
    array[::2], array[40:] = np.nan, 0
    small = Picture(array, PlaneAxes("YX", SHAPE), (), Display()).overview(4)
    assert small[:10].min() == 255
    assert small[10:].max() == 0


@pytest.mark.parametrize("store", ["numpy", "dask", "zarr"])
def test_a_plane_of_a_stack_is_read_from_any_store(store: str) -> None:
    stack = np.random.default_rng(0).integers(0, 5000, (2, 3, *SHAPE)).astype(np.uint16)
    stored = {
        "numpy": lambda: stack,
        "dask": lambda: da.from_array(stack, chunks=(1, 2, 32, 16)),
        "zarr": lambda: zarr.array(stack, chunks=(1, 2, 32, 16)),
    }[store]()
    picture = Picture(stored, PlaneAxes("TZYX", stack.shape), (1, 2), Display())
    np.testing.assert_array_equal(picture[8:40, 5:60], Display()(stack[1, 2])[8:40, 5:60])


class Chunked:
    """An array that writes down what is read of it."""

    def __init__(self, data: np.ndarray, chunks: tuple[int, ...]) -> None:
        self.data, self.chunks = data, chunks
        self.shape, self.dtype = data.shape, data.dtype
        self.reads: list[tuple[slice, ...]] = []

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        self.reads.append(key)
        return self.data[key]


@pytest.mark.parametrize("chunks", [(16, 16), (7, 70), (90, 3), (200, 200), (1, 1)])
def test_the_plane_is_gone_through_once_along_its_chunks(chunks: tuple[int, int]) -> None:
    array = Chunked(array_of("uint16")[0], chunks)
    picture = Picture(array, PlaneAxes("YX", SHAPE), (), Display())
    picture.overview(4)
    for rows, cols in array.reads:
        assert (rows.start % chunks[0], cols.start % chunks[1]) == (0, 0)
    seen = np.zeros(SHAPE, int)
    for key in array.reads:
        seen[key] += 1
    assert (seen == 1).all()
    surveyed = len(array.reads)
    picture[3:9, 4:8]
    assert array.reads[surveyed:] == [(slice(3, 9), slice(4, 8))]


def test_blocks_are_no_larger_than_they_must_be() -> None:
    array = Chunked(array_of("uint16")[0], (10, 10))
    Picture(array, PlaneAxes("YX", SHAPE), (), Display()).settled  # noqa: B018
    assert max(array.data[key].size for key in array.reads) <= pictures.BLOCK


def test_a_smaller_copy_of_the_plane_says_how_it_is_shown() -> None:
    full = Chunked(array_of("uint16")[0], (10, 10))
    half = Picture(full.data[::2, ::2], PlaneAxes("YX", (45, 35)), (), Display())
    picture = Picture(full, PlaneAxes("YX", SHAPE), (), Display(), like=half)
    assert picture.settled == half.settled
    assert not full.reads


@pytest.mark.parametrize("limits", [(0, 90), ((0, 90), (5, 60))], ids=["one pair", "two"])
def test_with_limits_only_what_is_asked_for_is_read(limits: tuple[Any, ...]) -> None:
    array = Chunked(np.zeros((2, *SHAPE), np.uint8), (1, 16, 70))
    display = Display(contrast_limits=limits)
    Picture(array, PlaneAxes("CYX", array.shape), (), display)[3:9, 4:8]
    assert array.reads == [(slice(None), slice(3, 9), slice(4, 8))]


class Unreadable(Chunked):
    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        if key[-2].stop > 64:
            raise RuntimeError("bad chunk 4.0")
        return super().__getitem__(key)


def test_what_cannot_be_read_is_named() -> None:
    array = Unreadable(np.zeros((3, *SHAPE), np.uint8), (1, 16, 70))
    picture = Picture(array, PlaneAxes("ZYX", array.shape), (2,), Display(contrast_limits=(0, 9)))
    with pytest.raises(
        OSError,
        match=r"rows 60 to 70 and columns 5 to 9 of plane \(2,\).*RuntimeError: bad chunk 4.0",
    ):
        picture[60:70, 5:9]


def test_a_plane_without_pixels_or_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        Picture(np.zeros((0, 5)), PlaneAxes("YX", (0, 5)), (), Display())
    with pytest.raises(TypeError, match="real numbers"):
        Picture(np.zeros((5, 5), complex), PlaneAxes("YX", (5, 5)), (), Display())
