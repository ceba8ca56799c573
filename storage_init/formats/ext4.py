# SPDX-License-Identifier: MIT
"""Where on its device a file of an ext4 lies, read from the disk itself as a bootloader does.

Loading the kernel's driver for ext4 takes longer than all else that stage 1 does, and stage 1 wants
one file. Source of the format: Documentation/filesystems/ext4 of the kernel.

Only what can be trusted without the driver is read: a filesystem that was unmounted cleanly, so
that nothing is left in its journal, with features that are known here.
"""

import struct
from collections import namedtuple

from storage_init.kernel.abi import EINVAL, ENOENT, EOPNOTSUPP, S_IFDIR, S_IFMT, S_IFREG
from storage_init.kernel.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Tuple

    Read = Callable[[int, int], bytes]

TYPE = "ext4"

# size: of the file. pieces: (offset, size) of each on the device, in the file's order; there may be
# more in the last than the file has. All in bytes.
Place = namedtuple("Place", ("size", "pieces"))

Inode = namedtuple("Inode", ("mode", "size", "root"))

_ROOT = 2

# s_state: unmounted cleanly, and no error was noticed.
_VALID = 0x1
_ERROR = 0x2

# Of s_feature_incompat: filetype, extents, 64bit, flex_bg, csum_seed, largedir. Not among them:
# recover, which says that the journal holds what is not in its place yet.
_KNOWN = 0x2 | 0x40 | 0x80 | 0x200 | 0x2000 | 0x4000
_64BIT = 0x80
_ORPHANS = 0x10000  # of s_feature_ro_compat: unlinked files are left to be deleted

# Of i_flags: compressed, encrypted, verity, inline data, casefold; and extents, which must be.
_STRANGE = 0x4 | 0x800 | 0x100000 | 0x10000000 | 0x40000000
_EXTENTS = 0x80000

# A file in more pieces than this is for the driver.
_MOST_PIECES = 128

# What a hostile filesystem can have read: blocks of a tree of extents, and bytes of a directory.
_MOST_NODES = 64
_MOST_BYTES = 1 << 20
_DEPTH = 5


def locate(read: "Read", path: str) -> Place:
    """The place of a regular file, by its absolute path, on the device that `read` shows.

    `read(offset, size)` may return less than asked for, at the end. Raises OSError: ENOENT where
    there is no such file, EOPNOTSUPP where the driver is needed, for a file in very many pieces
    too, EINVAL for what is no ext4 or damaged; and what `read` raises. Follows no symbolic link.
    """
    volume = Volume(read)
    inode = volume.inode(_ROOT)
    for name in [part for part in path.split("/") if part]:
        if inode.mode & S_IFMT != S_IFDIR:
            raise OSError(EOPNOTSUPP, "{}: a part of it is no directory".format(path))
        inode = volume.inode(volume.entry(inode, name.encode(), path))
    if inode.mode & S_IFMT != S_IFREG:
        raise OSError(EOPNOTSUPP, "{} is not a regular file".format(path))
    pieces = volume.runs(inode)
    if not 0 < len(pieces) <= _MOST_PIECES:
        raise OSError(EOPNOTSUPP, "{} lies in {} pieces".format(path, len(pieces)))
    return Place(inode.size, pieces)


def reader(read: "Read", place: Place) -> "Read":
    """`read(offset, size)` of the file at a place on the device that the other `read` shows."""

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
    """An ext4 that can be read without its driver: making one raises OSError for any other."""

    def __init__(self, read: "Read") -> None:
        self._read = read
        head = self._get(1024, 1024)
        if head[56:58] != b"\x53\xef":
            raise OSError(EINVAL, "no ext4")
        (self._blocks,) = struct.unpack("<I", head[4:8])
        first, block = struct.unpack("<II", head[20:28])
        (self._per_group,) = struct.unpack("<I", head[40:44])
        (state,) = struct.unpack("<H", head[58:60])
        (self._inode_size,) = struct.unpack("<H", head[88:90])
        incompat, ro_compat = struct.unpack("<II", head[96:104])
        (self._group_size,) = struct.unpack("<H", head[254:256])
        if incompat & ~_KNOWN or ro_compat & _ORPHANS or state & (_VALID | _ERROR) != _VALID:
            text = "not unmounted cleanly, or of features {:x} that are not known here"
            raise OSError(EOPNOTSUPP, text.format(incompat))
        if incompat & _64BIT:
            self._blocks |= struct.unpack("<I", head[336:340])[0] << 32
        else:
            self._group_size = 32
        # Blocks of 64 KiB, which directories count in another way, are possible too.
        if block > 5 or self._per_group == 0 or self._group_size < 32 or self._inode_size < 128:
            raise OSError(EOPNOTSUPP, "its superblock is damaged, or its blocks are large")
        self._block = 1024 << block
        self._groups = self._at(first + 1)

    def _at(self, block: int, count: int = 1) -> int:
        """Where on the device these blocks begin."""
        if block + count > self._blocks or block + count > 1 << 46:
            raise OSError(EINVAL, "it leads beyond the end of the filesystem")
        return int(block * self._block)

    def _get(self, offset: int, size: int) -> bytes:
        data = self._read(offset, size)
        if len(data) < size:
            raise OSError(EINVAL, "it leads beyond the end of the device")
        return data

    def inode(self, number: int) -> Inode:
        """The inode of this number."""
        if number < 1:
            raise OSError(EINVAL, "inode {}".format(number))
        group, index = divmod(number - 1, self._per_group)
        entry = self._get(self._groups + group * self._group_size, self._group_size)
        (table,) = struct.unpack("<I", entry[8:12])
        if self._group_size >= 64:
            table |= struct.unpack("<I", entry[40:44])[0] << 32
        inode = self._get(self._at(table) + index * self._inode_size, 128)
        (mode,) = struct.unpack("<H", inode[:2])
        (low,) = struct.unpack("<I", inode[4:8])
        (flags,) = struct.unpack("<I", inode[32:36])
        (high,) = struct.unpack("<I", inode[108:112])
        if flags & _STRANGE or not flags & _EXTENTS:
            raise OSError(EOPNOTSUPP, "inode {} has flags {:x}".format(number, flags))
        return Inode(mode, high << 32 | low, inode[40:100])

    def runs(self, inode: Inode) -> "List[Tuple[int, int]]":
        """(offset, size) of its pieces on the device, in its order. A file with holes has none."""
        blocks = (inode.size + self._block - 1) // self._block
        found: List[List[int]] = []
        at = 0
        for logical, count, start in self._extents(inode.root):
            if logical != at:
                raise OSError(EOPNOTSUPP, "it has holes")
            if found and found[-1][0] + found[-1][1] == start:
                found[-1][1] += count
            else:
                found.append([start, count])
            at += count
        if at < blocks:
            raise OSError(EOPNOTSUPP, "it has holes")
        return [(self._at(start, count), count * self._block) for start, count in found]

    def _extents(self, root: bytes) -> "List[Tuple[int, int, int]]":
        """(first block in the file, how many, first block on the device) of each extent."""
        found: List[Tuple[int, int, int]] = []
        nodes = [(root, _DEPTH + 1)]
        read = 0
        while nodes:
            node, limit = nodes.pop()
            magic, entries, _, depth = struct.unpack("<HHHH", node[:8])
            if magic != 0xF30A or depth >= limit or 12 + entries * 12 > len(node):
                raise OSError(EINVAL, "its tree of extents is damaged")
            below = []
            for at in range(12, 12 + entries * 12, 12):
                if depth == 0:
                    logical, count, high, low = struct.unpack("<IHHI", node[at : at + 12])
                    if not 0 < count <= 32768:  # more: allocated, and never written
                        raise OSError(EOPNOTSUPP, "it has holes")
                    found.append((logical, count, high << 32 | low))
                else:
                    _, low, high = struct.unpack("<IIH", node[at : at + 10])
                    read += 1
                    if read > _MOST_NODES:
                        raise OSError(EOPNOTSUPP, "it lies in too many pieces")
                    below.append((self._get(self._at(high << 32 | low), self._block), depth))
            nodes += reversed(below)
        return found

    def entry(self, directory: Inode, name: bytes, path: str) -> int:
        """The number of the inode that a directory has under a name; path is for the message.

        Blocks of an index look like unused entries, so that all is found one after the other.
        """
        if directory.size > _MOST_BYTES:
            raise OSError(EOPNOTSUPP, "a directory of {} bytes".format(directory.size))
        for start, size in self.runs(directory):
            for offset in range(start, start + size, self._block):
                number = _in_block(self._get(offset, self._block), name)
                if number:
                    return number
        raise OSError(ENOENT, "{}: there is no {}".format(path, decode(name)))


def _in_block(block: bytes, name: bytes) -> int:
    """The inode under this name in a block of a directory, 0 if it is not there."""
    at = 0
    while at + 8 <= len(block):
        number, length, size = struct.unpack("<IHB", block[at : at + 7])
        if number and block[at + 8 : at + 8 + size] == name:
            return int(number)
        if length < 8 or length % 4:
            break
        at += length
    return 0
