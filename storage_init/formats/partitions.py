# SPDX-License-Identifier: MIT
"""Partition tables: GPT and MBR, as far as they give partitions their names.

Sources of the formats: UEFI Specification 2.10, chapter 5 (GPT), and for the numbers of logical
partitions Linux' block/partitions/msdos.c, since it is Linux' numbers that are asked for.
"""

import struct
from binascii import hexlify
from collections import namedtuple

from storage_init.kernel.compat import decode, decode_utf16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Tuple

    Entry = Tuple[int, int, int, int]
    Read = Callable[[int, int], bytes]

# number: as in the name of its device; uuid: its PARTUUID in lower case, "" if it has none;
# label: its PARTLABEL, "" if it has none. type: the GUID of its type in lower case, attributes:
# the 64 bits of its entry; "" and 0 without a GPT.
Partition = namedtuple("Partition", ("number", "uuid", "label", "type", "attributes"))

# Linux makes devices for so many partitions of a disk.
_MOST = 255

_GPT_ENTRY = 128  # bytes; Linux takes no other size
_GPT_ENTRIES = 1024  # tools make 128; this bounds what a damaged header makes us read
_CHUNK = 4096

_MBR_EXTENDED = (0x05, 0x0F, 0x85)
_MBR_PROTECTIVE = 0xEE


def parse(read: "Read", size: int, sector: int) -> "List[Partition]":
    """The partitions of the disk that `read(offset, length)` shows, by their numbers.

    size: of the disk in bytes. sector: bytes in a logical block, 512 or 4096; another size has no
    partitions. `read` may return less than asked for, at the end. No table, or none that can be
    trusted: no partitions. Reads a bounded number of bytes and raises only what `read` raises.
    """
    if sector not in (512, 4096):
        return []
    boot = read(0, 512)
    if len(boot) < 512 or boot[510:] != b"\x55\xaa":
        return []
    if _MBR_PROTECTIVE not in [entry[0] for entry in _entries(boot)]:
        return _mbr(read, boot, sector)
    for block in (1, size // sector - 1):  # the backup lies in the last one
        found = _gpt(read, size, sector, block)
        if found is not None:
            return found
    return []


# UEFI, table 5-5 and 5-6.
def _gpt(read: "Read", size: int, sector: int, block: int) -> "Optional[List[Partition]]":
    """The partitions of the GPT whose header is in this block; None if it is damaged."""
    head = read(block * sector, sector) if block > 0 else b""
    if len(head) < sector or head[:8] != b"EFI PART":
        return None
    length, checksum = struct.unpack("<II", head[12:20])
    if not 92 <= length <= sector:
        return None
    if crc32(head[:16] + bytes(4) + head[20:length]) != checksum:
        return None
    (mine,) = struct.unpack("<Q", head[24:32])
    start, count, entry_size, checksum = struct.unpack("<QIII", head[72:92])
    if mine != block or entry_size != _GPT_ENTRY or count > _GPT_ENTRIES:
        return None
    at = start * sector
    left = count * _GPT_ENTRY
    if at + left > size:
        return None
    found: List[Partition] = []
    number = 0
    running = 0
    while left:
        chunk = read(at, min(left, _CHUNK))
        if len(chunk) < min(left, _CHUNK):
            return None
        running = crc32(chunk, running)
        for entry in range(0, len(chunk), _GPT_ENTRY):
            number += 1
            if number <= _MOST and chunk[entry : entry + 16] != bytes(16):
                kind = _guid(chunk[entry : entry + 16])
                uuid = _guid(chunk[entry + 16 : entry + 32])
                (attributes,) = struct.unpack("<Q", chunk[entry + 48 : entry + 56])
                label = decode_utf16(chunk[entry + 56 : entry + 128])
                found.append(Partition(number, uuid, label, kind, attributes))
        at += len(chunk)
        left -= len(chunk)
    return found if running == checksum else None


def _guid(raw: bytes) -> str:
    # The first three fields are little-endian (UEFI, appendix A).
    fields = [bytes(reversed(raw[at:to])) for at, to in ((0, 4), (4, 6), (6, 8))]
    return "-".join([decode(hexlify(field)) for field in fields + [raw[8:10], raw[10:]]])


def _entries(block: bytes) -> "List[Entry]":
    """(type, first sector, sectors, boot flag) of the four entries of an MBR or a chain's link."""
    found = []
    for at in (446, 462, 478, 494):
        start, length = struct.unpack("<II", block[at + 8 : at + 16])
        found.append((block[at + 4], start, length, block[at]))
    return found


def _mbr(read: "Read", boot: bytes, sector: int) -> "List[Partition]":
    entries = _entries(boot)
    for entry in entries:
        if entry[3] not in (0, 0x80):  # the boot code of a filesystem without partitions
            return []
    (disk,) = struct.unpack("<I", boot[440:444])
    numbers = []
    logical = 5
    for slot, entry in enumerate(entries):
        if entry[2]:
            numbers.append(slot + 1)
            if entry[0] in _MBR_EXTENDED:
                logical = _extended(read, entry, sector, logical)
    numbers += range(5, logical)
    # Disks without an identity would all have the same one.
    text = "{:08x}-{:02x}" if disk else ""
    return [Partition(number, text.format(disk, number), "", "", 0) for number in numbers]


def _extended(read: "Read", whole: "Entry", sector: int, number: int) -> int:
    """The number after the last logical partition of an extended one, the first being `number`."""
    first, length = whole[1], whole[2]
    at, room = first, length
    for _ in range(_MOST):  # a chain may lead back into itself
        block = read(at * sector, 512)
        if number > _MOST or len(block) < 512 or block[510:] != b"\x55\xaa":
            break
        entries = _entries(block)
        for slot, (kind, start, sectors, _) in enumerate(entries):
            if not sectors or kind in _MBR_EXTENDED or number > _MOST:
                continue
            # Some tools leave garbage in the last two.
            if slot < 2 or start + sectors <= room and at + start + sectors <= first + length:
                number += 1
        links = [entry for entry in entries if entry[2] and entry[0] in _MBR_EXTENDED]
        if not links:
            break
        at, room = first + links[0][1], links[0][2]
    return number


_crc_table: "List[int]" = []


def crc32(data: bytes, crc: int = 0) -> int:
    """The CRC-32 of IEEE 802.3 of `data`, going on from that of what came before it.

    As binascii.crc32 where there is one: the MicroPython here leaves it out.
    """
    if not _crc_table:
        for value in range(256):
            for _ in range(8):
                value = value >> 1 ^ 0xEDB88320 if value & 1 else value >> 1
            _crc_table.append(value)
    table = _crc_table
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
