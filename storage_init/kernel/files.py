# SPDX-License-Identifier: MIT
"""The system calls on files: the part of Kernel that everything reads and writes through."""

import struct
from collections import namedtuple

from storage_init.kernel.abi import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    EAGAIN,
    EEXIST,
    EINTR,
    EXDEV,
    O_CREAT,
    O_RDONLY,
    O_TRUNC,
    O_WRONLY,
)
from storage_init.kernel.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Tuple

# struct stat, less what nobody here needs.
Stat = namedtuple("Stat", ("mode", "device", "inode", "rdev", "size"))


class Files:
    """System calls by the `syscalls` object of compat. Paths are str; OSError on every failure."""

    def __init__(self, syscalls: "Any") -> None:
        self._sc = syscalls

    def _fail(self, result: int, what: str) -> "Any":
        buffer = bytearray(128)
        length = self._sc.sc_strerror(-result, buffer, len(buffer))
        raise OSError(-result, what + ": " + decode(bytes(buffer[: max(length, 0)])))

    def open(self, path: str, flags: int = O_RDONLY, mode: int = 0o644, at: int = AT_FDCWD) -> int:
        result = int(self._sc.sc_open(at, path, flags, mode))
        if result < 0:
            self._fail(result, "open " + path)
        return result

    def open_directory(self, name: str, at: int = AT_FDCWD) -> int:
        """Open a directory itself, never what a symbolic link in its place points to."""
        result = int(self._sc.sc_open_directory(at, name))
        if result < 0:
            self._fail(result, "open directory " + name)
        return result

    def open_beneath(self, directory: str, path: str) -> int:
        """Open for reading what lies in a directory, by its absolute path there.

        Neither `..` nor a symbolic link leads out of the directory; a FIFO does not block.
        """
        above = self.open_directory(directory)
        try:
            result = int(self._sc.sc_open_beneath(above, path.lstrip("/")))
        finally:
            self.close(above)
        what = "open {} in {}".format(path, directory)
        if result == -EXDEV:
            raise OSError(EXDEV, what + ": it leads out of there, by a symbolic link or by ..")
        if result < 0:
            self._fail(result, what)
        return result

    def close(self, fd: int) -> None:
        self._sc.sc_close(fd)

    def pread(self, fd: int, offset: int, size: int, name: str) -> bytes:
        """Up to `size` bytes at `offset`, fewer only at the end. `name` is for the message."""
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
        return bytes(buffer[:got])

    def read_file(self, path: str, limit: int = 1 << 20) -> bytes:
        """The whole of a small file, procfs and sysfs included; cut at `limit` bytes."""
        fd = self.open(path)
        try:
            parts = []
            left = limit
            buffer = bytearray(4096)
            while left > 0:
                result = self._sc.sc_read(fd, buffer, min(left, len(buffer)))
                if result < 0 and result != -EINTR:
                    self._fail(result, "read " + path)
                if result == 0:
                    break
                parts.append(bytes(buffer[: max(result, 0)]))
                left -= max(result, 0)
            return b"".join(parts)
        finally:
            self.close(fd)

    def read_through(self, path: str) -> None:
        """Read a file to its end, into the kernel's cache only, so that what is wrong shows."""
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
        """One write(2). Writing less than all of it is an error: nobody here writes that much."""
        result = self._sc.sc_write(fd, data, len(data))
        if result != len(data):
            self._fail(min(result, -EAGAIN) if result >= 0 else result, "write " + name)

    def write_file(self, path: str, data: bytes) -> None:
        """Make or overwrite a file of a virtual filesystem; not crash-safe and not meant to be."""
        fd = self.open(path, O_WRONLY | O_CREAT | O_TRUNC)
        try:
            self.write(fd, data, path)
        finally:
            self.close(fd)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Make a directory and those above it; one that exists is left as it is."""
        above = path.rfind("/")
        result = self._sc.sc_mkdir(AT_FDCWD, path, mode)
        if result == -2 and above > 0:  # ENOENT
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
        """fstatat(2); with path "" the file `at` itself."""
        flags = (0 if follow else AT_SYMLINK_NOFOLLOW) | (0 if path else AT_EMPTY_PATH)
        buffer = bytearray(40)
        result = self._sc.sc_stat(at, path, flags, buffer)
        if result < 0:
            self._fail(result, "stat " + (path or "of an open file"))
        return Stat(*struct.unpack("@5q", buffer))

    def exists(self, path: str) -> bool:
        return bool(self._sc.sc_stat(AT_FDCWD, path, 0, bytearray(40)) >= 0)

    def entries(self, fd: int) -> "List[Tuple[int, str]]":
        """(d_type, name) of all entries of an open directory but `.` and `..`, in its order."""
        found: List[Tuple[int, str]] = []
        buffer = bytearray(8192)
        while True:
            result = self._sc.sc_getdents(fd, buffer, len(buffer))
            if result < 0:
                self._fail(result, "list a directory")
            if result == 0:
                return found
            at = 0
            data = bytes(buffer[:result])
            while at < len(data):
                end = data.index(b"\0", at + 1)
                found.append((data[at], decode(data[at + 1 : end])))
                at = end + 1

    def listdir(self, path: str) -> "List[str]":
        """The names in a directory, sorted."""
        fd = self.open(path)
        try:
            return sorted([name for _, name in self.entries(fd)])
        finally:
            self.close(fd)
