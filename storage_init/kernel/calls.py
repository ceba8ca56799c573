# SPDX-License-Identifier: MIT
"""Make system calls: each method of Kernel makes one of them, or a short fixed series.

Each failure raises one OSError(errno, sentence). The sentence names the operation, its objects and
the reason. Kernel makes no decisions and logs nothing.
"""

import struct

from storage_init.kernel.abi import (
    EAGAIN,
    EEXIST,
    EINTR,
    MNT_DETACH,
    MODULE_INIT_COMPRESSED_FILE,
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_MOVE,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_RDONLY,
    MS_RELATIME,
    MS_SILENT,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
    REBOOT,
    UEVENT_KERNEL,
    WNOHANG,
)
from storage_init.kernel.block import BlockDevices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

# A coldplug of many devices queues uevents while a module loads. The kernel accounts about 1 KB for
# each of them.
_UEVENT_BUFFER = 4 << 20
_UEVENT_SIZE = 8192

_FLAG_NAMES = (
    (MS_RDONLY, "ro"),
    (MS_NOSUID, "nosuid"),
    (MS_NODEV, "nodev"),
    (MS_NOEXEC, "noexec"),
    (MS_SYNCHRONOUS, "sync"),
    (MS_MANDLOCK, "mand"),
    (MS_DIRSYNC, "dirsync"),
    (MS_NOSYMFOLLOW, "nosymfollow"),
    (MS_NOATIME, "noatime"),
    (MS_NODIRATIME, "nodiratime"),
    (MS_SILENT, "silent"),
    (MS_RELATIME, "relatime"),
    (MS_I_VERSION, "iversion"),
    (MS_STRICTATIME, "strictatime"),
    (MS_LAZYTIME, "lazytime"),
    (MS_MOVE, "move"),
)


def mount_text(source: str, target: str, fstype: str, flags: int, data: str = "") -> str:
    """Describe a mount in the style of mount(8), for messages."""
    options = [name for bit, name in _FLAG_NAMES if flags & bit]
    if data:
        options.append(data)
    text = "mount {} on {}".format(source, target)
    if fstype:
        text += " type " + fstype
    return text + (" " + ",".join(options) if options else "")


class Kernel(BlockDevices):
    """Make system calls on mounts, processes, modules and the machine.

    Its base classes have those on block devices (BlockDevices) and on files (Files).
    """

    # Mounts and roots.

    def mount(self, source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
        result = self._sc.sc_mount(source, target, fstype or None, flags, data or None)
        if result < 0:
            self._fail(result, mount_text(source, target, fstype, flags, data))

    def umount(self, target: str) -> None:
        """Unmount a filesystem, which releases its device."""
        result = self._sc.sc_umount(target, 0)
        if result < 0:
            self._fail(result, "unmount " + target)

    def detach(self, target: str) -> None:
        """Detach a mount from the tree (MNT_DETACH); it is released when its last user is gone."""
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
        """Return f_type of the filesystem that contains path, see statfs(2)."""
        result = int(self._sc.sc_fs_magic(path))
        if result < 0:
            self._fail(result, "statfs " + path)
        return result

    # Processes.

    def getpid(self) -> int:
        return int(self._sc.sc_getpid())

    def fork(self) -> int:
        result = int(self._sc.sc_fork())
        if result < 0:
            self._fail(result, "fork")
        return result

    def exit(self, code: int) -> None:
        """End a forked child with _exit(2), which runs no exit handler and flushes no buffer."""
        self._sc.sc_exit(code)

    def reap(self) -> "Optional[Tuple[int, int]]":
        """Return (pid, wait status) of a child that has ended, or None. Does not wait."""
        status = bytearray(4)
        result = self._sc.sc_waitpid(-1, WNOHANG, status)
        if result <= 0:
            return None
        return int(result), struct.unpack("@i", status)[0]

    def execve(self, path: str, arguments: "List[str]", environment: "List[bytes]") -> None:
        """Execute another program with default signal actions. Returns only by raising OSError."""
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
        """Start a session with this terminal as fds 0-2.

        It also becomes the controlling terminal if possible.
        """
        result = self._sc.sc_take_terminal(fd)
        if result < 0:
            self._fail(result, "take over the terminal")

    def standard_fds(self) -> None:
        """Open /dev/console, /dev/null or / on each of fds 0-2 that is closed."""
        self._sc.sc_standard_fds()

    def drain(self, fd: int) -> None:
        """Discard the pending signals of a signalfd."""
        self._sc.sc_read(fd, bytearray(1024), 1024)

    # Waiting.

    def clock_ms(self) -> int:
        """Return milliseconds of CLOCK_MONOTONIC, which starts with the kernel."""
        return int(self._sc.sc_clock_ns()) // 1000000

    def poll(self, fds: "List[int]", timeout_ms: int) -> int:
        """Return a bit mask of the fds that are ready; 0 after the timeout or a signal.

        fds: 16 at most.
        """
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
        """Return a message, b"" for one to ignore, or None if no message is queued.

        Raises OSError(ENOBUFS) if messages were lost: the caller must scan all devices again.
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
        """Load a module with finit_module(2). Does nothing if it is already loaded.

        A compressed module requires a kernel that decompresses modules of its format.
        """
        flags = 0 if path.endswith(".ko") else MODULE_INIT_COMPRESSED_FILE
        fd = self.open(path)
        result = self._sc.sc_finit_module(fd, parameters, flags)
        self.close(fd)
        if result < 0 and result != -EEXIST:
            self._fail(result, "load module " + path)

    def add_key(self, description: str, payload: bytes) -> None:
        """Add a key of type `user` to this process's keyring."""
        result = self._sc.sc_add_key(description, payload, len(payload))
        if result < 0:
            self._fail(result, "add the key " + description)

    def sync(self) -> None:
        """Call sync(2), which may never return if a disk does not answer."""
        self._sc.sc_sync()

    def reboot(self, how: str) -> None:
        """Call reboot(2). how: a key of REBOOT. Returns only by raising OSError."""
        self._fail(self._sc.sc_reboot(REBOOT[how]), how)
