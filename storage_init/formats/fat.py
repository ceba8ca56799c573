# SPDX-License-Identifier: MIT
"""FAT12, FAT16, FAT32 and exFAT: their serial numbers and volume labels.

Sources of the formats: include/uapi/linux/msdos_fs.h for FAT, Microsoft's "exFAT file system
specification" for exFAT. The label is the entry in the root directory, as for libblkid: the one
in FAT's boot sector is a copy that many tools do not keep up to date.
"""

import struct
from binascii import hexlify

from storage_init.kernel.compat import decode, decode_utf16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, Optional, Tuple

    Read = Callable[[int, int], bytes]

# The label comes early in a root directory: what is looked through of it, and of its clusters.
_RECORDS = 4096
_CLUSTERS = 100
_RECORD = 32  # bytes
_CHUNK = 4096

_VOLUME = 0x08
_DIRECTORY = 0x10
_LONG_NAME = 0x0F


def vfat(head: bytes, read: "Read") -> "Optional[Tuple[str, str]]":
    """(UUID as XXXX-XXXX, label) of a FAT, each "" where there is none; None if it is no FAT.

    head: the first 512 bytes or more. Raises what `read` raises.
    """
    if not _names_itself(head) and (head[510:512] != b"\x55\xaa" or head[0] not in (0xEB, 0xE9)):
        return None
    # NTFS and exFAT share the frame, but have no FATs in it; a partition table without a
    # filesystem has no sector and cluster size.
    sector, cluster, reserved, fats, root_entries, sectors = struct.unpack("<HBHBHH", head[11:21])
    (fat_length,) = struct.unpack("<H", head[22:24])
    sectors_32, fat_length_32, _, root = struct.unpack("<IIII", head[32:48])
    if sector not in (512, 1024, 2048, 4096) or cluster == 0 or cluster & (cluster - 1):
        return None
    if not reserved or not fats or head[21] != 0xF0 and head[21] < 0xF8:
        return None
    fats_at = reserved * sector
    data = reserved + (fat_length or fat_length_32) * fats
    root_sectors = (root_entries * _RECORD + sector - 1) // sector
    clusters = ((sectors or sectors_32) - data - root_sectors) // cluster
    if clusters < 0 or clusters > (0xFFF4 if fat_length else 0x0FFFFFF6):
        return None
    if fat_length:
        extents: Iterator[Tuple[int, int]] = iter([(data * sector, root_entries * _RECORD)])
    else:
        last = fat_length_32 * sector // 4
        extents = _chain(read, fats_at, root, last, data * sector, cluster * sector)
    record = _find(read, extents, _is_volume)
    label = record[:11] if record else b""
    if label[:1] == b"\x05":  # stands for the byte that marks a deleted entry
        label = b"\xe5" + label[1:]
    # FAT32 keeps the length of its FAT, and so its extended boot record, further on.
    boot = 36 if fat_length else 64
    uuid = _serial(head[boot + 3 : boot + 7]) if head[boot + 2] in (0x28, 0x29) else ""
    return uuid, decode(label.split(b"\0")[0])


def exfat(head: bytes, read: "Read") -> "Optional[Tuple[str, str]]":
    """As `vfat`, for an exFAT."""
    if head[3:11] != b"EXFAT   " or head[510:512] != b"\x55\xaa" or head[11:64] != bytes(53):
        return None
    fats, _, heap, clusters, root = struct.unpack("<IIIII", head[80:100])
    shift, cluster_shift = head[108], head[109]
    if not 9 <= shift <= 12 or shift + cluster_shift > 25:
        return None
    size = 1 << shift + cluster_shift
    extents = _chain(read, fats << shift, root, clusters + 2, heap << shift, size)
    record = _find(read, extents, lambda record: record[0] == 0x83)
    label = decode_utf16(record[2 : 2 + 2 * min(record[1], 11)]) if record else ""
    return _serial(head[100:104]), label


def _names_itself(head: bytes) -> bool:
    text = head[54:62]
    return (
        head[82:90] == b"FAT32   "
        or head[82:87] == b"MSWIN"
        or text in (b"FAT16   ", b"FAT12   ", b"FAT     ")
        or text[:5] == b"MSDOS"
    )


def _serial(raw: bytes) -> str:
    text = decode(hexlify(bytes(reversed(raw)))).upper()
    return "" if text == "00000000" else text[:4] + "-" + text[4:]


def _is_volume(record: bytes) -> bool:
    kind = record[11]
    if record[0] == 0xE5 or kind & 0x3F == _LONG_NAME or record[20:22] + record[26:28] != bytes(4):
        return False
    return kind & (_VOLUME | _DIRECTORY) == _VOLUME


def _chain(
    read: "Read", fat: int, cluster: int, last: int, data: int, size: int
) -> "Iterator[Tuple[int, int]]":
    """(offset, bytes) of each cluster of a chain, the FAT being at byte `fat`."""
    for _ in range(_CLUSTERS):
        if not 2 <= cluster < last:
            return
        yield data + (cluster - 2) * size, size
        entry = read(fat + cluster * 4, 4)
        if len(entry) < 4:
            return
        cluster = struct.unpack("<I", entry)[0] & 0x0FFFFFFF


def _find(
    read: "Read", extents: "Iterator[Tuple[int, int]]", wanted: "Callable[[bytes], bool]"
) -> "Optional[bytes]":
    """The first record of a directory that is wanted."""
    left = _RECORDS * _RECORD
    for at, length in extents:
        while length > 0 and left > 0:
            chunk = read(at, min(length, left, _CHUNK))
            for start in range(0, len(chunk) - _RECORD + 1, _RECORD):
                record = chunk[start : start + _RECORD]
                if record[0] == 0:  # neither this one nor any after it was ever used
                    return None
                if wanted(record):
                    return record
            if len(chunk) < min(length, left, _CHUNK):
                return None
            at += len(chunk)
            length -= len(chunk)
            left -= len(chunk)
    return None
