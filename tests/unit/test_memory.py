# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.boot import memory
from storage_init.kernel.failure import BootFailure


def machine(meminfo, size=8192):
    """Return a fake, its kernel and an open file of this size. meminfo: of /proc, or None."""
    files = {"/dev/loop-control": b"", "/dev/loop0": b"", "/f": bytes(size)}
    if meminfo is not None:
        files["/proc/meminfo"] = meminfo
    fake, kernel, _, _ = make(files)
    return fake, kernel, kernel.open("/f")


def test_total_is_in_bytes():
    for text, total in (
        (b"MemTotal:       16303428 kB\nMemFree:         1 kB\n", 16303428 * 1024),
        (b"MemFree: 1 kB\nMemTotal: 2 kB\n", 2048),
        (b"MemTotal: 5000000000 kB", 5000000000 * 1024),
        (b"\n\nMemTotal:\t7 kB\n", 7168),
        (b"MemTotal: 0 kB\n", 0),
    ):
        assert memory.total(machine(text)[1]) == total, text


def test_total_is_0_if_it_is_missing_or_malformed():
    for text in (
        b"",
        b"\n",
        b"MemFree: 1 kB\n",
        b"XMemTotal: 1 kB\n",
        b"MemTotal 1 kB\n",
        b"MemTotal: x kB\n",
        b"MemTotal: -1 kB\n",
        b"MemTotal: 1.5 kB\n",
        b"MemTotal: kB\n",
        bytes(range(256)),
    ):
        assert memory.total(machine(text)[1]) == 0, text


def test_total_raises_the_error_of_a_missing_file():
    assert raises(OSError, memory.total, machine(None)[1]).errno == 2


def test_a_copy_may_occupy_exactly_half_of_the_memory():
    fake, kernel, fd = machine(b"MemTotal: 16 kB\n", 8192)
    path, loop = memory.copy(kernel, fd, "/f", 8192)
    assert path == "/dev/loop0" and fake.open_fds() == ["/dev/loop0", "/f"]
    assert fake._fds[loop][0] == "/dev/loop0"
    assert fake.calls[0] == ("sc_memfd", "/f", 8192)
    assert fake.calls[-1] == ("sc_loop_configure", "/dev/loop0", "memory", 5, 0, 0)


def test_a_copy_of_more_than_half_of_the_memory_is_refused():
    for meminfo, size, limit in (
        (b"MemTotal: 16 kB\n", 8193, 8192),
        (b"MemTotal: 15 kB\n", 7681, 7680),
        (b"", 1, 0),
    ):
        fake, kernel, fd = machine(meminfo, size)
        error = raises(BootFailure, memory.copy, kernel, fd, "/f", size)
        text = "/f has {} bytes, and half of the memory is {}"
        assert str(error) == text.format(size, limit)
        assert fake.calls == [] and fake.open_fds() == ["/f"]


def test_a_failed_copy_raises_its_error():
    for call in ("sc_memfd", "sc_pread", "sc_write", "sc_loop_configure"):
        fake, kernel, fd = machine(b"MemTotal: 16 kB\n")
        fake.failures[call] = 12
        assert raises(OSError, memory.copy, kernel, fd, "/f", 8192).errno == 12, call
        assert fake.open_fds() == ["/f"], call


def test_total_is_0_if_its_line_has_no_value():
    for text in (b"MemTotal:", b"MemTotal:\n", b"MemTotal: \nMemFree: 1 kB\n"):
        kernel = make({"/proc/meminfo": text})[1]
        assert memory.total(kernel) == 0, text
