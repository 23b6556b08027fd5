"""Which models have a name, where their files are, and whether a file is the one it should be.

Nothing is downloaded unless `fetch`, or `model_path` with ``download=True``, is called.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from napari_fastsam.models._download import DownloadError, download
from napari_fastsam.models._files import CACHE_VARIABLE, cache_dir
from napari_fastsam.models._identity import recorded_sha256, require_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_fastsam.models._download import Progress

__all__ = [
    "CACHE_VARIABLE",
    "HUB",
    "MODELS",
    "TEXT_MODELS",
    "DownloadError",
    "Model",
    "ModelStatus",
    "cache_dir",
    "fetch",
    "list_models",
    "model_path",
]

_RELEASE = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
HUB = "https://huggingface.co"
"""Where weights of CLIP are; the environment variable ``HF_ENDPOINT`` names a mirror of it."""
HUB_VARIABLE = "HF_ENDPOINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that can be asked for by its name.

    Parameters
    ----------
    name, filename
        What it is called, and its file.
    url
        Where the file can be had; ``None`` if it comes with the package.
    size
        Bytes of that file, where known.
    sha256
        Of that file, where known; else that of the first file seen is recorded beside it.
    also_sha256
        Of files with the same weights that others publish under this name.
    image_size
        Length in pixels of the network's longer side that it was trained for.
    licence
        SPDX identifier.
    summary
        What it is good for.
    """

    name: str
    filename: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    also_sha256: tuple[str, ...] = ()
    image_size: int = 1024
    licence: str = "AGPL-3.0-or-later"
    summary: str = ""

    @property
    def address(self) -> str | None:
        """The URL, at the mirror where the environment names one."""
        mirror = os.environ.get(HUB_VARIABLE, "").rstrip("/")
        if self.url and mirror and self.url.startswith(f"{HUB}/"):
            return mirror + self.url.removeprefix(HUB)
        return self.url

    @property
    def path(self) -> Path:
        """Where its file is, or would be."""
        folder = cache_dir() if self.url else Path(__file__).parent
        return folder / self.filename


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        model.name: model
        for model in (
            Model(
                name="starter",
                filename="starter.safetensors",
                image_size=768,
                summary="Comes with the package: cells, nuclei, tissue and everyday objects.",
            ),
            Model(
                name="FastSAM-s",
                filename="FastSAM-s.pt",
                url=f"{_RELEASE}/FastSAM-s.pt",
                size=23_851_578,
                sha256="c9f78716a81c7aff0d608ccc73e1b82ab3aaad86005049f6a92106a0be6d0844",
                also_sha256=("e9034d7478a8e9d1bfb57b51592e521a253287c7cdcf79258f61ea6d68584a0d",),
                licence="AGPL-3.0-only",
                summary="FastSAM, small: everyday photographs, quick on a CPU.",
            ),
            Model(
                name="FastSAM-x",
                filename="FastSAM-x.pt",
                url=f"{_RELEASE}/FastSAM-x.pt",
                size=144_972_346,
                sha256="752cadc2828edb1cd4bc4f9eb587100631af06ea2108f4c9ed56df4755701e76",
                also_sha256=("c0be4e7ddbe4c15333d15a859c676d053c486d0a746a3be6a7a9790d52a9b6d7",),
                licence="AGPL-3.0-only",
                summary="FastSAM, large: the weights of the paper, best with a GPU.",
            ),
        )
    }
)
"""The networks that find objects and have a name."""

TEXT_MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "ViT-B-32": Model(
            name="ViT-B-32",
            filename=os.path.join("clip", "ViT-B-32-laion2b_s34b_b79k.safetensors"),
            url=f"{HUB}/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/main/"
            "open_clip_model.safetensors",
            image_size=224,
            licence="MIT",
            summary="CLIP, for text prompts and similar objects; about 605 MB.",
        )
    }
)
"""The networks that know words and have a name here; open_clip knows more."""

_FETCHING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A row of the list of models.

    Parameters
    ----------
    name, licence, image_size, summary
        As in the table.
    state
        ``"bundled"`` with the package, ``"present"`` in the cache folder, or ``"missing"``.
    size
        Bytes of the file that is there, else of the one that would be fetched.
    path
        Where the file is, or would be.
    sha256
        What the file has to have; ``None`` as long as nothing is known.
    """

    name: str
    state: str
    size: int | None
    path: Path
    licence: str
    sha256: str | None
    image_size: int
    summary: str


def list_models() -> tuple[ModelStatus, ...]:
    """Return every model that has a name, and whether its file is on this machine."""
    return tuple(_status(model) for model in (*MODELS.values(), *TEXT_MODELS.values()))


def model_path(
    name_or_path: str | os.PathLike[str] | Model,
    *,
    download: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Return the file of a model.

    Parameters
    ----------
    name_or_path
        A name in `MODELS`, the path of a checkpoint, or a row of a table.
    download
        Whether to fetch the file of a named model that is not on this machine.
    progress
        Called with the bytes that came and the bytes there are, while it is fetched.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or it is a named model that was not fetched yet.
    CheckpointError
        If the file of a named model is not the one it should be.
    DownloadError
        If it cannot be fetched.
    """
    if isinstance(name_or_path, Model):
        model = name_or_path
    elif isinstance(name_or_path, str) and name_or_path in MODELS:
        model = MODELS[name_or_path]
    else:
        return _own_file(Path(name_or_path))
    if not model.path.is_file():
        if not download:
            raise FileNotFoundError(_how_to_get(model))
        return fetch(model, progress=progress)
    _check(model)
    return model.path


def fetch(model: str | Model, *, progress: Progress | None = None) -> Path:
    """Download the file of a model into the cache folder, unless it is there.

    Parameters
    ----------
    model
        A name in `MODELS` or of a CLIP of open_clip, or a model of your own.
    progress
        Called with the bytes that came and the bytes there are (0 if unknown).

    Returns
    -------
    Path
        The file, whole and checked. A download that fails leaves nothing behind.

    Raises
    ------
    DownloadError
        If it cannot be had, or kept; the message says how to place the file by hand.
    CheckpointError
        If the file that is there is not the one it should be.
    """
    if isinstance(model, str):
        model = _named(model)
    with _FETCHING:  # two at once would fetch the same file twice
        if not model.path.is_file():
            if model.url is None:
                raise FileNotFoundError(_how_to_get(model))
            download(
                model.address or model.url,
                model.path,
                size=model.size,
                sha256=model.sha256,
                progress=progress,
            )
        _check(model)
    return model.path


def _check(model: Model) -> None:
    """Refuse a file that is not the one that belongs to a name."""
    if model.url is not None:  # else it came with the package, whose installer checked it
        known = (model.sha256, *model.also_sha256) if model.sha256 else ()
        require_known(model.path, known, remedy=f"`napari-fastsam models fetch {model.name}`")


def _named(name: str) -> Model:
    """Return a model of the tables, or a CLIP."""
    tables = {**MODELS, **TEXT_MODELS}
    if name not in tables:
        from napari_fastsam.models._clip_names import named

        clip = named(name)
        if clip is None:
            raise ValueError(
                f"Expected the name of a model, but {name!r} is none. "
                f"Choose from {', '.join(tables)}."
            )
        return clip.model
    return tables[name]


def whole_of(path: Path) -> Path:
    """Return what a model's file belongs to: OpenVINO keeps weights beside its ``.xml``."""
    return path.parent if path.suffix.lower() == ".xml" else path


def _own_file(path: Path) -> Path:
    """Return the path of somebody's own checkpoint or export, which may be a folder."""
    if path.is_file() or any(path.glob("*.xml")):
        return path
    meant = [
        name for name in MODELS if name.casefold() in {str(path).casefold(), path.stem.casefold()}
    ]
    remedy = f"Did you mean {meant[0]!r}?" if meant else "Check the spelling."
    raise FileNotFoundError(
        f"Expected a model, one of {', '.join(MODELS)} or the path of a checkpoint, "
        f"but there is no file {path}. {remedy}"
    )


def _how_to_get(model: Model) -> str:
    """Say how a named model that is not on this machine gets there."""
    if model.url is None:
        return (
            f"Expected the model {model.name} with the package at {model.path}, "
            "but it is not there. Install napari-fastsam again."
        )
    return (
        f"Expected {model.path.name} in {model.path.parent}, but it is not there yet. Run "
        f"`napari-fastsam models fetch {model.name}`, or download {model.address} and place it "
        f"there{_as_named(model)}."
    )


def _as_named(model: Model) -> str:
    """Say that a file has another name here, where it has."""
    return "" if str(model.url).endswith(f"/{model.path.name}") else f" as {model.path.name}"


def _status(model: Model) -> ModelStatus:
    there = model.path.is_file()
    return ModelStatus(
        name=model.name,
        state=("bundled" if model.url is None else "present") if there else "missing",
        size=model.path.stat().st_size if there else model.size,
        path=model.path,
        licence=model.licence,
        sha256=model.sha256 or recorded_sha256(model.path),
        image_size=model.image_size,
        summary=model.summary,
    )
