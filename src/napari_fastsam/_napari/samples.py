"""Images for a first try: what scikit-image ships, and two that it downloads when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fastsam._checks import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    LayerData = tuple[NDArray[Any], dict[str, Any], str]


def coins() -> list[LayerData]:
    """Return Greek coins from Pompeii: (303, 384) uint8."""
    return _shipped("coins")


def immunohistochemistry() -> list[LayerData]:
    """Return stained colonic glands: (512, 512, 3) uint8."""
    return _shipped("immunohistochemistry")


def cell() -> list[LayerData]:
    """Return a single cell, without stain: (660, 550) uint8."""
    return _shipped("cell")


def hubble_deep_field() -> list[LayerData]:
    """Return galaxies: (872, 1000, 3) uint8."""
    return _shipped("hubble_deep_field")


def coffee() -> list[LayerData]:
    """Return a cup of coffee, a photograph: (400, 600, 3) uint8."""
    return _shipped("coffee")


def human_mitosis() -> list[LayerData]:
    """Return nuclei of human cells in culture: (512, 512) uint8, 0.1 MB to download."""
    return [(_downloaded("human_mitosis"), {"name": "human mitosis"}, "image")]


def cells3d() -> list[LayerData]:
    """Return nuclei of a tissue in 3D: (60, 256, 256) uint16, 20 MB to download."""
    nuclei = _downloaded("cells3d")[:, 1]
    size = {"scale": (0.29, 0.26, 0.26), "units": ("um", "um", "um")}
    return [(nuclei, {"name": "nuclei 3D", "colormap": "gray", **size}, "image")]


def _shipped(name: str) -> list[LayerData]:
    """Return an image that is inside scikit-image's wheel."""
    from skimage import data

    return [(getattr(data, name)(), {"name": name.replace("_", " ")}, "image")]


def _downloaded(name: str) -> NDArray[Any]:
    """Return an image that scikit-image downloads on first use.

    Raises
    ------
    ConnectionError
        If it is not on this machine and cannot be had.
    """
    from skimage import data

    try:
        image: NDArray[Any] = getattr(data, name)()
    except OSError as error:
        raise ConnectionError(
            message(
                f"the sample image {name!r} on this machine or the internet",
                f"neither ({error})",
                "connect once, or open a sample that needs no download, as coins",
            )
        ) from error
    return image
