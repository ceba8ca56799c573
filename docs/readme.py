# SPDX-License-Identifier: MIT
"""Writes the table of measurements in README.md from docs/performance.md, for `./dev docs`."""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent

_START = "<!-- ./dev docs writes this table from docs/performance.md: -->\n"
_END = "<!-- end of the table -->\n"

# Row of README, heading and column of docs/performance.md, unit.
_ROWS = (
    ("initramfs that the boot loader loads", "Boots, virtual time", "initramfs, MB", "MB"),
    ("root filesystem's systemd starts", "Boots, virtual time", "root systemd, s", "s"),
    ("multi-user is reached", "Boots, virtual time", "multi user, s", "s"),
    ("memory needed to reach the first systemd", "Memory and disk reads", "needed, MB", "MB"),
)
_VARIANTS = (
    ("plain", "plain dracut"),
    ("file", "initoverlayfs"),
    ("direct", "[direct boot](docs/operation.md#direct-boot)"),
)


def cell(page: str, heading: str, variant: str, column: str) -> str:
    """Return the first number in the row and column of a table below this heading.

    Raises ValueError if the page has no such cell.
    """
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    header: list[str] = []
    for line in section[1].splitlines() if section else []:
        row = [part.strip() for part in line.split("|")[1:-1]]
        if row and row[0] == "":
            header = row
        elif row and row[0] == variant and column in header:
            return row[header.index(column)].split(" ")[0]
    raise ValueError(f"docs/performance.md: no {column!r} of {variant!r} below {heading!r}")


def table(page: str) -> str:
    """Return the table for README, from the text of docs/performance.md."""
    lines = ["| | " + " | ".join(name for _, name in _VARIANTS) + " |", "|---|---|---|---|"]
    for name, heading, column, unit in _ROWS:
        cells = [f"{cell(page, heading, variant, column)} {unit}" for variant, _ in _VARIANTS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def readme() -> str:
    """Return README.md with the table as it should be. Raises ValueError without its markers."""
    text = (HERE.parent / "README.md").read_text()
    before, start, rest = text.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        raise ValueError("README.md: the markers around the table are gone")
    return before + start + table((HERE / "performance.md").read_text()) + end + after
