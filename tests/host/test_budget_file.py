# SPDX-License-Identifier: MIT
"""The comparison with the budget, its update, and the count of system calls."""

from pathlib import Path

import pytest

from benchmarks import budget
from benchmarks.namespaces import calls_between_execs
from harness.stage1 import took_ms

FIGURES = [name for name, entry in budget.load().items() if "value" in entry]
LIMITS = [name for name, entry in budget.load().items() if "limit" in entry]


@pytest.mark.parametrize("name", FIGURES)
def test_excess_is_reported_in_one_line(name: str) -> None:
    """A value up to the margin is within the budget."""
    entry = {"value": 1000, "margin": 10, "unit": "things"}
    assert budget.verdict(name, 1100, {name: entry}) == ""
    assert budget.verdict(name, 1, {name: entry}) == ""
    line = budget.verdict(name, 1101, {name: entry})
    for part in (name, "1,101 things", "1,000 + 10 %", "./dev budget"):
        assert part in line
    assert "\n" not in line


@pytest.mark.parametrize("name", FIGURES + LIMITS)
def test_each_entry_can_be_exceeded(name: str) -> None:
    allowed = budget.allowed(budget.load()[name])
    assert budget.verdict(name, allowed) == ""
    assert budget.verdict(name, allowed + 1).startswith(name + ": ")


def test_update_keeps_margins_and_limits(tmp_path: Path) -> None:
    old: budget.Budget = {
        "a": {"value": 1, "margin": 5, "unit": "calls"},
        "b": {"limit": 2, "unit": "bytes"},
    }
    budget.write(budget.updated(old, {"a": 7, "b": 9}), tmp_path / "budget.json")
    assert budget.load(tmp_path / "budget.json") == {
        "a": {"value": 7, "margin": 5, "unit": "calls"},
        "b": {"limit": 2, "unit": "bytes"},
    }
    assert len((tmp_path / "budget.json").read_text().splitlines()) == 4


TRACE = """\
10 execve("/x/boot", ["boot"], 0x1) = 0
10 wait4(11,  <unfinished ...>
11 getpid() = 1
11 execve("/init", ["/init"], 0x1) = 0
11 clone(child_stack=NULL) = 12
12 read(3,  <unfinished ...>
10 <... wait4 resumed>0x1) = ? ERESTARTSYS
10 wait4(11,  <unfinished ...>
12 <... read resumed>"", 1) = 0
12 exit_group(0) = ?
12 +++ exited with 0 +++
11 --- SIGCHLD {si_signo=SIGCHLD} ---
11 execve("/init", ["/init"], 0x1) = 0
11 getpid() = 1
"""


def test_calls_between_the_execs() -> None:
    """The calls of children count, each once; those of the starter and of stage 2 do not."""
    found = calls_between_execs(TRACE)
    assert dict(found) == {"execve": 2, "clone": 1, "read": 1, "exit_group": 1}
    with pytest.raises(ValueError):
        calls_between_execs(TRACE.replace('"/init"', '"/sbin/init"'))


def test_duration_of_stage_1_from_the_console() -> None:
    log = "[    2.100000] Run /init as init process\n[    2.7501] initoverlayfs: exec /init\n"
    assert took_ms(log) == 650.1
    with pytest.raises(ValueError):
        took_ms("[    2.100000] Run /init as init process\n")
