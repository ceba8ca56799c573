# SPDX-License-Identifier: MIT
"""Compute medians with their spread, and ratios that are refused if the spreads overlap."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Optional, TypedDict

NO_RATIO = "~"


class Figure(TypedDict):
    """Median, minimum and maximum of n values of a metric, in its unit."""

    median: float
    min: float
    max: float
    n: int


# One variant's metrics, by name.
Metrics = Mapping[str, Figure]


def figure(values: Sequence[float]) -> Figure:
    """Summarize values, at least one. Rounds to six decimal places."""
    return Figure(
        median=round(statistics.median(values), 6),
        min=round(min(values), 6),
        max=round(max(values), 6),
        n=len(values),
    )


def figures(boots: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """Summarize each metric over the boots that have it, in the order of first occurrence."""
    names = list(dict.fromkeys(name for boot in boots for name in boot))
    return {name: figure([boot[name] for boot in boots if name in boot]) for name in names}


def overlap(one: Figure, other: Figure) -> bool:
    """Return true if the ranges from minimum to maximum overlap."""
    return one["min"] <= other["max"] and other["min"] <= one["max"]


def ratio(one: Optional[Figure], base: Optional[Figure], timed: bool = True) -> Optional[float]:
    """Divide the median by the base's; return None if the figures do not support a ratio.

    They do not if their ranges overlap, or, for times (`timed`), if either has a single run.
    """
    if one is None or base is None or base["median"] <= 0 or overlap(one, base):
        return None
    if timed and min(one["n"], base["n"]) < 2:
        return None
    return one["median"] / base["median"]


def within(one: Optional[Figure], base: Optional[Figure], limit: float) -> Optional[bool]:
    """Return true if a figure is at most `limit` times the base, None if the spread leaves it open.

    Unlike a ratio, the answer can be known for overlapping ranges: the figure's range is compared
    with the base's range multiplied by the limit.
    """
    if one is None or base is None or min(one["n"], base["n"]) < 1:
        return None
    if one["max"] <= base["min"] * limit:
        return True
    if one["min"] > base["max"] * limit:
        return False
    return None


def shown_ratio(value: Optional[float]) -> str:
    """Format a ratio; return `~` if there is none."""
    return NO_RATIO if value is None else f"{value:.2f}x"


def shown(one: Optional[Figure], unit: str) -> str:
    """Format a median, followed by the range if the values differ.

    unit: s for seconds, B for bytes, which are shown as MB (10^6 bytes).
    """
    if one is None:
        return "-"
    scale, digits = (1e6, 1) if unit == "B" else (1.0, 2)
    texts = [f"{one[key] / scale:.{digits}f}" for key in ("median", "min", "max")]
    if texts[1] == texts[2]:
        return texts[0]
    return f"{texts[0]} ({texts[1]}-{texts[2]})"
