"""Planes larger than the network sees."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.morphology import dilation, erosion

from fakes import BlobSegmenter
from napari_fastsam import Instances, Segmenter, Tiled
from napari_fastsam._merging import Merger
from napari_fastsam._resampling import enlarged, shrunk
from napari_fastsam._seams import Window
from napari_fastsam.tiling import windows


def image_of(mask: np.ndarray) -> np.ndarray:
    return np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 3, axis=2)


def boxes(shape: tuple[int, int], *corners: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for top, left, bottom, right in corners:
        mask[top:bottom, left:right] = True
    return mask


def masks(found: Instances) -> set[tuple[bytes, tuple[int, ...]]]:
    """The objects as a set: tight box and pixels."""
    objects = set()
    for n in range(len(found)):
        canvas = np.zeros(found.shape, bool)
        top, left, bottom, right = found.bboxes[n]
        canvas[top:bottom, left:right] = found.mask(n)
        objects.add((np.packbits(canvas).tobytes(), canvas.shape))
    assert len(objects) == len(found), "an object was found twice"
    return objects


Look = tuple[Window, Instances]


def look(window: tuple[int, int, int, int], *corners, shape=(40, 60), scores=None) -> Look:
    found = [boxes(shape, corner) for corner in corners]
    return Window(*window), Instances.from_masks(shape, found, scores=scores)


def merge(looks: list[Look], shape: tuple[int, int]) -> Instances:
    merger = Merger([window for window, _ in looks], Instances.empty(shape))
    for window, found in looks:
        merger.add(window, found)
    return merger.finish()


LEFT, RIGHT = (0, 0, 40, 40), (0, 20, 40, 60)


def test_it_is_a_segmenter(blobs: BlobSegmenter) -> None:
    assert isinstance(Tiled(blobs), Segmenter)


def test_planes_of_one_tile_go_straight_through(blobs: BlobSegmenter) -> None:
    found = Tiled(blobs, size=64, overlap=8).segment(image_of(boxes((64, 50), (2, 2, 9, 9))))
    assert blobs.shapes == [(64, 50, 3)]
    assert len(found) == 1


def test_every_tile_is_looked_at_and_the_whole_once_more(blobs: BlobSegmenter) -> None:
    image = image_of(np.zeros((100, 150), bool))
    assert len(Tiled(blobs, size=64, overlap=8).segment(image)) == 0
    assert blobs.shapes == [(34, 50, 3)] + [(64, 64, 3)] * 6


def test_without_the_whole_only_tiles_are_looked_at(blobs: BlobSegmenter) -> None:
    Tiled(blobs, size=64, overlap=8, whole=False).segment(image_of(np.zeros((100, 64), bool)))
    assert blobs.shapes == [(64, 64, 3)] * 2


@given(st.integers(1, 300), st.integers(1, 300), st.integers(4, 64), st.data())
def test_tiles_cover_the_plane_and_overlap_enough(
    height: int, width: int, size: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(2, size // 2))
    tiles = windows((height, width), size, overlap)
    covered = np.zeros((height, width), bool)
    for top, left, bottom, right in tiles:
        assert (bottom - top, right - left) == (min(size, height), min(size, width))
        covered[top:bottom, left:right] = True
    assert covered.all()
    for low, high in ((0, 2), (1, 3)):
        spans = sorted({(tile[low], tile[high]) for tile in tiles})
        assert all(a[1] - b[0] >= overlap for a, b in pairwise(spans))


def test_an_object_that_crosses_four_tiles_is_found_once_and_whole(blobs: BlobSegmenter) -> None:
    mask = boxes((100, 100), (20, 20, 80, 80), (2, 2, 6, 6))
    found = Tiled(blobs, size=56, overlap=12, whole=False).segment(image_of(mask))
    assert masks(found) == masks(BlobSegmenter().segment(image_of(mask)))
    assert blobs.calls == 4


@st.composite
def solid(draw: st.DrawFn, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """A convex object on a plane of 120 x 120 that reaches all sides of a box."""
    rows, cols = np.ogrid[:120, :120]
    middle, radii = np.array([top + bottom, left + right]) / 2, (bottom - top, right - left)
    exponent = draw(st.floats(1, 8))
    away = [
        2 * np.abs(at + 0.5 - m) / r for at, m, r in zip((rows, cols), middle, radii, strict=True)
    ]
    return away[0] ** exponent + away[1] ** exponent <= 1


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(40, 70), st.integers(4, 20), st.booleans())
def test_an_object_across_four_tiles_comes_out_once_and_whole_among_others(
    data: st.DataObject, size: int, overlap: int, whole: bool
) -> None:
    tiles = windows((120, 120), size, overlap)
    row, col = tiles[0].bottom, tiles[0].right  # the corner of the first: four tiles lie around it
    reach = st.integers(overlap + 6, 36)
    mask = data.draw(
        solid(
            max(row - data.draw(reach), 0),
            max(col - data.draw(reach), 0),
            min(row + data.draw(reach), 120),
            min(col + data.draw(reach), 120),
        )
    )
    crossing = [tile for tile in tiles if mask[tile.slices].any()]
    assert len(crossing) >= 4
    others = boxes(
        (120, 120), (1, 1, 4, 5), (116, 2, 119, 6), (2, 115, 5, 118), (115, 115, 118, 118)
    )
    clear = ~dilation(mask, np.ones((3, 3), bool))
    image = image_of(mask | (others & clear))
    found = Tiled(BlobSegmenter(), size=size, overlap=overlap, whole=whole).segment(image)
    assert masks(found) == masks(BlobSegmenter().segment(image))


def test_pieces_that_meet_only_outside_a_tile_are_one_object(blobs: BlobSegmenter) -> None:
    ring = boxes((100, 100), (10, 10, 90, 90)) & ~boxes((100, 100), (16, 16, 84, 84))
    found = Tiled(blobs, size=40, overlap=8, whole=False).segment(image_of(ring))
    assert masks(found) == masks(BlobSegmenter().segment(image_of(ring)))


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    st.integers(6, 16),
    st.integers(2, 3),
)
def test_tiled_equals_untiled_on_random_blobs(mask: np.ndarray, size: int, overlap: int) -> None:
    image = image_of(mask)
    found = Tiled(BlobSegmenter(), size=size, overlap=overlap, whole=False).segment(image)
    assert masks(found) == masks(BlobSegmenter().segment(image))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 110), st.integers(0, 140), st.integers(1, 12), st.integers(1, 12)),
        max_size=40,
    )
)
def test_tiled_equals_untiled_on_objects_smaller_than_the_overlap(
    corners: list[tuple[int, int, int, int]],
) -> None:
    mask = boxes((120, 150), *((r, c, r + h, c + w) for r, c, h, w in corners))
    found = Tiled(BlobSegmenter(), size=64, overlap=26, whole=False).segment(image_of(mask))
    assert masks(found) == masks(BlobSegmenter().segment(image_of(mask)))


def test_the_look_at_the_whole_doubles_nothing_that_the_tiles_make_up() -> None:
    mask = boxes((200, 200), (12, 12, 170, 150), (180, 10, 190, 20))
    found = Tiled(BlobSegmenter(), size=64, overlap=16).segment(image_of(mask))
    assert masks(found) == masks(BlobSegmenter().segment(image_of(mask)))


class Shortsighted(BlobSegmenter):
    """Finds nothing that fills more than half of what it is shown."""

    def segment(self, image: np.ndarray) -> Instances:
        found = super().segment(image)
        return found[found.areas < image.shape[0] * image.shape[1] / 2]


def test_the_look_at_the_whole_adds_what_is_larger_than_a_tile() -> None:
    mask = boxes((200, 200), (20, 20, 140, 140), (180, 10, 190, 20))
    image = image_of(mask)
    tiles_only = Tiled(Shortsighted(), size=64, overlap=16, whole=False).segment(image)
    assert masks(BlobSegmenter().segment(image)) != masks(tiles_only)
    found = Tiled(Shortsighted(), size=64, overlap=16).segment(image)
    assert len(found) == 2
    assert found.iou(BlobSegmenter().segment(image)).max(0) == pytest.approx(1, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_objects_too_large_for_any_tile_come_out_by_the_look_at_the_whole(
    data: st.DataObject,
) -> None:
    sides = [data.draw(st.integers(66, 76)) for _ in range(2)]
    top, left = (data.draw(st.integers(0, 120 - side)) for side in sides)
    mask = data.draw(solid(top, left, top + sides[0], left + sides[1]))
    image = image_of(mask)
    truth = BlobSegmenter().segment(image)
    found = Tiled(Shortsighted(), size=32, overlap=8).segment(image)
    large = found[found.areas > 0.5 * truth.areas[0]]
    assert len(large) == 1
    assert large.iou(truth).item() > 0.9


@pytest.mark.parametrize("exponent", [1.2, 1.5, 1.8])
def test_the_rim_of_a_large_object_is_no_second_one(exponent: float) -> None:
    rows, cols = np.ogrid[:120, :120]
    away = [2 * np.abs(rows - 51.5) / 68, 2 * np.abs(cols - 53.5) / 72]
    mask = away[0] ** exponent + away[1] ** exponent <= 1
    found = Tiled(Shortsighted(), size=32, overlap=8).segment(image_of(mask))
    assert np.count_nonzero(found.areas > 0.01 * mask.sum()) == 1


class Wavering(BlobSegmenter):
    """Sees the outline of an object a little differently in every image, and scores it so."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = np.random.default_rng(seed)

    def segment(self, image: np.ndarray) -> Instances:
        found = super().segment(image)
        seen = []
        for n in range(len(found)):
            mask = np.pad(found[[n]].to_labels() > 0, 1, mode="edge")
            change = (dilation, erosion, None)[self.random.integers(3)]
            grown = change(mask, np.ones((3, 3), bool)) if change else mask
            kept = grown[1:-1, 1:-1]
            seen.append(kept if kept.any() else mask[1:-1, 1:-1])
        return Instances.from_masks(
            found.shape, seen, scores=self.random.uniform(0.3, 1, len(seen))
        )


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 999), st.integers(48, 80), st.integers(12, 24))
def test_no_object_is_doubled_cut_or_lost_where_tiles_see_it_differently(
    seed: int, size: int, overlap: int
) -> None:
    random = np.random.default_rng(seed)
    rows, cols = np.ogrid[:200, :200]
    truth = np.zeros((200, 200), bool)
    for row, col in product(range(14, 190, 28), repeat=2):
        radii = random.uniform(8, 12, 2)
        truth |= ((rows - row) / radii[0]) ** 2 + ((cols - col) / radii[1]) ** 2 <= 1
    image = image_of(truth)
    found = Tiled(Wavering(seed), size=size, overlap=overlap, whole=False).segment(image)
    same = found.iou(BlobSegmenter().segment(image)) > 0.4
    assert (same.sum(0) == 1).all()
    assert (same.sum(1) == 1).all()


def test_a_piece_is_dropped_where_another_tile_holds_the_whole() -> None:
    whole, piece = (5, 22, 20, 50), (5, 22, 20, 40)
    found = merge([look(LEFT, piece), look(RIGHT, whole)], (40, 60))
    assert found.bboxes.tolist() == [list(whole)]


def test_pieces_are_united_with_the_mean_score_by_area() -> None:
    pieces = [look(LEFT, (5, 10, 15, 40), scores=[0.9]), look(RIGHT, (5, 20, 15, 60), scores=[0.2])]
    found = merge(pieces, (40, 60))
    assert found.bboxes.tolist() == [[5, 10, 15, 60]]
    assert found.scores[0] == pytest.approx((300 * 0.9 + 400 * 0.2) / 700)


def test_of_two_views_of_an_object_the_better_one_stays() -> None:
    looks = [look(LEFT, (5, 25, 15, 35), scores=[0.4]), look(RIGHT, (5, 24, 15, 35), scores=[0.7])]
    found = merge(looks, (40, 60))
    assert found.bboxes.tolist() == [[5, 24, 15, 35]]
    assert found.scores == pytest.approx([0.7])


def test_nested_objects_stay_apart_at_a_seam() -> None:
    cell, nucleus = (5, 10, 35, 60), (15, 25, 25, 35)
    found = merge(
        [look(LEFT, (5, 10, 35, 40), nucleus), look(RIGHT, (5, 20, 35, 60), nucleus)], (40, 60)
    )
    assert sorted(found.bboxes.tolist()) == sorted([list(cell), list(nucleus)])


def test_touching_objects_stay_apart_at_a_seam() -> None:
    upper, lower = (0, 10, 20, 60), (20, 10, 40, 60)
    looks = [look(LEFT, *((r0, 10, r1, 40) for r0, _, r1, _ in (upper, lower)))]
    looks += [look(RIGHT, *((r0, 20, r1, 60) for r0, _, r1, _ in (upper, lower)))]
    assert sorted(merge(looks, (40, 60)).bboxes.tolist()) == [list(upper), list(lower)]


def test_a_piece_that_the_tile_in_full_view_of_it_did_not_find_is_dropped() -> None:
    looks = [look(LEFT, (5, 25, 15, 40)), look(RIGHT, (20, 50, 30, 58))]
    assert merge(looks, (40, 60)).bboxes.tolist() == [[20, 50, 30, 58]]


def test_slivers_at_one_edge_do_not_confirm_each_other() -> None:
    windows = [(0, 0, 30, 40), (10, 0, 40, 40), (0, 20, 30, 60), (10, 20, 40, 60)]
    whole, sliver = (12, 39, 28, 55), (14, 38, 26, 40)
    looks = [look(w, sliver if w[1] == 0 else whole) for w in windows]
    assert merge(looks, (40, 60)).bboxes.tolist() == [list(whole)]


def test_a_piece_goes_with_the_view_that_another_view_replaces() -> None:
    windows = [(0, 0, 30, 40), (0, 20, 30, 60), (10, 20, 40, 60)]
    piece, wide, narrow = (12, 30, 28, 40), (12, 30, 28, 50), (13, 35, 27, 50)
    looks = [look(windows[0], piece), look(windows[1], wide, scores=[0.3])]
    found = merge([*looks, look(windows[2], narrow, scores=[0.9])], (40, 60))
    assert found.bboxes.tolist() == [list(narrow)]


def test_what_scores_too_low_is_dropped_once_it_is_whole() -> None:
    looks = [
        look(LEFT, (5, 10, 15, 40), (20, 2, 30, 12), scores=[0.2, 0.35]),
        look(RIGHT, (5, 20, 15, 60), (30, 50, 35, 58), scores=[0.8, 0.45]),
    ]
    merger = Merger([window for window, _ in looks], Instances.empty((40, 60)), confidence=0.4)
    for window, found in looks:
        merger.add(window, found)
    assert sorted(merger.finish().bboxes.tolist()) == [[5, 10, 15, 60], [30, 50, 35, 58]]


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_too_large_to_unite_is_left_to_the_look_at_the_whole(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_fastsam._merging.LARGEST", 4000)
    image = image_of(boxes((120, 120), (10, 10, 90, 90), (100, 20, 108, 110), (100, 3, 106, 9)))
    truth = BlobSegmenter().segment(image)
    found = Tiled(BlobSegmenter(), size=40, overlap=8, whole=whole).segment(image)
    assert len(found) == 2 + whole
    assert (found.iou(truth).max(1) > 0.9).tolist() == [whole, True, True]


def test_the_best_comes_first() -> None:
    looks = [look(LEFT, (0, 0, 5, 5), scores=[0.3]), look(RIGHT, (0, 50, 5, 55), scores=[0.8])]
    assert merge(looks, (40, 60)).scores == pytest.approx([0.8, 0.3])


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))),
    st.integers(1, 7),
)
def test_a_shrunk_image_holds_the_means_of_its_blocks(image: np.ndarray, factor: int) -> None:
    small = shrunk(image, factor)
    for row, col in np.ndindex(small.shape[:2]):
        block = image[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
        assert np.abs(small[row, col] - block.mean((0, 1))).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("factor", [3, 7])
def test_enlarged_objects_have_smooth_outlines_where_they_were(factor: int) -> None:
    side = 60 * factor
    rows, cols = np.ogrid[:side, :side]
    disc = (rows - side / 2 + 0.5) ** 2 + (cols - side / 2 + 0.5) ** 2 <= (side / 3) ** 2
    small = disc.reshape(60, factor, 60, factor).mean((1, 3)) >= 0.5
    large = enlarged(Instances.from_masks((60, 60), [small]), (side, side)).to_labels() > 0
    blocks = small.repeat(factor, 0).repeat(factor, 1)
    assert (large ^ disc).sum() < 0.9 * (blocks ^ disc).sum()


@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.sampled_from([1, 3, 5, 7]),
)
def test_enlarged_objects_hold_the_middles_of_their_pixels(mask: np.ndarray, factor: int) -> None:
    shape = (mask.shape[0] * factor, mask.shape[1] * factor)
    found = Instances.from_masks(mask.shape, [mask] if mask.any() else [])
    middles = enlarged(found, shape).to_labels()[factor // 2 :: factor, factor // 2 :: factor]
    np.testing.assert_array_equal(middles > 0, mask)


@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.integers(2, 6),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_enlarged_objects_stay_within_a_pixel_of_where_they_were(
    mask: np.ndarray, factor: int, less: int, fewer: int
) -> None:
    height, width = mask.shape
    shape = (height * factor - less % factor, width * factor - fewer % factor)
    found = Instances.from_masks(mask.shape, [mask] if mask.any() else [])
    wide, narrow = (step(mask, np.ones((3, 3))) for step in (dilation, erosion))
    rows = (np.arange(shape[0]) * height // shape[0])[:, None]
    cols = np.arange(shape[1]) * width // shape[1]
    large = enlarged(found, shape).to_labels() > 0
    assert not (large & ~wide[rows, cols]).any()
    assert not (narrow[rows, cols] & ~large).any()


def test_the_spec_names_the_segmenter_and_the_tiling(blobs: BlobSegmenter) -> None:
    specs = {
        Tiled(blobs).spec,
        Tiled(blobs, size=512).spec,
        Tiled(blobs, overlap=64).spec,
        Tiled(blobs, whole=False).spec,
    }
    assert len(specs) == 4
    assert Tiled(BlobSegmenter()).spec in specs


@pytest.mark.parametrize("options", [{"overlap": 1}, {"size": 100, "overlap": 60}, {"size": 0}])
def test_tiles_that_cannot_overlap_as_asked_are_refused(options: dict, blobs) -> None:
    with pytest.raises(ValueError, match=r"Expected .*Got size=.*To fix it: "):
        Tiled(blobs, **options)


@pytest.mark.parametrize(
    "image",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))],
    ids=["grey", "RGBA", "floats"],
)
def test_images_not_yet_8_bit_rgb_are_refused(image: np.ndarray, blobs) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\), uint8.*to_rgb"):
        Tiled(blobs).segment(image)
