"""Work done in other threads before it is asked for: in order, and never far ahead.

So that planes are read while the network looks at those before them, and what it found is tidied
and written while it looks at the next.
"""

from __future__ import annotations

from contextvars import copy_context
from threading import Condition, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

_S = TypeVar("_S")
_T = TypeVar("_T")

THREAD_NAME = "napari-fastsam ahead"
"""What the threads are called, for who lists them."""


def ahead(
    work: Callable[[_S], _T], items: Iterable[_S], *, threads: int = 1, depth: int = 1
) -> Generator[_T, None, None]:
    """Yield what `work` returns for each item, in order, worked out in other threads.

    Parameters
    ----------
    work
        Called in any of the threads, with several items at once if there are several threads.
    items
        Taken one at a time, each when a thread is free for it; never by two threads at once.
    threads
        How many there are, from the first item that is asked for until all are done, or the
        generator is closed.
    depth
        At most so many items are taken whose results were not asked for yet.

    Raises
    ------
    Exception
        What `work` or `items` raise, in place of the item that it was about; items after it are
        not taken.

    Examples
    --------
    >>> list(ahead(str.upper, ["plane", "tile"], threads=2, depth=2))
    ['PLANE', 'TILE']
    """
    line = _Line(work, items, max(depth, 1))
    workers = [
        Thread(target=copy_context().run, args=(line.work,), name=THREAD_NAME, daemon=True)
        for _ in range(max(threads, 1))
    ]
    try:
        for worker in workers:
            worker.start()
        yield from line.results()
    finally:
        line.stop()
        for worker in workers:
            if worker.ident is not None:
                worker.join()
        close = getattr(line.items, "close", None)
        if close is not None:  # another generator may have threads of its own
            close()


class _Line(Generic[_S, _T]):
    """Items that wait for their turn, and results that wait for who asks."""

    def __init__(self, work: Callable[[_S], _T], items: Iterable[_S], depth: int) -> None:
        self.items = iter(items)
        self._work = work
        self._room = depth
        self._changed = Condition()
        self._taking = False
        self._ended = False  # no more items are taken
        self._taken = 0
        self._results: dict[int, tuple[_T | None, BaseException | None]] = {}

    def results(self) -> Iterator[_T]:
        """Yield the results, and let as many items be taken as results were."""
        asked = 0
        while True:
            with self._changed:
                while asked not in self._results:
                    if self._ended and asked == self._taken:
                        return
                    self._changed.wait()
                result, error = self._results.pop(asked)
                self._room += 1
                self._changed.notify_all()
            asked += 1
            if error is not None:
                raise error
            yield result  # type: ignore[misc]  # without an error, there is one
            del result

    def stop(self) -> None:
        """Let no more items be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def work(self) -> None:
        """Take items and work on them, until there are no more."""
        while (number := self._turn()) is not None:
            try:
                item = next(self.items)
            except StopIteration:
                self._took(ended=True)
                return
            except BaseException as error:
                self._took(ended=True, counted=True)
                self._put(number, None, error)
                return
            self._took(counted=True)
            try:
                result = self._work(item)
            except BaseException as error:
                self._put(number, None, error)
                return
            del item
            self._put(number, result, None)
            del result

    def _turn(self) -> int | None:
        """Wait until an item may be taken, and return its number; None if none are any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (self._room > 0 and not self._taking))
            if self._ended:
                return None
            self._taking = True
            return self._taken

    def _took(self, *, counted: bool = False, ended: bool = False) -> None:
        """Let the next thread take an item."""
        with self._changed:
            self._taking = False
            self._taken += counted
            self._room -= counted
            self._ended |= ended
            self._changed.notify_all()

    def _put(self, number: int, result: _T | None, error: BaseException | None) -> None:
        """Leave a result for who asks, or an error, after which nothing is taken any more."""
        with self._changed:
            self._results[number] = (result, error)
            self._ended |= error is not None
            self._changed.notify_all()
