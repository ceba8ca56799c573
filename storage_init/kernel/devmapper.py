# SPDX-License-Identifier: MIT
"""Tables of device-mapper: what a device is made of.

Source of the format: include/uapi/linux/dm-ioctl.h, struct dm_target_spec.
"""

import struct
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

SECTOR = 512

# A part of a device, after those before it. kind: as in `linear`; size: bytes, whole sectors;
# parameters: what the kind takes, see Documentation/admin-guide/device-mapper.
Target = namedtuple("Target", ("kind", "size", "parameters"))

_SPEC = "@QQiI16s"  # where it starts, its length, status, where the next spec is from here, kind


def pack(targets: "List[Target]") -> bytes:
    """The table as the kernel takes it."""
    packed = b""
    start = 0
    for kind, size, parameters in targets:
        text = parameters.encode() + b"\0"
        text += bytes(-len(text) % 8)
        length = size // SECTOR
        next_ = struct.calcsize(_SPEC) + len(text)
        packed += struct.pack(_SPEC, start, length, 0, next_, kind.encode()) + text
        start += length
    return packed


def pieces(device: str, places: "List[Tuple[int, int]]", size: int) -> "List[Target]":
    """The targets of a device of `size` bytes, in whole sectors, that lies in pieces on another.

    places: offset and size of each on that, in bytes, whole sectors; together `size` or more.
    """
    targets = []
    left = (size + SECTOR - 1) // SECTOR * SECTOR
    for offset, length in places:
        part = min(length, left)
        if part:
            targets.append(Target("linear", part, "{} {}".format(device, offset // SECTOR)))
        left -= part
    return targets
