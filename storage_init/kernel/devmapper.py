# SPDX-License-Identifier: MIT
"""Make the tables of device-mapper devices.

The source of the format is include/uapi/linux/dm-ioctl.h of Linux.
"""

import struct
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

SECTOR = 512

# A part of a device. kind: the target's type, as in `linear`. size: in bytes, whole sectors.
# parameters: as in Documentation/admin-guide/device-mapper of Linux.
Target = namedtuple("Target", ("kind", "size", "parameters"))

# struct dm_target_spec: sector_start, length, status, next, target_type. The parameters follow,
# with a NUL at their end; next is the offset of the following spec from this one, aligned.
_SPEC = "@QQiI16s"
_SPEC_SIZE = 40
_ALIGNMENT = 8


def pack(targets: "List[Target]") -> bytes:
    """Return the table of a device of these targets, one after the other, for DM_TABLE_LOAD."""
    packed = b""
    start = 0
    for kind, size, parameters in targets:
        text = parameters.encode() + b"\0"
        text += bytes(-len(text) % _ALIGNMENT)
        length = size // SECTOR
        spec = struct.pack(_SPEC, start, length, 0, _SPEC_SIZE + len(text), kind.encode())
        packed += spec + text
        start += length
    return packed


def pieces(device: str, places: "List[Tuple[int, int]]", size: int) -> "List[Target]":
    """Return the linear targets of a device that consists of pieces of another one.

    places: (offset, size) in bytes of each piece on `device`, whole sectors. size: of the new
    device in bytes, rounded up to whole sectors; at most that of all pieces.
    """
    targets = []
    left = (size + SECTOR - 1) // SECTOR * SECTOR
    for offset, length in places:
        part = min(length, left)
        if part:
            targets.append(Target("linear", part, "{} {}".format(device, offset // SECTOR)))
        left -= part
    return targets
