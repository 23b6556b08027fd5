"""How a file comes over the network: whole and as expected, or not at all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from napari_fastsam._files import whole
from napari_fastsam.models._content import MAX_FILE_BYTES, kind_of
from napari_fastsam.models._files import CACHE_VARIABLE, sha256_of
from napari_fastsam.models._refusal import CheckpointError, shown

if TYPE_CHECKING:
    from pathlib import Path

Progress = Callable[[int, int], None]
"""Called with the bytes that came and the bytes there are, 0 if unknown."""

ATTEMPTS = 3
TIMEOUT_SECONDS = 30
_PAUSE_SECONDS = 0.5
_CHUNK_BYTES = 1 << 16
_STALE_SECONDS = 3600


class DownloadError(OSError):
    """A file cannot be fetched; the message says how to place it by hand."""


class _Broken(Exception):
    """What went wrong, and whether to try again."""

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


def download(
    url: str,
    path: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Fetch a file of weights.

    Parameters
    ----------
    url, path
        From where to where; the folder is made.
    size, sha256
        What the file has to have, where known.
    progress
        Called as it comes.

    Raises
    ------
    DownloadError
        If it cannot be had or kept. Nothing of it stays then.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _make_room(path, size)
            with whole(path, overwrite=True) as partial:
                _get(url, partial, _Meter(path.parent, size, progress))
                _verify(partial, size, sha256)
            return
        except _Broken as error:
            if not error.transient or attempt == ATTEMPTS:
                raise DownloadError(_by_hand(url, path, size, str(error))) from error
            time.sleep(_PAUSE_SECONDS * attempt)
        except OSError as error:
            raise DownloadError(
                f"Expected to keep {path.name} in {path.parent}, but that folder cannot be "
                f"written ({error}). Make room or set {CACHE_VARIABLE} to another folder."
            ) from error


class _Meter:
    """What pooch takes for a progress bar: counts, tells, and stops what never ends."""

    def __init__(self, folder: Path, size: int | None, progress: Progress | None) -> None:
        self.total = 0
        self._folder = folder
        self._limit = size or MAX_FILE_BYTES
        self._progress = progress
        self._done = 0

    def update(self, count: int) -> None:
        """Count what came; pooch counts whole chunks, so the last one may be too much."""
        if self.total > self._limit + _CHUNK_BYTES:  # said before it comes
            raise _Broken(f"it sends more than {self._limit:,} bytes")
        if not self._done:
            _require_free(self._folder, self.total)  # what was not known before
        self._done += count
        if self._done >= self._limit + _CHUNK_BYTES:
            raise _Broken(f"it sends more than {self._limit:,} bytes")
        if self._progress is not None:
            self._progress(min(self._done, self.total or self._done), self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Do nothing: there is nothing open."""


def _make_room(path: Path, size: int | None) -> None:
    """Make the folder, clear what killed processes left there, and see that the file fits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for partial in path.parent.glob(f".{path.name}-*.part"):
        if time.time() - partial.stat().st_mtime > _STALE_SECONDS:
            partial.unlink(missing_ok=True)
    _require_free(path.parent, size or 0)


def _require_free(folder: Path, size: int) -> None:
    """Refuse what does not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(f"{size:,} bytes are needed, {free:,} are free")


def _get(url: str, partial: Path, meter: _Meter) -> None:
    """Fetch a file, with requests' many exceptions told apart by what a user can do about them."""
    import pooch
    import requests

    opened = ExitStack()

    def remember(response: requests.Response, **_: object) -> None:
        """Note an answer, as pooch leaves those open that break off."""
        opened.callback(response.close)

    get = pooch.HTTPDownloader(
        meter, _CHUNK_BYTES, timeout=TIMEOUT_SECONDS, hooks={"response": remember}
    )
    try:
        with opened:
            get(url, partial, None)
    except requests.exceptions.ProxyError as error:
        raise _Broken("the proxy refuses; see HTTPS_PROXY and NO_PROXY") from error
    except requests.exceptions.SSLError as error:
        raise _Broken(
            "its certificate cannot be verified; where the network inspects HTTPS, "
            "set REQUESTS_CA_BUNDLE to the network's certificate"
        ) from error
    except requests.exceptions.Timeout as error:
        raise _Broken(f"it was silent for {TIMEOUT_SECONDS} s", transient=True) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _Broken("the connection broke off", transient=True) from error
    except requests.exceptions.HTTPError as error:
        answer = cast("requests.Response", error.response)
        reason = f"it answers {answer.status_code} {shown(answer.reason)}"
        raise _Broken(reason, transient=answer.status_code >= 500) from error
    except requests.exceptions.RequestException as error:
        raise _Broken("it cannot be reached", transient=True) from error


def _verify(partial: Path, size: int | None, sha256: str | None) -> None:
    """Refuse a file that is not what was asked for."""
    try:
        kind_of(partial)
    except CheckpointError as error:
        raise _Broken(f"what comes is no file of weights [{error}]") from error
    length = partial.stat().st_size
    if size is not None and length != size:
        raise _Broken(f"{length:,} bytes come instead of {size:,}", transient=True)
    if sha256 is not None and (found := sha256_of(partial)) != sha256:
        raise _Broken(f"the file that comes has SHA-256 {found} instead of {sha256}")


def _by_hand(url: str, path: Path, size: int | None, reason: str) -> str:
    """Say what failed and how to do without it."""
    told = f" ({size / 1e6:.1f} MB)" if size else ""
    return (
        f"Expected to fetch {path.name}{told} from {url}, but {reason}. "
        f"Try again, or download it elsewhere and place it as {path.name} in {path.parent}."
    )
