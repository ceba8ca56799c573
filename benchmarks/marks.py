# SPDX-License-Identifier: MIT
"""Read the times of a boot's marks from the guest's report or from its console."""

import re
from collections.abc import Mapping

# In the order of a boot, except in systemd mode, where first_systemd comes before stage2.
ALL = ("run_init", "stage2", "first_systemd", "root_systemd", "multi_user")
LAST = "multi_user"

_CONSOLE = {
    "run_init": r"Run /init as init process",
    "stage2": r"initoverlayfs: exec ",
    "first_systemd": r"systemd\[1\]: systemd \d+\S* .*running in system mode",
}


def pattern(name: str) -> str:
    """Return the pattern of the console line of a mark, with the seconds as group 1."""
    return r"^\[\s*(\d+\.\d+)\] " + _CONSOLE[name]


def of_console(console: str) -> dict[str, float]:
    """Return the seconds of the marks on a console.

    The console lacks the marks from the root filesystem's systemd on: they are in its journal.
    """
    found = {}
    for name in _CONSOLE:
        if match := re.search(pattern(name), console, re.MULTILINE):
            found[name] = float(match.group(1))
    return found


def of_report(report: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of the marks in a guest's report: see harness/inside/collect.py.

    If stage 1 starts the root filesystem's systemd, that systemd is also the first one.
    """
    names = {"t_stage2_exec": "stage2", **{"t_" + name: name for name in ALL}}
    found = {names[name]: value for name, value in report.items() if name in names}
    if "first_systemd" in found:
        found.setdefault("root_systemd", found["first_systemd"])
    return found


def metrics(found: Mapping[str, float], until: str) -> dict[str, float]:
    """Return the marks as metrics, and the time between two of them as `stage1`.

    until: the mark that the boot was to reach. Raises ValueError if a mark up to it is missing.
    """
    result = {name: value for name, value in found.items() if name != "stage2"}
    wanted = [name for name in ALL[: ALL.index(until) + 1] if name != "stage2"]
    missing = [name for name in wanted if name not in result]
    if missing:
        raise ValueError("marks not reached: " + ", ".join(missing))
    if "stage2" in found:
        result["stage1"] = round(found["stage2"] - found["run_init"], 6)
    return result
