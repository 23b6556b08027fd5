"""Which files are a CLIP, and what is said of those that are none."""

from __future__ import annotations

import copy
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_fastsam.models._clip_names import find
from napari_fastsam.models._clip_weights import CONFIG_FILE, load_clip
from napari_fastsam.models._image_tower import ImageTower
from napari_fastsam.models._open_clip import tokenizer
from napari_fastsam.models._text_tower import read
from napari_fastsam.models.checkpoint import CheckpointError, load_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state(clip_file: Path) -> State:
    return load_file(clip_file)


@pytest.fixture
def written(tmp_path: Path, clip_config: dict[str, Any]) -> Callable[..., Path]:
    """``written(state, **changes)``: a file of tensors, with metadata."""

    def write(state: State, **metadata: Any) -> Path:
        told = {"model_cfg": clip_config, **metadata}
        texts = {key: json.dumps(value) for key, value in told.items() if value is not None}
        path = tmp_path / "written.safetensors"
        save_file(state, path, texts)
        return path

    return write


def refused(path: Path, told: str) -> None:
    """Check that a file gives one clear error of three parts."""
    with pytest.raises(CheckpointError) as caught:
        load_clip(path)
    message = str(caught.value)
    assert re.search(told, message), message
    pattern = rf"{re.escape(str(path))}: Expected [^\n]+, but [^\n]+\. [A-Z][^\n]+\."
    assert re.fullmatch(pattern, message), message
    assert message.count("Expected ") == 1


def test_a_file_is_read_as_open_clip_would(clip_file: Path, clip_config: dict[str, Any]) -> None:
    from open_clip.model import CLIP

    clip = load_clip(clip_file)
    theirs = CLIP(**clip_config).eval()
    theirs.load_state_dict(load_file(clip_file))
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    tower = ImageTower(clip.network.visual, clip.mean, clip.std)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (clip.mean, clip.std))
    tokens = tokenizer()(["a red circle", "cells, nuclei and other things of that kind"])
    texts = [[int(t) for t in row if t][1:-1] for row in tokens]
    with torch.inference_mode():
        expected = theirs.encode_image((pixels / 255 - mean) / std, normalize=True)
        torch.testing.assert_close(tower.pictures(pixels), expected)
        said = theirs.encode_text(tokens, normalize=True)
    torch.testing.assert_close(read(clip.network, texts, (49406, 49407)), said)


def test_half_precision_is_read_as_single(state: State, written: Callable[..., Path]) -> None:
    clip = load_clip(written({name: tensor.half() for name, tensor in state.items()}))
    assert {tensor.dtype for tensor in clip.network.state_dict().values()} == {torch.float32}


def test_colours_are_known_by_what_the_file_says(
    state: State, written: Callable[..., Path]
) -> None:
    clip = load_clip(written(state, preprocess_cfg={"mean": [0.5, 0.5, 0.5], "std": [1, 1, 1]}))
    assert (clip.mean, clip.std) == ((0.5, 0.5, 0.5), (1, 1, 1))


def test_a_configuration_beside_the_file_will_do(
    state: State, written: Callable[..., Path], clip_config: dict[str, Any]
) -> None:
    path = written(state, model_cfg=None)
    refused(path, f"{CONFIG_FILE} beside it.*same folder")
    told = {"model_cfg": clip_config, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3]}}
    path.with_name(CONFIG_FILE).write_text(json.dumps(told))
    assert load_clip(path).mean == (0.1, 0.2, 0.3)


def test_a_file_of_torch_save_is_read_without_running_it(
    state: State, tmp_path: Path, clip_config: dict[str, Any]
) -> None:
    path = tmp_path / "clip.pt"
    (tmp_path / CONFIG_FILE).write_text(json.dumps({"model_cfg": clip_config}))
    for content in (state, {"epoch": 3, "state_dict": state}):
        torch.save(content, path)
        found = load_clip(path).network.state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_a_file_that_would_run_something_is_refused(
    state: State, tmp_path: Path, clip_config: dict[str, Any]
) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "owned"),)

    path = tmp_path / "clip.pt"
    (tmp_path / CONFIG_FILE).write_text(json.dumps({"model_cfg": clip_config}))
    torch.save({"state_dict": state, "other": Hostile()}, path)
    refused(path, "its pickle asks for 'posix.mkdir'|its pickle asks for 'nt.mkdir'")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("visual.proj"), r"1 tensors are missing|tensors are missing \('visual"),
        (lambda s: s.update(more=torch.ones(3)), r"do not belong to it \('more'\)"),
        (
            lambda s: s.update({"visual.proj": torch.ones(32, 33)}),
            r"have another shape \('visual.proj'\)",
        ),
        (
            lambda s: s["visual.proj"].fill_(float("nan")),
            r"NaN or infinity \(the first: visual.proj\)",
        ),
        (
            lambda s: s.update({"visual.proj": torch.ones(32, 32, dtype=torch.int8)}),
            "floating point",
        ),
    ],
    ids=["missing", "left over", "misshapen", "not finite", "integers"],
)
def test_tensors_that_are_not_the_configurations_are_refused(
    change: Callable[[State], object], told: str, state: State, written: Callable[..., Path]
) -> None:
    changed = {name: tensor.clone() for name, tensor in state.items()}
    change(changed)
    refused(written(changed), told)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("vision_cfg.width", 1 << 40, "'vision_cfg.width' = '1099511627776'"),
        ("vision_cfg.layers", [3, 4, 6, 3], "'vision_cfg.layers' = list"),
        ("vision_cfg.image_size", 1000, "do not fit each other"),
        ("vision_cfg.width", True, "'vision_cfg.width' = 'True'"),
        ("vision_cfg.width", 31.5, "'vision_cfg.width' = '31.5'"),
        ("vision_cfg.timm_model_name", "resnet50", "'vision_cfg.timm_model_name' = 'resnet50'"),
        ("vision_cfg.pool_type", "avg", "'vision_cfg.pool_type' = 'avg'"),
        ("text_cfg.hf_model_name", "roberta-base", "hf_model_name"),
        ("text_cfg.hf_tokenizer_name", "roberta-base", "hf_tokenizer_name"),
        ("text_cfg.vocab_size", 32_000, "'text_cfg.vocab_size' = '32000'"),
        ("text_cfg", None, "its text_cfg is missing or no table"),
        ("embed_dim", None, "do not fit each other"),
        ("embed_dim", 10**9, "'embed_dim' = '1000000000'"),
        ("custom_text", True, "its text side is of another kind"),
        ("text_cfg.context_length", 8, "'text_cfg.context_length' = '8'"),
        ("text_cfg.context_length", 77.0, "'text_cfg.context_length' = '77.0'"),
        ("vision_cfg.patch_dropout", 1.0, "'vision_cfg.patch_dropout' = '1.0'"),
        ("multimodal_cfg", {}, "'multimodal_cfg' = dict"),
    ],
)
def test_configurations_of_another_kind_are_refused(
    place: str,
    value: Any,
    told: str,
    state: State,
    written: Callable[..., Path],
    clip_config: dict[str, Any],
) -> None:
    config = copy.deepcopy(clip_config)
    *tables, key = place.split(".")
    (config[tables[0]] if tables else config)[key] = value
    refused(written(state, model_cfg=config), re.escape(told))


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"model_cfg": "{"}, "that in its metadata is none"),
        ({"model_cfg": "[" * 100_000}, "that in its metadata is none"),
        ({"model_cfg": "[]"}, "its configuration is missing or no table"),
        ({"preprocess_cfg": '{"mean": [9, 9, 9]}'}, "its preprocess_cfg has"),
        ({"preprocess_cfg": '{"std": [0, 0, 0]}'}, "its preprocess_cfg has"),
    ],
)
def test_metadata_that_is_garbled_is_refused(
    metadata: dict[str, str],
    told: str,
    state: State,
    tmp_path: Path,
    clip_config: dict[str, Any],
) -> None:
    path = tmp_path / "garbled.safetensors"
    save_file(state, path, {"model_cfg": json.dumps(clip_config), **metadata})
    refused(path, told)


def test_a_network_that_finds_objects_is_no_clip(random_weights: Path) -> None:
    refused(random_weights, "a YOLO network.*Pass it as the model, and a CLIP as the text model")


def test_a_clip_is_no_network_that_finds_objects(clip_file: Path) -> None:
    with pytest.raises(CheckpointError, match="the tensors are those of"):
        load_checkpoint(clip_file)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("text_model.embeddings.position_ids", "as transformers names them"),
        ("visual.trunk.patch_embed.proj.weight", "no plain vision transformer"),
        ("visual.layer1.0.conv1.weight", "no plain vision transformer"),
        ("anything", "something else"),
    ],
)
def test_other_networks_are_told_apart(name: str, told: str, written: Callable[..., Path]) -> None:
    refused(written({name: torch.ones(2)}), told)


def test_a_damaged_file_is_told(clip_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(clip_file.read_bytes()[:-1000])
    refused(path, "it is damaged")


def test_a_file_that_is_no_weights_is_told(tmp_path: Path) -> None:
    path = tmp_path / "page.safetensors"
    path.write_text("<!DOCTYPE html>")
    refused(path, "it is a web page")


@pytest.mark.parametrize("name", ["nowhere.safetensors", "ViT-B-33", "folder/of/mine", ""])
def test_a_name_that_is_none_is_told(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="as ViT-B-32, another architecture"):
        find(name)


def test_reading_leaves_random_numbers_alone(clip_file: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    load_clip(clip_file)
    assert torch.equal(torch.get_rng_state(), before)
