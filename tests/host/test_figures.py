# SPDX-License-Identifier: MIT
"""What is said of several runs, and what is not."""

import pytest

from benchmarks.figures import figure, ratio, table


def test_a_ratio_has_its_spread() -> None:
    assert ratio(figure([4, 2, 3], "ms"), figure([1], "ms")) == "3.00 (2.00-4.00)"
    assert ratio(figure([1], "ms"), figure([2, 4], "ms")) == "0.33 (0.25-0.50)"


@pytest.mark.parametrize("ours", [[1.0, 2.0], [2.0, 3.0], [0.0, 9.0], [1.2, 1.3]])
def test_no_ratio_where_runs_overlap(ours: list[float]) -> None:
    theirs = figure([1.0, 2.0], "ms")
    assert ratio(figure(ours, "ms"), theirs) == "overlap"
    assert table([("wall", figure(ours, "ms"), theirs)], "A", "B").endswith("  overlap")


def test_nothing_is_divided_by_zero() -> None:
    assert ratio(figure([1], "KiB"), figure([0], "KiB")) == "-"


def test_a_row_of_the_report() -> None:
    expected = {"median": 2.5, "min": 1, "max": 9, "n": 4, "unit": "ms"}
    assert figure([9, 2, 1, 3], "ms").row() == expected
    with pytest.raises(ValueError):
        figure([], "ms")
