"""What the end of a path says about the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

OME_TIFF = (".ome.tif", ".ome.tiff")
OME_ZARR = ".ome.zarr"


def ending_of(path: Path) -> str:
    """Return the ending of a path in lower case, ``.ome.tif`` as a whole.

    Examples
    --------
    >>> from pathlib import Path
    >>> ending_of(Path("a.b.OME.tif")), ending_of(Path("a.b.png"))
    ('.ome.tif', '.png')
    """
    name = path.name.lower()
    several = (ending for ending in (*OME_TIFF, OME_ZARR) if name.endswith(ending))
    return next(several, path.suffix.lower())
