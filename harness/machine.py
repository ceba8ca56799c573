# SPDX-License-Identifier: MIT
"""What a machine is made of, and QEMU's command line for it."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional


@dataclass(frozen=True)
class Drive:
    """A disk. With `snapshot` what the guest writes is dropped; not `plugged`: see VM.plug().

    sector: bytes in a logical block.
    properties: more of QEMU's for a disk that is plugged, as in `scsi-id=1`. name: its id there;
    with one, it sits in a port that it can be pulled out of. filter: of QEMU's block drivers, as in
    `blkdebug:RULES:`. more: of QEMU's for the -drive, as in `aio=io_uring`.
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
    """A machine. memory in MiB, timeout in wall-clock seconds for its whole life.

    kernel: none where the firmware finds what to boot by itself.
    keyboard: whether its first serial port takes what VM.type() sends.
    icount: virtual time, a nanosecond an instruction. Where nothing runs it jumps to the next
    timer; with `idle` it passes there like real time, for a guest that waits for something.
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
    """QEMU's command line: ttyS0 in directory/console, ttyS1 in directory/report, QMP in qmp."""
    line = ["qemu-system-x86_64", "-machine", options.machine]
    # With a thread for each processor, QEMU 7.2 now and then lets one see another's half-patched
    # code: the kernel dies of its own int3 before it has run anything of ours.
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
    # nvme wants a serial number; cards have none to set
    return text if drive.interface == "sd-card" else f"{text},serial=d{number}"


def printable(options: Options) -> str:
    """A command line for people: the console on the terminal, no QMP, the machine running."""
    line = command_line(options, Path("DIRECTORY"))
    line = [word for word in line[: line.index("-qmp")] if word != "-no-reboot"]
    at = line.index("-serial")
    line[at : at + 4] = ["-serial", "mon:stdio"]
    return " ".join(shlex.quote(word) for word in line)
