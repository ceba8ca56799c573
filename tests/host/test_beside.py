# SPDX-License-Identifier: MIT
import threading

import pytest

from harness import beside


def test_results_come_in_order_with_their_items() -> None:
    """The second has to end before the first can, so both do run at the same time."""
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


def test_a_failure_stops_what_runs_beside_it() -> None:
    """And is the one that is reported; what has not begun does not begin."""
    begun = []
    stopped = []
    second = threading.Event()

    def work(item: int, check: beside.Check) -> None:
        begun.append(item)
        if item == 0:
            assert second.wait(30)
            raise ValueError("the first")
        second.set()
        _until_stopped(check)
        stopped.append(item)

    with pytest.raises(ValueError, match="the first"):
        list(beside.each(work, list(range(50)), 2))
    assert sorted(begun) == [0, *sorted(stopped)]
    assert 1 in stopped and len(begun) < 50


def test_who_asks_no_further_stops_it() -> None:
    """As SIGTERM does, which raises where results are waited for."""
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


def test_one_work_stopped_does_not_stop_another() -> None:
    results = beside.each(lambda item, check: item, [1, 2], 1)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert list(beside.each(lambda item, check: check(), [1], 1)) == [(1, None)]
