# SPDX-License-Identifier: MIT
"""Which filesystem lies on a device or in a file, by its superblock.

Agrees with libblkid on types, UUIDs and labels, for the filesystems that it knows.
"""

import struct
from binascii import hexlify
from collections import namedtuple

from storage_init.formats import fat
from storage_init.kernel.compat import decode, decode_utf16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Tuple

    Read = Callable[[int, int], bytes]

# type as mount(2) names it ("jbd": the journal of an ext4 elsewhere); uuid and label are "" where
# the filesystem has none; size is how many bytes the filesystem says it spans, 0 where it does
# not matter to us.
Filesystem = namedtuple("Filesystem", ("type", "uuid", "label", "size"))

HEAD_SIZE = 8192
_BTRFS_OFFSET = 65536


def identify(read: "Read", size: int = 0) -> "Optional[Filesystem]":
    """The filesystem that `read(offset, size)` shows, or None if it is none we know.

    size: of the device in bytes, 0 if that is not known; what only shows at its end is then not
    seen. `read` may return less than asked for, at the end. Does not check more than the magic
    numbers and what tells neighbouring types apart: mount(2) does the rest. A part of something
    larger (LUKS, LVM, md) and swap are no filesystem, whatever else they look like. Raises what
    `read` raises.
    """
    return probe(read, size)[0]


def probe(read: "Read", size: int = 0) -> "Tuple[Optional[Filesystem], str]":
    """What `identify` finds, and in a word what is there: the type, blkid's for what is a part.

    That is `crypto_LUKS`, `LVM2_member`, `linux_raid_member`, `swap`; or `unknown`.
    """
    head = read(0, HEAD_SIZE)
    head += bytes(HEAD_SIZE - len(head))
    part = _member_head(head)
    if part:
        return None, part
    found = _by_head(head, read) or _btrfs(read(_BTRFS_OFFSET, 4096))
    if found and _member_tail(read, size):
        return None, _RAID
    return found, found.type if found else "unknown"


def _by_head(head: bytes, read: "Read") -> "Optional[Filesystem]":
    for probe in (_ext, _erofs, _f2fs, _xfs, _squashfs):
        found = probe(head)
        if found:
            return found
    for kind, names in (("exfat", fat.exfat), ("vfat", fat.vfat)):
        named = names(head, read)
        if named:
            return Filesystem(kind, named[0], _trim(named[1]), 0)
    return None


_RAID = "linux_raid_member"


def _member_head(head: bytes) -> str:
    if head[:6] == b"LUKS\xba\xbe":
        return "crypto_LUKS"
    if head[4086:4096] in (b"SWAPSPACE2", b"SWAP-SPACE"):
        return "swap"
    for at in (0, 512, 1024, 1536):  # LVM's lib/format_text/layout.h
        if head[at : at + 8] == b"LABELONE" and head[at + 24 : at + 32] == b"LVM2 001":
            return "LVM2_member"
    return _RAID if _md_1(head, 0) or _md_1(head[4096:], 4096) else ""


def _member_tail(read: "Read", size: int) -> bool:
    if size < 131072:
        return False
    try:
        # include/uapi/linux/raid/md_p.h: 0.90 is in the byte order of the machine that wrote it.
        magic = read((size & ~0xFFFF) - 65536, 8)
        if magic in (b"\xfc\x4e\x2b\xa9" + bytes(4), b"\xa9\x2b\x4e\xfc" + bytes(4)):
            return True
        at = (size & ~0xFFF) - 8192
        return _md_1(read(at, 256), at)
    except OSError:  # a bad last block must not hide the boot filesystem
        return False


# include/uapi/linux/raid/md_p.h: struct mdp_superblock_1, which says where it is itself.
def _md_1(block: bytes, at: int) -> bool:
    if block[:8] != b"\xfc\x4e\x2b\xa9\1\0\0\0" or len(block) < 152:
        return False
    (offset,) = struct.unpack("<Q", block[144:152])
    return bool(offset == at >> 9)


def _uuid(raw: bytes) -> str:
    text = decode(hexlify(raw))
    if text == "0" * 32:
        return ""
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _label(raw: bytes) -> str:
    return _trim(decode(raw.split(b"\0")[0]))


def _trim(label: str) -> str:
    return label.rstrip(" \t\n\x0b\x0c\r")


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
        kind = "jbd"
    elif ro_compat & ~_EXT3_RO_COMPAT or incompat & ~_EXT3_INCOMPAT:
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


# include/linux/f2fs_fs.h: struct f2fs_super_block, at byte 1024. Version 1.0 had another layout.
def _f2fs(head: bytes) -> "Optional[Filesystem]":
    if head[1024:1028] != b"\x10\x20\xf5\xf2":
        return None
    if head[1028:1032] == b"\1\0\0\0":
        return Filesystem("f2fs", "", "", 0)
    return Filesystem("f2fs", _uuid(head[1132:1148]), _trim(decode_utf16(head[1148:2172])), 0)


# fs/btrfs/ctree.h: struct btrfs_super_block, at byte 65536.
def _btrfs(block: bytes) -> "Optional[Filesystem]":
    if block[64:72] != b"_BHRfS_M":
        return None
    return Filesystem("btrfs", _uuid(block[32:48]), _label(block[299:555]), 0)
