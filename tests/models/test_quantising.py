"""A network in int8 is made on the user's own images, and used only where it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from skimage.data import coins

from napari_fastsam.cli import main
from napari_fastsam.instances import Instances
from napari_fastsam.models import conversion
from napari_fastsam.models.agreement import Agreement, agreement
from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.conversion import NETWORK, kept
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.quantising import quantise

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of coins, small, and which of its pixels are which coin."""
    made = tmp_path_factory.mktemp("coins")
    for name, array in (("images", coins()[::3, ::3]), ("labels", coins()[::3, ::3] > 120)):
        (made / name).mkdir()
        Image.fromarray(np.asarray(array, np.uint8)).save(made / name / "coins.png")
    return made


@pytest.fixture(scope="module")
def told(
    folder: Path, random_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """What the command says, and the cache folder with what it made."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_FASTSAM_CACHE", str(cache))
        capture = _Lines(patch)
        asked = [str(random_weights), "--to", "openvino", "--int8", "-o", str(cache / "kept")]
        images, labels = str(folder / "images"), str(folder / "labels")
        status = main(["models", "convert", *asked, "--calibrate", images, "--labels", labels])
    assert status == 0
    return capture.text, cache


class _Lines:
    """What the command prints."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.text = ""
        patch.setattr("napari_fastsam.cli.models.print_line", self._add)

    def _add(self, line: str) -> None:
        self.text += f"{line}\n"


def test_the_command_reports_what_int8_loses(told: tuple[str, Path]) -> None:
    text, cache = told
    assert "objects found again in 1 images, with a mean IoU of" in text
    assert text.count("AP50") == 2
    assert str(cache / "kept") in text
    assert (cache / "kept" / NETWORK).is_file()


def test_it_is_used_where_it_is_asked_for(
    told: tuple[str, Path], random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(told[1]))
    small = FastSAM(random_weights, device="cpu", runtime="openvino-int8", image_size=64)
    assert small.description == "random.safetensors · CPU · OpenVINO · int8 · 64 px"
    assert small.segment(coins()).shape == coins().shape
    assert "u8" in (kept(load_checkpoint(random_weights), "openvino-int8") / NETWORK).read_text()


def test_what_was_not_made_says_which_command_makes_it(random_weights: Path, cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"models convert .* --to openvino --int8 --calib"):
        FastSAM(random_weights, device="cpu", runtime="openvino-int8")


def test_it_needs_images(random_weights: Path, cache: Path) -> None:
    with pytest.raises(ValueError, match="images to measure on"):
        quantise(load_checkpoint(random_weights), [], image_size=64)
    assert not cache.exists()


def test_without_nncf_the_extra_is_named(
    random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda name: None if name == "nncf" else True)
    with pytest.raises(ValueError, match=r"package nncf.*napari-fastsam\[int8\]"):
        quantise(load_checkpoint(random_weights), [coins()], image_size=64)


class _Squares:
    """Finds squares of 8 pixels at given columns."""

    def __init__(self, *columns: int) -> None:
        self._columns = columns

    def segment(self, image: NDArray[np.generic]) -> Instances:
        masks = np.zeros((len(self._columns), *image.shape[:2]), bool)
        for mask, column in zip(masks, self._columns, strict=True):
            mask[8:16, column : column + 8] = True
        return Instances.from_masks(image.shape[:2], masks)


def test_agreement_counts_what_is_found_again() -> None:
    images = [np.zeros((32, 64, 3), np.uint8)] * 2
    right, other = _Squares(0, 16, 32), _Squares(0, 18, 46, 56)
    assert agreement(right, other, images) == Agreement(2, 6, 8, 4, pytest.approx((1 + 0.6) / 2))
    assert agreement(_Squares(), other, images[:1]) == Agreement(1, 0, 4, 0, 1.0)
