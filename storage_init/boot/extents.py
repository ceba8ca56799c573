# SPDX-License-Identifier: MIT
"""Find the bytes of a file on the device of its mounted filesystem."""

from storage_init.kernel.abi import EOPNOTSUPP, FS_XFLAG_REALTIME
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from storage_init.formats import btrfs
    from storage_init.kernel.block import Extent
    from storage_init.kernel.calls import Kernel

    Pieces = List[Tuple[int, int]]

# Flags of FIEMAP (include/uapi/linux/fiemap.h) of which none changes where the bytes lie: last,
# merged, shared.
_HARMLESS = 0x1 | 0x1000 | 0x2000
_SECTOR = 512
_MAX_PIECES = 128
# What is compared of a file: its start, with the superblock of an image, and its end.
_START = 2048
_END = 512
_AT_ONCE = 1 << 15


def pieces(
    kernel: "Kernel", fd: int, path: str, size: int, fstype: str, device: str, whole: bool
) -> "Pieces":
    """Return (offset, size) in bytes of the pieces of an open file on the device, in its order.

    fstype: of the mounted filesystem. whole: compare all bytes of the file with those on the
    device, otherwise the first 2048 and the last 512. Raises BootFailure, saying why, if the file
    cannot be read from the device, and OSError.
    """
    found = _extents(kernel, fd, path)
    if fstype == "xfs" and kernel.xflags(fd, path) & FS_XFLAG_REALTIME:
        raise BootFailure("{} is on the realtime device".format(path))
    if fstype == "btrfs":
        runs = _on_btrfs(kernel, fd, path, found, device)
    else:
        runs = [(extent.physical, extent.length) for extent in found]
    joined: Pieces = []
    for offset, length in runs:
        if offset % _SECTOR or length % _SECTOR:
            raise BootFailure("{} is not aligned to sectors".format(path))
        if joined and sum(joined[-1]) == offset:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((offset, length))
    if not 0 < len(joined) <= _MAX_PIECES:
        raise BootFailure("{} is in {} pieces".format(path, len(joined)))
    _compare(kernel, fd, path, size, joined, device, whole)
    return joined


def _extents(kernel: "Kernel", fd: int, path: str) -> "List[Extent]":
    try:
        found = kernel.extents(fd, path, _MAX_PIECES)
    except OSError as error:
        if error.errno != EOPNOTSUPP:
            raise
        found = kernel.extents(fd, path, _MAX_PIECES, by_block=True)
    at = 0
    for extent in found:
        if extent.flags & ~_HARMLESS:
            raise BootFailure("{} has extents with flags {:#x}".format(path, extent.flags))
        if extent.logical != at:
            raise BootFailure("{} has holes".format(path))
        at += extent.length
    return found


def _on_btrfs(kernel: "Kernel", fd: int, path: str, found: "List[Extent]", device: str) -> "Pieces":
    from storage_init.formats import btrfs  # importing it costs time, and few boots need it

    disk = kernel.open(device)
    try:
        devid = btrfs.device_id(lambda at, size: kernel.pread(disk, at, size, device))
    finally:
        kernel.close(disk)
    runs: Pieces = []
    for extent in found:
        chunks = _chunks(kernel, fd, path, extent)
        part = btrfs.resolve(chunks, devid, extent.physical, extent.length)
        if part is None:
            raise BootFailure("{} is not on {} as a whole".format(path, device))
        runs += part
    return runs


def _chunks(kernel: "Kernel", fd: int, path: str, extent: "Extent") -> "List[btrfs.Chunk]":
    from storage_init.formats import btrfs

    found: List[btrfs.Chunk] = []
    start = btrfs.first_start(extent.physical)
    last = extent.physical + extent.length - 1
    while True:
        arguments = btrfs.search(start, last)
        kernel.btrfs_search(fd, arguments, path)
        more = list(btrfs.chunks(bytes(arguments)))
        found += more
        if not more or more[-1].logical >= last or more[-1].logical < start:
            return found
        start = more[-1].logical + 1


def _compare(
    kernel: "Kernel", fd: int, path: str, size: int, places: "Pieces", device: str, whole: bool
) -> None:
    """Raise BootFailure if the device does not have the bytes of the file at these places."""
    if sum([length for _, length in places]) < size:
        raise BootFailure("{} has holes".format(path))
    ranges = [(0, size)] if whole else [(0, _START), (size - _END, size)]
    disk = kernel.open(device)
    try:
        at = 0
        for offset, length in places:
            for first, end in ranges:
                last = min(end, at + length, size)
                for start in range(max(first, at), last, _AT_ONCE):
                    part = min(_AT_ONCE, last - start)
                    on_disk = kernel.pread(disk, offset + start - at, part, device)
                    if on_disk != kernel.pread(fd, start, part, path):
                        text = "the bytes of {} at {} are not on {}"
                        raise BootFailure(text.format(path, start, device))
            at += length
    finally:
        kernel.close(disk)
