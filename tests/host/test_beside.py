# SPDX-License-Identifier: MIT
"""Jobs that run side by side in the harness: their results, failures and cancellation."""

import threading

import pytest

from harness import beside


def test_results_come_in_order_with_their_items() -> None:
    """The first job waits for the second one, so both run at the same time."""
    second = threading.Event()

    def work(item: int, check: beside.Check) -> int:
        check()
        if item == 1:
            assert second.wait(30)
        else:
            second.set()
        return item * 10

    assert list(beside.each(work, [1, 2, 3], 2)) == [(1, 10), (2, 20), (3, 30)]


def _until_stopped(check: beside.Check) -> None:
    with pytest.raises(beside.Stopped):
        for _ in range(3000):
            check()
            threading.Event().wait(0.01)


def test_failure_cancels_the_other_jobs() -> None:
    """It is raised, and no further job starts."""
    started = []
    stopped = []
    second = threading.Event()

    def work(item: int, check: beside.Check) -> None:
        started.append(item)
        if item == 0:
            assert second.wait(30)
            raise ValueError("the first")
        second.set()
        _until_stopped(check)
        stopped.append(item)

    with pytest.raises(ValueError, match="the first"):
        list(beside.each(work, list(range(50)), 2))
    assert sorted(started) == [0, *sorted(stopped)]
    assert 1 in stopped and len(started) < 50


def test_closing_the_results_cancels_the_jobs() -> None:
    """An exception while waiting for results, such as one from SIGTERM, does the same."""
    stopped = []
    second = threading.Event()

    def work(item: int, check: beside.Check) -> int:
        if item == 2:
            second.set()
            _until_stopped(check)
            stopped.append(item)
        return item

    results = beside.each(work, [1, 2, 3], 1)
    assert next(results) == (1, 1)
    assert second.wait(30)
    results.close()  # type: ignore[attr-defined]
    assert stopped == [2]


def test_cancelled_jobs_do_not_affect_later_ones() -> None:
    results = beside.each(lambda item, check: item, [1, 2], 1)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert list(beside.each(lambda item, check: check(), [1], 1)) == [(1, None)]
