# SPDX-License-Identifier: MIT
"""Run jobs side by side in threads, and cancel the others when one fails."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Check = Callable[[], None]


class Stopped(Exception):
    """The job is cancelled: another one failed, or the caller needs no more results."""


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def each(work: Callable[[T, Check], R], items: Sequence[T], jobs: int) -> Iterator[tuple[T, R]]:
    """Yield each item with the result of work(item, check), in order; run `jobs` at a time.

    If work() fails or the caller stops asking for results, no further job starts, and the next
    check() in each running job raises Stopped. The exception is raised after all jobs have ended.
    """
    stopping = threading.Event()

    def check() -> None:
        if stopping.is_set():
            raise Stopped

    def run(item: T) -> R:
        check()
        return work(item, check)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield from zip(items, pool.map(run, items))
        except BaseException:
            stopping.set()
            raise
