# SPDX-License-Identifier: MIT
"""Make system calls on files: the part of Kernel that reads, writes and lists."""

import struct
from collections import namedtuple

from storage_init.kernel.abi import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    EAGAIN,
    EEXIST,
    EINTR,
    ENOENT,
    EXDEV,
    O_CREAT,
    O_RDONLY,
    O_TRUNC,
    O_WRONLY,
)
from storage_init.kernel.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, List, Tuple

# The fields of struct stat that storage-init uses.
Stat = namedtuple("Stat", ("mode", "device", "inode", "rdev", "size"))


class Files:
    """Make system calls on files through compat.syscalls.

    Paths are str. Each failure raises OSError(errno, sentence).
    """

    def __init__(self, syscalls: "Any") -> None:
        self._sc = syscalls
        self._buffer = bytearray(4096)  # for read_file, which thousands of devices call

    def _fail(self, result: int, operation: str) -> "Any":
        """Raise OSError for a negative errno."""
        buffer = bytearray(128)
        length = self._sc.sc_strerror(-result, buffer, len(buffer))
        raise OSError(-result, operation + ": " + decode(bytes(buffer[: max(length, 0)])))

    def open(self, path: str, flags: int = O_RDONLY, mode: int = 0o644, at: int = AT_FDCWD) -> int:
        result = int(self._sc.sc_open(at, path, flags, mode))
        if result < 0:
            self._fail(result, "open " + path)
        return result

    def open_directory(self, name: str, at: int = AT_FDCWD) -> int:
        """Open a directory for reading. Does not follow a symbolic link in its place."""
        result = int(self._sc.sc_open_directory(at, name))
        if result < 0:
            self._fail(result, "open directory " + name)
        return result

    def open_beneath(self, directory: str, path: str) -> int:
        """Open a file for reading by its path below a directory; a leading `/` is ignored.

        Raises OSError(EXDEV) if `..` or a symbolic link leads out of the directory. Does not block
        on a FIFO.
        """
        above = self.open_directory(directory)
        try:
            result = int(self._sc.sc_open_beneath(above, path.lstrip("/")))
        finally:
            self.close(above)
        operation = "open {} in {}".format(path, directory)
        if result == -EXDEV:
            raise OSError(EXDEV, operation + ": a symbolic link or .. leads out of the directory")
        if result < 0:
            self._fail(result, operation)
        return result

    def close(self, fd: int) -> None:
        self._sc.sc_close(fd)

    def pread(self, fd: int, offset: int, size: int, name: str) -> bytes:
        """Return `size` bytes at `offset`, or fewer at the end of the file.

        name: the path, for the message of an OSError.
        """
        buffer = bytearray(size)
        got = 0
        while got < size:
            part = memoryview(buffer)[got:] if got else buffer
            result = self._sc.sc_pread(fd, part, size - got, offset + got)
            if result == 0:
                break
            if result < 0 and result != -EINTR:
                self._fail(result, "read {} bytes at {} of {}".format(size, offset, name))
            got += max(result, 0)
        return bytes(buffer if got == size else buffer[:got])

    def read_file(self, path: str, limit: int = 1 << 20) -> bytes:
        """Return the content of a file, at most `limit` bytes. Works on procfs and sysfs."""
        fd = self.open(path)
        try:
            parts = []
            left = limit
            buffer = self._buffer
            while left > 0:
                result = self._sc.sc_read(fd, buffer, min(left, len(buffer)))
                if result < 0 and result != -EINTR:
                    self._fail(result, "read " + path)
                if result == 0:
                    break
                parts.append(bytes(buffer[: max(result, 0)]))
                left -= max(result, 0)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            self.close(fd)

    def read_through(self, path: str) -> None:
        """Read a file to its end and discard the content, so that read errors surface now."""
        fd = self.open(path)
        try:
            buffer = bytearray(65536)
            result = 1
            while result > 0 or result == -EINTR:
                result = self._sc.sc_read(fd, buffer, len(buffer))
            if result < 0:
                self._fail(result, "read " + path)
        finally:
            self.close(fd)

    def read_text(self, path: str) -> str:
        return decode(self.read_file(path))

    def write(self, fd: int, data: bytes, name: str) -> None:
        """Call write(2) once. A short write raises OSError, as no caller writes much data."""
        result = self._sc.sc_write(fd, data, len(data))
        if result != len(data):
            self._fail(-EAGAIN if result >= 0 else result, "write " + name)

    def write_file(self, path: str, data: bytes) -> None:
        """Create or overwrite a file in place. Not crash-safe: for virtual filesystems only."""
        fd = self.open(path, O_WRONLY | O_CREAT | O_TRUNC)
        try:
            self.write(fd, data, path)
        finally:
            self.close(fd)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Create a directory and its parents. Does nothing if it exists."""
        above = path.rfind("/")
        result = self._sc.sc_mkdir(AT_FDCWD, path, mode)
        if result == -ENOENT and above > 0:
            self.mkdir(path[:above])
            result = self._sc.sc_mkdir(AT_FDCWD, path, mode)
        if result < 0 and result != -EEXIST:
            self._fail(result, "make directory " + path)

    def unlink(self, name: str, at: int, flags: int = 0) -> None:
        result = self._sc.sc_unlink(at, name, flags)
        if result < 0:
            self._fail(result, "remove " + name)

    def readlink(self, path: str) -> str:
        buffer = bytearray(4096)
        result = self._sc.sc_readlink(path, buffer, len(buffer))
        if result < 0:
            self._fail(result, "read link " + path)
        return decode(bytes(buffer[:result]))

    def stat(self, path: str, follow: bool = True, at: int = AT_FDCWD) -> Stat:
        """Call fstatat(2). With path "", return the Stat of the open file `at`."""
        flags = (0 if follow else AT_SYMLINK_NOFOLLOW) | (0 if path else AT_EMPTY_PATH)
        buffer = bytearray(40)
        result = self._sc.sc_stat(at, path, flags, buffer)
        if result < 0:
            self._fail(result, "stat " + (path or "an open file"))
        return Stat(*struct.unpack("@5q", buffer))

    def exists(self, path: str) -> bool:
        return bool(self._sc.sc_stat(AT_FDCWD, path, 0, bytearray(40)) >= 0)

    def entries(self, fd: int) -> "List[Tuple[int, str]]":
        """Return (d_type, name) of each entry of an open directory, except `.` and `..`."""
        return list(self._each(fd))

    def _each(self, fd: int) -> "Iterator[Tuple[int, str]]":
        buffer = bytearray(8192)
        while True:
            result = self._sc.sc_getdents(fd, buffer, len(buffer))
            if result < 0:
                self._fail(result, "list a directory")
            if result == 0:
                return
            at = 0
            data = bytes(buffer[:result])
            while at < len(data):
                end = data.index(b"\0", at + 1)
                yield data[at], decode(data[at + 1 : end])
                at = end + 1

    def listdir(self, path: str) -> "List[str]":
        """Return the sorted names in a directory. Uses about 60 bytes for each name."""
        fd = self.open(path)
        try:
            names = [name for _, name in self._each(fd)]
            names.sort()
            return names
        finally:
            self.close(fd)
