# SPDX-License-Identifier: MIT
"""The one way to the kernel: each method makes one system call, or a short fixed series.

Each failure raises one OSError(errno, sentence), the sentence naming the operation, its objects
and the reason. Nothing here decides, retries (but for the race that LOOP_CTL_GET_FREE has by
design) or logs.
"""

import struct
from collections import namedtuple

from storage_init.abi import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    EAGAIN,
    EBUSY,
    EEXIST,
    EINTR,
    LO_FLAGS_AUTOCLEAR,
    LO_FLAGS_READ_ONLY,
    MNT_DETACH,
    MS_MOVE,
    MS_NOATIME,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_STRICTATIME,
    O_CREAT,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    REBOOT,
    UEVENT_KERNEL,
    WNOHANG,
)
from storage_init.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Tuple

# What a coldplug of many devices queues while a module loads; the kernel charges about 1 KB each.
_UEVENT_BUFFER = 4 << 20
_UEVENT_SIZE = 8192

_FLAG_NAMES = (
    (MS_RDONLY, "ro"),
    (MS_NOSUID, "nosuid"),
    (MS_NODEV, "nodev"),
    (MS_NOEXEC, "noexec"),
    (MS_NOATIME, "noatime"),
    (MS_STRICTATIME, "strictatime"),
    (MS_MOVE, "move"),
)

# struct stat, less what nobody here needs.
Stat = namedtuple("Stat", ("mode", "device", "inode", "rdev", "size"))


def mount_text(source: str, target: str, fstype: str, flags: int, data: str = "") -> str:
    """A mount in the words of mount(8), for messages."""
    options = [name for bit, name in _FLAG_NAMES if flags & bit]
    if data:
        options.append(data)
    text = "mount {} on {}".format(source, target)
    if fstype:
        text += " type " + fstype
    return text + (" " + ",".join(options) if options else "")


class Kernel:
    """System calls by the `syscalls` object of compat. Paths are str; OSError on every failure."""

    def __init__(self, syscalls: "Any") -> None:
        self._sc = syscalls

    def _fail(self, result: int, what: str) -> "Any":
        buffer = bytearray(128)
        length = self._sc.sc_strerror(-result, buffer, len(buffer))
        raise OSError(-result, what + ": " + decode(bytes(buffer[: max(length, 0)])))

    # Mounts and roots.

    def mount(self, source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
        result = self._sc.sc_mount(source, target, fstype or None, flags, data or None)
        if result < 0:
            self._fail(result, mount_text(source, target, fstype, flags, data))

    def detach(self, target: str) -> None:
        """umount2 with MNT_DETACH: out of the tree now, released when its last user is gone."""
        result = self._sc.sc_umount(target, MNT_DETACH)
        if result < 0:
            self._fail(result, "detach " + target)

    def pivot_root(self, new_root: str, put_old: str) -> None:
        result = self._sc.sc_pivot_root(new_root, put_old)
        if result < 0:
            self._fail(result, "pivot_root to {}, old root on {}".format(new_root, put_old))

    def chroot(self, path: str) -> None:
        result = self._sc.sc_chroot(path)
        if result < 0:
            self._fail(result, "chroot to " + path)

    def chdir(self, path: str) -> None:
        result = self._sc.sc_chdir(path)
        if result < 0:
            self._fail(result, "change directory to " + path)

    def fs_magic(self, path: str) -> int:
        """statfs(2)'s f_type of the filesystem that holds path."""
        result = int(self._sc.sc_fs_magic(path))
        if result < 0:
            self._fail(result, "statfs " + path)
        return result

    # Files.

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

    # Processes.

    def getpid(self) -> int:
        return int(self._sc.sc_getpid())

    def fork(self) -> int:
        result = int(self._sc.sc_fork())
        if result < 0:
            self._fail(result, "fork")
        return result

    def exit(self, code: int) -> None:
        """_exit(2), for forked children: nothing of the parent's is flushed or run."""
        self._sc.sc_exit(code)

    def reap(self) -> "Optional[Tuple[int, int]]":
        """(pid, wait status) of a child that has ended, or None if none has. Does not wait."""
        status = bytearray(4)
        result = self._sc.sc_waitpid(-1, WNOHANG, status)
        if result <= 0:
            return None
        return int(result), struct.unpack("@i", status)[0]

    def execve(self, path: str, arguments: "List[str]", environment: "List[bytes]") -> None:
        """Become another program, with the default signal actions. Returns only by raising."""
        argv = b"".join([argument.encode() + b"\0" for argument in arguments])
        envp = b"".join([word + b"\0" for word in environment])
        self._sc.sc_signals_default()
        self._fail(self._sc.sc_execve(path, argv, len(argv), envp, len(envp)), "exec " + path)

    def signalfd_child(self) -> int:
        result = int(self._sc.sc_signalfd_child())
        if result < 0:
            self._fail(result, "signalfd for SIGCHLD")
        return result

    def take_terminal(self, fd: int) -> None:
        """Start a session with this terminal as fds 0-2 and, if it lets us, for its signals."""
        result = self._sc.sc_take_terminal(fd)
        if result < 0:
            self._fail(result, "take the terminal")

    def standard_fds(self) -> None:
        """Open something harmless on those of fds 0-2 that are closed."""
        self._sc.sc_standard_fds()

    def drain(self, fd: int) -> None:
        """Read and drop what a signalfd holds."""
        self._sc.sc_read(fd, bytearray(1024), 1024)

    # Waiting.

    def clock_ms(self) -> int:
        """Milliseconds of CLOCK_MONOTONIC: since the machine's start."""
        return int(self._sc.sc_clock_ns()) // 1000000

    def poll(self, fds: "List[int]", timeout_ms: int) -> int:
        """A bit mask of the fds that are ready; 0 after the time or at a signal. 16 fds at most."""
        packed = b"".join([struct.pack("@i", fd) for fd in fds])
        result = int(self._sc.sc_poll(packed, len(fds), timeout_ms))
        if result == -EINTR:
            return 0
        if result < 0:
            self._fail(result, "poll")
        return result

    def uevent_open(self, group: int = UEVENT_KERNEL) -> int:
        result = int(self._sc.sc_uevent_open(group, _UEVENT_BUFFER))
        if result < 0:
            self._fail(result, "open the uevent socket")
        return result

    def uevent_receive(self, fd: int) -> "Optional[bytes]":
        """One message; b"" for one that was not for us; None when there is none.

        OSError(ENOBUFS) when messages were lost: look at all devices again.
        """
        buffer = bytearray(_UEVENT_SIZE)
        result = self._sc.sc_uevent_receive(fd, buffer, len(buffer))
        if result in (-EAGAIN, -EINTR):
            return None
        if result < 0:
            self._fail(result, "receive a uevent")
        return bytes(buffer[:result])

    # Devices, modules, machine.

    def load_module(self, path: str, parameters: str = "") -> None:
        """finit_module(2) on an uncompressed module. One that is loaded already is no error."""
        fd = self.open(path)
        result = self._sc.sc_finit_module(fd, parameters, 0)
        self.close(fd)
        if result < 0 and result != -EEXIST:
            self._fail(result, "load module " + path)

    def loop_attach(self, path: str) -> "Tuple[str, int]":
        """Attach a file read-only to a free loop device: its path, and an open fd of it.

        The device is AUTOCLEAR: keep the fd open until it is mounted, close it then.
        """
        control = self.open("/dev/loop-control", O_RDWR)
        backing = -1
        try:
            backing = self.open(path)
            for _ in range(16):  # another process may take the free device first
                number = self._sc.sc_loop_get_free(control)
                if number < 0:
                    self._fail(number, "find a free loop device for " + path)
                device = "/dev/loop" + str(number)
                fd = self.open(device)
                flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR
                result = self._sc.sc_loop_configure(fd, backing, flags, path)
                if result >= 0:
                    return device, fd
                self.close(fd)
                if result != -EBUSY:
                    break
            self._fail(result, "attach {} to {}".format(path, device))
        finally:
            if backing >= 0:
                self.close(backing)
            self.close(control)
        raise AssertionError

    def reboot(self, how: str) -> None:
        """sync(2), then reboot(2): `how` is a key of REBOOT. Returns only by raising."""
        self._sc.sc_sync()
        self._fail(self._sc.sc_reboot(REBOOT[how]), how)
