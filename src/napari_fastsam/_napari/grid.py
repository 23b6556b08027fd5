"""Where the pixels of a layer lie in the world, also of a layer that is not there.

World coordinates are aligned at their last axis and carry units; napari's own conversions leave
those out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from napari.utils.transforms import Affine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from napari.layers import Layer
    from numpy.typing import NDArray


class Placed(Protocol):
    """What has data coordinates with a place in the world: a layer or a `Grid`."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    @property
    def ndim(self) -> int:
        """Number of axes."""
        ...

    @property
    def units(self) -> Sequence[Any]:
        """Unit of each axis, as pint's."""
        ...

    def data_to_world(self, position: Any) -> Any:
        """Return where a position (D,) is in the world."""
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Grid:
    """What places a layer in the world, by the names that layers have for it."""

    name: str
    scale: NDArray[np.float64]
    translate: NDArray[np.float64]
    rotate: NDArray[np.float64]
    shear: NDArray[np.float64]
    affine: Affine
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]

    @classmethod
    def of(cls, layer: Layer) -> Self:
        """Return the grid of a layer as it lies now."""
        return cls(
            name=layer.name,
            scale=np.array(layer.scale),
            translate=np.array(layer.translate),
            rotate=np.array(layer.rotate),
            shear=_shear_matrix(np.array(layer.shear), layer.ndim),
            affine=Affine(affine_matrix=np.array(layer.affine.affine_matrix)),
            units=tuple(layer.units),
            axis_labels=tuple(layer.axis_labels),
        )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.scale)

    def data_to_world(self, position: Any) -> NDArray[np.float64]:
        """Return where a position (D,) is in the world."""
        parts = {"scale": self.scale, "rotate": self.rotate, "shear": self.shear}
        moved = Affine(**parts, translate=self.translate, ndim=self.ndim)(position)
        return np.asarray(self.affine(moved))

    def one_along(self, axis: int, count: int) -> Grid:
        """Return the grid whose one position on an axis covers the `count` that are there now."""
        middle = np.zeros(self.ndim)
        middle[axis] = (count - 1) / 2
        parts = {"scale": self.scale, "rotate": self.rotate, "shear": self.shear}
        shift = Affine(**parts, translate=np.zeros(self.ndim), ndim=self.ndim)(middle)
        scale = self.scale.copy()
        scale[axis] *= count
        return replace(self, scale=scale, translate=self.translate + shift)

    def without_first(self) -> Grid | None:
        """Return the grid of the other axes, or None if the first one is mixed with them."""
        matrix = self.affine.affine_matrix
        parts = (self.rotate, self.shear, matrix[:-1, :-1])
        if any(part[0, 1:].any() or part[1:, 0].any() for part in parts):
            return None
        return replace(
            self,
            scale=self.scale[1:],
            translate=self.translate[1:],
            rotate=self.rotate[1:, 1:],
            shear=self.shear[1:, 1:],
            affine=Affine(affine_matrix=matrix[1:, 1:]),
            units=self.units[1:],
            axis_labels=self.axis_labels[1:],
        )


def affine_of(placed: Placed) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the transform from data to world coordinates: linear part (D, D) and offset (D,)."""
    offset = np.array(placed.data_to_world(np.zeros(placed.ndim)))
    columns = [np.array(placed.data_to_world(unit)) - offset for unit in np.eye(placed.ndim)]
    return np.stack(columns, axis=1), offset


def unit_factors(source: Sequence[Any], target: Sequence[Any]) -> NDArray[np.float64]:
    """Return (D,): what lengths in the units of `source` are multiplied by to be in `target`'s.

    Units that do not measure the same, as pixels and micrometres, are taken as they are: napari
    shows such layers as if they had no units.
    """
    if any(a.dimensionality != b.dimensionality for a, b in zip(source, target, strict=True)):
        return np.ones(len(source))
    return np.array([float((1 * a).to(b).magnitude) for a, b in zip(source, target, strict=True)])


def _shear_matrix(shear: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return a layer's shear as a matrix (D, D); layers give what is above the diagonal, or all."""
    if shear.ndim == 2:
        return shear
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, k=1)] = shear
    return matrix
