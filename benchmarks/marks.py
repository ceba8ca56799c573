# SPDX-License-Identifier: MIT
"""When what happened in a boot: from the guest's own report, or from its console."""

import re
from collections.abc import Mapping

# In the order in which they happen, but for systemd mode, where the first systemd is before stage2.
ALL = ("run_init", "stage2", "first_systemd", "root_systemd", "multi_user")
LAST = "multi_user"

_CONSOLE = {
    "run_init": r"Run /init as init process",
    "stage2": r"initoverlayfs: exec ",
    "first_systemd": r"systemd\[1\]: systemd \d+\S* .*running in system mode",
}


def pattern(name: str) -> str:
    """What of the console says that a mark was passed, seconds as its group 1."""
    return r"^\[\s*(\d+\.\d+)\] " + _CONSOLE[name]


def of_console(console: str) -> dict[str, float]:
    """The marks in a console of the kernel's: what systemd's journal takes is not there.

    That is the root filesystem's systemd and what follows.
    """
    found = {}
    for name in _CONSOLE:
        if match := re.search(pattern(name), console, re.MULTILINE):
            found[name] = float(match.group(1))
    return found


def of_report(report: Mapping[str, float]) -> dict[str, float]:
    """The marks in a guest's report: see harness/collect.py.

    Where stage 1 starts the root filesystem's systemd, that one is the first as well.
    """
    names = {"t_stage2_exec": "stage2", **{"t_" + name: name for name in ALL}}
    found = {names[name]: value for name, value in report.items() if name in names}
    if "first_systemd" in found:
        found.setdefault("root_systemd", found["first_systemd"])
    return found


def metrics(found: Mapping[str, float], until: str) -> dict[str, float]:
    """Marks as metrics, with stage 1 as the time between two. ValueError: some never came.

    until: the mark the boot was to reach.
    """
    result = {name: value for name, value in found.items() if name != "stage2"}
    wanted = [name for name in ALL[: ALL.index(until) + 1] if name != "stage2"]
    missing = [name for name in wanted if name not in result]
    if missing:
        raise ValueError("marks that never came: " + ", ".join(missing))
    if "stage2" in found:
        result["stage1"] = round(found["stage2"] - found["run_init"], 6)
    return result
