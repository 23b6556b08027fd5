"""Work that a GPU is told again and again, recorded once and replayed: CUDA graphs.

A network of hundreds of small layers leaves a fast GPU waiting for Python. A graph has all of them
in one launch, for one shape of its input.

References
----------
`torch.cuda.CUDAGraph <https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs>`_.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Work = Callable[[Tensor], tuple[Tensor, ...]]

OFTEN = 3
"""A shape that was seen so many times is recorded when it comes again."""
MOST = 4
"""At most so many shapes are kept; the one used longest ago leaves."""


class Recorder(Protocol):
    """Records what work does with an input; what it returns does the same with another."""

    def __call__(self, work: Work, example: Tensor) -> Work:
        """Return what does the same."""
        ...


class Recording:
    """Does some work, and what comes often at one shape from a recording.

    Parameters
    ----------
    work
        Takes a tensor, and does the same to all of its shape.
    record
        What records it.
    """

    def __init__(self, work: Work, record: Recorder) -> None:
        self._work, self._record = work, record
        self._seen: Counter[torch.Size] = Counter()
        self._kept: OrderedDict[torch.Size, Work] = OrderedDict()

    def __call__(self, given: Tensor) -> tuple[Tensor, ...]:
        """Do it."""
        shape = given.shape
        if shape in self._kept:
            self._kept.move_to_end(shape)
            return self._kept[shape](given)
        self._seen[shape] += 1
        if self._seen[shape] > OFTEN:
            try:
                self._kept[shape] = self._record(self._work, given)
            except RuntimeError:  # not everything can be recorded, or there is no room for it
                self._seen[shape] = -(1 << 62)  # nor will it be later
            else:
                self._seen[shape] = 0
                if len(self._kept) > MOST:
                    self._kept.popitem(last=False)
                return self._kept[shape](given)
        return self._work(given)


class CudaRecorder:
    """Records CUDA graphs, which share their memory: no two are replayed at the same time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Work, example: Tensor) -> Work:
        """Return what replays it; its results are copies, which the next replay leaves alone."""
        device = example.device
        held = example.clone()
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.device(device), torch.cuda.stream(stream):
            work(held)  # libraries set themselves up outside the recording
            stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the device meanwhile, which must not be an error for anybody.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
            ):
                results = work(held)

        def replay(given: Tensor) -> tuple[Tensor, ...]:
            with torch.cuda.device(device):
                held.copy_(given)
                graph.replay()
                return tuple(part.clone() for part in results)

        return replay
