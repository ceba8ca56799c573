# SPDX-License-Identifier: MIT
"""Which filesystem lies on a device or in a file, by its superblock."""

import struct
from binascii import hexlify
from collections import namedtuple

from storage_init.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

# type as mount(2) names it; uuid and label are "" where the filesystem has none;
# size is how many bytes the filesystem says it spans, 0 where it does not matter to us.
Filesystem = namedtuple("Filesystem", ("type", "uuid", "label", "size"))

HEAD_SIZE = 4096
_BTRFS_OFFSET = 65536


def identify(read: "Callable[[int, int], bytes]") -> "Optional[Filesystem]":
    """The filesystem that `read(offset, size)` shows, or None if it is none we know.

    `read` may return less than asked for, at the end. Does not check more than the magic numbers
    and what tells neighbouring types apart: mount(2) does the rest. Raises what `read` raises.
    """
    head = read(0, HEAD_SIZE)
    if len(head) < HEAD_SIZE or head.startswith(b"LUKS\xba\xbe"):
        return None
    for probe in (_ext, _erofs, _xfs, _squashfs, _vfat):
        found = probe(head)
        if found:
            return found
    return _btrfs(read(_BTRFS_OFFSET, HEAD_SIZE))


def _hex(raw: bytes) -> str:
    return decode(hexlify(raw))


def _uuid(raw: bytes) -> str:
    text = _hex(raw)
    if text == "0" * 32:
        return ""
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _label(raw: bytes) -> str:
    return decode(raw.split(b"\0")[0])


# fs/ext4/ext4.h: struct ext4_super_block, at byte 1024.
_EXT_HAS_JOURNAL = 0x4
_EXT_JOURNAL_DEVICE = 0x8
_EXT2_INCOMPAT = 0x2 | 0x10  # filetype, meta_bg
_EXT3_INCOMPAT = _EXT2_INCOMPAT | 0x4  # recover
_EXT3_RO_COMPAT = 0x1 | 0x2 | 0x4  # sparse_super, large_file, btree_dir


def _ext(head: bytes) -> "Optional[Filesystem]":
    if head[1080:1082] != b"\x53\xef":
        return None
    compat, incompat, ro_compat = struct.unpack("<III", head[1116:1128])
    if incompat & _EXT_JOURNAL_DEVICE:
        return None
    if ro_compat & ~_EXT3_RO_COMPAT or incompat & ~_EXT3_INCOMPAT:
        kind = "ext4"
    elif compat & _EXT_HAS_JOURNAL:
        kind = "ext3"
    else:
        kind = "ext2"
    return Filesystem(kind, _uuid(head[1128:1144]), _label(head[1144:1160]), 0)


# fs/erofs/erofs_fs.h: struct erofs_super_block, at byte 1024.
def _erofs(head: bytes) -> "Optional[Filesystem]":
    if head[1024:1028] != b"\xe2\xe1\xf5\xe0":
        return None
    block_bits = head[1036]
    (blocks,) = struct.unpack("<I", head[1060:1064])
    size = blocks << block_bits if 9 <= block_bits <= 16 else 0
    return Filesystem("erofs", _uuid(head[1072:1088]), _label(head[1088:1104]), size)


# fs/xfs/libxfs/xfs_format.h: struct xfs_dsb.
def _xfs(head: bytes) -> "Optional[Filesystem]":
    if head[:4] != b"XFSB":
        return None
    return Filesystem("xfs", _uuid(head[32:48]), _label(head[108:120]), 0)


# fs/squashfs/squashfs_fs.h: struct squashfs_super_block; bytes_used at 40.
def _squashfs(head: bytes) -> "Optional[Filesystem]":
    if head[:4] != b"hsqs" or head[28:30] != b"\x04\x00":
        return None
    (size,) = struct.unpack("<Q", head[40:48])
    return Filesystem("squashfs", "", "", size)


# include/uapi/linux/msdos_fs.h: struct fat_boot_sector. NTFS and exFAT share its frame, but have
# no FATs in it; a partition table without a filesystem has no sector and cluster size.
def _vfat(head: bytes) -> "Optional[Filesystem]":
    if head[510:512] != b"\x55\xaa" or head[0] not in (0xEB, 0xE9):
        return None
    sector_size, cluster, reserved, fats = struct.unpack("<HBHB", head[11:17])
    (fat16_length,) = struct.unpack("<H", head[22:24])
    if sector_size not in (512, 1024, 2048, 4096) or cluster == 0 or cluster & (cluster - 1):
        return None
    if not reserved or fats not in (1, 2) or head[21] not in (0xF0,) and head[21] < 0xF8:
        return None
    # FAT32 keeps the length of its FAT, and so its extended boot record, further on.
    record = 36 if fat16_length else 64
    if head[record + 2] not in (0x28, 0x29):
        return Filesystem("vfat", "", "", 0)
    serial = _hex(bytes(reversed(head[record + 3 : record + 7]))).upper()
    label = decode(head[record + 7 : record + 18]).rstrip(" ")
    if label == "NO NAME" or head[record + 2] == 0x28:
        label = ""
    return Filesystem("vfat", serial[:4] + "-" + serial[4:], label, 0)


# fs/btrfs/ctree.h: struct btrfs_super_block, at byte 65536.
def _btrfs(block: bytes) -> "Optional[Filesystem]":
    if block[64:72] != b"_BHRfS_M":
        return None
    return Filesystem("btrfs", _uuid(block[32:48]), _label(block[299:555]), 0)
