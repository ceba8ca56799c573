# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.kernel.calls import mount_text


def test_an_error_names_operation_objects_and_reason():
    fake, kernel, _, _ = make()
    fake.failures["sc_mount"] = 19
    error = raises(OSError, kernel.mount, "/dev/vda1", "/boot", "ext4", 1, "data=x")
    assert error.errno == 19
    assert error.args[1] == "mount /dev/vda1 on /boot type ext4 ro,data=x: errno 19"


def test_mount_text():
    assert mount_text("a", "b", "", 8192) == "mount a on b move"
    assert mount_text("a", "b", "tmpfs", 0) == "mount a on b type tmpfs"


def test_every_method_raises_the_errno():
    cases = (
        ("sc_umount", "umount", "/x"),
        ("sc_umount", "detach", "/x"),
        ("sc_pivot_root", "pivot_root", ".", "."),
        ("sc_chroot", "chroot", "."),
        ("sc_chdir", "chdir", "/"),
        ("sc_fs_magic", "fs_magic", "/"),
        ("sc_open", "open", "/f"),
        ("sc_open", "read_file", "/f"),
        ("sc_open", "listdir", "/"),
        ("sc_open", "open_directory", "/"),
        ("sc_read", "read_file", "/f"),
        ("sc_getdents", "listdir", "/"),
        ("sc_write", "write_file", "/f", b"x"),
        ("sc_mkdir", "mkdir", "/new"),
        ("sc_unlink", "unlink", "/f", -100),
        ("sc_stat", "stat", "/f"),
        ("sc_fork", "fork"),
        ("sc_execve", "execve", "/f", ["f"], [b"A=b"]),
        ("sc_signalfd_child", "signalfd_child"),
        ("sc_poll", "poll", [], 1),
        ("sc_uevent_open", "uevent_open"),
        ("sc_uevent_receive", "uevent_receive", 4),
        ("sc_finit_module", "load_module", "/f.ko"),
        ("sc_reboot", "reboot", "halt"),
    )
    for call, method, *arguments in cases:
        fake, kernel, _, _ = make({"/f": b"content", "/f.ko": b"content"})
        fake.failures[call] = 5
        error = raises(OSError, getattr(kernel, method), *arguments)
        assert error.errno == 5 and error.args[1].endswith(": errno 5"), method
        assert fake.open_fds() == [], method


def test_reading_and_writing_files():
    fake, kernel, _, _ = make({"/d/b": b"x" * 10000, "/d/a": b"", "/d/e/f": b""})
    assert kernel.read_file("/d/b") == b"x" * 10000
    assert kernel.read_file("/d/b", 5) == b"xxxxx"
    assert kernel.listdir("/d") == ["a", "b", "e"]
    assert kernel.stat("/d/b").size == 10000
    assert kernel.exists("/d/a") and not kernel.exists("/d/c")
    kernel.mkdir("/p/q/r")
    assert "/p/q/r" in fake.directories
    kernel.mkdir("/p/q/r")
    kernel.write_file("/p/q/s", b"text")
    assert kernel.read_text("/p/q/s") == "text"


def test_pread_stops_at_the_end():
    _, kernel, _, _ = make({"/f": b"0123456789"})
    fd = kernel.open("/f")
    assert kernel.pread(fd, 4, 3, "/f") == b"456"
    assert kernel.pread(fd, 8, 10, "/f") == b"89"


def test_execve_concatenates_its_strings():
    fake, kernel, _, _ = make()
    fake.failures["sc_execve"] = 2
    raises(OSError, kernel.execve, "/init", ["/init", "a b"], [b"X=1", b"Y="])
    assert fake.calls == [("sc_execve", "/init", b"/init\0a b\0", b"X=1\0Y=\0")]


def test_uevent_receive():
    fake, kernel, _, _ = make()
    fd = kernel.uevent_open()
    assert kernel.uevent_receive(fd) is None
    fake.uevents = [(0, b"m"), (0, b"")]
    assert kernel.uevent_receive(fd) == b"m" and kernel.uevent_receive(fd) == b""
