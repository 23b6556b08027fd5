from __future__ import annotations

import json
import math
import os
import shutil

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from napari_fastsam.models import trainer
from napari_fastsam.models._ultralytics import network
from napari_fastsam.models.architecture import Architecture
from napari_fastsam.models.checkpoint import load_checkpoint, save_checkpoint
from napari_fastsam.models.data import divide, find_pairs
from napari_fastsam.models.lessons import RARE_CLASSES
from napari_fastsam.models.train import train
from napari_fastsam.models.trainer import Trainer

SETTINGS = {
    "image_size": 64,
    "crop_size": 64,
    "batch_size": 2,
    "learning_rate": 1e-3,
    "validation": 0.3,
    "device": "cpu",
}


class Interrupted(Exception):
    """What a user who loses patience does."""


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Eight small images of discs in two domains: 16-bit TIFF, and RGB PNG in a folder deeper."""
    root = tmp_path_factory.mktemp("discs")
    rng = np.random.default_rng(0)
    for n in range(8):
        labels = np.zeros((56, 72), np.uint16)
        rows, cols = np.ogrid[:56, :72]
        for k, (row, col) in enumerate(rng.integers((8, 8), (48, 64), (5, 2)), start=1):
            labels[(rows - row) ** 2 + (cols - col) ** 2 < 49] = k
        bright = np.where(labels > 0, 180, 30) + rng.integers(0, 20, labels.shape)
        name = f"grey/{n}" if n < 4 else f"colour/day/{n}"
        for kind in ("images", "labels"):
            (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(root / "labels" / f"{name}.tif", labels)
        if n < 4:
            tifffile.imwrite(root / "images" / f"{name}.tif", (bright * 200).astype(np.uint16))
        else:
            rgb = np.stack([bright, bright // 2, bright // 3], axis=-1).astype(np.uint8)
            Image.fromarray(rgb).save(root / "images" / f"{name}.png")
    return root


@pytest.fixture(scope="session")
def short(folders, random_weights, tmp_path_factory):
    """``short(name, **settings)``: a run of two epochs, or as many as asked for."""
    output = tmp_path_factory.mktemp("trained")

    def run(name, **settings):
        chosen = {**SETTINGS, "epochs": 2, "start": random_weights, **settings}
        return train(folders / "images", folders / "labels", output / name, **chosen)

    run.folder = output
    return run


def weights(path):
    return load_checkpoint(path).state


def test_learning_lowers_the_loss_and_the_model_is_saved_whole(short):
    told = []
    report = short("long.safetensors", epochs=8, progress=told.append)
    early, late = (np.mean([at.loss for at in part]) for part in (told[:6], told[-6:]))
    assert late < 0.8 * early
    assert report.losses[-1] < report.losses[0]
    assert [at.step for at in told] == list(range(1, told[-1].steps + 1))
    assert told[-1].epoch == told[-1].epochs == report.epochs == 8
    model = load_checkpoint(short.folder / "long.safetensors")
    assert model.image_size == 64
    assert json.loads(model.metadata["recipe"])["epochs"] == 8
    assert not list(short.folder.glob("*.resume"))


def test_the_report_tells_of_every_domain_and_can_be_json(short):
    report = short("report.safetensors", epochs=1)
    assert set(report.figures) == {"grey", "colour"}
    assert report.images + sum(f.images for f in report.figures.values()) == 8
    assert json.loads(json.dumps(report.to_json()))["figures"]["grey"]["objects"] > 0
    assert "colour" in str(report)


def test_an_interrupted_run_ends_as_if_it_had_not_been(short):
    whole = short("whole.safetensors", epochs=3, photographs=["colour"])

    def lose_patience(at):
        if at.epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        short("parts.safetensors", epochs=3, photographs=["colour"], progress=lose_patience)
    assert not (short.folder / "parts.safetensors").exists()
    steps = []
    parts = short(
        "parts.safetensors",
        epochs=3,
        photographs=["colour"],
        progress=lambda at: steps.append(at.step),
    )
    assert steps[0] == steps[-1] // 3 + 1
    assert parts.losses == whole.losses
    ours, theirs = (weights(short.folder / f"{name}.safetensors") for name in ("parts", "whole"))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=0)


def test_a_state_of_another_run_is_not_gone_on_with(short):
    def lose_patience(at):
        if at.validation_loss is not None:
            raise Interrupted

    with pytest.raises(Interrupted):
        short("other.safetensors", progress=lose_patience)
    with pytest.raises(ValueError, match=r"(?s)Expected the state of this run.*resume=False"):
        short("other.safetensors", seed=5)
    short("other.safetensors", seed=5, resume=False)
    assert (short.folder / "other.safetensors").exists()


def test_a_damaged_state_is_an_error_that_names_the_file(short):
    (short.folder / "damaged.safetensors.resume").write_bytes(b"PK no")
    with pytest.raises(ValueError, match=r"damaged\.safetensors\.resume.*delete it"):
        short("damaged.safetensors")


def test_a_run_stops_when_nothing_improves(short, monkeypatch):
    monkeypatch.setattr(
        "napari_fastsam.models.trainer.Trainer.validate", lambda self, scenes: self.step_count
    )
    report = short("stopped.safetensors", epochs=9, patience=2)
    assert report.epochs == 3


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"epochs": 0}, "epochs 0"),
        ({"crop_size": 50}, "crop_size 50"),
        ({"validation": 1.0}, "validation 1.0"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"crop_size": 128}, r"at most the image_size \(64\).*crop_size 128"),
        ({"image_size": 9000}, "image_size 9000"),
        ({"photographs": ["seaside"]}, "seaside"),
        ({"device": "abacus"}, "abacus"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_be_are_an_error_before_anything_is_learned(short, settings, fault):
    with pytest.raises(ValueError, match=fault):
        short("never.safetensors", **settings)
    assert not (short.folder / "never.safetensors").exists()


def test_the_output_is_a_safetensors_file(short):
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        short("model.pt")


def test_label_images_without_objects_are_an_error(tmp_path, random_weights):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for n in range(4):
            Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / kind / f"{n}.png")
    with pytest.raises(ValueError, match="label images with objects"):
        train(
            tmp_path / "images",
            tmp_path / "labels",
            tmp_path / "model.safetensors",
            start=random_weights,
            **SETTINGS,
        )


def test_without_an_image_size_it_is_the_first_model_s(short):
    report = short("own.safetensors", epochs=1, image_size=None, validation=0.0)
    assert load_checkpoint(report.output).image_size == 320
    assert "No image was held back" in str(report)


def test_a_model_has_the_licence_of_the_one_it_came_from_and_none_if_that_tells_none(
    short, random_weights, tmp_path
):
    report = short("free.safetensors", epochs=1, validation=0.0)
    assert "licence" not in load_checkpoint(report.output).metadata
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, weights(random_weights), {"licence": "MIT"})
    report = short("mit.safetensors", epochs=1, validation=0.0, start=start)
    assert load_checkpoint(report.output).metadata["licence"] == "MIT"


def test_the_class_of_an_earlier_domain_is_not_reset(short, tmp_path):
    torch.manual_seed(0)
    state = network(Architecture("n", reg_max=16, classes=80)).state_dict()
    start, (taken, free, *_) = tmp_path / "start.safetensors", RARE_CLASSES
    save_checkpoint(start, state, {"domains": {"nuclei": taken}})
    report = short("more.safetensors", epochs=1, start=start, learning_rate=1e-9)
    learned = load_checkpoint(report.output)
    for branch in range(3):
        rows = f"model.22.cv3.{branch}.2.weight"
        assert learned.state[rows][free].abs().max() < 1e-6
        torch.testing.assert_close(
            learned.state[rows][taken], state[rows][taken], atol=1e-3, rtol=0
        )
    domains = json.loads(learned.metadata["domains"])
    assert domains["nuclei"] == taken
    assert domains["grey"] != taken != domains["colour"]


def test_a_faulty_image_that_is_held_back_is_told_of_before_anything_is_learned(
    folders, tmp_path, random_weights
):
    shutil.copytree(folders, tmp_path, dirs_exist_ok=True)
    _, held = divide(find_pairs(tmp_path / "images", tmp_path / "labels"), 0.3)
    held[-1].image.write_bytes(b"II*")
    steps = []
    with pytest.raises(ValueError, match=f"{held[-1].image.name}"):
        train(
            tmp_path / "images",
            tmp_path / "labels",
            tmp_path / "model.safetensors",
            start=random_weights,
            progress=steps.append,
            **SETTINGS,
        )
    assert steps == []


def test_the_state_of_a_run_on_images_that_changed_since_is_not_gone_on_with(
    folders, tmp_path, random_weights
):
    shutil.copytree(folders, tmp_path, dirs_exist_ok=True)

    def run(progress=None):
        images, labels, output = (tmp_path / name for name in ("images", "labels", "m.safetensors"))
        return train(
            images, labels, output, start=random_weights, epochs=2, progress=progress, **SETTINGS
        )

    def lose_patience(at):
        if at.epoch == 1 and at.step > at.steps // 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(lose_patience)
    (changed, *_) = (tmp_path / "labels").rglob("*.tif")
    tifffile.imwrite(changed, np.flipud(tifffile.imread(changed)))
    os.utime(changed, (0, 0))
    with pytest.raises(ValueError, match="that of a run with other images"):
        run()


def test_a_run_that_diverges_stops_and_leaves_the_last_good_state(short, monkeypatch):
    step = Trainer.step
    monkeypatch.setattr(
        Trainer,
        "step",
        lambda self: step(self) if self.step_count < self.steps_per_epoch else math.nan,
    )
    with pytest.raises(ValueError, match=r"diverged.*--learning-rate"):
        short("diverged.safetensors")
    kept = torch.load(short.folder / "diverged.safetensors.resume", weights_only=True)
    assert all(bool(tensor.isfinite().all()) for tensor in kept["best"].values())
    assert not (short.folder / "diverged.safetensors").exists()


@pytest.mark.parametrize(
    "reason", ["MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory: 9 bytes"]
)
def test_memory_that_does_not_hold_a_batch_is_an_error_that_says_what_to_do(
    short, monkeypatch, reason
):
    def fail(self):
        raise RuntimeError(reason)

    monkeypatch.setattr(Trainer, "step", fail)
    with pytest.raises(ValueError, match=r"memory for 2 squares.*--batch-size.*--crop-size"):
        short("large.safetensors")


def test_half_precision_is_not_asked_of_a_torch_that_does_not_know(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not trainer._halves(torch.device("cpu"))
