"""How labels say how they came about, as plain data that can be saved with a layer, and read.

The data is JSON. It holds no pixels of the image and no weights, but says which they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import fail_if

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fastsam.labelling import Labelling

KEY = "napari-fastsam"
"""Where a layer's metadata say how its labels came about."""

VERSION = 1
"""Of the data; what is written by a later one is not read."""


def provenance(
    work: Labelling, sources: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Return what was done to labels, as JSON knows it.

    Parameters
    ----------
    work
        The labels.
    sources
        What candidates were chosen from, see `source_record`; ``None`` for those that `work` knows.

    Notes
    -----
    It takes the records as they are, without copying them, and so is quick after each step. Later
    steps do not change what was returned, but for a run that still goes on.
    """
    canvas = work.canvases[0]
    return {
        "version": VERSION,
        "package": _package_version(),
        "labels": {
            "shape": [int(size) for size in canvas.axes.label_shape],
            "dtype": str(canvas.dtype),
            "axes": "".join(letter for letter in canvas.axes.axes if letter not in "CS"),
        },
        "sources": list(work.sources if sources is None else sources),
        "start": list(work.start),
        "steps": [step for step in work.history.records if not _says_nothing(step)],
    }


def record_of(layer: Any) -> Mapping[str, Any]:
    """Return what a layer says of how its labels came about, checked.

    Raises
    ------
    ValueError
        If it says nothing, or in a way that this version does not read.
    """
    found = layer if isinstance(layer, Mapping) else getattr(layer, "metadata", {}).get(KEY)
    fail_if(
        not isinstance(found, Mapping) or "version" not in found,
        "labels that say how they were made",
        f"{getattr(layer, 'name', type(layer).__name__)!s}, which does not",
        f"pass a Labels layer of the dock widget, or its metadata[{KEY!r}]",
    )
    assert isinstance(found, Mapping)
    fail_if(
        found["version"] != VERSION,
        f"steps written in version {VERSION}",
        f"version {found['version']}",
        "install a newer napari-fastsam",
    )
    missing = [name for name in ("labels", "sources", "start", "steps") if name not in found]
    fail_if(
        missing,
        "labels, sources, start and steps",
        f"a record without {' and '.join(missing)}",
        "pass it as provenance returned it",
    )
    return found


@cache
def _package_version() -> str:
    """Return the version of this package."""
    return version("napari-fastsam")


def _says_nothing(step: Mapping[str, Any]) -> bool:
    """Whether a step did nothing but move prompts."""
    return bool(step["do"] == "together" and not step["steps"])
