# SPDX-License-Identifier: MIT
"""Read the serial numbers and volume labels of FAT12, FAT16, FAT32 and exFAT.

The sources of the formats are include/uapi/linux/msdos_fs.h for FAT and Microsoft's "exFAT file
system specification"; field names are theirs. The label is that of the root directory, as for
libblkid: many tools do not update the copy in the boot sector of a FAT.
"""

import struct

from storage_init.formats import const, find, unpack
from storage_init.kernel.compat import decode, decode_utf16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, Optional, Tuple

    from storage_init.formats import Read

# The boot sector of both: a jump at its start, the signature at its end.
_JUMPS = const((b"\xeb", b"\xe9"))
_SIGNATURE_AT = const(510)
_SIGNATURE = const(b"\x55\xaa")

# struct fat_boot_sector
_FAT = const(
    (
        ("sector_size", 11, "<H"),  # in bytes
        ("sec_per_clus", 13, "B"),
        ("reserved", 14, "<H"),  # sectors
        ("fats", 16, "B"),
        ("dir_entries", 17, "<H"),  # of the root directory, 0 on FAT32
        ("sectors", 19, "<H"),  # 0: total_sect counts
        ("media", 21, "B"),
        ("fat_length", 22, "<H"),  # sectors, 0 on FAT32
        ("total_sect", 32, "<I"),
    )
)
_FAT16 = const((("signature", 38, "B"), ("vol_id", 39, "<I")))
_FAT32 = const(
    (
        ("length", 36, "<I"),  # sectors
        ("root_cluster", 44, "<I"),
        ("signature", 66, "B"),
        ("vol_id", 67, "<I"),
    )
)
# fs_type of FAT12 and FAT16, and of FAT32: each of these makes the signature unnecessary.
_FS_TYPES = const(
    (
        (54, b"FAT12   "),
        (54, b"FAT16   "),
        (54, b"FAT     "),
        (54, b"MSDOS"),
        (82, b"FAT32   "),
        (82, b"MSWIN"),
    )
)
_SECTOR_SIZES = const((512, 1024, 2048, 4096))
_MEDIA = const((0xF0, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF))  # fat_valid_media()
_EXTENDED_BOOT = const((0x28, 0x29))  # signature: vol_id is there
_MAX_FAT16 = const(0xFFF4)  # clusters
_MAX_FAT32 = const(0x0FFFFFF6)

# The FAT itself: a cluster's entry names the next cluster.
_FAT_ENTRY = const("<I")
_FAT_ENTRY_SIZE = const(4)
_FAT_ENTRY_MASK = const(0x0FFFFFFF)
_FIRST_CLUSTER = const(2)  # FAT_START_ENT

# Directories: struct msdos_dir_entry, and the exFAT volume label directory entry.
_RECORD_SIZE = const(32)
_UNUSED = const(0)  # first byte: neither this record nor any after it was ever used
_ATTR = const(11)
_DIR_ENTRY = const((("name", 0, "11s"), ("starthi", 20, "<H"), ("start", 26, "<H")))
_DELETED = const(0xE5)  # first byte of name
_KANJI = const(b"\x05")  # first byte of name: stands for 0xE5
_ATTR_VOLUME = const(0x08)
_ATTR_DIR = const(0x10)
_ATTR_EXT = const(0x0F)  # part of a long name
_ATTR_MASK = const(0x3F)

# Main Boot Sector of exFAT, with FileSystemName
_EXFAT = const(
    (
        0,
        3,
        b"EXFAT   ",
        (
            ("MustBeZero", 11, "53s"),
            ("FatOffset", 80, "<I"),  # sectors
            ("ClusterHeapOffset", 88, "<I"),  # sectors
            ("ClusterCount", 92, "<I"),
            ("FirstClusterOfRootDirectory", 96, "<I"),
            ("VolumeSerialNumber", 100, "<I"),
            ("BytesPerSectorShift", 108, "B"),
            ("SectorsPerClusterShift", 109, "B"),
        ),
    )
)
_EXFAT_SECTOR_SHIFTS = const((9, 10, 11, 12))
_EXFAT_MAX_CLUSTER_SHIFT = const(25)
_EXFAT_LABEL = const((("CharacterCount", 1, "B"), ("VolumeLabel", 2, "22s")))
_EXFAT_LABEL_TYPE = const(0x83)

# Limits on reading a root directory, as the filesystem may be hostile.
_MAX_RECORDS = const(4096)
_MAX_CLUSTERS = const(100)
_CHUNK = const(4096)


def vfat(head: bytes, read: "Read") -> "Optional[Tuple[str, str]]":
    """Return (UUID as XXXX-XXXX, label) of a FAT, "" for one that it lacks; None if this is no FAT.

    head: the first 512 bytes or more. Raises what `read` raises.
    """
    named = [name for at, name in _FS_TYPES if head.startswith(name, at)]
    if not named and not (head.startswith(_SIGNATURE, _SIGNATURE_AT) and head[:1] in _JUMPS):
        return None
    # NTFS and exFAT have the same jump and signature, but no FATs; a partition table without a
    # filesystem has no sector and cluster size.
    boot = unpack(_FAT, head)
    sector = boot["sector_size"]
    cluster = boot["sec_per_clus"]
    if sector not in _SECTOR_SIZES or cluster == 0 or cluster & (cluster - 1):
        return None
    if not boot["reserved"] or not boot["fats"] or boot["media"] not in _MEDIA:
        return None
    fat16 = boot["fat_length"] != 0
    boot.update(unpack(_FAT16 if fat16 else _FAT32, head))
    fat_length = boot["fat_length"] if fat16 else boot["length"]
    root_size = boot["dir_entries"] * _RECORD_SIZE
    data = boot["reserved"] + fat_length * boot["fats"]  # the sector after the FATs
    root_sectors = (root_size + sector - 1) // sector
    clusters = ((boot["sectors"] or boot["total_sect"]) - data - root_sectors) // cluster
    if clusters < 0 or clusters > (_MAX_FAT16 if fat16 else _MAX_FAT32):
        return None
    if fat16:
        extents: Iterator[Tuple[int, int]] = iter([(data * sector, root_size)])
    else:
        fat = boot["reserved"] * sector
        last = fat_length * sector // _FAT_ENTRY_SIZE
        extents = _chain(read, fat, boot["root_cluster"], last, data * sector, cluster * sector)
    record = _find(read, extents, _is_volume)
    label = unpack(_DIR_ENTRY, record)["name"] if record else b""
    if label.startswith(_KANJI):
        label = bytes([_DELETED]) + label[len(_KANJI) :]
    serial = _serial(boot["vol_id"]) if boot["signature"] in _EXTENDED_BOOT else ""
    return serial, decode(label.split(b"\0")[0])


def exfat(head: bytes, read: "Read") -> "Optional[Tuple[str, str]]":
    """Return what `vfat` returns, of an exFAT; None if this is no exFAT."""
    boot = find(_EXFAT, head)
    if not boot or any(boot["MustBeZero"]) or not head.startswith(_SIGNATURE, _SIGNATURE_AT):
        return None
    shift = boot["BytesPerSectorShift"]
    cluster_shift = shift + boot["SectorsPerClusterShift"]
    if shift not in _EXFAT_SECTOR_SHIFTS or cluster_shift > _EXFAT_MAX_CLUSTER_SHIFT:
        return None
    extents = _chain(
        read,
        boot["FatOffset"] << shift,
        boot["FirstClusterOfRootDirectory"],
        boot["ClusterCount"] + _FIRST_CLUSTER,
        boot["ClusterHeapOffset"] << shift,
        1 << cluster_shift,
    )
    record = _find(read, extents, lambda record: record[0] == _EXFAT_LABEL_TYPE)
    label = ""
    if record:
        fields = unpack(_EXFAT_LABEL, record)
        label = decode_utf16(fields["VolumeLabel"][: 2 * fields["CharacterCount"]])
    return _serial(boot["VolumeSerialNumber"]), label


def _serial(number: int) -> str:
    return "%04X-%04X" % (number >> 16, number & 0xFFFF) if number else ""


def _is_volume(record: bytes) -> bool:
    attr = record[_ATTR]
    if attr & (_ATTR_VOLUME | _ATTR_DIR) != _ATTR_VOLUME or attr & _ATTR_MASK == _ATTR_EXT:
        return False
    fields = unpack(_DIR_ENTRY, record)
    return record[0] != _DELETED and fields["starthi"] == 0 and fields["start"] == 0


def _chain(
    read: "Read", fat: int, cluster: int, last: int, data: int, size: int
) -> "Iterator[Tuple[int, int]]":
    """Yield (offset, size) in bytes of each cluster of a chain, up to _MAX_CLUSTERS.

    fat: byte of the FAT. cluster: the first of the chain. last: the number after that of the last
    cluster. data: byte of the cluster _FIRST_CLUSTER. size: bytes of a cluster.
    """
    for _ in range(_MAX_CLUSTERS):
        if not _FIRST_CLUSTER <= cluster < last:
            return
        yield data + (cluster - _FIRST_CLUSTER) * size, size
        entry = read(fat + cluster * _FAT_ENTRY_SIZE, _FAT_ENTRY_SIZE)
        if len(entry) < _FAT_ENTRY_SIZE:
            return
        cluster = struct.unpack(_FAT_ENTRY, entry)[0] & _FAT_ENTRY_MASK


def _find(
    read: "Read", extents: "Iterator[Tuple[int, int]]", wanted: "Callable[[bytes], bool]"
) -> "Optional[bytes]":
    """Return the first record of a directory that is wanted, None if none of the first is.

    Looks at up to _MAX_RECORDS. extents: (offset, size) in bytes of the directory's parts.
    """
    left = _MAX_RECORDS * _RECORD_SIZE
    for at, length in extents:
        while length > 0 and left > 0:
            chunk = read(at, min(length, left, _CHUNK))
            for start in range(0, len(chunk) - _RECORD_SIZE + 1, _RECORD_SIZE):
                record = chunk[start : start + _RECORD_SIZE]
                if record[0] == _UNUSED:
                    return None
                if wanted(record):
                    return record
            if len(chunk) < min(length, left, _CHUNK):
                return None
            at += len(chunk)
            length -= len(chunk)
            left -= len(chunk)
    return None
