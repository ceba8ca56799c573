# SPDX-License-Identifier: MIT
"""initramfs archives in memory: entries of newc cpio, read with or without compression.

Source of the format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import gzip
import lzma
import subprocess
from dataclasses import dataclass, replace
from typing import Callable

REGULAR = 0o100000
DIRECTORY = 0o040000

_HEADER = 110
_END = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """A file: its name without a leading /, the 13 header numbers after the magic, its content."""

    name: str
    fields: tuple[int, ...]
    data: bytes

    @property
    def mode(self) -> int:
        """Type and permissions, as in stat's st_mode."""
        return self.fields[1]


def entry(name: str, data: bytes = b"", mode: int = REGULAR | 0o644) -> Entry:
    """A new entry, owned by root."""
    return Entry(name, (0, mode, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), data)


def read(archive: bytes) -> list[Entry]:
    """The entries of all archives in an initramfs, in order. Raises ValueError."""
    entries: list[Entry] = []
    position = 0
    while position < len(archive):
        if archive[position] == 0:
            position += 1
        elif archive[position : position + 6] in (b"070701", b"070702"):
            position = _read_one(archive, position, entries)
        else:
            # what follows compressed data cannot be found: it is the last, as dracut makes it
            _read_one(_decompress(archive[position:]), 0, entries)
            break
    return entries


def write(entries: list[Entry]) -> bytes:
    """One uncompressed archive of these entries."""
    parts = []
    for one in [*entries, entry(_END, mode=0)]:
        name = one.name.encode() + b"\0"
        fields = list(one.fields)
        fields[6], fields[11] = len(one.data), len(name)
        header = b"070701" + b"".join(b"%08X" % number for number in fields) + name
        parts += [header, b"\0" * (-len(header) % 4), one.data, b"\0" * (-len(one.data) % 4)]
    return b"".join(parts)


def changed(entries: list[Entry], files: dict[str, bytes]) -> list[Entry]:
    """The entries with these regular files' content replaced, or files added (mode 0644)."""
    missing = dict(files)
    result = []
    for one in entries:
        name = one.name.lstrip("./")
        if name in missing:
            one = replace(one, data=missing.pop(name))
        result.append(one)
    return result + [entry(name, data) for name, data in missing.items()]


def without(entries: list[Entry], unwanted: Callable[[str], bool]) -> list[Entry]:
    """The entries but those whose names are unwanted. Raises ValueError where none is."""
    result = [one for one in entries if not unwanted(one.name.lstrip("./"))]
    if len(result) == len(entries):
        raise ValueError("initramfs: no such file to leave out")
    return result


def _read_one(archive: bytes, position: int, entries: list[Entry]) -> int:
    while True:
        header = archive[position : position + _HEADER]
        if header[:6] not in (b"070701", b"070702") or len(header) < _HEADER:
            raise ValueError(f"initramfs: no newc header at byte {position}: {header[:6]!r}")
        fields = tuple(int(header[at : at + 8], 16) for at in range(6, _HEADER, 8))
        start = position + _HEADER
        name = archive[start : start + fields[11] - 1].decode()
        start += fields[11]
        start += -start % 4
        data = archive[start : start + fields[6]]
        position = start + fields[6]
        position += -position % 4
        if name == _END:
            return position
        entries.append(Entry(name, fields, data))


def _decompress(data: bytes) -> bytes:
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE).stdout
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    raise ValueError(f"initramfs: unknown compression, starts {data[:6]!r}")
