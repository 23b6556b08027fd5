"""Decides what the candidates of an image are: letterbox, network, boxes, masks inside the boxes.

References
----------
.. [1] Zhao et al. 2023, "Fast Segment Anything", arXiv 2306.12156.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.ahead import ahead
from napari_fastsam.models.batching import most_frames, pipelined
from napari_fastsam.models.candidates import candidates
from napari_fastsam.models.letterbox import STRIDE, Letterbox
from napari_fastsam.models.opening import open_model
from napari_fastsam.models.registry import MODELS, model_path
from napari_fastsam.models.views import LOOKS, Look, merged, mirrored
from napari_fastsam.planes import to_rgb
from napari_fastsam.segmenter import CANDIDATE_CONFIDENCE, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances
    from napari_fastsam.segmenter import Tile, Views

DEFAULT_IMAGE_SIZE = 1024
"""Where neither the user nor the checkpoint says: what FastSAM was trained at."""


class FastSAM:
    """Finds every object of an image in one pass of the network.

    Parameters
    ----------
    model
        A name of the registry (``"starter"``, ``"FastSAM-s"``, ``"FastSAM-x"``) or the path of a
        checkpoint, ``.pt`` or ``.safetensors``, or of an export for ONNX or OpenVINO.
    device
        ``"auto"`` (CUDA, then Apple's MPS, then CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or
        ``"mps"``. On CUDA the network runs in half precision.
    runtime
        What runs the network: ``"torch"``; on the CPU ``"openvino"`` or ``"onnx"``; ``"auto"`` for
        the fastest that is installed, see `napari_fastsam.models.runtimes`.
    image_size
        Length in network pixels of the image's longer side, rounded up to a multiple of 32;
        ``None`` takes the model's own.
    confidence
        The lowest score a candidate may have. Low on purpose: filtering later is free and exact.
    iou
        Two boxes that overlap more than this (IoU) are one candidate; the better one stays.
    max_candidates
        At most this many candidates, the best first.
    refine
        Move edges of masks to those of the image, drop scraps, and lower scores of masks that are
        not steady; without, candidates are those of FastSAM.
    views
        ``"one"`` look at an image; ``"flips"``, three, two of them mirrored; ``"scales"``, five,
        two more at other sizes: candidates are a little better, and take so many times as long.
    tile
        How `run` and `segment_stack` have large planes seen, see `ModelSpec`; `segment` itself
        looks once, whatever the size.

    Raises
    ------
    ValueError
        If there is no such model, device or runtime, if a number is out of its range, or
        if the checkpoint holds no network of this kind.
    FileNotFoundError
        If the model's file is not there.

    Notes
    -----
    Objects that are small beside the image vanish when a large image is scaled down to the
    network's size: choose a larger `image_size`, or cut the image into tiles. Where it is scaled
    down more than eightfold, edges of masks are not refined.

    Examples
    --------
    >>> from skimage.data import coins
    >>> sam = FastSAM("starter", device="cpu")
    >>> candidates = sam.segment(coins())
    >>> candidates.shape
    (303, 384)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "starter",
        *,
        device: str = "auto",
        runtime: str = "auto",
        image_size: int | None = None,
        confidence: float = CANDIDATE_CONFIDENCE,
        iou: float = 0.7,
        max_candidates: int = 1000,
        refine: bool = True,
        views: Views = "one",
        tile: Tile = "auto",
    ) -> None:
        _check_numbers(image_size, confidence, iou, max_candidates)
        name = os.fspath(model)
        opened = open_model(model_path(name), device=device, runtime=runtime, image_size=image_size)
        self._runtime = opened.network
        self._names = opened.names
        self._frame = opened.frame
        size = max(opened.frame or (image_size or opened.image_size or _known_image_size(name),))
        self.spec = ModelSpec(
            model=name,
            device=device,
            runtime=runtime,
            image_size=-(-size // STRIDE) * STRIDE,
            iou=iou,
            confidence=confidence,
            max_candidates=max_candidates,
            refine=refine,
            views=views,
            tile=tile,
        )

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> FastSAM:
        """Return the segmenter that a `ModelSpec` describes."""
        return cls(
            spec.model,
            device=spec.device,
            runtime=spec.runtime,
            image_size=spec.image_size,
            iou=spec.iou,
            confidence=spec.confidence,
            max_candidates=spec.max_candidates,
            refine=spec.refine,
            views=spec.views,
            tile=spec.tile,
        )

    def __repr__(self) -> str:
        return f"<FastSAM {self.description}>"

    @property
    def description(self) -> str:
        """What runs where, as ``"starter · CPU · fp32 · 768 px"``."""
        name = self.spec.model
        known = name if name in MODELS else os.path.basename(name)
        return f"{known} · {self._runtime.description} · {self.image_size} px"

    @property
    def image_size(self) -> int:
        """Length in network pixels of the image's longer side."""
        return self.spec.image_size or DEFAULT_IMAGE_SIZE

    def segment(self, image: NDArray[Any], *, shape: tuple[int, int] | None = None) -> Instances:
        """Return every candidate of an image.

        Parameters
        ----------
        image
            (H, W), or (H, W, 3) or (H, W, 4) in colour, of any real dtype. 8-bit RGB is taken as
            it is, the rest is stretched to it between robust percentiles.
        shape
            (H, W) of the plane on which candidates are wanted, where `image` is a smaller or
            larger picture of it, as a level of a pyramid; ``None`` is the image's own.

        Returns
        -------
        Instances
            On a plane of `shape`, by descending score; empty where nothing was found.

        Raises
        ------
        TypeError, ValueError
            If it is no such image.
        """
        rgb = to_rgb(image)
        looks = [self._look(rgb, shape, look) for look in self._looks]
        if len(looks) == 1:
            return looks[0]
        found = merged(looks, self.spec.iou)
        return found[found.scores > self.spec.confidence][: self.spec.max_candidates]

    @property
    def batch_size(self) -> int:
        """How many images the network looks at together at most."""
        return most_frames(self._runtime)

    def segment_many(
        self, images: Iterable[NDArray[Any]], *, shape: tuple[int, int] | None = None
    ) -> Generator[Instances, None, None]:
        """Yield every candidate of each image, in order: what `segment` returns.

        On a GPU the network looks at several images at once, as many as its memory allows; there as
        on the CPU, other threads work ahead of who asks.

        Parameters
        ----------
        images
            As for `segment`; taken one at a time, a few before their results are asked for.
        shape
            As for `segment`, of all of them.

        Examples
        --------
        >>> from skimage.data import coins
        >>> sam = FastSAM("starter", device="cpu")
        >>> [found.shape for found in sam.segment_many([coins(), coins()[:200]])]
        [(303, 384), (200, 384)]
        """
        if len(self._looks) > 1:
            return ahead(lambda image: self.segment(image, shape=shape), images)
        return pipelined(
            images,
            lambda image: self._framed(image, shape),
            self._runtime,
            lambda told: candidates(told[2], told[0], told[1], self.spec, self._names),
        )

    @property
    def _looks(self) -> tuple[Look, ...]:
        """The looks at each image; those at other sizes only where frames may be of any."""
        looks = LOOKS[self.spec.views]
        return looks if self._frame is None else tuple(at for at in looks if at.size == 1)

    def _look(self, rgb: NDArray[np.uint8], shape: tuple[int, int] | None, look: Look) -> Instances:
        """Return what one look at an image finds."""
        seen = rgb if look.axis is None else np.flip(rgb, look.axis)
        letterbox, frame = self._framed(seen, shape, look.size)
        (raw,) = self._runtime([frame])
        found = candidates(raw, letterbox, frame, self.spec, self._names)
        return found if look.axis is None else mirrored(found, look.axis)

    def _framed(
        self, image: NDArray[Any], shape: tuple[int, int] | None, times: float = 1.0
    ) -> tuple[Letterbox, NDArray[np.uint8]]:
        """Return how an image lies in its frame, so many times as large, and the frame."""
        rgb = to_rgb(image)
        size = round(self.image_size * times)
        letterbox = Letterbox.fit(shape or rgb.shape[:2], size, self._frame)
        return letterbox, letterbox.apply(rgb)


def _known_image_size(name: str) -> int:
    """Return the registry's image size for a model, or FastSAM's own."""
    return MODELS[name].image_size if name in MODELS else DEFAULT_IMAGE_SIZE


def _check_numbers(
    image_size: int | None, confidence: float, iou: float, max_candidates: int
) -> None:
    """Refuse numbers outside their range, all at once."""
    faults = [
        text
        for wrong, text in (
            (image_size is not None and image_size < 1, f"image_size {image_size}"),
            (not 0 <= confidence <= 1, f"confidence {confidence}"),
            (not 0 <= iou <= 1, f"iou {iou}"),
            (max_candidates < 1, f"max_candidates {max_candidates}"),
        )
        if wrong
    ]
    fail_if(
        faults,
        "image_size and max_candidates of at least 1, confidence and iou between 0 and 1",
        ", ".join(faults),
        "change these numbers",
    )
