# SPDX-License-Identifier: MIT
"""A disk as of any power cut, from the log of every write and flush that dm-log-writes keeps.

Source of the format: Documentation/admin-guide/device-mapper/log-writes.rst and
drivers/md/dm-log-writes.c of the kernel. Sectors have 512 bytes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
_MAGIC = 0x6A736677736872
_SUPERBLOCK = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_FLUSH, _FUA, _DISCARD, _MARK = 1, 2, 4, 8


@dataclass(frozen=True)
class Entry:
    """Sectors written or discarded, a flush, or a mark.

    flush: all entries before it are on the disk. fua: it is on the disk itself. data: where in the
    log its content is, -1 for zeros. mark: a mark's text.
    """

    sector: int = 0
    count: int = 0
    flush: bool = False
    fua: bool = False
    data: int = -1
    mark: str = ""


def read(log: Path) -> list[Entry]:
    """The entries, in the order in which they were done. Raises ValueError."""
    found = []
    with log.open("rb") as file:
        magic, version, entries, size = _SUPERBLOCK.unpack(file.read(_SUPERBLOCK.size))
        if (magic, version, size) != (_MAGIC, 1, SECTOR):
            raise ValueError(f"{log} is no log of writes of version 1 in sectors of {SECTOR} bytes")
        position = SECTOR
        for _ in range(entries):
            file.seek(position)
            sector, count, flags, length = _ENTRY.unpack(file.read(_ENTRY.size))
            mark = file.read(length).decode() if flags & _MARK else ""
            position += SECTOR
            data = -1 if flags & _DISCARD else position
            found.append(Entry(sector, count, bool(flags & _FLUSH), bool(flags & _FUA), data, mark))
            position += 0 if data == -1 else count * SECTOR
    return found


def survives(entries: Sequence[Entry], end: int) -> list[Entry]:
    """What is on the disk if the power goes when the first `end` entries have been done.

    All that was written before the last flush, and of what came after it only what asked for that.
    """
    flushes = [at for at in range(end) if entries[at].flush]
    last = flushes[-1] if flushes else 0
    return [*entries[:last], *(one for one in entries[last:end] if one.fua)]


def replay(log: Path, entries: Sequence[Entry], disk: Path) -> None:
    """Do these writes to a disk, which is as it was when the log began."""
    with log.open("rb") as source, disk.open("r+b") as target:
        for entry in entries:
            content = bytes(entry.count * SECTOR)
            if entry.data != -1:
                source.seek(entry.data)
                content = source.read(entry.count * SECTOR)
            target.seek(entry.sector * SECTOR)
            target.write(content)
