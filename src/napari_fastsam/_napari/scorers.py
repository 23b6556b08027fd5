"""What compares objects with words: built in the worker when it is first needed, let go after use.

Looking at objects takes the network; what was asked of them once is remembered, so that the main
thread never waits for it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import psutil

from napari_fastsam.models.registry import TEXT_MODELS, fetch
from napari_fastsam.pipeline import build_scorer, run
from napari_fastsam.segmenter import TextSpec
from napari_fastsam.sources import scorer_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_fastsam._napari.ground import Sight
    from napari_fastsam._napari.worker import Job
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import CandidateCache, Index
    from napari_fastsam.prompts import Prompts
    from napari_fastsam.segmenter import Shown, TextScorer

LEAST_FREE = 2 << 30
"""Bytes of memory: where less is available after use, the scorer's weights are let go."""

DOWNLOADING = "Downloading"
"""How what a job does begins while it fetches weights."""

_ANSWERS = 4096  # that are remembered, a number or two for each object of a plane


class KeptScorer:
    """A `TextScorer` that is built by the thread that first needs it, and kept for more.

    Parameters
    ----------
    scorer
        What to build, or a scorer that is there already.
    """

    def __init__(self, scorer: TextSpec | TextScorer) -> None:
        self.spec: Any = getattr(scorer, "spec", scorer)
        self._scorer = scorer
        self._lock, self._remembering = Lock(), Lock()
        self._answers: OrderedDict[tuple[Any, ...], NDArray[np.float32]] = OrderedDict()

    def embed(
        self,
        image: Shown,
        candidates: Instances,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        looked: Callable[[int, int], None] = lambda done, total: None,
    ) -> NDArray[np.float32] | None:
        """Return what objects look like, as `TextScorer` says."""
        scorer = self._built()
        return scorer.embed(image, candidates, cancelled=cancelled, looked=looked)

    def score(self, embeddings: NDArray[np.float32], text: str) -> NDArray[np.float32]:
        """Return how well words describe objects, as `TextScorer` says; at once if it is known."""
        key = _key(embeddings, text)
        with self._remembering:
            known = self._answers.get(key)
        if known is None:
            known = self._built().score(embeddings, text)
        with self._remembering:
            self._answers[key] = known
            self._answers.move_to_end(key)
            while len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        return known

    def knows(self, embeddings: NDArray[np.float32], text: str) -> bool:
        """Whether it was asked that already."""
        return _key(embeddings, text) in self._answers

    def spare(self) -> None:
        """Let go of the weights where memory is short; they are read again when needed."""
        release = getattr(self._scorer, "release", None)
        if release is not None and psutil.virtual_memory().available < LEAST_FREE:
            release()

    def _built(self) -> TextScorer:
        with self._lock:
            self._scorer = scorer = build_scorer(self._scorer)
            if isinstance(self.spec, TextSpec):
                scorer_hash(self.spec)  # read here once, so that it is at hand for the record
        return scorer


def _key(embeddings: NDArray[np.float32], text: str) -> tuple[Any, ...]:
    """Return what names a question."""
    return embeddings.shape, hash(embeddings.tobytes()), text


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Words, or examples, that a person waits for on the plane in view.

    Parameters
    ----------
    prompts
        What is asked.
    scorer
        Who compares.
    download
        The name of a text model to fetch first.
    """

    prompts: Prompts
    scorer: KeptScorer
    download: str = ""

    def work(
        self,
        sight: Sight,
        index: Index,
        cache: CandidateCache,
        job: Job,
        cancelled: Callable[[], bool],
    ) -> Iterator[float]:
        """Look at the objects of a plane that may answer: in the worker thread."""

        def looked(done: int, total: int) -> None:
            job.progress = (done, total)

        if self.download:
            download_text_model(self.download, job, cancelled)
        job.doing, job.progress, job.unit = "Looking at objects", (0, 0), "object"
        request = sight.request({index: self.prompts}, closer=self.prompts.similar and sight.closer)
        try:
            for _ in run(
                request,
                sight.model,
                scorer=self.scorer,
                cache=cache,
                cancelled=cancelled,
                looked=looked,
            ):
                yield 0.0
        finally:
            self.scorer.spare()


def download_text_model(name: str, job: Job, cancelled: Callable[[], bool]) -> None:
    """Fetch a text model of the registry, and show how that goes: in the worker thread."""

    def came(done: int, total: int) -> None:
        job.progress = (done, total)
        if cancelled():
            raise InterruptedError("The download was cancelled. Nothing of it was kept.")

    job.doing = f"{DOWNLOADING} {name}"
    fetch(TEXT_MODELS[name], progress=came)
