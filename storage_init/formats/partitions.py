# SPDX-License-Identifier: MIT
"""Read the partition tables GPT and MBR, as far as they give partitions their names.

The sources of the formats are chapter 5 of the UEFI Specification 2.10 for GPT, and for MBR
include/linux/msdos_partition.h and block/partitions/msdos.c of Linux, whose numbers count.
"""

import struct
from collections import namedtuple

from storage_init.formats import const, find, unpack, uuid
from storage_init.kernel.compat import decode_utf16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from storage_init.formats import Read

    Entry = Tuple[int, int, int, int]

# number: as in the name of its device. uuid: its PARTUUID in lower case, "" if it has none. label:
# its PARTLABEL, "" if it has none. type, attributes: of its GPT entry, the GUID in lower case and
# 64 bits; "" and 0 for MBR.
Partition = namedtuple("Partition", ("number", "uuid", "label", "type", "attributes"))

_SECTORS = const((512, 4096))  # possible bytes of a logical block
_MAX_PARTITIONS = const(255)  # Linux makes no devices for more

# Boot sector with the MBR, or with a link of the chain of logical partitions.
_BOOT_SIZE = const(512)
_BOOT_MAGIC_AT = const(510)
_BOOT_MAGIC = const(b"\x55\xaa")
_MBR = const((("disk_signature", 440, "<I"),))
_MBR_ENTRIES = const((446, 462, 478, 494))
# struct msdos_partition: boot_ind, CHS, sys_ind, CHS, start_sect, nr_sects.
_MBR_ENTRY = const("<B3xB3xII")
_BOOT_INDICATORS = const((0x00, 0x80))
_PROTECTIVE = const(0xEE)
_EXTENDED = const((0x05, 0x0F, 0x85))
_FIRST_LOGICAL = const(5)
_RELIABLE_ENTRIES = const(2)  # of a link: some tools leave garbage in the others

# Table 5-5: GPT Header
_HEADER = const(
    (
        0,
        0,
        b"EFI PART",
        (
            ("HeaderSize", 12, "<I"),
            ("HeaderCRC32", 16, "<I"),
            ("MyLBA", 24, "<Q"),
            ("PartitionEntryLBA", 72, "<Q"),
            ("NumberOfPartitionEntries", 80, "<I"),
            ("SizeOfPartitionEntry", 84, "<I"),
            ("PartitionEntryArrayCRC32", 88, "<I"),
        ),
    )
)
_HEADER_SIZE = const(92)
_HEADER_CRC_AT = const(16)
_HEADER_CRC_SIZE = const(4)

# Table 5-6: GPT Partition Entry: PartitionTypeGUID, UniquePartitionGUID, StartingLBA, EndingLBA,
# Attributes, PartitionName.
_ENTRY = const("<16s16sQQQ72s")
_ENTRY_SIZE = const(128)  # Linux accepts no other
_UNUSED_TYPE = bytes(16)
_MAX_ENTRIES = const(1024)  # partitioning tools make 128
_CHUNK = const(4096)  # bytes to read at a time, whole entries


def parse(read: "Read", size: int, sector: int) -> "List[Partition]":
    """Return the partitions of a disk, in the order of their numbers.

    size: of the disk in bytes. sector: bytes of a logical block. Returns no partitions if there is
    no table, if the table is damaged, or if `sector` is not in _SECTORS. Reads a bounded number of
    bytes and raises only what `read` raises.
    """
    if sector not in _SECTORS:
        return []
    boot = read(0, _BOOT_SIZE)
    if not _is_boot_sector(boot):
        return []
    entries = _entries(boot)
    if _PROTECTIVE not in [sys_ind for _, sys_ind, _, _ in entries]:
        return _mbr(read, boot, entries, sector)
    for block in (1, size // sector - 1):  # the last block has the backup
        found = _gpt(read, size, sector, block)
        if found is not None:
            return found
    return []


def _gpt(read: "Read", size: int, sector: int, block: int) -> "Optional[List[Partition]]":
    """Return the partitions of the GPT whose header is in this block, None if it is damaged."""
    head = read(block * sector, sector) if block > 0 else b""
    header = find(_HEADER, head) if len(head) >= sector else None
    if header is None:
        return None
    length = header["HeaderSize"]
    if not _HEADER_SIZE <= length <= sector:
        return None
    # The checksum is of the header with zeros in the place of the checksum.
    before, after = head[:_HEADER_CRC_AT], head[_HEADER_CRC_AT + _HEADER_CRC_SIZE : length]
    if crc32(before + bytes(_HEADER_CRC_SIZE) + after) != header["HeaderCRC32"]:
        return None
    count = header["NumberOfPartitionEntries"]
    if header["MyLBA"] != block or header["SizeOfPartitionEntry"] != _ENTRY_SIZE:
        return None
    at = header["PartitionEntryLBA"] * sector
    left = count * _ENTRY_SIZE
    if count > _MAX_ENTRIES or at + left > size:
        return None
    found: List[Partition] = []
    number = 0
    running = 0
    while left:
        chunk = read(at, min(left, _CHUNK))
        if len(chunk) < min(left, _CHUNK):
            return None
        running = crc32(chunk, running)
        for entry in range(0, len(chunk), _ENTRY_SIZE):
            number += 1
            if number <= _MAX_PARTITIONS and not chunk.startswith(_UNUSED_TYPE, entry):
                found.append(_partition(number, chunk, entry))
        at += len(chunk)
        left -= len(chunk)
    return found if running == header["PartitionEntryArrayCRC32"] else None


def _partition(number: int, entries: bytes, at: int) -> Partition:
    kind, unique, _, _, attributes, name = struct.unpack_from(_ENTRY, entries, at)
    return Partition(number, uuid(unique, "<"), decode_utf16(name), uuid(kind, "<"), attributes)


def _is_boot_sector(block: bytes) -> bool:
    return len(block) == _BOOT_SIZE and block.startswith(_BOOT_MAGIC, _BOOT_MAGIC_AT)


def _entries(block: bytes) -> "List[Entry]":
    """Return (boot_ind, sys_ind, start_sect, nr_sects) of the four entries of a boot sector."""
    return [struct.unpack_from(_MBR_ENTRY, block, at) for at in _MBR_ENTRIES]


def _mbr(read: "Read", boot: bytes, entries: "List[Entry]", sector: int) -> "List[Partition]":
    for boot_ind, _, _, _ in entries:
        if boot_ind not in _BOOT_INDICATORS:  # the boot code of a filesystem without partitions
            return []
    numbers = []
    logical = _FIRST_LOGICAL
    for number, (_, sys_ind, start, sectors) in enumerate(entries, 1):
        if sectors:
            numbers.append(number)
            if sys_ind in _EXTENDED:
                logical = _extended(read, start, sectors, sector, logical)
    numbers += range(_FIRST_LOGICAL, logical)
    disk = unpack(_MBR, boot)["disk_signature"]
    # Partitions of disks without a signature would all have the same UUID.
    text = "{:08x}-{:02x}" if disk else ""
    return [Partition(number, text.format(disk, number), "", "", 0) for number in numbers]


def _extended(read: "Read", first: int, length: int, sector: int, number: int) -> int:
    """Return the number after that of the last logical partition of an extended one.

    first, length: of the extended partition, in sectors. number: of its first logical partition.
    """
    at, room = first, length
    for _ in range(_MAX_PARTITIONS):  # a chain may lead back into itself
        block = read(at * sector, _BOOT_SIZE)
        if number > _MAX_PARTITIONS or not _is_boot_sector(block):
            break
        following = None
        for slot, (_, sys_ind, start, sectors) in enumerate(_entries(block)):
            if not sectors:
                continue
            if sys_ind in _EXTENDED:
                following = following or (first + start, sectors)
                continue
            inside = start + sectors <= room and at + start + sectors <= first + length
            if number <= _MAX_PARTITIONS and (slot < _RELIABLE_ENTRIES or inside):
                number += 1
        if following is None:
            break
        at, room = following
    return number


# IEEE 802.3: the polynomial, with its lowest bit first.
_CRC_POLYNOMIAL = const(0xEDB88320)
_crc_table: "List[int]" = []


def crc32(data: bytes, crc: int = 0) -> int:
    """Return the CRC-32 of IEEE 802.3 of `data`, where `crc` is that of the data before it.

    As binascii.crc32, which is left out of this MicroPython.
    """
    if not _crc_table:
        for value in range(256):
            for _ in range(8):
                value = value >> 1 ^ _CRC_POLYNOMIAL if value & 1 else value >> 1
            _crc_table.append(value)
    table = _crc_table
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
