# SPDX-License-Identifier: MIT
"""Locate a file on an ext4 by reading the disk, as boot loaders do.

Loading the kernel's ext4 driver takes longer than all other work of stage 1, which needs one file.
Reads only filesystems that were unmounted cleanly, so that their journals are empty, and whose
features are all known here. The source of the format is Documentation/filesystems/ext4 of Linux;
the names are those of fs/ext4/ext4.h and fs/ext4/ext4_extents.h. One file has the whole reader,
because its tables are of use to nothing else.
"""

import struct
from collections import namedtuple

from storage_init.formats import const, unpack
from storage_init.kernel.abi import EINVAL, ENOENT, EOPNOTSUPP, S_IFDIR, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from storage_init.formats import Read

TYPE = "ext4"

# size: of the file. pieces: (offset, size) of each on the device, in the file's order; the last
# piece may be longer than the rest of the file. All in bytes.
Place = namedtuple("Place", ("size", "pieces"))

# mode: i_mode. size: in bytes. root: the root node of the tree of extents.
Inode = namedtuple("Inode", ("mode", "size", "root"))

# struct ext4_super_block: s_magic and the fields that identify the filesystem, then its geometry.
SUPERBLOCK = (
    1024,
    0x38,
    b"\x53\xef",
    (
        ("s_feature_compat", 0x5C, "<I"),
        ("s_feature_incompat", 0x60, "<I"),
        ("s_feature_ro_compat", 0x64, "<I"),
        ("s_uuid", 0x68, "16s"),
        ("s_volume_name", 0x78, "16s"),
    ),
)
_GEOMETRY = const(
    (
        ("s_blocks_count_lo", 0x04, "<I"),
        ("s_log_block_size", 0x18, "<I"),
        ("s_inodes_per_group", 0x28, "<I"),
        ("s_state", 0x3A, "<H"),
        ("s_inode_size", 0x58, "<H"),
        ("s_desc_size", 0xFE, "<H"),
        ("s_blocks_count_hi", 0x150, "<I"),
    )
)
_SUPERBLOCK_SIZE = const(1024)

# s_state: valid, and error, which must not be set.
_STATE_MASK = const(0x3)
_STATE_VALID = const(0x1)

# s_feature_incompat: filetype, extents, 64bit, flex_bg, csum_seed, largedir. recover is not known:
# it is set while the journal is not empty.
_INCOMPAT_64BIT = const(0x80)
_KNOWN_INCOMPAT = const(0x2 | 0x40 | _INCOMPAT_64BIT | 0x200 | 0x2000 | 0x4000)
_RO_COMPAT_ORPHAN_PRESENT = const(0x10000)

# Blocks of 64 KiB are refused: directories encode rec_len in another way there.
_MIN_BLOCK_SIZE = const(1024)
_MAX_LOG_BLOCK_SIZE = const(5)

# struct ext4_group_desc: of 32 bytes, or of s_desc_size bytes with the feature 64bit.
_GROUP = const((("bg_inode_table_lo", 0x08, "<I"),))
_GROUP_64 = const((("bg_inode_table_hi", 0x28, "<I"),))
_GROUP_SIZE = const(32)
_GROUP_64_SIZE = const(64)

# struct ext4_inode: the first 128 bytes. i_block holds the root node of the tree of extents.
_INODE = const(
    (
        ("i_mode", 0x00, "<H"),
        ("i_size_lo", 0x04, "<I"),
        ("i_flags", 0x20, "<I"),
        ("i_block", 0x28, "60s"),
        ("i_size_high", 0x6C, "<I"),
    )
)
_INODE_SIZE = const(128)
_ROOT_INODE = const(2)

# i_flags: extents, which is required, and those that are refused: compressed, encrypted, verity,
# inline data, casefold.
_EXTENTS_FL = const(0x80000)
_REFUSED_FL = const(0x4 | 0x800 | 0x100000 | 0x10000000 | 0x40000000)

# struct ext4_extent_header: eh_magic, eh_entries, eh_max, eh_depth. A header and each of its
# entries, extents at depth 0 and indexes above, have _NODE_ENTRY bytes.
_EXTENT_HEADER = const("<HHHH")
_EXTENT_MAGIC = const(0xF30A)
_NODE_ENTRY = const(12)
_MAX_DEPTH = const(5)

# struct ext4_extent: ee_block, ee_len, ee_start_hi, ee_start_lo. An ee_len above _MAX_LEN means
# that the extent is unwritten.
_EXTENT = const("<IHHI")
_MAX_LEN = const(32768)

# struct ext4_extent_idx: ei_block, ei_leaf_lo, ei_leaf_hi.
_INDEX = const("<IIH")

# struct ext4_dir_entry_2: inode, rec_len, name_len; the name follows after file_type.
_DIR_ENTRY = const("<IHB")
_DIR_ENTRY_SIZE = const(8)
_DIR_ENTRY_ALIGNMENT = const(4)

# Limits, as the filesystem may be hostile: pieces and extents of a file, nodes to read of its tree
# of extents, bytes of a directory, the number of a block.
_MAX_PIECES = const(128)
_MAX_EXTENTS = const(1024)
_MAX_NODES = const(64)
_MAX_DIRECTORY = const(1 << 20)
_MAX_BLOCK = const(1 << 46)


def locate(read: "Read", path: str) -> Place:
    """Return the place of a regular file, given its absolute path, on the device.

    Does not follow symbolic links. Raises OSError: ENOENT if there is no such file, EOPNOTSUPP if
    only the driver can read it or it is in more than _MAX_PIECES pieces, EINVAL if this is no ext4
    or a damaged one; and what `read` raises.
    """
    volume = Volume(read)
    inode = volume.inode(_ROOT_INODE)
    for name in [part for part in path.split("/") if part]:
        if inode.mode & S_IFMT != S_IFDIR:
            raise OSError(EOPNOTSUPP, "{}: a parent of it is not a directory".format(path))
        inode = volume.inode(volume.entry(inode, name, path))
    if inode.mode & S_IFMT != S_IFREG:
        raise OSError(EOPNOTSUPP, "{} is not a regular file".format(path))
    pieces = volume.runs(inode)
    if not 0 < len(pieces) <= _MAX_PIECES:
        raise OSError(EOPNOTSUPP, "{} is in {} pieces".format(path, len(pieces)))
    return Place(inode.size, pieces)


def reader(read: "Read", place: Place) -> "Read":
    """Return the function that reads the file at `place`, where `read` reads the device."""

    def inside(offset: int, size: int) -> bytes:
        data = b""
        size = min(size, place.size - offset)
        for start, length in place.pieces:
            if size > 0 and offset < length:
                part = min(size, length - offset)
                data += read(start + offset, part)
                offset += part
                size -= part
            offset -= length
        return data

    return inside


class Volume:
    """An ext4 that can be read without its driver."""

    def __init__(self, read: "Read") -> None:
        """Read the superblock. Raises OSError: EINVAL if there is none, EOPNOTSUPP as `locate`."""
        self._read = read
        start, magic_at, magic, layout = SUPERBLOCK
        head = self._get(start, _SUPERBLOCK_SIZE)
        if not head.startswith(magic, magic_at):
            raise OSError(EINVAL, "no ext4 superblock")
        fields = unpack(layout, head)
        fields.update(unpack(_GEOMETRY, head))
        incompat = fields["s_feature_incompat"]
        if (
            incompat & ~_KNOWN_INCOMPAT
            or fields["s_feature_ro_compat"] & _RO_COMPAT_ORPHAN_PRESENT
            or fields["s_state"] & _STATE_MASK != _STATE_VALID
        ):
            text = "not unmounted cleanly, or with an unknown feature among {:#x}"
            raise OSError(EOPNOTSUPP, text.format(incompat))
        self._blocks = fields["s_blocks_count_lo"]
        self._group_size = _GROUP_SIZE
        if incompat & _INCOMPAT_64BIT:
            self._blocks |= fields["s_blocks_count_hi"] << 32
            self._group_size = fields["s_desc_size"]
        self._per_group = fields["s_inodes_per_group"]
        self._inode_size = fields["s_inode_size"]
        if (
            fields["s_log_block_size"] > _MAX_LOG_BLOCK_SIZE
            or self._per_group == 0
            or self._group_size < _GROUP_SIZE
            or self._inode_size < _INODE_SIZE
        ):
            raise OSError(EOPNOTSUPP, "damaged superblock, or blocks of more than 32 KiB")
        self._block = _MIN_BLOCK_SIZE << fields["s_log_block_size"]
        # The group descriptors follow the block of the superblock. s_first_data_block is not that
        # block if clusters (bigalloc) have blocks of 1 KiB.
        self._groups = self._at(start // self._block + 1)

    def _at(self, block: int, count: int = 1) -> int:
        """Return the byte of the device at which `count` blocks begin. Raises OSError(EINVAL)."""
        if block + count > self._blocks or block + count > _MAX_BLOCK:
            raise OSError(EINVAL, "a block is beyond the end of the filesystem")
        return int(block * self._block)

    def _get(self, offset: int, size: int) -> bytes:
        data = self._read(offset, size)
        if len(data) < size:
            raise OSError(EINVAL, "the device ends within the filesystem")
        return data

    def inode(self, number: int) -> Inode:
        """Return the inode of this number. Raises OSError, as `locate`."""
        if number < 1:
            raise OSError(EINVAL, "inode {} does not exist".format(number))
        group, index = divmod(number - 1, self._per_group)
        entry = self._get(self._groups + group * self._group_size, self._group_size)
        table = unpack(_GROUP, entry)["bg_inode_table_lo"]
        if self._group_size >= _GROUP_64_SIZE:
            table |= unpack(_GROUP_64, entry)["bg_inode_table_hi"] << 32
        data = self._get(self._at(table) + index * self._inode_size, _INODE_SIZE)
        fields = unpack(_INODE, data)
        flags = fields["i_flags"]
        if flags & _REFUSED_FL or not flags & _EXTENTS_FL:
            raise OSError(EOPNOTSUPP, "inode {} has flags {:#x}".format(number, flags))
        size = fields["i_size_high"] << 32 | fields["i_size_lo"]
        return Inode(fields["i_mode"], size, fields["i_block"])

    def runs(self, inode: Inode) -> "List[Tuple[int, int]]":
        """Return (offset, size) of the pieces of a file, in its order, in bytes of the device.

        Raises OSError: EOPNOTSUPP if the file has holes, else as `locate`.
        """
        blocks = (inode.size + self._block - 1) // self._block
        found: List[List[int]] = []
        at = 0
        for logical, count, start in self._extents(inode.root):
            if logical != at:
                raise OSError(EOPNOTSUPP, "the file has holes")
            if found and found[-1][0] + found[-1][1] == start:
                found[-1][1] += count
            else:
                found.append([start, count])
            at += count
        if at < blocks:
            raise OSError(EOPNOTSUPP, "the file has holes")
        return [(self._at(start, count), count * self._block) for start, count in found]

    def _extents(self, root: bytes) -> "List[Tuple[int, int, int]]":
        """Return (first block in the file, blocks, first block on the device) of each extent."""
        found: List[Tuple[int, int, int]] = []
        nodes = [(root, _MAX_DEPTH + 1)]
        read = 0
        while nodes:
            node, limit = nodes.pop()
            magic, entries, _, depth = struct.unpack_from(_EXTENT_HEADER, node)
            end = _NODE_ENTRY + entries * _NODE_ENTRY
            if magic != _EXTENT_MAGIC or depth >= limit or end > len(node):
                raise OSError(EINVAL, "damaged tree of extents")
            below = []
            for at in range(_NODE_ENTRY, end, _NODE_ENTRY):
                if depth == 0:
                    logical, count, high, low = struct.unpack_from(_EXTENT, node, at)
                    if not 0 < count <= _MAX_LEN:
                        raise OSError(EOPNOTSUPP, "the file has unwritten extents")
                    found.append((logical, count, high << 32 | low))
                    if len(found) > _MAX_EXTENTS:
                        raise OSError(EOPNOTSUPP, "the file has too many extents")
                else:
                    _, low, high = struct.unpack_from(_INDEX, node, at)
                    read += 1
                    if read > _MAX_NODES:
                        raise OSError(EOPNOTSUPP, "the file is in too many pieces")
                    below.append((self._get(self._at(high << 32 | low), self._block), depth))
            nodes += reversed(below)
        return found

    def entry(self, directory: Inode, name: str, path: str) -> int:
        """Return the number of the inode that a directory has under a name.

        Searches all blocks in their order: blocks of a directory's index look like unused entries.
        path: for the error. Raises OSError, as `locate`.
        """
        if directory.size > _MAX_DIRECTORY:
            raise OSError(EOPNOTSUPP, "a directory of {} bytes".format(directory.size))
        raw = name.encode()
        left = directory.size
        for start, size in self.runs(directory):
            for offset in range(start, start + min(size, left), self._block):
                number = _in_block(self._get(offset, self._block), raw)
                if number:
                    return number
            left -= min(size, left)
        raise OSError(ENOENT, "{}: there is no {}".format(path, name))


def _in_block(block: bytes, name: bytes) -> int:
    """Return the inode that a block of a directory has under a name, 0 if it has none."""
    at = 0
    while at + _DIR_ENTRY_SIZE <= len(block):
        number, length, size = struct.unpack_from(_DIR_ENTRY, block, at)
        if number and size == len(name) and block.startswith(name, at + _DIR_ENTRY_SIZE):
            return int(number)
        if length < _DIR_ENTRY_SIZE or length % _DIR_ENTRY_ALIGNMENT:
            break
        at += length
    return 0
