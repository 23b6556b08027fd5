"""How labels become part of an OME-Zarr: a group of their own below ``labels``, listed there.

Versions 0.4 and 0.5. The image itself is not touched; a group is listed when it is whole.

References
----------
https://ngff.openmicroscopy.org
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if
from napari_fastsam._files import whole
from napari_fastsam.files.chunks import CHUNK, Reordered, copy, copy_nearest, new_array
from napari_fastsam.files.ome_plan import Plan, as_image, halved, is_ome_zarr
from napari_fastsam.files.zarrs import group_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from napari_fastsam.files.readers import Image

NAME = "objects"
"""What the labels are called in an OME-Zarr of their own."""


def add_labels(
    path: Path,
    labels: Any,
    image: Image,
    *,
    provenance: Mapping[str, Any],
    objects: Iterable[Mapping[str, Any]] = (),
    overwrite: bool = False,
) -> None:
    """Write labels into the OME-Zarr of their image, as ``IMAGE/labels/NAME``.

    Parameters
    ----------
    path
        Ends in ``labels/NAME``.
    labels, image, provenance, overwrite
        As in `writers.write_labels`.
    objects
        A row for each object, its ``label`` among the values.

    Raises
    ------
    ValueError
        If `path` is not in the image, or that is no OME-Zarr.
    """
    group = path.parent.parent
    fail_if(
        group.resolve() not in (image.path.resolve(), group_of(image.path).resolve()),
        f"labels of {image.path} in the same OME-Zarr, as {image.path / 'labels' / path.name}",
        str(path),
        "name the labels/ group of the image, or a file of another kind",
    )
    plan = as_image(image)
    folder = group_of(image.path) / "labels"
    path = folder / path.name
    had_folder, had_labels = folder.exists(), path.exists()
    try:
        with whole(path, overwrite=overwrite) as partial:
            _write_group(partial, labels, plan, path.name, provenance, objects)
        with _alone_in(folder):
            try:
                _list(folder, path.name, plan)
            except BaseException:
                if not had_labels:
                    shutil.rmtree(path)
                raise
            _refresh_consolidated(group_of(image.path), plan)
    except BaseException:
        if not had_folder:
            with suppress(OSError):
                folder.rmdir()
        raise


def write_ome_zarr(
    path: Path,
    labels: Any,
    image: Image,
    *,
    provenance: Mapping[str, Any],
    objects: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Write labels as an OME-Zarr of their own, which shows them as an image and as labels.

    The pixels are in ``labels/objects``; the image that the whole is refers to the same arrays.

    Parameters
    ----------
    path
        Does not exist yet.
    labels, image, provenance
        As in `writers.write_labels`.
    objects
        As in `add_labels`.
    """
    import zarr

    plan = as_image(image) if is_ome_zarr(image) else halved(image)
    ome = {"multiscales": plan.multiscales(NAME, f"labels/{NAME}/")}
    attributes = {**plan.attributes(ome), **provenance}
    zarr.create_group(path, zarr_format=plan.zarr_format, attributes=attributes)
    folder = path / "labels"
    folder.mkdir()
    _write_group(folder / NAME, labels, plan, NAME, provenance, objects)
    _list(folder, NAME, plan)


def _write_group(
    path: Path,
    labels: Any,
    plan: Plan,
    name: str,
    provenance: Mapping[str, Any],
    objects: Iterable[Mapping[str, Any]],
) -> None:
    """Write the labels at every resolution, each from the one before."""
    import zarr

    told: dict[str, Any] = {"source": {"image": "../../"}}
    if plan.zarr_format == 2:
        told["version"] = "0.4"
    rows = [
        {"label-value": row["label"], **{k: v for k, v in row.items() if k != "label"}}
        for row in objects
    ]
    told |= {"properties": rows} if rows else {}
    ome = {"multiscales": plan.multiscales(name), "image-label": told}
    zarr.create_group(
        path,
        zarr_format=plan.zarr_format,
        attributes={**plan.attributes(ome), **provenance},
    )
    source: Any = Reordered(labels, plan.order)
    names = [axis["name"] for axis in plan.axes]
    for n, (shape, level) in enumerate(plan.levels):
        chunks = tuple(
            min(size, CHUNK) if axis in ("y", "x") else 1
            for size, axis in zip(shape, names, strict=True)
        )
        array = new_array(path / level.path, shape, chunks, names, zarr_format=plan.zarr_format)
        if n == 0 or shape == source.shape:
            copy(source, array)
        else:
            copy_nearest(source, array)
        source = array


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until nobody else changes the lists of a folder, and keep them out meanwhile."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    path = folder / ".lock"
    with ExitStack() as stack:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, descriptor)
            with suppress(OSError):  # on a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    break  # else the one before has removed it, and others lock a new file
        stack.callback(path.unlink)
        yield


def _list(folder: Path, name: str, plan: Plan) -> None:
    """List a group of labels among those of its image; the list is replaced as a whole."""
    if plan.zarr_format == 2:
        if not (folder / ".zgroup").exists():
            with whole(folder / ".zgroup") as partial:
                partial.write_text(json.dumps({"zarr_format": 2}), encoding="utf-8")
        file = folder / ".zattrs"
        content: dict[str, Any] = _json(file, {})
        ome = content
    else:
        file = folder / "zarr.json"
        new = {"zarr_format": 3, "node_type": "group", "attributes": {}}
        content = _json(file, new)
        ome = content.setdefault("attributes", {}).setdefault("ome", {"version": plan.version})
    if name not in ome.get("labels", ()):
        ome["labels"] = [*ome.get("labels", ()), name]
        with whole(file, overwrite=True) as partial:
            partial.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _json(file: Path, otherwise: dict[str, Any]) -> dict[str, Any]:
    """Return what a file of JSON holds, or something else if there is none."""
    if not file.exists():
        return otherwise
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _refresh_consolidated(group: Path, plan: Plan) -> None:
    """Bring the copy of all metadata, which some writers keep in the image, up to date."""
    import zarr

    if plan.zarr_format == 2:
        kept = (group / ".zmetadata").exists()
    else:
        kept = _json(group / "zarr.json", {}).get("consolidated_metadata") is not None
    if kept:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr 3 itself does not specify it
            zarr.consolidate_metadata(group)
