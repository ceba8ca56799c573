# SPDX-License-Identifier: MIT
"""Resolve logical addresses of a btrfs to addresses on its devices, through its chunk tree.

The kernel searches the tree (BTRFS_IOC_TREE_SEARCH). The sources of the formats are
include/uapi/linux/btrfs.h and btrfs_tree.h of Linux; field names are theirs.
"""

import struct
from collections import namedtuple

from storage_init.formats import const, unpack
from storage_init.kernel.abi import EINVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Tuple

    from storage_init.formats import Read

TYPE = "btrfs"

# struct btrfs_super_block: dev_item.devid. The superblock begins at 64 KiB.
SUPERBLOCK_AT = const(65536)
_DEVICE = const((("devid", 0xC9, "<Q"),))
_DEVICE_SIZE = const(0xC9 + 8)

# struct btrfs_ioctl_search_args: a key, which also returns nr_items, and then the items found.
# The key: tree_id, and the least and the greatest objectid, offset, transid; type; nr_items.
ARGUMENTS_SIZE = const(4096)
_KEY = const("@7Q4I4Q")
_KEY_SIZE = const(104)
_NR_ITEMS_AT = const(64)
_CHUNK_TREE = const(3)
_FIRST_CHUNK_TREE = const(256)
_CHUNK_ITEM = const(228)
_MAX_ITEMS = const(64)
_ANY = const(0xFFFFFFFFFFFFFFFF)

# struct btrfs_ioctl_search_header: transid, objectid, offset, type, len.
_HEADER = const("@QQQII")
_HEADER_SIZE = const(32)

# struct btrfs_chunk, and struct btrfs_stripe: devid, offset, dev_uuid.
_CHUNK = const((("length", 0, "<Q"), ("type", 24, "<Q"), ("num_stripes", 44, "<H")))
_STRIPES_AT = const(48)
_STRIPE = const("<QQ16s")
_STRIPE_SIZE = const(32)

# BTRFS_BLOCK_GROUP_RAID0, _RAID10, _RAID5, _RAID6: profiles that divide data among devices. In a
# chunk of any other profile each stripe is a copy of the whole chunk.
_DIVIDED = const(0x8 | 0x40 | 0x80 | 0x100)

# Chunks are at most 10 GiB.
_MAX_CHUNK = const(16 << 30)

# A chunk: its first logical address, its length, whether profiles divide it among devices, and
# (devid, offset) of its stripes.
Chunk = namedtuple("Chunk", ("logical", "length", "divided", "stripes"))


def device_id(read: "Read") -> int:
    """Return the devid in a device's superblock. Raises OSError(EINVAL) if the device ends."""
    data = read(SUPERBLOCK_AT, _DEVICE_SIZE)
    if len(data) < _DEVICE_SIZE:
        raise OSError(EINVAL, "the device ends within the superblock")
    return int(unpack(_DEVICE, data)["devid"])


def search(start: int, last: int) -> bytearray:
    """Return the arguments that search the chunks that begin from `start` to `last`."""
    key = struct.pack(
        _KEY,
        _CHUNK_TREE,
        _FIRST_CHUNK_TREE,
        _FIRST_CHUNK_TREE,
        start,
        last,
        0,
        _ANY,
        _CHUNK_ITEM,
        _CHUNK_ITEM,
        _MAX_ITEMS,
        0,
        0,
        0,
        0,
        0,
    )
    return bytearray(key + bytes(ARGUMENTS_SIZE - len(key)))


def first_start(logical: int) -> int:
    """Return the least address at which a chunk that contains this address can begin."""
    return max(0, logical - _MAX_CHUNK)


def chunks(arguments: bytes) -> "Iterator[Chunk]":
    """Yield the chunks that a search found. Raises OSError(EINVAL) if they are malformed."""
    if len(arguments) < _KEY_SIZE:
        raise OSError(EINVAL, "malformed search result")
    (count,) = struct.unpack_from("@I", arguments, _NR_ITEMS_AT)
    at = _KEY_SIZE
    for _ in range(count):
        if at + _HEADER_SIZE > len(arguments):
            raise OSError(EINVAL, "malformed search result")
        _, _, logical, _, length = struct.unpack_from(_HEADER, arguments, at)
        at += _HEADER_SIZE
        item = bytes(arguments[at : at + length])
        at += length
        if len(item) < _STRIPES_AT:
            raise OSError(EINVAL, "malformed chunk")
        fields = unpack(_CHUNK, item)
        if len(item) < _STRIPES_AT + fields["num_stripes"] * _STRIPE_SIZE:
            raise OSError(EINVAL, "malformed chunk")
        stripes = []
        for number in range(fields["num_stripes"]):
            devid, offset, _ = struct.unpack_from(
                _STRIPE, item, _STRIPES_AT + number * _STRIPE_SIZE
            )
            stripes.append((devid, offset))
        yield Chunk(logical, fields["length"], bool(fields["type"] & _DIVIDED), stripes)


def resolve(
    found: "List[Chunk]", devid: int, logical: int, length: int
) -> "Optional[List[Tuple[int, int]]]":
    """Return (offset, size) of the runs of this device that hold a range of logical addresses.

    found: chunks that cover the range. Returns None if the device has no copy of a part of it.
    """
    runs = []
    while length > 0:
        for chunk in found:
            if chunk.logical <= logical < chunk.logical + chunk.length:
                break
        else:
            return None
        own = [offset for device, offset in chunk.stripes if device == devid]
        if chunk.divided or not own:
            return None
        part = min(length, chunk.logical + chunk.length - logical)
        runs.append((own[0] + logical - chunk.logical, part))
        logical += part
        length -= part
    return runs
