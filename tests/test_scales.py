"""Which tiles are chosen for a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data, io, transform

from fakes import Network
from napari_fastsam import FastSAM, to_rgb
from napari_fastsam._resampling import shrunk
from napari_fastsam.scales import LARGE, SEEN_LENGTH, choose_tiling
from napari_fastsam.tiling import Tiling, coarse_look

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 256


def plane(side: int, length: int, step: int, *, width: int | None = None) -> np.ndarray:
    """Squares so long, one every so many pixels each way, as (H, W, 3)."""
    image = np.zeros((side, width or side), np.uint8)
    for row in range(step // 4, side - length, step):
        for col in range(step // 4, image.shape[1] - length, step):
            image[row : row + length, col : col + length] = 200
    return np.repeat(image[..., None], 3, 2)


def chosen(image: np.ndarray, network: Network | FastSAM, **options) -> Tiling | None:
    shape = (image.shape[0], image.shape[1])
    small = shrunk(image, max(max(shape) // network.image_size, 1))
    coarse = coarse_look(network, small, shape)
    return choose_tiling(network, image, small, coarse, network.image_size, **options)


@given(st.integers(1, LARGE * SIZE), st.integers(1, LARGE * SIZE))
@settings(max_examples=10, deadline=None)
def test_planes_that_are_not_long_are_looked_at_once(height: int, width: int) -> None:
    network = Network(image_size=SIZE, least=8)
    image = np.zeros((height, width, 3), np.uint8)
    assert choose_tiling(network, image, image, network.segment(image), SIZE) is None
    assert network.calls == 1


def test_small_objects_on_a_large_plane_are_looked_at_in_tiles_that_show_them_well() -> None:
    tiling = chosen(plane(2048, 24, 64), Network(image_size=SIZE, least=8))
    assert tiling is not None
    assert 24 * SIZE / tiling.size == pytest.approx(SEEN_LENGTH, rel=0.15)
    assert tiling.whole
    assert tiling.overlap >= 24


def test_tiles_never_show_the_plane_more_than_twice_enlarged() -> None:
    tiling = chosen(plane(1024, 5, 20), Network(image_size=SIZE, least=4))
    assert tiling is not None
    assert tiling.size == SIZE // 2


def test_larger_objects_get_larger_tiles() -> None:
    sizes = []
    for length in (16, 32, 48):
        tiling = chosen(plane(4096, length, 4 * length), Network(image_size=SIZE, least=6))
        assert tiling is not None
        sizes.append(tiling.size)
    assert sizes == sorted(set(sizes))


def test_objects_that_the_look_at_the_whole_shows_well_need_no_other_look() -> None:
    network = Network(image_size=SIZE, least=8)
    assert chosen(plane(1536, 150, 300), network) is None
    assert network.calls == 1


def test_a_photograph_with_few_large_objects_is_looked_at_once() -> None:
    image = np.zeros((1200, 1600, 3), np.uint8)
    image[100:700, 200:900] = 180
    image[300:1100, 1000:1500] = 220
    assert chosen(image, Network(image_size=SIZE, least=8)) is None


@pytest.mark.parametrize(("step", "tiles"), [(480, False), (120, True)], ids=["few", "many"])
def test_only_many_small_objects_beside_those_seen_are_worth_tiles(step: int, tiles: bool) -> None:
    image = plane(1024, 70, 120)
    gaps = slice(105, None, step)  # 105 to 150 is free
    for row in range(1024)[gaps]:
        for col in range(1024)[gaps]:
            image[row : row + 10, col : col + 10] = 250
    assert (chosen(image, Network(image_size=SIZE, least=4)) is not None) == tiles


def test_an_empty_plane_is_looked_at_once() -> None:
    assert chosen(np.zeros((2048, 2048, 3), np.uint8), Network(image_size=SIZE)) is None


@pytest.mark.parametrize(("length", "size"), [(40, 512), (48, None)])
def test_tiles_nearly_as_long_as_the_plane_are_not_worth_it(length: int, size: int | None) -> None:
    tiling = chosen(plane(800, length, 100), Network(image_size=SIZE, least=17))
    assert (tiling and tiling.size) == size


def test_objects_in_one_corner_are_found_by_their_detail() -> None:
    image = np.zeros((3072, 3072, 3), np.uint8)
    image[2400:2912, 2400:2912] = plane(512, 20, 48)
    tiling = chosen(image, Network(image_size=SIZE, least=8))
    assert tiling is not None
    assert tiling.size == 256


@pytest.mark.parametrize("shape", [(3000, 300), (300, 3000)], ids=["tall", "wide"])
def test_long_planes_get_tiles_too(shape: tuple[int, int]) -> None:
    image = plane(shape[0], 20, 50, width=shape[1])
    assert chosen(image, Network(image_size=SIZE, least=8)) is not None


def test_nothing_is_looked_at_once_it_is_cancelled() -> None:
    network = Network(image_size=SIZE, least=8)
    calls = 0

    def cancelled() -> bool:
        nonlocal calls
        calls += 1
        return calls > 1

    assert chosen(plane(2048, 24, 64), network, cancelled=cancelled) is None
    assert network.calls == 2  # at the whole, and at the first part


@pytest.fixture(scope="module")
def starter() -> FastSAM:
    return FastSAM("starter", device="cpu")


def enlarged(image: np.ndarray) -> np.ndarray:
    shape = (image.shape[0] * 4, image.shape[1] * 4, 3)
    return transform.resize(image, shape, order=1, preserve_range=True).astype(np.uint8)


@pytest.mark.parametrize("name", ["astronaut", "chelsea"])
def test_a_real_photograph_is_looked_at_once(name: str, starter: FastSAM) -> None:
    assert chosen(enlarged(getattr(data, name)()), starter) is None


def test_large_everyday_photographs_are_looked_at_once(shared_data: Path, starter: FastSAM) -> None:
    for path in sorted((shared_data / "coco" / "images").iterdir())[:2]:
        photograph = to_rgb(io.imread(path))
        assert max(photograph.shape) <= LARGE * starter.image_size, "small ones never need tiles"
        assert chosen(enlarged(photograph), starter) is None


def test_small_real_objects_on_a_large_plane_are_looked_at_in_tiles(starter: FastSAM) -> None:
    coins = to_rgb(transform.rescale(data.coins(), 1 / 3, anti_aliasing=True))
    tiling = chosen(np.tile(coins, (16, 16, 1)), starter)
    assert tiling is not None
    assert starter.image_size / 2 <= tiling.size <= starter.image_size
