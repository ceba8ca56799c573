# SPDX-License-Identifier: MIT
"""Boots in virtual time beside each other: none is slower by its own clock for what others do."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_stopping = threading.Event()


class Stopped(Exception):
    """The program is about to end."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def check() -> None:
    """Raise Stopped where the program is about to end, so that a boot ends as well."""
    if _stopping.is_set():
        raise Stopped


def each(work: Callable[[T], R], items: Sequence[T], jobs: int) -> Iterator[tuple[T, R]]:
    """Each item and what work() makes of it, in order; so many are worked on at the same time.

    An exception, of work() or of who asks for the results, ends the program: what has begun is
    stopped at its next check(), and waited for; what has not, does not begin.
    """
    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield from zip(items, pool.map(work, items))
        except BaseException:
            _stopping.set()
            raise
