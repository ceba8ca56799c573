# SPDX-License-Identifier: MIT
"""System calls on block devices: loop devices, device-mapper, and the extents of files.

BlockDevices makes no decisions and logs nothing. It retries only to attach a loop device, because
LOOP_CTL_GET_FREE does not reserve the device that it returns.
"""

import struct
from collections import namedtuple

from storage_init.kernel import devmapper
from storage_init.kernel.abi import (
    EBUSY,
    EINVAL,
    FIEMAP_EXTENT_LAST,
    LO_FLAGS_AUTOCLEAR,
    LO_FLAGS_DIRECT_IO,
    LO_FLAGS_READ_ONLY,
    O_RDWR,
)
from storage_init.kernel.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

# A run of a file: its offset in the file and on the device and its length in bytes, and flags of
# FIEMAP (include/uapi/linux/fiemap.h).
Extent = namedtuple("Extent", ("logical", "physical", "length", "flags"))

_ENTRY = "@qqqq"
_ENTRY_SIZE = 32
_AT_ONCE = 64

_COPY_SIZE = 1 << 16


class BlockDevices(Files):
    """Make system calls on block devices."""

    def loop_attach(self, path: str, offset: int = 0, size: int = 0) -> "Tuple[str, int]":
        """Attach a file or device read-only to a free loop device. Return its path and an open fd.

        offset, size: the part of the file in bytes; size 0 is everything after offset. The loop
        device is AUTOCLEAR: keep the fd open until the device is mounted, then close it.
        """
        flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR
        if size:
            flags |= LO_FLAGS_DIRECT_IO  # `path` is a device, which would be cached a second time
        backing = self.open(path)
        try:
            return self._attach(backing, path, flags, offset, size)
        finally:
            self.close(backing)

    def loop_memory(self, name: str, size: int) -> "Tuple[str, int]":
        """Attach `size` bytes of memory to a free loop device, as loop_attach, but writable.

        The bytes are zero, and those that nobody writes occupy no memory.
        """
        backing = self._sc.sc_memfd(name, size)
        if backing < 0:
            self._fail(backing, "allocate {} bytes of memory for {}".format(size, name))
        try:
            return self._attach(backing, name, LO_FLAGS_AUTOCLEAR, 0, 0)
        finally:
            self.close(backing)

    def loop_copy(self, fd: int, path: str, size: int) -> "Tuple[str, int]":
        """Copy the first `size` bytes of an open file into memory, and attach the copy.

        Returns a loop device, as loop_attach. path: for the error. Raises OSError(EINVAL) if the
        file is shorter.
        """
        copy = self._sc.sc_memfd(path, size)
        if copy < 0:
            self._fail(copy, "allocate {} bytes of memory for {}".format(size, path))
        try:
            at = 0
            while at < size:
                data = self.pread(fd, at, min(size - at, _COPY_SIZE), path)
                if not data:
                    raise OSError(EINVAL, "{} ends at byte {}".format(path, at))
                self.write(copy, data, "the copy of " + path)
                at += len(data)
            return self._attach(copy, path, LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR, 0, 0)
        finally:
            self.close(copy)

    def _attach(
        self, backing: int, name: str, flags: int, offset: int, size: int
    ) -> "Tuple[str, int]":
        control = self.open("/dev/loop-control", O_RDWR)
        try:
            for _ in range(16):  # another process may attach to the free device first
                number = self._sc.sc_loop_get_free(control)
                if number < 0:
                    self._fail(number, "find a free loop device for " + name)
                device = "/dev/loop" + str(number)
                fd = self.open(device, 0 if flags & LO_FLAGS_READ_ONLY else O_RDWR)
                result = self._sc.sc_loop_configure(fd, backing, flags, name, offset, size)
                if result >= 0:
                    return device, fd
                self.close(fd)
                if result != -EBUSY:
                    break
            self._fail(result, "attach {} to {}".format(name, device))
        finally:
            self.close(control)
        raise AssertionError

    def dm_create(
        self, name: str, targets: "List[devmapper.Target]", writable: bool = False
    ) -> str:
        """Create a device-mapper device with these targets and return its path.

        If a step fails, the device is removed.
        """
        control = self.open("/dev/mapper/control", O_RDWR)
        try:
            minor = self._sc.sc_dm_create(control, name, writable)
            if minor < 0:
                self._fail(minor, "create the device-mapper device " + name)
            table = devmapper.pack(targets)
            result = self._sc.sc_dm_load(control, name, writable, table, len(table), len(targets))
            if result >= 0:
                result = self._sc.sc_dm_resume(control, name, writable)
            if result < 0:
                self._sc.sc_dm_remove(control, name)
                kind, _, parameters = targets[0]
                more = ", and {} more".format(len(targets) - 1) if len(targets) > 1 else ""
                self._fail(result, "set up {}: {} {}{}".format(name, kind, parameters, more))
            return "/dev/dm-" + str(minor)
        finally:
            self.close(control)

    def dm_remove(self, name: str) -> None:
        """Remove a device-mapper device, now or when its last user is gone."""
        control = self.open("/dev/mapper/control", O_RDWR)
        result = self._sc.sc_dm_remove(control, name)
        self.close(control)
        if result < 0:
            self._fail(result, "remove the device-mapper device " + name)

    def extents(self, fd: int, path: str, limit: int, by_block: bool = False) -> "List[Extent]":
        """Return the extents of an open file in its order, without its holes.

        limit: stop when there are more than this number. by_block: ask with FIBMAP, for filesystems
        that do not have FIEMAP. path: for the error.
        """
        call = self._sc.sc_fibmap if by_block else self._sc.sc_fiemap
        found: List[Extent] = []
        buffer = bytearray(_ENTRY_SIZE * _AT_ONCE)
        start = 0
        while len(found) <= limit:
            count = call(fd, start, buffer, len(buffer))
            if count < 0:
                self._fail(count, "read the extents of " + path)
            if count == 0:
                break
            for number in range(count):
                found.append(Extent(*struct.unpack_from(_ENTRY, buffer, number * _ENTRY_SIZE)))
            if found[-1].flags & FIEMAP_EXTENT_LAST:
                break
            start = found[-1].logical + found[-1].length
        return found

    def xflags(self, fd: int, path: str) -> int:
        """Return fsx_xflags of an open file, see ioctl_xfs_fsgetxattr(2). path: for the error."""
        buffer = bytearray(4)
        result = self._sc.sc_xflags(fd, buffer)
        if result < 0:
            self._fail(result, "read the attributes of " + path)
        return int(struct.unpack("@I", buffer)[0])

    def btrfs_forget(self) -> None:
        """Have btrfs forget the devices that no mount uses.

        It refuses a device whose copy it has seen in a newer state, such as a replayed snapshot.
        """
        control = self.open("/dev/btrfs-control", O_RDWR)
        result = self._sc.sc_btrfs_forget(control)
        self.close(control)
        if result < 0:
            self._fail(result, "have btrfs forget its unused devices")

    def btrfs_search(self, fd: int, arguments: bytearray, path: str) -> None:
        """Fill a struct btrfs_ioctl_search_args of 4096 bytes. path: for the error."""
        result = self._sc.sc_btrfs_search(fd, arguments)
        if result < 0:
            self._fail(result, "read the tree of " + path)
