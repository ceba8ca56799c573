# SPDX-License-Identifier: MIT
"""Work on several things at the same time, which ends early when a part of it fails."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Check = Callable[[], None]


class Stopped(Exception):
    """What other parts of the work wait for is not wanted any more."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def each(work: Callable[[T, Check], R], items: Sequence[T], jobs: int) -> Iterator[tuple[T, R]]:
    """Each item and what work() makes of it, in order; so many are worked on at the same time.

    An exception, of work() or of who asks for the results, ends all: what has begun is stopped
    where it next calls the check that it was given, which raises Stopped then, and is waited for;
    what has not, does not begin.
    """
    stopping = threading.Event()

    def check() -> None:
        if stopping.is_set():
            raise Stopped

    def one(item: T) -> R:
        check()
        return work(item, check)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield from zip(items, pool.map(one, items))
        except BaseException:
            stopping.set()
            raise
