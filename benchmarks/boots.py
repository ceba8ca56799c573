# SPDX-License-Identifier: MIT
"""Boot a machine to a mark."""

import json
import re
from typing import Any, Callable

from benchmarks import marks
from harness.beside import Check
from harness.inside.collect import MARKER
from harness.machine import Options
from harness.vm import VM, MachineFailure

IMAGE = "image"

# The next message of a systemd that runs in an initramfs.
_IN_INITRD = r"systemd\[1\]: Running in initrd"
_IN_INITRD_TIMEOUT = 60  # seconds, wall clock


class _Reported(Exception):
    """The guest has written its report."""


def boot(machine: Options, until: str, attempt: str, check: Check) -> tuple[dict[str, float], str]:
    """Boot to a mark and end the machine; return the marks that it passed, and its console.

    attempt: the attempt of storage-init that must have booted it, image or direct; any if empty.
    check: called regularly on the way to the last mark; ends the boot by raising an exception.
    Raises MachineFailure, also if another attempt booted the machine.
    """
    with VM(machine) as vm:
        if until == marks.LAST:
            report = report_of(vm, lambda _: check())
            if attempt and report.get("boot", {}).get("attempt") != attempt:
                raise MachineFailure(f"machine: not booted by attempt {attempt}\n{vm.tail(400)}")
            return marks.of_report(report["marks"]), vm.console
        vm.wait_console(marks.pattern(until), machine.timeout)
        if attempt == IMAGE:
            vm.wait_console(_IN_INITRD, _IN_INITRD_TIMEOUT)
        return marks.of_console(vm.console), vm.console


def report_of(vm: VM, watch: Callable[[str], None] = lambda console: None) -> dict[str, Any]:
    """Wait for the guest's report and return it. watch: called with the console meanwhile.

    Raises MachineFailure if the machine ends without a report, or if the report has no marks.
    """

    def look(console: str) -> None:
        watch(console)
        if re.search(MARKER + ".*\n", vm.report):
            raise _Reported

    try:
        ending = vm.wait_end(look)
        raise MachineFailure(f"machine: {ending.value}, no report\n{vm.tail()}")
    except _Reported:
        (line,) = [line for line in vm.report.splitlines() if line.startswith(MARKER)]
    report: dict[str, Any] = json.loads(line[len(MARKER) :])
    if "marks" not in report:
        raise MachineFailure(f"machine: {report.get('error')}\n{vm.tail()}")
    return report
