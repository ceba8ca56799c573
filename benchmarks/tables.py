# SPDX-License-Identifier: MIT
"""Print tables of figures on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.runs import METRICS
from benchmarks.statistics import Figure, ratio, shown, shown_ratio
from benchmarks.variants import PLAIN


def table(title: str, variants: Mapping[str, Mapping[str, Figure]]) -> None:
    """Print a table with a row for each variant: median, spread, and ratio to plain dracut."""
    names = [name for name in METRICS if any(name in one for one in variants.values())]
    shape = Table(title=title, caption="~: no ratio, the ranges overlap or there is one run")
    shape.add_column("variant")
    for name in names:
        shape.add_column(f"{name}, {'MB' if METRICS[name][0] == 'B' else 's'}", justify="right")
    for variant, found in variants.items():
        cells = []
        for name in names:
            unit = METRICS[name][0]
            cell = shown(found.get(name), unit)
            base = variants.get(PLAIN, {}).get(name)
            if variant != PLAIN and base and name in found:
                cell += "\n" + shown_ratio(ratio(found[name], base, unit == "s"))
            cells.append(cell)
        shape.add_row(variant, *cells, end_section=True)
    Console(width=190).print(shape)
