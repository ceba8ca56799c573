# SPDX-License-Identifier: MIT
"""One boot to one mark."""

import json
import re
from typing import Any, Callable

from benchmarks import marks
from harness.beside import Check
from harness.inside.collect import MARKER
from harness.machine import Options
from harness.vm import VM, MachineFailure

IMAGE = "image"

# What systemd says next where it is not the root filesystem's.
_IN_INITRD = r"systemd\[1\]: Running in initrd"
_SOON = 60  # seconds, wall clock


class _Reported(Exception):
    """The guest has written its report."""


def boot(machine: Options, until: str, attempt: str, check: Check) -> tuple[dict[str, float], str]:
    """Boot to a mark, and no further: the marks that were passed, and the console.

    attempt: of storage-init's, the one that has to have booted it: image or direct; any, if empty.
    check: is called now and then on the way to the last mark, and ends the boot by raising. Raises
    MachineFailure, also where it was another attempt.
    """
    with VM(machine) as vm:
        if until == marks.LAST:
            report = report_of(vm, lambda _: check())
            if attempt and report.get("boot", {}).get("attempt") != attempt:
                raise MachineFailure(f"machine: not booted by {attempt}\n{vm.tail(400)}")
            return marks.of_report(report["marks"]), vm.console
        vm.wait_console(marks.pattern(until), machine.timeout)
        if attempt == IMAGE:
            vm.wait_console(_IN_INITRD, _SOON)
        return marks.of_console(vm.console), vm.console


def report_of(vm: VM, watch: Callable[[str], None] = lambda console: None) -> dict[str, Any]:
    """The guest's report, once it is there. watch: is shown the console until then.

    Raises MachineFailure where the machine ends without one, or it has no marks.
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
