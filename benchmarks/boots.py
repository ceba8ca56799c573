# SPDX-License-Identifier: MIT
"""One boot to one mark."""

import json
import re

from harness.collect import MARKER
from harness.vm import VM, MachineFailure, Options

from benchmarks import marks


class _Reported(Exception):
    """The guest has written its report."""


def boot(machine: Options, until: str) -> tuple[dict[str, float], str]:
    """Boot to a mark, and no further: the marks that were passed, and the console.

    Raises MachineFailure.
    """
    with VM(machine) as vm:
        if until == marks.LAST:
            return marks.of_report(_report(vm)), vm.console
        vm.wait_console(marks.pattern(until), machine.timeout)
        return marks.of_console(vm.console), vm.console


def _report(vm: VM) -> dict[str, float]:
    """The marks in the guest's report, once it is there."""

    def watch(_: str) -> None:
        if re.search(MARKER + ".*\n", vm.report):
            raise _Reported

    try:
        ending = vm.wait_end(watch)
        raise MachineFailure(f"machine: {ending.value}, no report\n{vm.tail()}")
    except _Reported:
        (line,) = [line for line in vm.report.splitlines() if line.startswith(MARKER)]
    report = json.loads(line[len(MARKER) :])
    if "marks" not in report:
        raise MachineFailure(f"machine: {report.get('error')}\n{vm.tail()}")
    found: dict[str, float] = report["marks"]
    return found
