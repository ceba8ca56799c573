# SPDX-License-Identifier: MIT
"""Rebuild a disk after a power cut, from the log of writes and flushes that dm-log-writes records.

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
    """A record of the log: sectors written or discarded, a flush, or a mark.

    flush: all entries before this one are persistent. fua: this entry itself is persistent when it
    completes. data: offset of its content in the log in bytes, -1 for zeros. mark: the mark's text.
    """

    sector: int = 0
    count: int = 0
    flush: bool = False
    fua: bool = False
    data: int = -1
    mark: str = ""


def read(log: Path) -> list[Entry]:
    """Return the entries in the order of their completion.

    Raises ValueError if the version or the size of a sector is not supported.
    """
    found = []
    with log.open("rb") as file:
        magic, version, entries, size = _SUPERBLOCK.unpack(file.read(_SUPERBLOCK.size))
        if (magic, version, size) != (_MAGIC, 1, SECTOR):
            raise ValueError(f"{log}: not a dm-log-writes log, version 1, {SECTOR}-byte sectors")
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
    """Return the entries that persist if power is lost after the first `end` entries.

    These are all entries before the last flush, and those with FUA after it. A real disk may keep
    others as well.
    """
    flushes = [index for index in range(end) if entries[index].flush]
    last = flushes[-1] if flushes else 0
    return [*entries[:last], *(entry for entry in entries[last:end] if entry.fua)]


def replay(log: Path, entries: Sequence[Entry], disk: Path) -> None:
    """Apply the entries to a copy of the disk from before the log was started."""
    with log.open("rb") as source, disk.open("r+b") as target:
        for entry in entries:
            content = bytes(entry.count * SECTOR)
            if entry.data != -1:
                source.seek(entry.data)
                content = source.read(entry.count * SECTOR)
            target.seek(entry.sector * SECTOR)
            target.write(content)
