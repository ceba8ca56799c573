# SPDX-License-Identifier: MIT
"""Medians with their spread, and ratios that are not given where the spread swallows them."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Optional, TypedDict

NO_RATIO = "~"


class Figure(TypedDict):
    """What n values of one metric come to, in the metric's own unit."""

    median: float
    min: float
    max: float
    n: int


# One variant's metrics, by name.
Metrics = Mapping[str, Figure]


def figure(values: Sequence[float]) -> Figure:
    """Median, least, greatest and number of some values, of which there is at least one."""
    return Figure(
        median=round(statistics.median(values), 6),
        min=round(min(values), 6),
        max=round(max(values), 6),
        n=len(values),
    )


def figures(boots: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """The figure of each metric that any of these boots has, in the order they are first met."""
    names = list(dict.fromkeys(name for boot in boots for name in boot))
    return {name: figure([boot[name] for boot in boots if name in boot]) for name in names}


def overlap(one: Figure, other: Figure) -> bool:
    """Whether the intervals from the least to the greatest value have anything in common."""
    return one["min"] <= other["max"] and other["min"] <= one["max"]


def ratio(one: Optional[Figure], base: Optional[Figure], timed: bool = True) -> Optional[float]:
    """How many times the base's median a median is; None where that is not known.

    It is not where the intervals of both overlap, and for what is timed not from single runs.
    """
    if one is None or base is None or base["median"] <= 0 or overlap(one, base):
        return None
    if timed and min(one["n"], base["n"]) < 2:
        return None
    return one["median"] / base["median"]


def within(one: Optional[Figure], base: Optional[Figure], limit: float) -> Optional[bool]:
    """Whether a figure is at most `limit` times the base; None where the spread leaves that open.

    Unlike a ratio this can be known where the intervals overlap: what matters is whether they
    still do with the base's multiplied by the limit.
    """
    if one is None or base is None or min(one["n"], base["n"]) < 1:
        return None
    if one["max"] <= base["min"] * limit:
        return True
    if one["min"] > base["max"] * limit:
        return False
    return None


def shown_ratio(value: Optional[float]) -> str:
    """A ratio for people; `~` where there is none."""
    return NO_RATIO if value is None else f"{value:.2f}x"


def shown(one: Optional[Figure], unit: str) -> str:
    """A median for people and, where the values differ, what they lie between.

    unit: s for seconds, B for bytes, which are shown as MB of a million.
    """
    if one is None:
        return "-"
    scale, digits = (1e6, 1) if unit == "B" else (1.0, 2)
    texts = [f"{one[key] / scale:.{digits}f}" for key in ("median", "min", "max")]
    if texts[1] == texts[2]:
        return texts[0]
    return f"{texts[0]} ({texts[1]}-{texts[2]})"
