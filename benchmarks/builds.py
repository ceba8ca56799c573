# SPDX-License-Identifier: MIT
"""Measure builds: plain `dracut -f` and initoverlayfs-install take turns in the same tree."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.statistics import Figure, figure
from benchmarks.variants import PLAIN, Machines
from harness import cache
from harness import guest as guests
from harness.guest import Progress
from harness.privilege import in_tree, run


def lines(kver: str) -> dict[str, Sequence[str]]:
    """Return the command lines to compare, by variant."""
    return {
        PLAIN: ["dracut", "-f", "--no-hostonly", "--kver", kver],
        "file": ["initoverlayfs-install", "-f", "--no-hostonly", "--kver", kver],
    }


def measure(
    machines: Machines, deb: Path, runs: int, progress: Progress
) -> dict[str, dict[str, Figure]]:
    """Measure the seconds of wall-clock time and of processor time that each build takes.

    Processor time includes all child processes.
    """
    tree = machines.directory / "tree"
    kver = machines.guest().kver
    found: dict[str, dict[str, list[float]]] = {
        name: {"build": [], "build_cpu": []} for name in lines(kver)
    }
    try:
        guests.extract(guests.base(progress), tree)
        guests.configure(tree)
        guests.install(tree, deb)
        for _ in range(runs):
            for name, line in lines(kver).items():
                before, cpu = time.monotonic(), _children()
                run(in_tree(tree, line))
                found[name]["build"].append(time.monotonic() - before)
                found[name]["build_cpu"].append(_children() - cpu)
                progress(f"{line[0]}: {found[name]['build'][-1]:.1f} s")
    finally:
        cache.remove(tree)
    return {
        name: {metric: figure(values) for metric, values in one.items()}
        for name, one in found.items()
    }


def _children() -> float:
    """Return the processor time of all child processes that have ended, in seconds."""
    used = os.times()
    return used.children_user + used.children_system
