# SPDX-License-Identifier: MIT
"""Measure the full chain: firmware (UEFI) and systemd-boot load the kernel from a slow disk.

Times are seconds of wall-clock time from QEMU's start. All disks are limited to MB_PER_SECOND.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import marks
from benchmarks.boots import report_of
from benchmarks.disks import locked_in_memory
from benchmarks.statistics import Figure, figures
from benchmarks.variants import Machines, Variant
from harness.guest import Progress
from harness.machine import Drive, Options
from harness.privilege import run
from harness.vm import VM

MB_PER_SECOND = 100
VARIANTS = ("plain", "file")
METRICS = ("run_init", "first_systemd", "multi_user")

_FIRMWARE = Path("/usr/share/OVMF")
_LOADER = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
_MIB = 1 << 20
_ENTRY = "title bench\nlinux /linux\ninitrd /initrd\noptions {}\n"


def system_partition(machine: Options, path: Path) -> Path:
    """Write an unpartitioned EFI system partition with a machine's kernel and initramfs."""
    assert machine.kernel and machine.initrd
    loader, entry = path.with_name(path.name + ".conf"), path.with_name(path.name + ".entry")
    loader.write_text("timeout 0\ndefault bench.conf\n")
    entry.write_text(_ENTRY.format(machine.cmdline))
    content = {
        "/EFI/BOOT/BOOTX64.EFI": _LOADER,
        "/loader/loader.conf": loader,
        "/loader/entries/bench.conf": entry,
        "/linux": machine.kernel,
        "/initrd": machine.initrd,
    }
    size = sum(source.stat().st_size for source in content.values()) + 16 * _MIB
    with path.open("wb") as file:
        file.truncate(-(-size // _MIB) * _MIB)
    run(["mkfs.vfat", "-F", "32", "-s", "1", str(path)])
    for name in ("EFI", "EFI/BOOT", "loader", "loader/entries"):
        run(["mmd", "-i", str(path), "::/" + name])
    for name, source in content.items():
        run(["mcopy", "-i", str(path), str(source), "::" + name])
    return path


def machine(options: Options, disk: Path) -> Options:
    """Return the machine with firmware and slow disks, the system partition as its last disk."""
    flash = "if=pflash,format=raw,snapshot=on"
    firmware = []
    for unit, name in enumerate(("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")):
        firmware += ["-drive", f"{flash},unit={unit},file={_FIRMWARE / name}"]
    slow = f"throttling.bps-read={MB_PER_SECOND * 10**6}"
    drives = [replace(drive, more=slow) for drive in options.drives]
    # bootindex=0: the firmware tries this disk first.
    drives.append(Drive(disk, more=slow, properties="bootindex=0"))
    return replace(
        options,
        kernel=None,
        initrd=None,
        drives=tuple(drives),
        extra=(*options.extra, *firmware),
        timeout=600,
    )


def once(options: Options) -> dict[str, float]:
    """Boot, and return the seconds from QEMU's start to each mark. Raises MachineFailure."""
    seen: dict[str, float] = {}
    with VM(options) as vm:
        started = time.monotonic()

        def watch(console: str) -> None:
            now = time.monotonic() - started
            for name in marks.of_console(console):
                seen.setdefault(name, now)

        passed = marks.of_report(report_of(vm, watch)["marks"])
    # This mark is not on the console. The guest's clock runs as fast as the host's here.
    seen["multi_user"] = seen["run_init"] + passed["multi_user"] - passed["run_init"]
    return {name: round(seen[name], 3) for name in METRICS}


def measure(
    variants: Sequence[Variant], machines: Machines, runs: int, progress: Progress
) -> dict[str, dict[str, Figure]]:
    """Boot the variants in turns, and return the figures of each."""
    prepared = {}
    for variant in variants:
        options = variant.options(machines, icount=False)
        disk = system_partition(options, machines.directory / f"esp-{variant.name}")
        prepared[variant.name] = machine(options, disk)
    booted: dict[str, list[dict[str, float]]] = {name: [] for name in prepared}
    with locked_in_memory(prepared.values()):
        for number in range(runs):
            for name, options in prepared.items():
                booted[name].append(once(options))
                shown = ", ".join(f"{mark} {value:.1f}" for mark, value in booted[name][-1].items())
                progress(f"{name}, {number + 1} of {runs}: {shown}")
    return {name: figures(metrics) for name, metrics in booted.items()}
