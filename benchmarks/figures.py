# SPDX-License-Identifier: MIT
"""Figures of several runs, and ratios of two of them that say no more than the runs do."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What several runs gave."""

    samples: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def row(self) -> "dict[str, Any]":
        """For a report."""
        low, high = min(self.samples), max(self.samples)
        found = {"median": self.median, "min": low, "max": high, "n": len(self.samples)}
        return {**{name: round(value, 3) for name, value in found.items()}, "unit": self.unit}


def figure(samples: Sequence[float], unit: str) -> Figure:
    """ValueError for no samples."""
    if not samples:
        raise ValueError("a figure needs a run")
    return Figure(tuple(samples), unit)


def ratio(ours: Figure, theirs: Figure) -> str:
    """`2.0 (1.5-2.9)`: of the medians, and the least and the most that the runs allow.

    "overlap" where a run of the one lies among those of the other; "-" for a divisor of zero.
    """
    low, high = min(ours.samples), max(ours.samples)
    others_low, others_high = min(theirs.samples), max(theirs.samples)
    if others_low <= 0:
        return "-"
    if low <= others_high and others_low <= high:
        return "overlap"
    middle = f"{ours.median / theirs.median:.2f}"
    return f"{middle} ({low / others_high:.2f}-{high / others_low:.2f})"


def table(pairs: "Sequence[tuple[str, Figure, Figure]]", ours: str, theirs: str) -> str:
    """Lines of a name, our figure, theirs, the ratio."""
    heading = f"{'':28}{ours:>34}{theirs:>34}  ratio"
    lines = [
        f"{name:28}{_shown(one):>34}{_shown(other):>34}  {ratio(one, other)}"
        for name, one, other in pairs
    ]
    return "\n".join([heading, *lines])


def _shown(one: Figure) -> str:
    low, high = min(one.samples), max(one.samples)
    form = "{:,.0f}" if low == int(low) and high == int(high) else "{:,.2f}"
    text = form.format(one.median)
    if low != high:
        text += " (" + form.format(low) + "-" + form.format(high) + ")"
    return f"{text} {one.unit}"
