"""How a CLIP that has a name gets here: only when asked, whole, and from the hub or its mirror."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from napari_fastsam.models import _clip_names, registry
from napari_fastsam.models._clip_names import Named, find
from napari_fastsam.models.clip import OpenClip
from napari_fastsam.models.registry import HUB, TEXT_MODELS, DownloadError, fetch, list_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASKED = "/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/main/open_clip_model.safetensors"

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def hub(clip_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A mirror of the hub that has one file under every name; the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = clip_file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(variable, "127.0.0.1")
        yield asked
        server.shutdown()


def test_nothing_is_downloaded_without_being_asked(hub: list[str], cache: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        OpenClip(device="cpu")
    message = str(caught.value)
    assert "`napari-fastsam models fetch ViT-B-32`" in message
    assert ASKED in message
    assert str(cache / "clip") in message
    assert message.endswith("place it there as ViT-B-32-laion2b_s34b_b79k.safetensors.")
    assert not hub
    assert not cache.exists()


def test_the_default_is_fetched_from_the_mirror_and_kept(hub: list[str], cache: Path) -> None:
    told: list[tuple[int, int]] = []
    path = fetch("ViT-B-32", progress=lambda done, total: told.append((done, total)))
    assert path == cache / "clip" / "ViT-B-32-laion2b_s34b_b79k.safetensors"
    assert told[-1][0] == told[-1][1] == path.stat().st_size
    fetch("ViT-B-32")
    OpenClip("ViT-B-32", device="cpu", download=True)
    OpenClip("ViT-B/32", device="cpu")
    OpenClip("ViT-B-32/laion2b_s34b_b79k", device="cpu")
    assert hub == [ASKED]


def test_its_first_hash_is_recorded_and_then_held_to(hub: list[str], cache: Path) -> None:
    path = fetch("ViT-B-32")
    record = path.with_name(f"{path.name}.json")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads(record.read_text())["sha256"] == sha256
    (row,) = (row for row in list_models() if row.name == "ViT-B-32")
    assert (row.state, row.path, row.sha256, row.licence) == ("present", path, sha256, "MIT")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"Delete it and .* and run `napari-fastsam models fetch"):
        OpenClip(device="cpu")


def test_weights_of_another_network_under_that_name_are_refused_when_read(
    hub: list[str],
) -> None:
    fetch("ViT-B-32")
    with pytest.raises(ValueError, match="tensors have another shape"):
        OpenClip(device="cpu").score([[0.0]], "cell")  # type: ignore[arg-type]


def test_no_network_says_where_to_place_the_file(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError) as caught:
        OpenClip(device="cpu", download=True)
    message = str(caught.value)
    assert f"http://127.0.0.1:9{ASKED}" in message
    assert str(cache / "clip") in message
    assert not list((cache / "clip").iterdir())


def test_no_disk_space_is_told(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"bytes are needed, 1,000 are free.*Make room"):
        fetch("ViT-B-32")


def test_other_weights_of_open_clip_have_a_place_on_the_hub() -> None:
    found = find("ViT-L-14/laion2b_s32b_b82k")
    assert isinstance(found, Named)
    assert found.model.url == (
        f"{HUB}/laion/CLIP-ViT-L-14-laion2B-s32B-b82K/resolve/main/open_clip_model.safetensors"
    )
    assert found.about["mean"] == (0.5, 0.5, 0.5)
    assert find("ViT-L-14") == found
    openai = find("ViT-B-32/openai")
    assert isinstance(openai, Named)
    assert openai.about["quick_gelu"]


def test_the_default_is_where_open_clip_has_it() -> None:
    found = find("ViT-B-32")
    assert isinstance(found, Named)
    assert f"{HUB}/{found.about['hf_hub']}resolve/main/{_clip_names.FILENAME}" == found.model.url


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ViT-B-32/nothing", "weights of ViT-B-32, of which there are openai, "),
        ("ViT-S-32", "weights of ViT-S-32, of which none are published"),
    ],
)
def test_weights_that_are_none_are_told(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        find(name)


def test_clips_are_no_networks_that_find_objects() -> None:
    assert not TEXT_MODELS.keys() & registry.MODELS.keys()
