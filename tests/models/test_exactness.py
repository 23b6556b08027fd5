"""Boxes, scores and masks are those of ultralytics' own FastSAM predictor on the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.io import imread

from napari_fastsam.models._ultralytics import contained, network
from napari_fastsam.models.checkpoint import load_checkpoint
from napari_fastsam.models.fastsam import FastSAM
from napari_fastsam.models.registry import model_path

if TYPE_CHECKING:
    from pathlib import Path

PHOTOS = ("bus.jpg", "dogs.jpg", "truck.jpg", "zidane.jpg")
NUCLEI = 10
CONFIDENCE, IOU, MOST = 0.01, 0.7, 100


def predictor(weights: Path, image_size: int):
    """Return ultralytics' predictor as its `FastSAM(...)(image, retina_masks=True)` sets it up."""
    checkpoint = load_checkpoint(weights)
    model = network(checkpoint.architecture)
    model.load_state_dict(checkpoint.state)
    model.names = {n: str(n) for n in range(checkpoint.architecture.classes)}
    with contained():
        from ultralytics.models.fastsam import FastSAMPredictor

        settings = {
            "mode": "predict",
            "rect": True,
            "imgsz": image_size,
            "conf": CONFIDENCE,
            "iou": IOU,
            "max_det": MOST,
            "agnostic_nms": True,
            "retina_masks": True,
            "device": "cpu",
            "half": False,
            "save": False,
            "verbose": False,
        }
        theirs = FastSAMPredictor(overrides=settings)
        theirs.setup_model(model, verbose=False)
    return theirs


@pytest.fixture(scope="module")
def images(shared_data: Path) -> dict[str, np.ndarray]:
    photos = [shared_data / "photos" / name for name in PHOTOS]
    nuclei = sorted((shared_data / "dsb2018" / "images").glob("*.png"))
    every = len(nuclei) // NUCLEI
    found = {path.name: imread(path) for path in photos + nuclei[: every * NUCLEI : every]}
    assert len(found) == len(PHOTOS) + NUCLEI
    rgb = {name: np.stack([im] * 3, -1) if im.ndim == 2 else im for name, im in found.items()}
    return {name: np.ascontiguousarray(im[..., :3]) for name, im in rgb.items()}


@pytest.mark.parametrize(
    ("weights", "image_size", "count"),
    [("coco", 1024, len(PHOTOS)), ("starter", 640, len(PHOTOS) + NUCLEI)],
)
def test_candidates_are_those_of_ultralytics(coco_weights, images, weights, image_size, count):
    path = {"coco": coco_weights, "starter": model_path("starter")}[weights]
    ours = FastSAM(
        path,
        device="cpu",
        image_size=image_size,
        confidence=CONFIDENCE,
        iou=IOU,
        max_candidates=MOST,
        refine=False,
    )
    theirs = predictor(path, image_size)
    assert sum(compare(ours, theirs, image) for image in list(images.values())[:count]) > 20


def compare(ours: FastSAM, theirs, image: np.ndarray) -> int:
    """Compare all that both found; return how many objects lie clear of the border."""
    found = ours.segment(image)
    result = theirs(np.ascontiguousarray(image[..., ::-1]))[0]  # ultralytics takes BGR
    assert len(found) == len(result)
    if not len(found):
        return 0
    np.testing.assert_allclose(found.scores, result.boxes.conf.numpy(), atol=1e-4)
    masks = result.masks.data.numpy().astype(bool)
    height, width = found.shape
    inner = np.flatnonzero(
        (found.bboxes > 0).all(1) & (found.bboxes[:, 2:] < (height, width)).all(1)
    )
    theirs_boxes = np.ceil(result.boxes.xyxy.numpy()[:, [1, 0, 3, 2]])
    # They also move boxes, though not masks, within 20 pixels of the image to its border.
    clear = ((theirs_boxes > 0) & (theirs_boxes < (height, width, height, width))).all(1)
    both = inner[clear[inner]]
    np.testing.assert_allclose(found.bboxes[both], theirs_boxes[both], atol=1)
    for n in inner:
        whole = np.zeros(found.shape, bool)
        top, left, bottom, right = found.bboxes[n]
        whole[top:bottom, left:right] = found.mask(n)
        assert (whole & masks[n]).sum() >= 0.98 * (whole | masks[n]).sum()
    return len(inner)
