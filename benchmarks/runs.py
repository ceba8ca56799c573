# SPDX-License-Identifier: MIT
"""Boot variants in turns, so that other load on the host affects all alike, and measure them."""

import re
from collections.abc import Sequence
from typing import Callable

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

# name -> (unit, description). Seconds are measured by the guest kernel's clock.
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
    """Boot to a mark, and return the metrics of the boot. attempt, check: see boots.py.

    Raises MachineFailure, or ValueError if a mark is missing.
    """
    found, console = boot(machine, until, attempt, check)
    result = marks.metrics(found, until)
    if match := _FREED.search(console):
        result["freed"] = int(match.group(1)) * 1024
    return result


def sizes(variant: Variant, machines: Machines, machine: Options) -> dict[str, float]:
    """Return the metrics that are the same in each boot."""
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
    """Boot each variant `runs` times, in turns; return the figures of each variant's metrics.

    icount: virtual time with one processor, otherwise wall-clock time with two. jobs: the number of
    concurrent boots. until: the mark where a boot ends. after: called after each boot with the
    figures so far. A failed boot is repeated once.
    """
    booted: dict[str, list[dict[str, float]]] = {one.name: [] for one in variants}
    prepared = [(one, one.options(machines, icount)) for one in variants]
    found: dict[str, dict[str, Figure]] = {}

    def work(turn: "tuple[Variant, Options]", check: Check) -> dict[str, float]:
        variant, machine = turn
        return _with_retry(machine, until, variant.attempt, check, progress)

    with locked_in_memory(machine for _, machine in prepared):
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


def _with_retry(
    machine: Options, until: str, attempt: str, check: Check, progress: Progress
) -> dict[str, float]:
    try:
        return once(machine, until, attempt, check)
    except MachineFailure as error:
        progress(f"boot failed: {error}; repeating it once")
        return once(machine, until, attempt, check)
