"""Work that is done before it is asked for."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fastsam.ahead import THREAD_NAME, ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


def alive() -> int:
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())


def eventually(wanted: int, counted: list[int]) -> bool:
    """Wait for so many entries, and a moment longer for any more."""
    until = time.monotonic() + 5
    while len(counted) < wanted and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.02)
    return len(counted) == wanted


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("depth", [1, 5])
def test_results_come_in_order_whoever_is_done_first(threads: int, depth: int) -> None:
    def work(n: int) -> int:
        time.sleep(0.003 * (n % 3 == 0))
        return n * n

    assert list(ahead(work, range(20), threads=threads, depth=depth)) == [n * n for n in range(20)]
    assert alive() == 0


def test_nothing_is_taken_beyond_the_depth_nor_before_the_first_is_asked_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(100):
            taken.append(n)
            yield n

    with closing(ahead(abs, items(), threads=2, depth=3)) as results:
        assert not taken
        assert next(results) == 0
        assert eventually(4, taken)
        assert next(results) == 1
        assert eventually(5, taken)
    time.sleep(0.02)
    assert len(taken) == 5
    assert alive() == 0


def test_it_is_other_threads_that_work_and_items_are_taken_by_one_at_a_time() -> None:
    together, most = threading.Semaphore(1), []
    workers = set()

    def items() -> Iterator[int]:
        for n in range(30):
            most.append(together.acquire(blocking=False))
            time.sleep(0.0005)
            together.release()
            yield n

    def work(n: int) -> None:
        time.sleep(0.001)
        workers.add(threading.get_ident())

    list(ahead(work, items(), threads=4, depth=8))
    assert all(most)
    assert len(workers) > 1
    assert threading.get_ident() not in workers


@pytest.mark.parametrize("where", ["work", "items"])
def test_an_error_comes_after_what_is_before_it(where: str) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(50):
            if where == "items" and n == 5:
                raise OSError("plane 5 is damaged")
            taken.append(n)
            yield n

    def work(n: int) -> int:
        time.sleep(0.002 * (n < 5))  # the bad one is done before those in front of it
        if where == "work" and n == 5:
            raise OSError("plane 5 is damaged")
        return n

    results = ahead(work, items(), threads=3, depth=4)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="plane 5"):
        next(results)
    assert list(results) == []
    assert len(taken) <= 10
    assert alive() == 0


def test_closing_ends_the_threads_and_what_feeds_them() -> None:
    ended = []

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            ended.append(threading.current_thread())

    first = ahead(abs, items(), depth=2)
    second = ahead(abs, first, threads=2, depth=2)
    assert [next(second) for _ in range(3)] == [0, 1, 2]
    assert alive() == 3
    second.close()
    assert alive() == 0
    assert len(ended) == 1


def test_what_is_never_asked_starts_no_thread() -> None:
    results = ahead(abs, range(3))
    assert alive() == 0
    results.close()
    assert list(ahead(abs, [])) == []


def test_how_numpy_treats_errors_is_as_where_it_is_asked() -> None:
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        list(ahead(lambda n: np.float64(1) / np.float64(n), [0]))
