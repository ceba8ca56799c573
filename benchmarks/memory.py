# SPDX-License-Identifier: MIT
"""Measure the memory and the disk reads of boots. These boots are not timed.

Memory in use is MemTotal minus free memory and reclaimable file cache, sampled every 20 ms from the
first process on (sampler.c). An unpacked initramfs counts as in use, because it is in a tmpfs.
MemAvailable is unsuitable: it excludes the kernel's reserve, which grows with the machine.

Memory needed is that of the smallest machine that reaches the first systemd, in steps of 8 MiB. It
includes the peak while the kernel unpacks the initramfs, before any process could take a sample.
"""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks import marks
from benchmarks.boots import boot
from benchmarks.disks import locked_in_memory
from benchmarks.statistics import Figure, figure
from benchmarks.variants import Machines, Variant
from harness import beside, cpio
from harness.beside import Check
from harness.guest import Progress
from harness.machine import Options
from harness.privilege import run
from harness.vm import VM, MachineFailure

METRICS = {
    "needed": ("B", "memory of the smallest machine that reaches the first systemd"),
    "in_use_run_init": ("B", "in use when the kernel starts the first process"),
    "before": ("B", "peak use before the first systemd"),
    "in_use": ("B", "in use when the first systemd starts"),
    "in_use_root_systemd": ("B", "in use when the root filesystem's systemd starts"),
    "in_use_multi_user": ("B", "in use when multi-user is reached"),
    "read": ("B", "read from disks when the first systemd starts"),
    "read_multi_user": ("B", "read from disks when multi-user is reached"),
}

STEP = 8  # MiB
_LEAST, _GUESS = 64, 512  # MiB
_TIMEOUT = 240  # seconds, wall clock
_TROUBLE = "Kernel panic|Out of memory|Initramfs unpacking failed"

_SOURCE = Path(__file__).resolve().parent / "sampler.c"


class Sample(NamedTuple):
    """A sample: seconds since the kernel's start, sizes in bytes, and the bytes read since then."""

    seconds: float
    total: int
    free: int
    cache: int
    read: int

    @property
    def used(self) -> int:
        """Return the bytes in use that the kernel cannot reclaim by dropping file cache."""
        return self.total - self.free - self.cache


def parse(text: str) -> list[Sample]:
    """Parse the lines of sampler.c. Skips incomplete lines: the last one may be cut short."""
    found = []
    for line in text.splitlines(keepends=True):
        words = line.split()
        if line.endswith("\n") and len(words) == 5:
            total, free, cache, sectors = (int(word) for word in words[1:])
            sizes = (total << 10, free << 10, cache << 10, sectors * 512)
            found.append(Sample(float(words[0]), *sizes))
    return found


def at(samples: Sequence[Sample], seconds: float) -> Sample:
    """Return the last sample up to a time, or the first sample if all are later."""
    return [samples[0], *(one for one in samples if one.seconds <= seconds)][-1]


def sampled(samples: Sequence[Sample], passed: "dict[str, float]") -> dict[str, float]:
    """Compute the metrics of a boot from its samples and the seconds of its marks."""
    first = passed["first_systemd"]
    found = {
        # The first sample is from run_init, because the kernel starts the sampler as init.
        "in_use_run_init": samples[0].used,
        "in_use": at(samples, first).used,
        "before": max(one.used for one in samples if one.seconds <= max(first, samples[0].seconds)),
        "read": at(samples, first).read,
    }
    for mark in ("root_systemd", marks.LAST):
        if mark in passed:
            found["in_use_" + mark] = at(samples, passed[mark]).used
    if marks.LAST in passed:
        found["read_multi_user"] = at(samples, passed[marks.LAST]).read
    return {name: float(value) for name, value in found.items()}


def with_sampler(machine: Options, directory: Path) -> Options:
    """Return the machine with the sampler as the kernel's init, which writes directory/samples."""
    assert machine.initrd
    binary = directory / "sampler"
    line = ["musl-gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror"]
    run([*line, "-o", str(binary), str(_SOURCE)])
    executable = cpio.REGULAR | 0o755
    files = [
        cpio.entry("bench", mode=cpio.DIRECTORY | 0o755),
        cpio.entry("bench/sampler", binary.read_bytes(), executable),
    ]
    initrd = directory / "sampled-initrd"
    initrd.write_bytes(cpio.write(files) + machine.initrd.read_bytes())
    return replace(
        machine,
        initrd=initrd,
        cmdline=machine.cmdline + " rdinit=/bench/sampler",
        extra=(*machine.extra, "-serial", f"file:{directory}/samples"),
    )


def needed(machine: Options, check: Check) -> int:
    """Search for the smallest machine that reaches the first systemd; return its memory in bytes.

    check: called before each boot; ends the search by raising an exception.
    """
    too_small, enough = _LEAST, _GUESS
    check()
    if not reaches(replace(machine, memory=enough)):
        too_small, enough = enough, machine.memory
    while enough - too_small > STEP:
        check()
        middle = (too_small + enough) // 2 // STEP * STEP
        if reaches(replace(machine, memory=middle)):
            enough = middle
        else:
            too_small = middle
    return enough << 20


def reaches(machine: Options) -> bool:
    """Return true if a machine reaches the first systemd, unpacks the initramfs and kills nothing.

    Returns false if the machine ends or hangs before. Disables the fallbacks of storage-init, so
    that no other attempt hides a failure.
    """
    words = machine.cmdline
    if "rd.initoverlayfs=" not in words:
        words += " rd.initoverlayfs.fallback=rescue rd.shell=0"
    try:
        with VM(replace(machine, cmdline=words, timeout=_TIMEOUT)) as vm:
            vm.wait_console(f"{marks.pattern('first_systemd')}|{_TROUBLE}", _TIMEOUT)
            return not re.search(_TROUBLE, vm.console)
    except MachineFailure:
        return False


def measure(
    variants: Sequence[Variant], machines: Machines, until: str, jobs: int, progress: Progress
) -> dict[str, dict[str, Figure]]:
    """Measure each variant with a sampled boot and a search; `jobs` variants run concurrently."""
    prepared = [(one, one.options(machines, icount=True)) for one in variants]

    def work(turn: "tuple[Variant, Options]", check: Check) -> "dict[str, Figure]":
        variant, machine = turn
        with tempfile.TemporaryDirectory(prefix="memory-", dir=machines.directory) as name:
            directory = Path(name)
            passed, _ = boot(with_sampler(machine, directory), until, variant.attempt, check)
            samples = parse((directory / "samples").read_text())
        metrics = sampled(samples, passed)
        progress(f"{variant.name}: {metrics['in_use'] / 1e6:.1f} MB in use at the first systemd")
        metrics["needed"] = needed(machine, check)
        progress(f"{variant.name}: {metrics['needed'] / 2**20:.0f} MiB needed")
        return {name: figure([value]) for name, value in metrics.items()}

    with locked_in_memory(machine for _, machine in prepared):
        done = beside.each(work, prepared, jobs)
        return {variant.name: found for (variant, _), found in done}
