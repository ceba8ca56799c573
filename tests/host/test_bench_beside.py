# SPDX-License-Identifier: MIT
import threading

import pytest

from benchmarks import beside


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program ends with an exception; these tests do not."""
    monkeypatch.setattr(beside, "_stopping", threading.Event())


def test_results_come_in_order_with_their_items() -> None:
    """The second has to end before the first can, so both do run at the same time."""
    second = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert second.wait(30)
        else:
            second.set()
        return item * 10

    assert list(beside.each(work, [1, 2, 3], 2)) == [(1, 10), (2, 20), (3, 30)]
    beside.check()


def test_a_failure_stops_what_runs_beside_it() -> None:
    """And is the one that is reported; what has not begun does not begin."""
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise ValueError("the first")
        for _ in range(3000):
            beside.check()
            threading.Event().wait(0.01)
        raise AssertionError("not stopped")

    with pytest.raises(ValueError, match="the first"):
        list(beside.each(work, list(range(50)), 2))
    assert len(begun) < 50
    with pytest.raises(beside.Stopped):
        beside.check()


def test_who_asks_no_further_stops_it() -> None:
    """As SIGTERM does, which raises where results are waited for."""
    results = beside.each(lambda item: item, [1, 2, 3], 1)
    assert next(results) == (1, 1)
    results.close()  # type: ignore[attr-defined]
    with pytest.raises(beside.Stopped):
        beside.check()
