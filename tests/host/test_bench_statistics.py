# SPDX-License-Identifier: MIT
"""Figures have a median and a spread. A ratio is refused if the ranges overlap."""

from typing import Optional

import pytest

from benchmarks.statistics import Figure, figure, figures, ratio, shown, shown_ratio, within


def made(least: float, median: float, most: float, n: int = 3) -> Figure:
    return Figure(median=median, min=least, max=most, n=n)


def test_figure() -> None:
    assert figure([3.0, 1.0, 2.0]) == made(1.0, 2.0, 3.0)
    assert figure([1.0, 2.0])["median"] == 1.5


def test_a_metric_that_some_boots_lack() -> None:
    found = figures([{"a": 1.0, "b": 5.0}, {"a": 3.0}])
    assert list(found) == ["a", "b"]
    assert (found["a"]["n"], found["b"]["n"]) == (2, 1)


@pytest.mark.parametrize(
    ("one", "base", "expected"),
    [
        (made(1, 1, 1.1), made(2, 2, 2.2), 0.5),
        (made(4, 4, 4.1), made(2, 2, 2.2), 2.0),
        (made(1, 1.5, 2), made(2, 2.5, 3), None),  # they touch
        (made(1, 2.4, 9), made(2, 2.5, 3), None),  # one lies within the other
        (made(1, 1, 1, n=1), made(2, 2, 2), None),  # a single run
        (made(0, 0, 0), made(0, 0, 0), None),
        (None, made(2, 2, 2), None),
    ],
)
def test_ratio(one: Optional[Figure], base: Figure, expected: Optional[float]) -> None:
    assert ratio(one, base) == expected


def test_a_ratio_of_sizes_requires_a_single_run() -> None:
    assert ratio(made(1, 1, 1, n=1), made(2, 2, 2, n=1), timed=False) == 0.5


@pytest.mark.parametrize(
    ("one", "limit", "expected"),
    [
        (made(1.9, 2.0, 2.1), 1.2, True),
        (made(1.9, 2.0, 2.1), 0.5, False),
        (made(1.9, 2.0, 2.1), 1.0, None),
    ],
)
def test_within_a_limit(one: Figure, limit: float, expected: Optional[bool]) -> None:
    """Overlapping ranges do not always leave a limit open."""
    assert within(one, made(1.9, 2.0, 2.1), limit) is expected


def test_shown() -> None:
    assert shown(made(1, 1.234, 2), "s") == "1.23 (1.00-2.00)"
    assert shown(made(35.2e6, 35.2e6, 35.2e6), "B") == "35.2"
    assert shown(None, "s") == "-"
    assert (shown_ratio(0.456), shown_ratio(None)) == ("0.46x", "~")
