# SPDX-License-Identifier: MIT
"""Read and write initramfs archives (newc cpio) in memory.

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
    """A file of an archive.

    name: without a leading slash. fields: the 13 numbers of the header after the magic.
    """

    name: str
    fields: tuple[int, ...]
    data: bytes

    @property
    def mode(self) -> int:
        """Type and permissions, as in stat's st_mode."""
        return self.fields[1]


def entry(name: str, data: bytes = b"", mode: int = REGULAR | 0o644) -> Entry:
    """Return a new entry, owned by root."""
    return Entry(name, (0, mode, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), data)


def read(archive: bytes) -> list[Entry]:
    """Return the entries of all archives in an initramfs, in order.

    Decompresses gzip, xz and zstd. Raises ValueError for other compression and damaged headers.
    """
    entries: list[Entry] = []
    position = 0
    while position < len(archive):
        if archive[position] == 0:
            position += 1
        elif archive[position : position + 6] in (b"070701", b"070702"):
            position = _read_one(archive, position, entries)
        else:
            # The end of compressed data is unknown. In dracut's initramfs it is the last archive.
            _read_one(_decompress(archive[position:]), 0, entries)
            break
    return entries


def write(entries: list[Entry]) -> bytes:
    """Return an uncompressed archive of these entries."""
    parts = []
    for file in [*entries, entry(_END, mode=0)]:
        name = file.name.encode() + b"\0"
        fields = list(file.fields)
        fields[6], fields[11] = len(file.data), len(name)
        header = b"070701" + b"".join(b"%08X" % number for number in fields) + name
        parts += [header, b"\0" * (-len(header) % 4), file.data, b"\0" * (-len(file.data) % 4)]
    return b"".join(parts)


def changed(entries: list[Entry], files: dict[str, bytes]) -> list[Entry]:
    """Return the entries with the contents of these files replaced, or added with mode 0644."""
    missing = dict(files)
    result = []
    for old in entries:
        name = old.name.lstrip("./")
        result.append(replace(old, data=missing.pop(name)) if name in missing else old)
    return result + [entry(name, data) for name, data in missing.items()]


def without(entries: list[Entry], unwanted: Callable[[str], bool]) -> list[Entry]:
    """Return the entries without those whose names are unwanted. Raises ValueError if none is."""
    result = [kept for kept in entries if not unwanted(kept.name.lstrip("./"))]
    if len(result) == len(entries):
        raise ValueError("initramfs: it has no file with an unwanted name")
    return result


def _read_one(archive: bytes, position: int, entries: list[Entry]) -> int:
    while True:
        header = archive[position : position + _HEADER]
        if header[:6] not in (b"070701", b"070702") or len(header) < _HEADER:
            raise ValueError(f"initramfs: byte {position} starts no newc header: {header[:6]!r}")
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
    raise ValueError(f"initramfs: unknown compression, magic {data[:6]!r}")
