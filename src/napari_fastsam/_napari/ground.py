"""What is known of an image's planes, and having more of it looked at, beside the main thread.

The plane in view comes first, then planes that prompts wait for, then, while nothing else is to do,
the planes beside it. What is no longer in view is dropped; what was found stays, within bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari_fastsam._napari.worker import Job, KeptModel, Worker
from napari_fastsam.closer import next_window
from napari_fastsam.models.registry import fetch
from napari_fastsam.pipeline import CandidateCache, Request, run
from napari_fastsam.prompts import Prompts
from napari_fastsam.selection import looked_for

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from napari.layers import Image

    from napari_fastsam._napari.scorers import Search
    from napari_fastsam._napari.source import Source
    from napari_fastsam._napari.worker import Ending
    from napari_fastsam.closer import Seen
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sight:
    """What is looked at, and by whom.

    Parameters
    ----------
    source
        The image.
    model
        The network.
    key
        Names the pixels in the cache.
    closer
        Whether prompts without an answer are looked at closer.
    download
        The name of a model to fetch first.
    """

    source: Source
    model: KeptModel
    key: Hashable
    closer: bool = True
    download: str = ""

    @property
    def name(self) -> tuple[Hashable, ...]:
        """What names the candidates: equal names mean equal candidates."""
        return self.key, self.model.spec

    @property
    def planes(self) -> tuple[Index, ...]:
        """The positions of all planes."""
        return tuple(self.source.axes.indices())

    def request(self, prompts: Mapping[Index, Prompts] | None, *, closer: bool = False) -> Request:
        """Return the request for what prompts ask on their planes, or for all planes (None)."""
        source = self.source
        return Request(
            data=source.data,
            levels=source.levels,
            axes=source.axes,
            indices=None if prompts is None else tuple(prompts),
            prompts=prompts,
            display=source.display,
            closer=closer,
            key=self.key,
        )


@dataclass(slots=True, eq=False)
class _Look:
    """A plane to look at, and the prompts for which it is looked at closer.

    `search` is what its objects are looked at for, if that is what is wanted. `job` is who looks
    and `name` what the sight is called, once that has begun.
    """

    index: Index
    prompts: Prompts = field(default_factory=Prompts)
    closer: bool = False
    search: Search | None = None
    job: Job | None = None
    name: tuple[Hashable, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Aim:
    """What a sight was of; it does not keep the image."""

    name: tuple[Hashable, ...]
    image: ref[Image]
    axes: PlaneAxes

    def same_planes(self, sight: Sight) -> bool:
        """Whether another sight is of the same planes of an image."""
        return self.image() is sight.source.image and self.axes == sight.source.axes


class Looks:
    """Has planes looked at, one after the other, the most wanted first.

    Parameters
    ----------
    cache
        Where candidates are kept.
    came
        Called with each plane that was looked at.
    changed
        Called when a look at the plane in view, or a closer one, begins, ends or fails, or is no
        longer in view: with the job and the plane, or with the error.
    searched
        Called when the objects of the plane in view begin to be looked at, with the job, and when
        that ends.
    """

    def __init__(
        self,
        cache: CandidateCache,
        *,
        came: Callable[[Index], None],
        changed: Callable[[Job | None, Index | None, Exception | None], None],
        searched: Callable[[Job, Ending | None], None] = lambda job, ending: None,
    ) -> None:
        self.worker = Worker()
        self.cache = cache
        self.sight: Sight | None = None
        self.paused = False
        self._came, self._changed, self.searched = came, changed, searched
        self._index: Index | None = None
        self._ahead: tuple[Index, ...] = ()
        self._waiting: list[Index] = []
        self._closer: list[_Look] = []
        self._search: _Look | None = None
        self._failed: set[tuple[Any, ...]] = set()
        self._now: _Look | None = None
        self._told: Job | None = None
        self._last: _Aim | None = None

    def aim(self, sight: Sight | None, index: Index | None, ahead: Sequence[Index] = ()) -> None:
        """Say what is in view, and which planes may come next.

        What failed is tried again when it comes back into view, or is seen in another way. Prompts
        go on to wait for their planes as long as these are planes of the same image.
        """
        known: list[Index] = []
        if sight is None or index != self._index:
            self._drop_search()
        if sight is not None:
            if self._last is None or self._last.name != sight.name:
                self._drop_search()
                looks = [*self._waiting, *(look.index for look in self._closer)]
                same = self._last is not None and self._last.same_planes(sight)
                known = self._waiting = list(dict.fromkeys(looks)) if same else []
                self._closer.clear()
                self._failed.clear()
            elif index is not None and index != self._index:
                self._failed.discard((*sight.name, index))
            self._last = _Aim(sight.name, ref(sight.source.image), sight.source.axes)
        self.sight, self._index, self._ahead = sight, index, tuple(ahead)
        if sight is None:
            self.worker.cancel()
        for at in [at for at in known if self.candidates(at) is not None]:
            self._came(at)  # it was looked at in this way before
        self._go_on()

    def candidates(self, index: Index) -> Instances | None:
        """Return what was found on a plane, or None as long as it was not looked at."""
        seen = self.seen(index)
        return None if seen is None else seen.candidates

    def seen(self, index: Index) -> Seen | None:
        """Return what is known of a plane, where it was looked at closer too."""
        return None if self.sight is None else self.cache.get((*self._key(), index))

    def want(self, index: Index) -> None:
        """Have a plane looked at that a person waits for, though it was tried in vain before."""
        if self.sight is not None:
            self._failed.discard((*self._key(), index))
        if index not in self._waiting:
            self._waiting.append(index)
            self._go_on()

    def look_closer(self, index: Index, prompts: Prompts) -> bool:
        """Have a plane looked at closer; False if that is switched off or was done already."""
        seen = self.seen(index)
        if self.sight is None or not self.sight.closer or seen is None:
            return False
        if (*self._key(), index) in self._failed or next_window(seen, prompts) is None:
            return False
        self._closer.append(_Look(index, prompts, closer=True))
        self._go_on()
        return True

    def search(self, search: Search | None) -> None:
        """Have objects of the plane in view looked at, for the newest question; None: no more.

        What is being looked at already goes on if it is of use for the new question as well.
        """
        before = self._search
        if search is None or self._index is None:
            self._drop_search()
        else:
            wanted = _Look(self._index, search=search)
            if before is None or before is not self._now or not self._is_of_use(before, wanted):
                self._drop_search()
            self._search = wanted
        self._go_on()

    @property
    def searching(self) -> bool:
        """Whether objects are looked at, or wait for that."""
        return self._search is not None

    def stop(self) -> None:
        """Look at nothing any more until it is said again what is in view."""
        self.aim(None, None)

    def _drop_search(self) -> None:
        """Look at objects no more."""
        look, self._search = self._search, None
        if look is not None and look is self._now:
            self.worker.cancel()

    def _key(self) -> tuple[Any, ...]:
        assert self.sight is not None
        return self.sight.key, self.sight.model.spec

    def _missing(self, index: Index) -> bool:
        """Whether a plane was not looked at, nor tried in vain."""
        return self.candidates(index) is None and (*self._key(), index) not in self._failed

    def _most_wanted(self) -> _Look | None:
        """Return what is to be looked at next."""
        if self.sight is None:
            return None
        if self._index is not None and self._missing(self._index):
            return _Look(self._index)
        if self._closer:
            return self._closer[0]
        if self._search is not None:
            return self._search
        self._waiting = [index for index in self._waiting if self._missing(index)]
        ahead = () if self.paused else self._ahead
        index = next((n for n in (*self._waiting, *ahead) if self._missing(n)), None)
        return None if index is None else _Look(index)

    def _go_on(self) -> None:
        """Begin the most wanted look, unless it is the one that goes on, and tell what goes on."""
        wanted, sight, now = self._most_wanted(), self.sight, self._goes_on()
        if wanted is not None and sight is not None:
            urgent = wanted.index == self._index and not wanted.closer and wanted.search is None
            same = now is not None and now.index == wanted.index and not now.closer
            same = same and now is not None and now.search is None
            if now is None or (urgent and not same):  # else it may end first
                self._begin(sight, wanted)
        self._tell()

    def _begin(self, sight: Sight, look: _Look) -> None:
        """Look at a plane, in place of what is looked at."""
        if look.search is not None:
            look.prompts = look.search.prompts
        job = Job(
            lambda cancelled: _work(sight, look, self.cache, job, cancelled),
            lambda _: None,
            lambda ending, error: self._ended(sight, look, ending, error),
        )
        look.job, look.name = job, sight.name
        self._now = look
        self.worker.submit(job)
        if look.search is not None:
            self.searched(job, None)

    def _goes_on(self) -> _Look | None:
        """Return the look that goes on, if it is one at what is in sight."""
        now, sight = self._now, self.sight
        same = now is not None and sight is not None and now.name == sight.name
        return now if same and self.worker.busy else None

    def _tell(self) -> None:
        """Tell what is looked at, if that is of interest and has not been told."""
        now = self._goes_on()
        if now is not None and now.index != self._index and not now.closer:
            now = None
        if now is not None and now.search is not None:
            now = None  # told otherwise
        job = None if now is None else now.job
        if job is not self._told:
            self._told = job
            self._changed(job, None if now is None else now.index, None)

    def _ended(self, sight: Sight, look: _Look, ending: Ending, error: Exception | None) -> None:
        """Tell what was looked at, and go on."""
        if self._now is look:
            self._now = None
        if look.search is not None:
            self._search_ended(sight, look, ending, error)
            return
        if self.sight is None or sight.name != self.sight.name:
            self._go_on()
            return
        asked = look.closer or look.index == self._index or look.index in self._waiting
        if error is not None:
            self._failed.add((*self._key(), look.index))
            if look.index in self._waiting:
                self._waiting.remove(look.index)
        if look in self._closer and ending != "cancelled":
            self._closer.remove(look)
        try:
            if self.candidates(look.index) is not None and look not in self._closer:
                self._came(look.index)
            if error is not None and asked:  # what was not asked for is tried again once it is
                self._told = None
                self._changed(None, look.index, error)
        finally:
            self._go_on()

    def _search_ended(
        self, sight: Sight, look: _Look, ending: Ending, error: Exception | None
    ) -> None:
        """Tell that objects were looked at, and go on."""
        if self._search is look and ending != "cancelled":
            self._search = None
        assert look.job is not None
        try:
            self.searched(look.job, ending)
            if self.sight is not None and sight.name == self.sight.name:
                if error is not None:
                    self._told = None
                    self._changed(None, look.index, error)
                else:
                    self._came(look.index)
        finally:
            self._go_on()

    def _is_of_use(self, now: _Look, wanted: _Look) -> bool:
        """Whether what is being looked at for a search is what another one needs too."""
        candidates = self.candidates(wanted.index)
        if now.index != wanted.index or candidates is None or not now.search or not wanted.search:
            return False
        if now.search.scorer is not wanted.search.scorer:
            return False
        searches = (now.search, wanted.search)
        seen, needed = (looked_for(candidates, search.prompts) for search in searches)
        return not bool((needed & ~seen).any())


def _work(
    sight: Sight,
    look: _Look,
    cache: CandidateCache,
    job: Job,
    cancelled: Callable[[], bool],
) -> Iterator[float]:
    """Look at a plane, and yield how long the network took: in the worker thread."""
    if look.search is not None:
        yield from look.search.work(sight, look.index, cache, job, cancelled)
        return

    def came(done: int, total: int) -> None:
        job.progress = (done, total)
        if cancelled():
            raise InterruptedError("The download was cancelled. Nothing of it was kept.")

    if sight.download:
        job.doing = f"Downloading {sight.download}"
        fetch(sight.download, progress=came)
    job.doing, job.progress = "Looking", (0, 0)
    request = sight.request({look.index: look.prompts}, closer=look.closer)
    for _ in run(request, sight.model, cache=cache, cancelled=cancelled):
        yield sight.model.take_seconds()
