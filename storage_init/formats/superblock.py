# SPDX-License-Identifier: MIT
"""Identify the filesystem on a device or in a file by its superblock.

Agrees with libblkid on the types, UUIDs and labels of the formats in the tables below. The sources
of the formats are the headers of Linux and of LVM2; each table names its own.
"""

from collections import namedtuple

from storage_init.formats import const, ext4, fat, find, unpack, uuid
from storage_init.kernel.compat import decode, decode_utf16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Tuple

    from storage_init.formats import Read

# type: as mount(2) names it; "jbd" is the external journal of an ext4. uuid, label: "" if the
# filesystem has none. size: the bytes that the filesystem of an image spans, 0 for other types.
Filesystem = namedtuple("Filesystem", ("type", "uuid", "label", "size"))

# Bytes that hold all superblocks but those of btrfs and at the end of the device.
HEAD_SIZE = 8192


def identify(read: "Read", size: int = 0) -> "Optional[Filesystem]":
    """Return the filesystem on a device, None if it is of no known type.

    size: of the device in bytes; if 0, superblocks at the end of the device are missed. Checks the
    magic numbers and the fields that distinguish types; mount(2) checks the rest. Returns None for
    swap and for a member of a larger device (LUKS, LVM, md), even if a filesystem's magic number is
    there too. Raises what `read` raises.
    """
    return probe(read, size)[0]


def probe(
    read: "Read", size: int = 0, is_disk: "Optional[Callable[[], bool]]" = None
) -> "Tuple[Optional[Filesystem], str]":
    """Return what `identify` returns, and the type of the device's content.

    The type is libblkid's: that of the filesystem, `crypto_LUKS`, `LVM2_member`,
    `linux_raid_member`, another member of a RAID, or `swap`; it is `unknown` for all other content.
    is_disk: returns whether the device is no partition; None for a disk or a file.
    """
    head = read(0, HEAD_SIZE)
    if len(head) < HEAD_SIZE:
        head += bytes(HEAD_SIZE - len(head))
    member = _member_at_start(head)
    if member:
        return None, member
    found = _filesystem(head) or _fat(head, read) or _btrfs(read)
    member = _member_at_end(read, size, is_disk) if found else ""
    if member:
        return None, member
    return found, found.type if found else "unknown"


def _filesystem(head: bytes) -> "Optional[Filesystem]":
    for form, describe in _FORMATS:
        fields = find(form, head)
        found = describe(fields) if fields else None
        if found:
            return found
    return None


def _fat(head: bytes, read: "Read") -> "Optional[Filesystem]":
    for kind, names in (("exfat", fat.exfat), ("vfat", fat.vfat)):
        named = names(head, read)
        if named:
            return Filesystem(kind, named[0], _trim(named[1]), 0)
    return None


def _uuid(raw: bytes) -> str:
    return uuid(raw) if raw != bytes(len(raw)) else ""


def _label(raw: bytes) -> str:
    return _trim(decode(raw.split(b"\0")[0]))


def _trim(label: str) -> str:
    return label.rstrip(" \t\n\x0b\x0c\r")


# EXT4_FEATURE_* of fs/ext4/ext4.h: the features that the drivers of ext2 and ext3 supported.
_HAS_JOURNAL = const(0x4)
_JOURNAL_DEV = const(0x8)
_EXT2_INCOMPAT = const(0x2 | 0x10)  # filetype, meta_bg
_EXT3_INCOMPAT = const(_EXT2_INCOMPAT | 0x4)  # recover
_EXT3_RO_COMPAT = const(0x7)  # sparse_super, large_file, btree_dir


def _ext(fields: "Dict[str, Any]") -> "Optional[Filesystem]":
    incompat = fields["s_feature_incompat"]
    if incompat & _JOURNAL_DEV:
        kind = "jbd"
    elif fields["s_feature_ro_compat"] & ~_EXT3_RO_COMPAT or incompat & ~_EXT3_INCOMPAT:
        kind = "ext4"
    elif fields["s_feature_compat"] & _HAS_JOURNAL:
        kind = "ext3"
    else:
        kind = "ext2"
    return Filesystem(kind, _uuid(fields["s_uuid"]), _label(fields["s_volume_name"]), 0)


# fs/erofs/erofs_fs.h: struct erofs_super_block, EROFS_SUPER_MAGIC_V1.
_EROFS = const(
    (
        1024,
        0,
        b"\xe2\xe1\xf5\xe0",
        (
            ("blkszbits", 12, "B"),
            ("blocks", 36, "<I"),
            ("uuid", 48, "16s"),
            ("volume_name", 64, "16s"),
        ),
    )
)
_EROFS_BLKSZBITS = const((9, 16))  # the least and the most


def _erofs(fields: "Dict[str, Any]") -> "Optional[Filesystem]":
    least, most = _EROFS_BLKSZBITS
    bits = fields["blkszbits"]
    size = fields["blocks"] << bits if least <= bits <= most else 0
    return Filesystem("erofs", _uuid(fields["uuid"]), _label(fields["volume_name"]), size)


# include/linux/f2fs_fs.h: struct f2fs_super_block, F2FS_SUPER_MAGIC.
_F2FS = const(
    (
        1024,
        0,
        b"\x10\x20\xf5\xf2",
        (
            ("version", 4, "<I"),  # major_ver and minor_ver, 16 bits each
            ("uuid", 108, "16s"),
            ("volume_name", 124, "1024s"),
        ),
    )
)
_F2FS_VERSION_1_0 = const(1)  # its layout is another


def _f2fs(fields: "Dict[str, Any]") -> "Optional[Filesystem]":
    if fields["version"] == _F2FS_VERSION_1_0:
        return Filesystem("f2fs", "", "", 0)
    return Filesystem("f2fs", _uuid(fields["uuid"]), _trim(decode_utf16(fields["volume_name"])), 0)


# fs/xfs/libxfs/xfs_format.h: struct xfs_dsb, XFS_SB_MAGIC.
_XFS = const((0, 0, b"XFSB", (("sb_uuid", 32, "16s"), ("sb_fname", 108, "12s"))))


def _xfs(fields: "Dict[str, Any]") -> "Optional[Filesystem]":
    return Filesystem("xfs", _uuid(fields["sb_uuid"]), _label(fields["sb_fname"]), 0)


# fs/squashfs/squashfs_fs.h: struct squashfs_super_block, SQUASHFS_MAGIC.
_SQUASHFS = const((0, 0, b"hsqs", (("s_major", 28, "<H"), ("bytes_used", 40, "<Q"))))
_SQUASHFS_MAJOR = const(4)


def _squashfs(fields: "Dict[str, Any]") -> "Optional[Filesystem]":
    if fields["s_major"] != _SQUASHFS_MAJOR:
        return None
    return Filesystem("squashfs", "", "", fields["bytes_used"])


# In the order in which they are tried.
_FORMATS = (
    (ext4.SUPERBLOCK, _ext),
    (_EROFS, _erofs),
    (_F2FS, _f2fs),
    (_XFS, _xfs),
    (_SQUASHFS, _squashfs),
)

# fs/btrfs/ctree.h: struct btrfs_super_block, BTRFS_MAGIC.
_BTRFS = const((65536, 64, b"_BHRfS_M", (("fsid", 32, "16s"), ("label", 299, "256s"))))
_BTRFS_SIZE = const(4096)


def _btrfs(read: "Read") -> "Optional[Filesystem]":
    start, magic_at, magic, layout = _BTRFS
    block = read(start, _BTRFS_SIZE)
    if not block.startswith(magic, magic_at):
        return None
    fields = unpack(layout, block + bytes(_BTRFS_SIZE - len(block)))
    return Filesystem("btrfs", _uuid(fields["fsid"]), _label(fields["label"]), 0)


# Members of a larger device, and swap: (libblkid's type, bytes of the device at which the structure
# may begin, its magics as (byte of the structure, content), which must all be there).
_MEMBERS = const(
    (
        # LUKS1 and LUKS2 On-Disk Format Specification: magic of either version.
        ("crypto_LUKS", (0,), ((0, b"LUKS\xba\xbe"),)),
        # include/linux/swap.h: union swap_header, with the magic at the end of 4096 bytes.
        ("swap", (0,), ((4086, b"SWAPSPACE2"),)),
        ("swap", (0,), ((4086, b"SWAP-SPACE"),)),
        # LVM2's lib/label/label.h: struct label_header, in one of the first four sectors.
        ("LVM2_member", (0, 512, 1024, 1536), ((0, b"LABELONE"), (24, b"LVM2 001"))),
    )
)


# include/uapi/linux/raid/md_p.h: md_magic and major_version of struct mdp_superblock_1, and of
# mdp_super_t (version 0.90), which is in the byte order of the machine that wrote it.
_RAID = const("linux_raid_member")
_MD_MAGIC_SIZE = const(8)
_MD_1_MAGIC = const(b"\xfc\x4e\x2b\xa9\1\0\0\0")
_MD_0_MAGICS = const((b"\xfc\x4e\x2b\xa9\0\0\0\0", b"\xa9\x2b\x4e\xfc\0\0\0\0"))
_MD_1_LAYOUT = const((("super_offset", 144, "<Q"),))  # of the superblock itself, in sectors
_MD_1_SIZE = const(256)
_SECTOR = const(512)

# Versions 1.1 and 1.2 are at the start of the device. Version 0.90 is at its end, in the last whole
# MD_RESERVED_BYTES; version 1.0 (drivers/md/md.c: super_1_load) is _MD_1_0_END before the end,
# rounded down to _MD_1_0_ALIGNMENT.
_MD_1_STARTS = const((0, 4096))
_MD_RESERVED_BYTES = const(65536)
_MD_1_0_END = const(8192)
_MD_1_0_ALIGNMENT = const(4096)


# Bytes at the end of the device that hold the structures of formats/raid.py.
_END_SIZE = const(4096)


def _member_at_start(head: bytes) -> str:
    """Return the type of the member of a larger device, "" if this is none."""
    for kind, starts, magics in _MEMBERS:
        for start in starts:
            if all([head.startswith(magic, start + at) for at, magic in magics]):
                return kind
    for start in _MD_1_STARTS:
        if _md_1(head, start, start):
            return _RAID
    return ""


def _member_at_end(read: "Read", size: int, is_disk: "Optional[Callable[[], bool]]") -> str:
    """Return what `_member_at_start` returns, for structures at the end of the device."""
    if size < 2 * _MD_RESERVED_BYTES:
        return ""
    at = (size // _MD_RESERVED_BYTES - 1) * _MD_RESERVED_BYTES
    at_1 = size // _MD_1_0_ALIGNMENT * _MD_1_0_ALIGNMENT - _MD_1_0_END
    try:
        if read(at, _MD_MAGIC_SIZE) in _MD_0_MAGICS or _md_1(read(at_1, _MD_1_SIZE), 0, at_1):
            return _RAID
        end = read(size // _SECTOR * _SECTOR - _END_SIZE, _END_SIZE)
        if len(end) == _END_SIZE and (
            end[-1024:].startswith((b"Intel", b"NVIDIA"))
            or end[-512:].startswith(
                (b"$XIDE$", b"\x55\xaa", b"\x37\xfc", b"JM", b"\xde\x11", b"\x11\xde")
            )
            or end[-416:-412] == b"\0\0\0\x2f"
            or end[60:63] == b"\x83\x74\x02"
        ):
            # Importing it costs time. It checks the whole magics, fields and checksums.
            from storage_init.formats import raid

            return raid.kind(end, is_disk is None or is_disk())
    except OSError:  # a bad block at the end must not hide the boot filesystem
        pass
    return ""


def _md_1(data: bytes, index: int, at: int) -> bool:
    """Tell whether data[index:] is the superblock of md that belongs at byte `at` of a device."""
    if not data.startswith(_MD_1_MAGIC, index) or len(data) < index + _MD_1_SIZE:
        return False
    return bool(unpack(_MD_1_LAYOUT, data, index)["super_offset"] == at // _SECTOR)
