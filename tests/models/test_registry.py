from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_fastsam.models import registry
from napari_fastsam.models._download import ATTEMPTS
from napari_fastsam.models.checkpoint import CheckpointError, load_checkpoint
from napari_fastsam.models.registry import (
    MODELS,
    DownloadError,
    Model,
    cache_dir,
    fetch,
    list_models,
    model_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("cache", "no_proxy")

WEIGHTS = b"PK\x03\x04" + bytes(range(256)) * 1200
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """A server of weights whose answers a test chooses by the path; counts what is asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        kind = self.path.strip("/")
        self.server.asked[kind] += 1
        if kind == "missing":
            self.send_error(404)
        elif kind == "busy" or (kind == "busy_once" and self.server.asked[kind] == 1):
            self.send_error(503)
        elif kind == "truncated" or (kind == "truncated_once" and self.server.asked[kind] == 1):
            self._answer(WEIGHTS[:1000], len(WEIGHTS))
        elif kind == "slow":
            self._answer(WEIGHTS[:100_000], len(WEIGHTS))
            time.sleep(30)
        elif kind == "page":
            self._answer(b"<!DOCTYPE html><title>Sign in</title>")
        elif kind == "short":
            self._answer(WEIGHTS[:-1])
        elif kind == "other":
            self._answer(WEIGHTS[:-1] + b"!")
        elif kind == "endless":
            self._answer(WEIGHTS * 3)
        elif kind == "unmeasured":
            self._answer(WEIGHTS, None)
        elif kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
        else:
            self._answer(WEIGHTS)

    def _answer(self, body: bytes, length: int | None = -1) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")


@pytest.fixture
def model(server: Server) -> Model:
    """A model that the server has, whose file is known to the last bit."""
    return Model(
        name="test",
        filename="test.pt",
        url=server.url("whole"),
        size=len(WEIGHTS),
        sha256=SHA256,
    )


def assert_nothing_stays(model: Model) -> None:
    folder = model.path.parent
    assert not folder.exists() or not list(folder.iterdir())


def test_the_table_names_the_published_files() -> None:
    assert list(MODELS) == ["starter", "FastSAM-s", "FastSAM-x"]
    for name in ("FastSAM-s", "FastSAM-x"):
        model = MODELS[name]
        assert model.url is not None
        assert re.fullmatch(
            rf"https://github\.com/ultralytics/assets/releases/download/v[\d.]+/{name}\.pt",
            model.url,
        )
        assert model.image_size == 1024
        for sha256 in (model.sha256, *model.also_sha256):
            assert re.fullmatch("[0-9a-f]{64}", str(sha256))


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MODELS["mine"] = MODELS["starter"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        MODELS["starter"].filename = "mine.pt"  # type: ignore[misc]


def test_importing_the_registry_needs_no_network_and_no_torch() -> None:
    code = (
        "import sys, napari_fastsam.models.registry as r; r.list_models();"
        "sys.exit(bool({'torch', 'requests', 'pooch', 'ultralytics'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_cache_folder_follows_the_environment(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_dir() == cache
    monkeypatch.delenv("NAPARI_FASTSAM_CACHE")
    assert cache_dir().name == "napari-fastsam"
    assert cache_dir() != cache


def test_the_starter_comes_with_the_package_and_is_small() -> None:
    path = model_path("starter")
    assert path.parent == Path(registry.__file__).parent
    assert path.stat().st_size <= 8_000_000
    assert load_checkpoint(path).image_size in {None, MODELS["starter"].image_size}


def test_a_path_is_its_own_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(WEIGHTS)
    assert model_path(path) == model_path(str(path)) == path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fastsam-S", "Did you mean 'FastSAM-s'?"),
        ("FastSAM-x.pt", "Did you mean 'FastSAM-x'?"),
        ("nowhere.pt", "Check the spelling."),
    ],
)
def test_an_unknown_model_is_told_with_those_known(name: str, told: str) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(told)) as caught:
        model_path(name)
    assert "one of starter, FastSAM-s, FastSAM-x or the path of a checkpoint" in str(caught.value)


def test_only_named_models_are_fetched() -> None:
    with pytest.raises(ValueError, match="Choose from starter, FastSAM-s, FastSAM-x"):
        fetch("mine.pt")


def test_nothing_is_downloaded_without_being_asked(
    model: Model, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MODELS", {"test": model})
    with pytest.raises(FileNotFoundError) as caught:
        model_path("test")
    message = str(caught.value)
    assert "test.pt" in message
    assert str(model.path.parent) in message
    assert "napari-fastsam models fetch test" in message
    assert str(model.url) in message
    assert not server.asked
    assert_nothing_stays(model)
    assert model_path("test", download=True).read_bytes() == WEIGHTS


def test_a_fetched_file_is_whole_and_alone(model: Model, cache: Path) -> None:
    assert fetch(model) == cache / "test.pt"
    assert model.path.read_bytes() == WEIGHTS
    assert [path.name for path in cache.iterdir()] == ["test.pt"]


def test_a_file_that_is_there_is_not_fetched_again(model: Model, server: Server) -> None:
    fetch(model)
    fetch(model)
    assert server.asked == {"whole": 1}


def test_redirections_are_followed(model: Model, server: Server) -> None:
    assert fetch(replace(model, url=server.url("moved"))).read_bytes() == WEIGHTS


@pytest.mark.parametrize("kind", ["whole", "unmeasured"])
def test_progress_ends_at_the_whole(kind: str, model: Model, server: Server) -> None:
    told: list[tuple[int, int]] = []
    fetch(
        replace(model, url=server.url(kind)),
        progress=lambda done, total: told.append((done, total)),
    )
    assert len(told) > 3
    if kind == "whole":
        assert told[-1] == (len(WEIGHTS), len(WEIGHTS))
        assert all(done <= total for done, total in told)
        assert told == sorted(told)
    else:
        assert {total for _, total in told} == {0}


@pytest.mark.parametrize(
    ("kind", "told", "asked"),
    [
        ("missing", "it answers 404 'Not Found'", 1),
        ("busy", "it answers 503 'Service Unavailable'", ATTEMPTS),
        ("truncated", "the connection broke off", ATTEMPTS),
        ("short", "307,203 bytes come instead of 307,204", ATTEMPTS),
        ("page", "it is a web page", 1),
        ("other", "the file that comes has SHA-256 [0-9a-f]{64} instead of", 1),
        ("endless", "it sends more than 307,204 bytes", 1),
    ],
)
def test_a_download_that_fails_says_why_and_leaves_nothing(
    kind: str, told: str, asked: int, model: Model, server: Server
) -> None:
    broken = replace(model, url=server.url(kind))
    with pytest.raises(DownloadError, match=told) as caught:
        fetch(broken)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"Expected to fetch test.pt (0.3 MB) from {broken.url}, but ")
    assert message.endswith(f"place it as test.pt in {model.path.parent}.")
    assert server.asked == {kind: asked}
    assert_nothing_stays(model)
    assert fetch(model).read_bytes() == WEIGHTS


@pytest.mark.parametrize("kind", ["busy_once", "truncated_once"])
def test_a_hiccup_is_tried_again(kind: str, model: Model, server: Server) -> None:
    assert fetch(replace(model, url=server.url(kind))).read_bytes() == WEIGHTS


def test_a_server_that_is_not_there_is_told(model: Model, server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="it cannot be reached"):
        fetch(model)
    assert_nothing_stays(model)


def test_a_proxy_that_refuses_is_told(
    model: Model, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("HTTPS_PROXY", server.url(""))
    with pytest.raises(DownloadError, match="the proxy refuses; see HTTPS_PROXY"):
        fetch(replace(model, url="https://example.invalid/test.pt"))


def test_a_server_that_cannot_speak_https_is_told(model: Model) -> None:
    with pytest.raises(DownloadError, match="its certificate cannot be verified"):
        fetch(replace(model, url=str(model.url).replace("http:", "https:")))


def test_an_address_that_is_none_is_told(model: Model) -> None:
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(replace(model, url="http://"))


def test_a_killed_download_counts_for_nothing(model: Model, server: Server) -> None:
    slow = replace(model, url=server.url("slow"))
    code = (
        "from napari_fastsam.models.registry import Model, fetch; import sys;"
        f"fetch({slow!r}, progress=lambda done, total: print(done, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()
    (partial,) = model.path.parent.iterdir()
    assert partial.name.endswith(".part")
    os.utime(partial, (0, 0))
    assert fetch(model).read_bytes() == WEIGHTS
    assert list(model.path.parent.iterdir()) == [model.path], "what it left is cleared away"


def test_fetching_at_once_downloads_once(model: Model, server: Server) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch(model))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [model.path] * 5
    assert server.asked == {"whole": 1}


def test_a_folder_that_cannot_be_made_is_told(model: Model, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="Make room or set NAPARI_FASTSAM_CACHE"):
        fetch(model)
    assert cache.read_text().startswith("a file")


def test_a_file_that_will_not_fit_is_not_begun(model: Model, server: Server) -> None:
    with pytest.raises(DownloadError, match=r"bytes are needed, .* are free"):
        fetch(replace(model, size=1 << 60))
    assert not server.asked
    assert_nothing_stays(model)


def test_a_disk_that_fills_up_is_told_and_left_clean(model: Model) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limit on a file's size")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(WEIGHTS) // 2, before[1]))
    try:
        with pytest.raises(DownloadError, match="cannot be written"):
            fetch(model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_nothing_stays(model)


@pytest.fixture
def unpinned(model: Model) -> Model:
    """A model of which neither size nor hash is known beforehand."""
    return replace(model, size=None, sha256=None)


def test_the_first_hash_seen_is_recorded(unpinned: Model) -> None:
    fetch(unpinned)
    record = unpinned.path.with_name("test.pt.json")
    assert json.loads(record.read_text())["sha256"] == SHA256


def test_a_file_placed_by_hand_is_recorded_and_then_held_to_it(
    unpinned: Model, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MODELS", {"test": unpinned})
    unpinned.path.parent.mkdir()
    unpinned.path.write_bytes(WEIGHTS)
    assert model_path("test") == unpinned.path
    assert list_models()[0].sha256 == SHA256
    unpinned.path.write_bytes(WEIGHTS[:-1])
    with pytest.raises(CheckpointError, match=r"Delete it and test\.pt\.json beside it and run"):
        model_path("test")
    assert not server.asked


def test_another_file_under_a_pinned_name_is_refused(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MODELS", {"test": model})
    model.path.parent.mkdir()
    model.path.write_bytes(WEIGHTS[:-1])
    with pytest.raises(CheckpointError, match=f"with SHA-256 {SHA256}, but .* has [0-9a-f]{{64}}"):
        model_path("test")


def test_the_same_weights_as_others_publish_them_are_accepted(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(model, sha256="0" * 64, also_sha256=(SHA256,))
    monkeypatch.setattr(registry, "MODELS", {"test": known})
    known.path.parent.mkdir()
    known.path.write_bytes(WEIGHTS)
    assert model_path("test") == known.path


def test_a_record_that_is_garbled_is_written_anew(unpinned: Model) -> None:
    fetch(unpinned)
    record = unpinned.path.with_name("test.pt.json")
    record.write_text("[")
    fetch(unpinned)
    assert json.loads(record.read_text())["sha256"] == SHA256


def test_the_list_tells_what_is_where(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = replace(MODELS["starter"], filename="registry.py")
    monkeypatch.setattr(registry, "MODELS", {"starter": bundled, "test": model})
    assert [(row.name, row.state) for row in list_models()[:2]] == [
        ("starter", "bundled"),
        ("test", "missing"),
    ]
    fetch(model)
    row = list_models()[1]
    assert (row.state, row.size, row.path, row.sha256) == (
        "present",
        len(WEIGHTS),
        model.path,
        SHA256,
    )
    assert row.licence == "AGPL-3.0-or-later"


def test_a_bundled_model_that_is_gone_says_to_install_again() -> None:
    with pytest.raises(FileNotFoundError, match="Install napari-fastsam again"):
        fetch(replace(MODELS["starter"], filename="nowhere.safetensors"))
