# SPDX-License-Identifier: MIT
"""Give machines in virtual time disks that answer at once, even on a busy host."""

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
    """Return a machine for virtual time with copies of its disks that answer at once.

    While a virtual processor waits for a disk, virtual time jumps from timer to timer until the
    host has read the block, which can add seconds if the host is busy. Therefore the thread of the
    virtual processor reads the block itself (ioeventfd=off), with io_uring, from the page cache.
    The copies are in qcow2 format, so that `locked_in_memory` need not hold their zeros. The copies
    must not be on a tmpfs, from which io_uring reads only in a thread. With nohz=off a jump is at
    most 4 ms.

    directory: the place of the copies.
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
def locked_in_memory(machines: Iterable[Options]) -> Iterator[None]:
    """Lock the files of machines in the host's memory while the context lasts.

    If the limit for locked memory is too low, read the files once; the kernel may then drop them.
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
    """Yield (offset, length) of each range of a file that is no hole.

    Locking a hole would fill it with pages.
    """
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
    """Return the files that a machine reads: kernel, initramfs and disks."""
    paths = [machine.kernel, machine.initrd, *(drive.path for drive in machine.drives)]
    return {path for path in paths if path is not None}
