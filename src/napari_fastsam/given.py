"""Candidates that another program found: objects of a label image, to be picked with prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fastsam.planes import PlaneAxes


@runtime_checkable
class Given(Protocol):
    """Knows the candidates of the planes of an array without being shown them."""

    def plane(self, axes: PlaneAxes, index: tuple[int, ...]) -> Instances:
        """Return the candidates of the plane at `index` of an array with such axes."""
        ...


class FromLabels:
    """A segmenter that finds what is in a label image, whatever made it: no network is needed.

    Prompts choose among its objects as among those of a network, each with a score of 1; what they
    do not hit has no answer, as nothing is looked at closer.

    Parameters
    ----------
    labels
        Integers, (H, W) or a stack (NumPy, dask, zarr), of the image's shape without its channels;
        0 and negative numbers are background. Planes are read one at a time.
    name
        What they are called in the record of what was done.

    Raises
    ------
    ValueError
        If they are no integers.

    See Also
    --------
    Instances.from_labels : the objects of one plane.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> import numpy as np
    >>> from skimage.data import coins
    >>> from skimage.measure import label
    >>> found = label(coins() > 150)  # or what Cellpose or StarDist found
    >>> prompts = fs.Prompts(points=[(124, 56)])
    >>> labels = fs.segment_stack(coins(), fs.FromLabels(found), prompts={(): prompts})
    >>> int(labels.max())
    1
    """

    def __init__(self, labels: Any, *, name: str = "labels") -> None:
        fail_if(
            not hasattr(labels, "shape") or np.dtype(labels.dtype).kind not in "biu",
            "an array of integer labels",
            f"a {type(labels).__name__} of {getattr(labels, 'dtype', 'no dtype')}",
            "pass what the other program returned, one number per object, 0 for background",
        )
        self.labels, self.name = labels, name

    @property
    def description(self) -> str:
        """Where the candidates are from, as ``"objects of 'nuclei'"``."""
        return f"objects of {self.name!r}"

    def __repr__(self) -> str:
        return f"<FromLabels {tuple(self.labels.shape)}>"

    def segment(self, image: NDArray[np.generic]) -> Instances:
        """Return the objects of a label image of one plane, (H, W), as the image's candidates.

        Raises
        ------
        ValueError
            If it is a stack, or of another size than the image.
        """
        self._check(tuple(image.shape[:2]))
        return Instances.from_labels(np.asarray(self.labels))

    def plane(self, axes: PlaneAxes, index: tuple[int, ...]) -> Instances:
        """Return the objects of the plane at `index` of an array with such axes.

        Raises
        ------
        ValueError
            If the labels do not have the shape of that array without its channels.
        """
        self._check(axes.label_shape)
        plane = np.asarray(self.labels[axes.key(index)])
        upright = axes.axes.index("Y") < axes.axes.index("X")
        return Instances.from_labels(plane if upright else plane.T)

    def _check(self, shape: tuple[int, ...]) -> None:
        """Refuse labels of another shape."""
        fail_if(
            tuple(self.labels.shape) != shape,
            f"labels of the image's shape without its channels, {shape}",
            f"labels of shape {tuple(self.labels.shape)}",
            "pass the labels of this image",
        )
