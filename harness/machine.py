# SPDX-License-Identifier: MIT
"""Describe a virtual machine, and make QEMU's command line for it."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional


@dataclass(frozen=True)
class Drive:
    """A disk.

    sector: size of a logical block in bytes. snapshot: discard the guest's writes. plugged: if
    False, VM.plug() plugs it in later. properties: added to the -device option if it is plugged,
    for example `scsi-id=1`. name: QEMU's ID of the device; a disk with a name has a port of its own
    and can be unplugged. filter: prefix of the path, for example `blkdebug:RULES:`. more: added to
    the -drive option, for example `aio=io_uring`.
    """

    path: Path
    interface: str = "virtio-blk-pci"
    sector: int = 512
    format: str = "raw"
    snapshot: bool = True
    plugged: bool = True
    properties: str = ""
    name: str = ""
    filter: str = ""
    more: str = ""


@dataclass(frozen=True)
class Options:
    """A machine.

    kernel: if None, the firmware boots from a disk. memory: in MiB. icount: virtual time, a
    nanosecond per instruction; while the guest is idle, time jumps to the next timer. idle: if set,
    time passes like real time then, for a guest that waits for the host. timeout: seconds of
    wall-clock time until the machine is ended. keyboard: VM.type() can write to its first serial
    port. extra: further words of the command line.
    """

    kernel: Optional[Path]
    initrd: Optional[Path] = None
    cmdline: str = ""
    drives: tuple[Drive, ...] = ()
    smp: int = 2
    memory: int = 2048
    icount: bool = False
    idle: bool = False
    accel: str = "tcg"
    machine: str = "q35"
    timeout: float = 300
    keyboard: bool = False
    extra: tuple[str, ...] = field(default=())


def command_line(options: Options, directory: Path) -> list[str]:
    """Return QEMU's command line.

    QEMU writes ttyS0 to directory/console and ttyS1 to directory/report, and makes the sockets
    directory/qmp and, with a keyboard, directory/tty for ttyS0.
    """
    line = ["qemu-system-x86_64", "-machine", options.machine]
    # With one thread per processor, QEMU 7.2 sometimes lets a processor run code that another one
    # is patching: the kernel crashes on its own int3, before it starts /init.
    accel = "tcg,thread=single" if options.accel == "tcg" else options.accel
    line += ["-accel", accel, "-smp", str(options.smp), "-m", str(options.memory)]
    if options.accel == "kvm":
        line += ["-cpu", "host"]
    if options.icount:
        line += ["-icount", "shift=0,sleep=" + ("on" if options.idle else "off")]
    line += ["-nodefaults", "-vga", "none", "-nic", "none", "-display", "none", "-no-reboot"]
    if options.keyboard:
        line += ["-serial", f"unix:{directory}/tty,server=on,wait=off"]
    else:
        line += ["-serial", f"file:{directory}/console"]
    line += ["-serial", f"file:{directory}/report"]
    if options.kernel:
        line += ["-kernel", str(options.kernel), "-append", options.cmdline]
    if options.initrd:
        line += ["-initrd", str(options.initrd)]
    line += options.extra
    for number, drive in enumerate(options.drives):
        line += [
            "-drive",
            f"id=d{number},if=none,file={drive.filter}{drive.path},format={drive.format},"
            f"snapshot={'on' if drive.snapshot else 'off'}" + (drive.more and "," + drive.more),
        ]
        if drive.name or not drive.plugged:
            line += ["-device", f"pcie-root-port,id=port{number},chassis={number + 1}"]
        if drive.plugged:
            line += ["-device", _device(drive, number)]
    return [*line, "-qmp", f"unix:{directory}/qmp,server=on,wait=off", "-S"]


def _device(drive: Drive, number: int) -> str:
    text = f"{drive.interface},drive=d{number}"
    if drive.sector != 512:
        text += f",logical_block_size={drive.sector},physical_block_size={drive.sector}"
    if drive.name:
        text += f",id={drive.name},bus=port{number}"
    if drive.properties:
        text += "," + drive.properties
    # NVMe disks require a serial number, and SD cards have no such property.
    return text if drive.interface == "sd-card" else f"{text},serial=d{number}"


def printable(options: Options) -> str:
    """Return a command line to run in a shell: console on the terminal, no QMP, not stopped."""
    line = command_line(options, Path("DIRECTORY"))
    line = [word for word in line[: line.index("-qmp")] if word != "-no-reboot"]
    at = line.index("-serial")
    line[at : at + 4] = ["-serial", "mon:stdio"]
    return " ".join(shlex.quote(word) for word in line)
