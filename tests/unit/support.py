# SPDX-License-Identifier: MIT
"""Helpers for tests on both interpreters: `raises`, and fake system calls.

FakeSyscalls replaces compat.syscalls below a real Kernel. It keeps files in a dict, records in
`calls` every call that changes something, and has a clock that moves only when sc_poll() waits.
"""

import struct

from storage_init.kernel.calls import Kernel
from storage_init.kernel.log import Log


def raises(kind, function, *arguments):
    """Call a function; return the exception of this kind that it raises.

    Raises AssertionError if the function raises no exception.
    """
    try:
        function(*arguments)
    except kind as error:
        return error
    raise AssertionError("nothing was raised")


def noise(seed, size):
    """Return pseudorandom bytes, which are equal on every run and interpreter."""
    data = bytearray(size)
    state = seed * 2654435761 + 1
    for at in range(size):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        data[at] = state >> 16 & 0xFF
    return bytes(data)


def mutations(data, count, size):
    """Yield `count` copies of data, each with up to four of the first `size` bytes changed."""
    for seed in range(count):
        copy = bytearray(data)
        random = noise(seed, 12)
        for at in range(0, 12, 3):
            copy[(random[at] << 8 | random[at + 1]) % size] = random[at + 2]
        yield bytes(copy)


def reader(data, reads=None):
    """Return a function read(offset, size) on `data`, which appends each size to `reads`."""

    def read(offset, size):
        assert offset >= 0 and size >= 0
        if reads is not None:
            reads.append(size)
        return bytes(data[offset : offset + size])

    return read


def sparse(*parts):
    """Return a function read(offset, size) on parts (offset, content), with zeros elsewhere."""

    def read(offset, size):
        data = bytearray(size)
        for at, content in parts:
            for index, byte in enumerate(content):
                if offset <= at + index < offset + size:
                    data[at + index - offset] = byte
        return bytes(data)

    return read


class Ended(BaseException):
    """A system call that would not return was called: execve, reboot or _exit."""


# Where a file lies on its device, unless FakeSyscalls.extents places it.
PLACE = 1 << 20


class FakeSyscalls:
    """Fake system calls on files, mounts, devices, children and uevents."""

    def __init__(self, files=None, pid=1):
        self.files = {}  # path -> content
        self.directories = {"/"}
        self.links = {}  # path -> target
        self.blocks = set()  # the paths in `files` that are block devices
        self.devices = {}  # mount point -> st_dev of the files below it
        self.calls = []
        self.extents = {}  # path -> entries of sc_fiemap and sc_fibmap
        self.chunks = []  # the chunk tree of a btrfs: (logical address, item), sorted
        self.placed = ""  # the file that each device contains from PLACE on
        self.failures = {}  # "sc_name first-argument" or "sc_name" -> errno
        self.uevents = []  # (milliseconds, message)
        self.now = 0
        self.pid = pid
        self.magic = 0x858458F6
        self.child_status = 0
        self.child_ms = 0  # the lifetime of a child
        self.xflags = 0
        self._fds = {}  # descriptor -> [path, offset]
        self.mounted = set()
        self._next_fd = 3
        self._children = []  # [end in ns, pid, true once the signalfd was read after it]
        self._forked = 0
        self.total = 0  # number of calls that could fail
        self.fail_at = None  # (n, errno): the n-th of these calls fails
        for path, content in (files or {}).items():
            self.add(path, content)

    def add(self, path, content=b""):
        self.files[path] = content
        while path.rfind("/") > 0:
            path = path[: path.rfind("/")]
            self.directories.add(path)

    def _call(self, name, *arguments):
        """Record a call that changes something; return 0 or a negative errno."""
        self.calls.append((name,) + arguments)
        return self._failure(name, arguments[0] if arguments else "")

    def _failure(self, name, first):
        self.total += 1
        if self.fail_at and self.fail_at[0] == self.total:
            return -self.fail_at[1]
        for key in ("{} {}".format(name, first), name):
            if key in self.failures:
                return -self.failures[key]
        return 0

    def names(self):
        return [call[0] for call in self.calls]

    def _path(self, at, path):
        return path if at == -100 else self._fds[at][0].rstrip("/") + ("/" + path if path else "")

    def sc_mount(self, source, target, fstype, flags, data):
        failure = self._call("sc_mount", source, target, fstype, flags, data)
        if not failure and not flags & 8192:  # MS_MOVE
            self.devices.setdefault(target, 100 + len(self.devices))
            self.mounted.add(target)
        return failure

    def sc_umount(self, target, flags):
        failure = self._call("sc_umount", target, flags)
        if not failure and target != "." and target not in self.mounted:
            failure = -22
        self.mounted.discard(target)
        return failure

    def sc_pivot_root(self, new, old):
        return self._call("sc_pivot_root", new, old)

    def sc_chroot(self, path):
        return self._call("sc_chroot", path)

    def sc_chdir(self, path):
        return self._call("sc_chdir", path)

    def sc_fs_magic(self, path):
        return self._failure("sc_fs_magic", path) or self.magic

    def sc_open(self, at, path, flags, mode):
        path = self._path(at, path)
        failure = self._failure("sc_open", path)
        if failure:
            return failure
        if path not in self.files and path not in self.directories:
            if not flags & 0o100:
                return -2
            self.add(path)
        return self._new_fd(path)

    def _new_fd(self, path):
        self._next_fd += 1
        self._fds[self._next_fd] = [path, 0]
        return self._next_fd

    def sc_open_directory(self, at, path):
        return self.sc_open(at, path, 0, 0)

    def sc_open_beneath(self, at, path):
        path = self._path(at, path)
        if path in self.links:
            return -18
        return self._failure("sc_open_beneath", path) or self.sc_open(-100, path, 0, 0)

    def sc_close(self, fd):
        return 0 if self._fds.pop(fd, None) else -9

    def open_fds(self):
        return sorted([path for path, _ in self._fds.values()])

    def sc_read(self, fd, buffer, size):
        path, offset = self._fds[fd]
        if path == "signalfd":
            for child in self._children:
                child[2] = child[2] or child[0] <= self.now
        data = self.files.get(path, b"")[offset : offset + size]
        self._fds[fd][1] += len(data)
        buffer[: len(data)] = data
        return self._failure("sc_read", path) or len(data)

    def sc_pread(self, fd, buffer, size, offset):
        path = self._fds[fd][0]
        if path.startswith("/dev/") and offset >= PLACE:
            data = self.files[self.placed][offset - PLACE : offset - PLACE + size]
        else:
            data = self.files[path][offset : offset + size]
        buffer[: len(data)] = data
        return self._failure("sc_pread", path) or len(data)

    def _extents(self, fd, start, buffer, size):
        path = self._fds[fd][0]
        if path not in self.extents:
            self.placed = path
        entries = self.extents.get(path, [(0, PLACE, len(self.files[path]), 1)])
        entries = [entry for entry in entries if entry[0] >= start][: size // 32]
        packed = b"".join([struct.pack("@qqqq", *entry) for entry in entries])
        buffer[: len(packed)] = packed
        return len(entries)

    def sc_fiemap(self, fd, start, buffer, size):
        failure = self._failure("sc_fiemap", self._fds[fd][0])
        return failure or self._extents(fd, start, buffer, size)

    def sc_fibmap(self, fd, start, buffer, size):
        failure = self._failure("sc_fibmap", self._fds[fd][0])
        return failure or self._extents(fd, start, buffer, size)

    def sc_xflags(self, fd, buffer):
        buffer[:4] = struct.pack("@I", self.xflags)
        return self._failure("sc_xflags", self._fds[fd][0])

    def sc_btrfs_search(self, fd, buffer):
        """Find chunks by min_offset and max_offset, as many as fit after the key of 104 bytes."""
        least, most = struct.unpack("@QQ", bytes(buffer[24:40]))
        at = 104
        count = 0
        for logical, item in self.chunks:
            if least <= logical <= most and at + 32 + len(item) <= len(buffer):
                header = struct.pack("@QQQII", 5, 256, logical, 228, len(item))
                buffer[at : at + 32 + len(item)] = header + item
                at += 32 + len(item)
                count += 1
        buffer[64:68] = struct.pack("@I", count)
        return self._failure("sc_btrfs_search", self._fds[fd][0])

    def sc_btrfs_forget(self, control):
        return self._call("sc_btrfs_forget")

    def sc_memfd(self, name, size):
        return self._call("sc_memfd", name, size) or self._new_fd("memory")

    def sc_write(self, fd, data, size):
        path = self._fds[fd][0] if fd in self._fds else "fd " + str(fd)
        failure = self._call("sc_write", path, bytes(data))
        if not failure and path in self.files:
            self.files[path] = bytes(data)
        return failure or size

    def sc_mkdir(self, at, path, mode):
        failure = self._failure("sc_mkdir", path)
        if failure:
            return failure
        if path in self.directories:
            return -17
        if path[: path.rfind("/")] not in self.directories and path.rfind("/") > 0:
            return -2
        self.directories.add(path)
        return 0

    def sc_unlink(self, at, path, flags):
        path = self._path(at, path)
        failure = self._call("sc_unlink", path, flags)
        if failure:
            return failure
        if path in self.files:
            del self.files[path]
        else:
            self.directories.remove(path)
        return 0

    def sc_readlink(self, path, buffer, size):
        if path not in self.links:
            return -2
        target = self.links[path].encode()
        buffer[: len(target)] = target
        return len(target)

    def sc_stat(self, at, path, flags, buffer):
        path = self._path(at, path)
        failure = self._failure("sc_stat", path)
        if failure:
            return failure
        if path in self.links and flags & 0x100:
            mode = 0o120777
        elif path in self.blocks:
            mode = 0o060600
        elif path in self.files:
            mode = 0o100755
        elif path in self.directories or path == "":
            mode = 0o040755
        else:
            return -2
        device = 1
        for above, number in self.devices.items():
            if path == above or path.startswith(above + "/"):
                device = number
        size = len(self.files.get(path, b""))
        buffer[:] = struct.pack("@5q", mode, device, 0, 0, size)
        return 0

    def sc_getdents(self, fd, buffer, size):
        path, offset = self._fds[fd]
        if offset:
            return 0
        self._fds[fd][1] = 1
        above = path.rstrip("/") + "/"
        entries = [(4, name) for name in self.directories] + [(8, name) for name in self.files]
        data = b""
        for kind, name in sorted(entries):
            rest = name[len(above) :]
            if name.startswith(above) and rest and "/" not in rest:
                data += bytes([kind]) + rest.encode() + b"\0"
        buffer[: len(data)] = data
        return self._failure("sc_getdents", path) or len(data)

    def sc_fork(self):
        failure = self._call("sc_fork")
        if failure:
            return failure
        self._forked += 1
        self._children.append([self.now + self.child_ms * 1000000, 99 + self._forked, False])
        return 99 + self._forked

    def sc_exit(self, code):
        self._call("sc_exit", code)
        raise Ended("exit")

    def sc_waitpid(self, pid, options, status):
        failure = self._failure("sc_waitpid", pid)
        if failure or not self._children or self._children[0][0] > self.now:
            return failure
        status[:] = struct.pack("@i", self.child_status)
        return self._children.pop(0)[1]

    def sc_execve(self, path, argv, argv_size, envp, envp_size):
        failure = self._call("sc_execve", path, argv, envp)
        if failure:
            return failure
        raise Ended("execve")

    def sc_getpid(self):
        return self.pid

    def sc_signals_default(self):
        return 0

    def sc_signalfd_child(self):
        return self._failure("sc_signalfd_child", "") or self._new_fd("signalfd")

    def sc_take_terminal(self, fd):
        return self._call("sc_take_terminal", self._fds[fd][0])

    def sc_standard_fds(self):
        return 0

    def sc_poll(self, fds, count, timeout_ms):
        failure = self._failure("sc_poll", "")
        if failure:
            return failure
        due = [self.now + timeout_ms * 1000000]
        for at in range(count):
            fd = struct.unpack("@i", fds[at * 4 : at * 4 + 4])[0]
            if self._fds[fd][0] == "signalfd":
                due += [when for when, _, told in self._children if not told]
            else:
                due += [self.uevents[0][0] * 1000000] if self.uevents else []
        self.now = max(self.now, min(due))
        return 1 if min(due) < due[0] else 0

    def sc_clock_ns(self):
        return self.now

    def sc_uevent_open(self, group, receive_buffer):
        return self._failure("sc_uevent_open", "") or self._new_fd("uevents")

    def sc_uevent_receive(self, fd, buffer, size):
        failure = self._failure("sc_uevent_receive", "")
        if failure:
            return failure
        if not self.uevents or self.uevents[0][0] * 1000000 > self.now:
            return -11
        message = self.uevents.pop(0)[1]
        if isinstance(message, int):
            return -message
        buffer[: len(message)] = message
        return len(message)

    def sc_finit_module(self, fd, parameters, flags):
        path = self._fds[fd][0]
        if (flags == 4) != (path.endswith((".xz", ".zst", ".gz"))):
            return -8  # ENOEXEC
        return self._call("sc_finit_module", path, parameters)

    def sc_loop_get_free(self, control):
        return self._failure("sc_loop_get_free", "")

    def sc_loop_configure(self, loop, backing, flags, name, offset, size):
        paths = self._fds[loop][0], self._fds[backing][0]
        return self._call("sc_loop_configure", paths[0], paths[1], flags, offset, size)

    def sc_dm_create(self, control, name, writable):
        return self._call("sc_dm_create", name) or 7

    def sc_dm_load(self, control, name, writable, targets, size, count):
        assert len(targets) == size
        return self._call("sc_dm_load", name, *dm_targets(targets, count))

    def sc_dm_resume(self, control, name, writable):
        return self._call("sc_dm_resume", name)

    def sc_dm_remove(self, control, name):
        return self._call("sc_dm_remove", name)

    def sc_add_key(self, description, payload, size):
        return self._call("sc_add_key", description, bytes(payload))

    def sc_reboot(self, command):
        failure = self._call("sc_reboot", command)
        if failure:
            return failure
        raise Ended("reboot")

    def sc_sync(self):
        return 0

    def sc_strerror(self, error, buffer, size):
        text = b"errno " + str(error).encode()
        buffer[: len(text)] = text
        return len(text)


def dm_targets(packed, count):
    """Parse the targets of a device-mapper table: (start, length, type, parameters) in sectors.

    The format is struct dm_target_spec of linux/dm-ioctl.h.
    """
    found = []
    at = 0
    for _ in range(count):
        start, length, status, following = struct.unpack("<QQiI", packed[at : at + 24])
        assert status == 0 and following % 8 == 0
        kind = packed[at + 24 : at + 40].rstrip(b"\0").decode()
        parameters = packed[at + 40 : at + following].rstrip(b"\0").decode()
        found.append((start, length, kind, parameters))
        at += following
    assert at == len(packed)
    return found


class _CStrings:
    """The functions of a FakeSyscalls, with compat.syscalls's OSError for a NUL in a string."""

    def __init__(self, fake):
        self._fake = fake

    def __getattr__(self, name):
        function = getattr(self._fake, name)

        def call(*arguments):
            for argument in arguments:
                if isinstance(argument, str) and "\0" in argument:
                    raise OSError(22, "the string contains a NUL")
            return function(*arguments)

        return call


def make(files=None, **options):
    """Return a FakeSyscalls, a real Kernel on it, a Log, and the list of the lines it writes."""
    return over(FakeSyscalls(files, **options))


def over(fake):
    """Return what make() returns, for these fake system calls."""
    lines = []
    log = Log(lambda level, line: lines.append(line))
    return fake, Kernel(_CStrings(fake)), log, lines


def exhausted(fake, path):
    """Return an sc_read that raises MemoryError for this path."""
    read = fake.sc_read

    def reading(fd, buffer, size):
        if fake._fds[fd][0] == path:
            raise MemoryError
        return read(fd, buffer, size)

    return reading
