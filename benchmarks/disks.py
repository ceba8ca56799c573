# SPDX-License-Identifier: MIT
"""Disks that a machine in virtual time does not have to wait for, on a host that is busy."""

import contextlib
import errno
import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from harness.machine import Options
from harness.privilege import run

_MAP_LOCKED = 0x2000  # the mmap module has no name for it


def steady(machine: Options, directory: Path) -> Options:
    """A machine in virtual time whose disks answer at once, however busy the host is.

    A processor that waits for a disk jumps ahead to its next timer, and to the next, until the
    host has found time for the disk: seconds, where it is busy. So no thread is waited for: the
    processor that asks for a block does the reading itself (ioeventfd=off), from the host's memory
    (io_uring), where all that is not zero is (qcow2, `held`; not a tmpfs, from which io_uring does
    not read without a thread). With nohz=off a jump is 4 ms at the most.
    directory: where the disks' copies are kept.
    """
    drives = tuple(
        replace(
            drive,
            path=_converted(drive.path, directory),
            format="qcow2",
            properties="ioeventfd=off",
            more="aio=io_uring",
        )
        for drive in machine.drives
    )
    return replace(machine, drives=drives, cmdline=machine.cmdline + " nohz=off")


def _converted(path: Path, directory: Path) -> Path:
    status = path.stat()
    copy = directory / f"disk-{status.st_dev:x}-{status.st_ino:x}-{status.st_mtime_ns:x}.qcow2"
    if not copy.exists():
        run(["qemu-img", "convert", "-O", "qcow2", str(path), str(copy)])
    return copy


@contextlib.contextmanager
def held(machines: Iterable[Options]) -> Iterator[None]:
    """Keep the files of some machines in the host's memory from here to the end.

    Where the limit for locked memory forbids it, they are read once, and the kernel may drop them.
    """
    paths = {path for machine in machines for path in files(machine)}
    with contextlib.ExitStack() as stack:
        for path in sorted(paths):
            with path.open("rb") as file:
                try:
                    for start, length in _data(file.fileno()):
                        flags = mmap.MAP_SHARED | _MAP_LOCKED
                        options = {"flags": flags, "prot": mmap.PROT_READ, "offset": start}
                        mapped = mmap.mmap(file.fileno(), length, **options)
                        stack.callback(mapped.close)
                except OSError:
                    while file.read(1 << 24):
                        pass
        yield


def _data(file: int) -> Iterator[tuple[int, int]]:
    """Where a file has data, (offset, length): its holes would take as much memory, for nothing."""
    size = os.fstat(file).st_size
    end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # a hole up to the end
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end - start


def files(machine: Options) -> "set[Path]":
    """The files that a machine is made of."""
    paths = [machine.kernel, machine.initrd, *(drive.path for drive in machine.drives)]
    return {path for path in paths if path is not None}
