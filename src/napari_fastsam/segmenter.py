"""What the network's side looks like from the other side: two protocols and one frozen recipe.

Everything that needs a network is behind `Segmenter` and `TextScorer`; a `ModelSpec` says which
one to build, where, and how, and is the only thing about a model that crosses a process border.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from napari_fastsam._checks import fail_if
from napari_fastsam.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

CANDIDATE_CONFIDENCE = 0.05
"""Candidates are found and cached at this score; the user's confidence filters them later."""

Tile = int | Literal["auto", "off"]
"""The side of a tile in pixels; chosen from image and objects; or no tiles."""

Views = Literal["one", "flips", "scales"]
"""How often a plane is looked at: once; mirrored too; or also at two other sizes."""

LEAST_TILE = 32
"""No tile is shorter than this many pixels: it would show nothing around an object."""

TextMode = Literal["crops", "dense"]
"""How objects are shown to what knows words: each by itself, or many in one look at the plane."""


class Shown(Protocol):
    """A plane as the network sees it: an (H, W, 3) uint8 array, or what is read like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3)."""
        ...

    def __getitem__(self, window: tuple[slice, slice], /) -> NDArray[np.uint8]:
        """Return a part of it."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Finds every object of a plane once."""

    def segment(self, image: NDArray[np.generic]) -> Instances:
        """Return the candidates of an image of shape (H, W, 3), uint8, RGB."""
        ...


@runtime_checkable
class ScaledSegmenter(Protocol):
    """A `Segmenter` that can be shown a plane at a lower resolution than its masks are made at."""

    @property
    def image_size(self) -> int | None:
        """Pixels along the longer side that it sees; ``None`` if it cannot say or do that."""
        ...

    def segment(
        self, image: NDArray[np.generic], *, shape: tuple[int, int] | None = None
    ) -> Instances:
        """Return the candidates of a plane of `shape` (H, W), of which `image` is a picture."""
        ...


@runtime_checkable
class BatchSegmenter(Protocol):
    """A `Segmenter` that looks at several images at once; any number of threads may call it."""

    @property
    def batch_size(self) -> int:
        """How many images it looks at together at most; 0 if it would rather see each alone."""
        ...

    def segment_many(
        self, images: Iterable[NDArray[np.generic]], *, shape: tuple[int, int] | None = None
    ) -> Generator[Instances, None, None]:
        """Yield for each image, in order, what `segment` returns.

        Images are taken one at a time, by other threads, a few before their results are asked for;
        closing the generator ends these threads, and closes what the images come from.
        """
        ...


def batch_size(segmenter: object) -> int:
    """Return how many images a segmenter looks at together, 0 if it is to see each alone."""
    return segmenter.batch_size if isinstance(segmenter, BatchSegmenter) else 0


def find(
    segmenter: Segmenter, image: NDArray[np.uint8], *, shape: tuple[int, int] | None = None
) -> Instances:
    """Return the candidates of an image, or of a plane of `shape` that it is a picture of, checked.

    Raises
    ------
    TypeError
        If the segmenter returns something else.
    """
    options: dict[str, Any] = {} if shape is None else {"shape": shape}
    found: Any = segmenter.segment(image, **options)
    wanted = tuple(image.shape[:2]) if shape is None else shape
    return _checked(found, wanted, segmenter)


def find_many(
    segmenter: BatchSegmenter,
    images: Iterable[NDArray[np.uint8]],
    shape: tuple[int, int],
) -> Generator[Instances, None, None]:
    """Yield the candidates of images on planes of `shape`, in order, checked as `find` does."""
    found = segmenter.segment_many(images, shape=shape)
    try:
        for one in found:
            yield _checked(one, shape, segmenter)
    finally:
        found.close()


def _checked(found: Any, wanted: tuple[int, ...], segmenter: object) -> Instances:
    """Return what a segmenter found, if that is what a segmenter returns."""
    right = isinstance(found, Instances)
    fail_if(
        not right or found.shape != wanted,
        f"Instances on a plane of {wanted} from {type(segmenter).__name__}.segment",
        f"Instances on one of {found.shape}" if right else f"a {type(found).__name__}",
        "return Instances.from_masks(image.shape[:2], masks), or from_labels",
        TypeError,
    )
    assert isinstance(found, Instances)
    return found


@runtime_checkable
class TextScorer(Protocol):
    """Sees what each candidate of a plane looks like, once, and compares that with words."""

    def embed(
        self,
        image: Shown,
        candidates: Instances,
        *,
        cancelled: Callable[[], bool] = ...,
        looked: Callable[[int, int], None] = ...,
    ) -> NDArray[np.float32] | None:
        """Return (N, D) vectors of length 1, close where things look alike; the slow part.

        Parameters
        ----------
        image
            The plane, (H, W, 3), uint8, RGB.
        candidates
            N objects on it.
        cancelled
            Asked before each look; when it says True, ``None`` is returned.
        looked
            Called after each look with how many objects are done, and their total.
        """
        ...

    def score(self, embeddings: NDArray[np.float32], text: str) -> NDArray[np.float32]:
        """Return (N, W) probabilities in [0, 1] that each wanted phrase describes each object.

        Parameters
        ----------
        embeddings
            (N, D), of `embed`.
        text
            As `napari_fastsam.wording.Wording` reads it: W phrases are wanted.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSpec:
    """Which CLIP compares objects with words, and how: hashable, picklable, without weights.

    Parameters
    ----------
    model
        An architecture of open_clip (``"ViT-B-32"``), one with a tag of its weights
        (``"ViT-B-32/datacomp_xl_s13b_b90k"``), or the path of a checkpoint.
    device
        As in `ModelSpec`.
    mode
        ``"crops"`` shows each object by itself, ``"dense"`` many in one look.
    background
        Words for what else there is, which wanted words have to describe an object better than;
        empty for a list of common ones.
    """

    model: str = "ViT-B-32"
    device: str = "auto"
    mode: TextMode = "crops"
    background: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fail_if(
            self.mode not in ("crops", "dense"),
            '"crops" or "dense" as the mode',
            f"{self.mode!r}",
            "leave it out for the better one",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Which network finds the candidates, and how: hashable, picklable, without weights.

    Parameters
    ----------
    model
        A name of the registry (``"starter"``, ``"FastSAM-s"``, ``"FastSAM-x"``) or the path of a
        checkpoint.
    device
        ``"auto"`` (CUDA, then Apple's MPS, then CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or
        ``"mps"``.
    runtime
        What runs the network: ``"auto"`` (the fastest that is installed), ``"torch"``, or on the
        CPU ``"openvino"`` or ``"onnx"``.
    image_size
        Length in network pixels of the image's longer side; ``None`` takes the model's own.
    iou
        Two boxes that overlap more than this (IoU) are one candidate; the better one stays.
    confidence
        The lowest score a candidate may have. Low on purpose: filtering later is free and exact.
    max_candidates
        At most this many candidates of a plane, or of a tile of it, the best first.
    refine
        Move edges of masks to those of the image, drop scraps, and lower scores of masks that are
        not steady; without, candidates are those of FastSAM.
    views
        ``"one"`` look at a plane; ``"flips"``, three, two of them mirrored; ``"scales"``, five, two
        more at other sizes: candidates are a little better, and take so many times as long.
    tile
        How `run` has large planes seen: ``"auto"`` in tiles where objects are small beside the
        plane, see `napari_fastsam.scales`; ``"off"`` in one look; or the side of the tiles in
        pixels, 32 or more.

    Raises
    ------
    ValueError
        If `views` or `tile` is none of these.
    """

    model: str = "starter"
    device: str = "auto"
    runtime: str = "auto"
    image_size: int | None = None
    iou: float = 0.7
    confidence: float = CANDIDATE_CONFIDENCE
    max_candidates: int = 1000
    refine: bool = True
    views: Views = "one"
    tile: Tile = "auto"

    def __post_init__(self) -> None:
        check_tile(self.tile)
        fail_if(
            self.views not in get_args(Views),
            f"one of the views {', '.join(map(repr, get_args(Views)))}",
            f"{self.views!r}",
            'pass views="one", or leave it out',
        )

    @classmethod
    def from_record(cls, told: Mapping[str, Any]) -> ModelSpec:
        """Return the model that a record tells of; those that say nothing of it did not refine."""
        return cls(**{"refine": False, **told})


def check_tile(tile: object) -> None:
    """Refuse what is no `Tile`."""
    side = isinstance(tile, Integral) and not isinstance(tile, bool) and int(tile) >= LEAST_TILE
    fail_if(
        not side and tile not in ("auto", "off"),
        f'"auto", "off" or a number of pixels from {LEAST_TILE} on as the tile',
        f"{tile!r}",
        'pass tile="auto", or the side of the tiles, as 1024',
    )
