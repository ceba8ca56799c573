# SPDX-License-Identifier: MIT
"""Measure the steps of stage 1 in virtual time, by the log line at the end of each step."""

import re
from collections.abc import Sequence

from benchmarks import marks
from benchmarks.boots import boot
from benchmarks.disks import locked_in_memory
from benchmarks.statistics import Figure, figures
from benchmarks.variants import Machines, Variant
from harness import beside
from harness.beside import Check
from harness.guest import Progress
from harness.machine import Options
from harness.vm import MachineFailure

UNTIL = "first_systemd"

# name -> (unit, description). Seconds since the kernel started /init.
METRICS = {
    "starts": ("s", "storage-init runs"),
    "device": ("s", "the device of the boot filesystem (direct: of the root filesystem) is found"),
    "attached": ("s", "the image is attached (direct: the root filesystem is mounted)"),
    "overlay": ("s", "the overlay is mounted"),
    "switched": ("s", "root is switched (verity: after init and its libraries were read)"),
}

_LINES = {
    "starts": r"storage-init \S+ on Linux ",
    "device": r"(?:boot|root) filesystem \S+ is ",
    "attached": r"(?:image \S+ attached: |mount \S+ on /initoverlayfs type (?!overlay))",
    "overlay": r"mount overlay on ",
    "switched": r"root switched: ",
}


def of_console(console: str) -> dict[str, float]:
    """Return the seconds of the steps on the console of a boot whose first attempt succeeds.

    Raises ValueError if the kernel did not start /init.
    """
    init = re.search(marks.pattern("run_init"), console, re.MULTILINE)
    if init is None:
        raise ValueError("marks not reached: run_init")
    found = {}
    for name, line in _LINES.items():
        pattern = r"^\[\s*(\d+\.\d+)\] initoverlayfs: " + line
        if match := re.search(pattern, console, re.MULTILINE):
            found[name] = round(float(match.group(1)) - float(init.group(1)), 6)
    return found


def chosen(variants: Sequence[Variant]) -> list[Variant]:
    """Return the variants that storage-init boots as the first process."""
    return [one for one in variants if one.attempt and one.first]


def measure(
    variants: Sequence[Variant], machines: Machines, runs: int, jobs: int, progress: Progress
) -> dict[str, dict[str, Figure]]:
    """Boot each variant that has the steps `runs` times, `jobs` boots concurrently."""
    prepared = [(one, one.options(machines, icount=True)) for one in chosen(variants)]
    booted: dict[str, list[dict[str, float]]] = {one.name: [] for one, _ in prepared}

    def work(turn: "tuple[Variant, Options]", check: Check) -> dict[str, float]:
        variant, machine = turn
        _, console = boot(machine, UNTIL, variant.attempt, check)
        found = of_console(console)
        if "switched" not in found:
            raise MachineFailure(f"{variant.name}: root was not switched\n{console[-2000:]}")
        return found

    with locked_in_memory(machine for _, machine in prepared):
        for (variant, _), one in beside.each(work, prepared * runs, jobs):
            booted[variant.name].append(one)
            shown = ", ".join(f"{name} {value:.2f}" for name, value in one.items())
            progress(f"{variant.name}, {len(booted[variant.name])} of {runs}: {shown}")
    return {name: figures(found) for name, found in booted.items()}
