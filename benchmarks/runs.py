# SPDX-License-Identifier: MIT
"""Boots, and what is measured of each: variants take turns, so that a busy hour hits all alike."""

import re
from collections.abc import Sequence
from typing import Callable

from benchmarks import marks
from benchmarks.boots import boot
from benchmarks.disks import held
from benchmarks.statistics import Figure, figures
from benchmarks.variants import Machines, Variant
from harness import beside
from harness.beside import Check
from harness.guest import Progress
from harness.machine import Options
from harness.vm import MachineFailure

# name -> (unit, what it is). Seconds are those of the kernel's own clock.
METRICS = {
    "run_init": ("s", "the kernel starts /init"),
    "stage1": ("s", "from run init to the exec of stage 2's init"),
    "first_systemd": ("s", "the first systemd starts"),
    "root_systemd": ("s", "the root filesystem's systemd starts"),
    "multi_user": ("s", "multi-user is reached"),
    "loaded": ("B", "kernel and initramfs, which the boot loader loads"),
    "initramfs": ("B", "the initramfs"),
    "freed": ("B", "memory that the kernel frees after it has unpacked the initramfs"),
    "image": ("B", "the image"),
}

_FREED = re.compile(r"Freeing initrd memory: (\d+)K")


def once(machine: Options, until: str, attempt: str, check: Check) -> dict[str, float]:
    """Boot to a mark: the metrics of this boot. attempt, check: see boots.py.

    Raises MachineFailure, or ValueError for marks that never came.
    """
    found, console = boot(machine, until, attempt, check)
    result = marks.metrics(found, until)
    if match := _FREED.search(console):
        result["freed"] = int(match.group(1)) * 1024
    return result


def sizes(variant: Variant, machines: Machines, machine: Options) -> dict[str, float]:
    """The metrics that are the same in each boot."""
    assert machine.kernel and machine.initrd
    initramfs = machine.initrd.stat().st_size
    return {
        "loaded": machine.kernel.stat().st_size + initramfs,
        "initramfs": initramfs,
        **variant.images(machines),
    }


def interleaved(
    variants: Sequence[Variant],
    machines: Machines,
    icount: bool,
    runs: int,
    jobs: int,
    progress: Progress,
    until: str = marks.LAST,
    after: Callable[[dict[str, dict[str, Figure]]], None] = lambda found: None,
) -> dict[str, dict[str, Figure]]:
    """Boot each variant so many times, taking turns: the figures of each variant's metrics.

    icount: in virtual time on one processor, else by the clock of the host on two. jobs: how many
    at the same time. until: the mark where a boot ends. A boot that fails is repeated once. after:
    is shown what is known after each boot.
    """
    booted: dict[str, list[dict[str, float]]] = {one.name: [] for one in variants}
    prepared = [(one, one.options(machines, icount)) for one in variants]
    found: dict[str, dict[str, Figure]] = {}

    def work(turn: "tuple[Variant, Options]", check: Check) -> dict[str, float]:
        variant, machine = turn
        return _tried(machine, until, variant.attempt, check, progress)

    with held(machine for _, machine in prepared):
        for (variant, machine), one in beside.each(work, prepared * runs, jobs):
            booted[variant.name].append({**one, **sizes(variant, machines, machine)})
            shown = ", ".join(
                f"{name} {one[name]:.2f}"
                for name in METRICS
                if name in one and METRICS[name][0] == "s"
            )
            progress(f"{variant.name}, {len(booted[variant.name])} of {runs}: {shown}")
            found = {name: figures(metrics) for name, metrics in booted.items() if metrics}
            after(found)
    return found


def _tried(
    machine: Options, until: str, attempt: str, check: Check, progress: Progress
) -> dict[str, float]:
    try:
        return once(machine, until, attempt, check)
    except MachineFailure as error:
        progress(f"once more, since {error}")
        return once(machine, until, attempt, check)
