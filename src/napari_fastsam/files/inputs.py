"""Which images files, folders and globs stand for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fastsam._checks import fail_if
from napari_fastsam.files.endings import ending_of
from napari_fastsam.files.readers import ENDINGS, is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Input:
    """An image asked for: its path, and its name relative to what was asked for, as ``a/b``."""

    path: Path
    name: str

    @property
    def file_name(self) -> str:
        """The name with its ending, as ``a/b.png``."""
        return Path(self.name).with_name(self.path.name).as_posix()


def find_images(
    patterns: Iterable[str], *, output: Path | None = None, written: bool = False
) -> list[Input]:
    """Return the images that files, folders and globs stand for, each once.

    Parameters
    ----------
    patterns
        A file is taken as it is, a folder stands for the images directly in it, a glob (``**``
        crosses folders) for those that it matches. Names that begin with a dot are left out of
        folders and globs.
    output
        The folder that the labels go to, if it is one.
    written
        Whether labels were written there before: what lies in `output` is then left out of the
        folders and globs around it.

    Raises
    ------
    FileNotFoundError
        If a pattern stands for no image.
    ValueError
        If images of a folder or glob lie in `output`, or the labels would be images of it.
    """
    found: dict[Path, Input] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir() and not is_zarr(path):
            root, matches = path, sorted(path.iterdir())
        elif path.exists() or not has_magic(pattern):
            root, matches = path.parent, [path] if path.exists() else []
        else:
            root, matches = (
                _glob_root(path),
                [Path(m) for m in sorted(glob(pattern, recursive=True))],
            )
        images = matches if path.is_file() else _images_of(matches)
        if output is not None and matches != [path]:
            images = _apart(images, pattern, root, output, written)
        fail_if(
            not images,
            f"an image ({', '.join(ENDINGS)}), or a folder or glob of them",
            f"{pattern!r}, where there is {'no such image' if matches else 'nothing'}",
            "check the path; put a glob in quotes",
            FileNotFoundError,
        )
        for image in images:
            name = image.relative_to(root)
            found.setdefault(image.resolve(), Input(image, name.with_name(stem(name)).as_posix()))
    return list(found.values())


def stem(path: Path) -> str:
    """Return a file's name without its ending, ``.ome.tif`` as a whole."""
    return path.name[: len(path.name) - len(ending_of(path))] or path.name


def _images_of(matches: list[Path]) -> list[Path]:
    """Return the images among the matches, without the arrays inside a zarr that is one too."""
    images = [match for match in matches if _is_image(match)]
    groups = {image for image in images if is_zarr(image)}
    return [image for image in images if groups.isdisjoint(image.parents)]


def _apart(images: list[Path], pattern: str, root: Path, output: Path, written: bool) -> list[Path]:
    """Return the images of a folder or glob without the labels that an earlier run wrote there."""
    place, target = root.resolve(), output.resolve()
    if target == place:
        last = "*" if Path(pattern).is_dir() else Path(pattern).name
        mixed = [image for image in images if fnmatch(f"{stem(image)}.tif", last)]
    else:
        below = place in target.parents
        mixed = [image for image in images if below and target in image.resolve().parents]
        if written:
            return [image for image in images if image not in mixed]
    fail_if(
        mixed,
        "a folder for the labels that is apart from the images, so that neither is taken for the "
        "other",
        f"{output}, where {mixed[0] if mixed else 'an image'} is",
        f"choose another folder as OUTPUT, as {root / 'labels'}",
    )
    return images


def file_names(inputs: Sequence[Input]) -> list[str]:
    """Return a different name for each image: its `file_name`, or else its path as it was given."""
    names = [item.file_name for item in inputs]
    seen = Counter(names)
    return [
        name if seen[name] == 1 else item.path.as_posix()
        for name, item in zip(names, inputs, strict=True)
    ]


def _is_image(path: Path) -> bool:
    """Whether a path looks like an image by its name."""
    visible = not path.name.startswith(".")
    return visible and (is_zarr(path) or (path.is_file() and path.suffix.lower() in ENDINGS))


def _glob_root(path: Path) -> Path:
    """Return the folders of a glob before its first wildcard."""
    fixed = [folder for folder in path.parents if not has_magic(str(folder))]
    return fixed[0]
