"""How a network is shown many images: in batches, while other threads do what is around it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from napari_fastsam.ahead import ahead
from napari_fastsam.models.network import BatchNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam.models.letterbox import Letterbox
    from napari_fastsam.models.network import Decoded, Network, Raw

    Framed = tuple[Letterbox, NDArray[np.uint8]]
    Told = tuple[Letterbox, NDArray[np.uint8], Raw | Decoded]

_T = TypeVar("_T")

_BESIDE = 2  # threads that letterbox, and as many that make masks, while a GPU is at work


def most_frames(network: Network) -> int:
    """Return how many frames a network looks at together at most."""
    return network.most_frames if isinstance(network, BatchNetwork) else 1


def pipelined(
    images: Iterable[Any],
    framed: Callable[[Any], Framed],
    network: Network,
    found: Callable[[Told], _T],
) -> Generator[_T, None, None]:
    """Yield what is found in each image, in order.

    Parameters
    ----------
    images
        Taken one at a time, a few before their results are asked for.
    framed
        Returns how an image lies in its frame, and the frame.
    network
        Shown batches of consecutive frames that lie alike; of one, if that is how it likes it best.
    found
        Makes the result of what the network says of a frame.
    """
    most = most_frames(network)
    if most == 1:  # it has all cores: one more thread is enough

        def one(image: Any) -> _T:
            letterbox, frame = framed(image)
            return found((letterbox, frame, network([frame])[0]))

        yield from ahead(one, images)
        return

    def told(batch: list[Framed]) -> list[Told]:
        said = network([frame for _, frame in batch])
        return [(*shown, raw) for shown, raw in zip(batch, said, strict=True)]

    frames = ahead(framed, images, threads=_BESIDE, depth=2 * most)
    said = ahead(told, batches(frames, network), depth=2)
    yield from ahead(found, _each(said), threads=_BESIDE, depth=most)


def batches(
    frames: Generator[Framed, None, None], network: Network
) -> Generator[list[Framed], None, None]:
    """Yield consecutive frames that lie alike, as many together as the network likes."""
    waiting: list[Framed] = []
    failed: Exception | None = None
    size = 1
    with closing(frames):
        try:
            for letterbox, frame in frames:
                if waiting and (len(waiting) >= size or waiting[0][0] != letterbox):
                    yield waiting
                    waiting = []
                if not waiting and isinstance(network, BatchNetwork):
                    size = network.batch_for(frame.shape[0], frame.shape[1])
                waiting.append((letterbox, frame))
        except Exception as error:  # of an image: those before it come first
            failed = error
        if waiting:
            yield waiting
        if failed is not None:
            raise failed


def _each(
    batched: Generator[list[_T], None, None],
) -> Generator[_T, None, None]:
    """Yield what is in each batch."""
    with closing(batched):
        for batch in batched:
            yield from batch
