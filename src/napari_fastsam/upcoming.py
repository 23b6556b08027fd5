"""Planes that are read and looked at before it is their turn.

Only by a `BatchSegmenter`, as that may be called by other threads than the run's own; and only
planes that are seen at once, as of a larger one more is in memory than a picture.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from napari_fastsam.ahead import ahead
from napari_fastsam.large import OneLook
from napari_fastsam.segmenter import BatchSegmenter, batch_size, find_many

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam.closer import Seen
    from napari_fastsam.requests import Index, Request
    from napari_fastsam.segmenter import Segmenter

_MOST_READERS = 8  # threads that read planes for a GPU


class First(NamedTuple):
    """What the first look at a plane found, and the plane (H, W, 3), uint8, if it was kept."""

    seen: Seen
    image: NDArray[np.uint8] | None


class Upcoming:
    """The first looks at the planes of a request, by their place in it.

    Parameters
    ----------
    request
        What is looked at, and how it is shown.
    network
        Returns what looks, when it is called.
    known
        Whether a plane needs no first look.
    """

    def __init__(
        self, request: Request, network: Callable[[], Segmenter], known: Callable[[Index], bool]
    ) -> None:
        self._request, self._network, self._known = request, network, known
        self._planned: deque[int] = deque()
        self._looks: Generator[First, None, None] | None = None
        self._started = False

    def take(self, place: int) -> First | None:
        """Return what the first look at a plane found; None if nobody looked at it ahead.

        Call it for planes in their order, and only for those that need a first look.
        """
        if not self._started:
            self._started = True
            self._start(place)
        first = None
        while self._looks is not None and self._planned and self._planned[0] <= place:
            found = next(self._looks)
            if self._planned.popleft() == place:  # else others have found it meanwhile
                first = found
        return first

    def close(self) -> None:
        """End the threads that read and look."""
        if self._looks is not None:
            self._looks.close()

    def _start(self, place: int) -> None:
        """Have all planes from one on looked at that need it, if there are several."""
        one = OneLook.of(self._request, self._network())
        if one is None or not batch_size(one.segmenter):
            return
        indices = self._request.planes()
        left = range(place, len(indices))
        self._planned.extend(n for n in left if n == place or not self._known(indices[n]))
        if len(self._planned) > 1:
            self._looks = _first_looks(self._request, [indices[n] for n in self._planned], one)


def _first_looks(
    request: Request, indices: list[Index], one: OneLook
) -> Generator[First, None, None]:
    """Yield the first looks at planes, in order."""
    assert isinstance(one.segmenter, BatchSegmenter)
    size = batch_size(one.segmenter)
    readers = 1 if size == 1 else min(os.cpu_count() or 1, _MOST_READERS)
    kept: deque[NDArray[np.uint8] | None] = deque()
    wanted = request.prompts is not None and one.level is None  # for closer looks, and words

    def pictures() -> Iterator[NDArray[np.uint8]]:
        with closing(ahead(one.picture, indices, threads=readers, depth=size)) as read:
            for picture in read:
                kept.append(picture if wanted else None)
                yield picture

    with closing(find_many(one.segmenter, pictures(), request.layout.plane_shape)) as found:
        for candidates in found:
            yield First(one.seen(candidates), kept.popleft())
